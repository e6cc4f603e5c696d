// SPDX-License-Identifier: Apache-2.0
// Official SDKs behind one small interface, so that a test is written once for
// all of them. A client is made for an address and a key; it has
//
//   ask(q), stream(q) -> {text, calls: [{id, name, args}], thinking, finish,
//                         usage: {input, output, cached, reasoning}, raw, turn}
//   leave(q, n): streams, and leaves after n pieces
//
// where q is {model, turns, system, tools, schema, stop, effort, max, sim,
// retries}. A turn is {user, image}, the `turn` of an earlier answer, or
// {results: [{id, name, value}]}. `turn` is in the SDK's own words, so that a
// conversation goes on as an application would go on with it.
import Anthropic from '@anthropic-ai/sdk';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { GoogleGenAI } from '@google/genai';
import { HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, jsonSchema, Output, streamText, tool } from 'ai';
import OpenAI from 'openai';

import { sim } from './dialects.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

export const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const dataUrl = `data:image/png;base64,${png}`;
const defined = (o) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined));
const sum = (...n) => n.reduce((a, b) => a + (b ?? 0), 0);
const parse = (text) => (text === '' ? {} : JSON.parse(text));

// Turns in a client's words: own turns as they are, others by `write`.
function turns(q, write) {
  return q.turns.flatMap((t) => (t.native ? t.native : write(t)));
}

/* OpenAI, chat completions */

function chatBody(q) {
  return defined({
    model: q.model,
    messages: [...(q.system ? [{ role: 'system', content: q.system }] : []), ...turns(q, (t) => {
      if (t.results)
        return t.results.map((r) => ({ role: 'tool', tool_call_id: r.id, content: JSON.stringify(r.value) }));
      return [{ role: 'user', content: t.image
        ? [{ type: 'text', text: t.user }, { type: 'image_url', image_url: { url: dataUrl } }] : t.user }];
    })],
    tools: q.tools?.map((t) => ({ type: 'function',
      function: { name: t.name, description: t.description, parameters: t.schema } })),
    response_format: q.schema && { type: 'json_schema', json_schema: { name: 'answer', schema: q.schema, strict: true } },
    stop: q.stop, reasoning_effort: q.effort, max_completion_tokens: q.max,
  });
}

function chatGot(raw) {
  const { message, finish_reason: finish } = raw.choices[0];
  return {
    text: message.content ?? '', thinking: message.reasoning_content ?? '', finish, raw,
    calls: (message.tool_calls ?? []).map((c) => ({ id: c.id, name: c.function.name, args: parse(c.function.arguments) })),
    usage: raw.usage && { input: raw.usage.prompt_tokens, output: raw.usage.completion_tokens,
      cached: raw.usage.prompt_tokens_details?.cached_tokens,
      reasoning: raw.usage.completion_tokens_details?.reasoning_tokens },
    turn: { native: [message] },
  };
}

// The SDK's accumulator drops fields it does not know; an application that
// wants them adds up the chunks itself.
async function chatSum(stream) {
  const message = { role: 'assistant', content: '' };
  const calls = [];
  let usage;
  let finish;
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    const [choice] = chunk.choices;
    if (!choice)
      continue;
    finish = choice.finish_reason ?? finish;
    message.content += choice.delta?.content ?? ''; // Azure: also chunks without
    for (const extra of ['reasoning_content', 'reasoning_signature']) {
      if (choice.delta?.[extra])
        message[extra] = (message[extra] ?? '') + choice.delta[extra];
    }
    for (const { index, ...d } of choice.delta?.tool_calls ?? []) {
      calls[index] ??= { ...d, function: { name: '', arguments: '' } };
      Object.assign(calls[index], defined({ extra_content: d.extra_content }));
      calls[index].function.name += d.function?.name ?? '';
      calls[index].function.arguments += d.function?.arguments ?? '';
    }
  }
  if (calls.length > 0)
    message.tool_calls = calls;
  return { choices: [{ message, finish_reason: finish }], usage };
}

export function openaiChat(url, key, sdk) {
  const client = sdk ?? new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
  const options = (q) => ({ headers: sim(q.sim), maxRetries: q.retries ?? 0 });
  const open = (q) => client.chat.completions.create(
    { ...chatBody(q), stream: true, stream_options: { include_usage: true } }, options(q));
  return {
    sdk: client,
    ask: async (q) => chatGot(await client.chat.completions.create(chatBody(q), options(q))),
    stream: async (q) => chatGot(await chatSum(await open(q))),
    leave: async (q, n) => {
      for await (const _ of await open(q)) {
        if (--n <= 0)
          break;
      }
    },
  };
}

/* OpenAI, responses */

function responsesBody(q) {
  return defined({
    model: q.model, instructions: q.system, store: false,
    input: turns(q, (t) => {
      if (t.results)
        return t.results.map((r) => ({ type: 'function_call_output', call_id: r.id, output: JSON.stringify(r.value) }));
      return [{ role: 'user', content: t.image
        ? [{ type: 'input_text', text: t.user }, { type: 'input_image', image_url: dataUrl, detail: 'auto' }] : t.user }];
    }),
    tools: q.tools?.map((t) => ({ type: 'function', name: t.name, description: t.description,
      parameters: t.schema, strict: false })),
    text: q.schema && { format: { type: 'json_schema', name: 'answer', schema: q.schema, strict: true } },
    reasoning: q.effort && { effort: q.effort, summary: 'auto' },
    include: q.effort && ['reasoning.encrypted_content'],
    max_output_tokens: q.max,
  });
}

function responsesGot(raw) {
  const of = (type) => raw.output.filter((o) => o.type === type);
  return {
    text: raw.output_text ?? of('message').flatMap((m) => m.content).map((c) => c.text ?? '').join(''),
    thinking: of('reasoning').flatMap((r) => r.summary).map((s) => s.text).join(''),
    calls: of('function_call').map((c) => ({ id: c.call_id, name: c.name, args: parse(c.arguments) })),
    finish: raw.status, raw,
    usage: raw.usage && { input: raw.usage.input_tokens, output: raw.usage.output_tokens,
      cached: raw.usage.input_tokens_details?.cached_tokens,
      reasoning: raw.usage.output_tokens_details?.reasoning_tokens },
    turn: { native: raw.output },
  };
}

export function openaiResponses(url, key, sdk) {
  const client = sdk ?? new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
  const options = (q) => ({ headers: sim(q.sim), maxRetries: q.retries ?? 0 });
  return {
    sdk: client,
    ask: async (q) => responsesGot(await client.responses.create(responsesBody(q), options(q))),
    stream: async (q) => {
      const stream = client.responses.stream(responsesBody(q), options(q));
      let last; // as it came: finalResponse() has members that OpenAI refuses in the next turn
      stream.on('event', (e) => { last = e.response ?? last; });
      const { output_text: text } = await stream.finalResponse();
      return { ...responsesGot(last), text: text ?? responsesGot(last).text };
    },
    leave: async (q, n) => {
      for await (const _ of await client.responses.create({ ...responsesBody(q), stream: true }, options(q))) {
        if (--n <= 0)
          break;
      }
    },
  };
}

/* Anthropic */

function messagesBody(q) {
  const budgets = { low: 1024, medium: 2048, high: 4096 };
  return defined({
    model: q.model, system: q.system, max_tokens: q.max ?? 6000,
    messages: turns(q, (t) => {
      if (t.results)
        return [{ role: 'user', content: t.results.map((r) => ({ type: 'tool_result', tool_use_id: r.id,
          content: JSON.stringify(r.value) })) }];
      return [{ role: 'user', content: t.image
        ? [{ type: 'text', text: t.user }, { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } }]
        : t.user }];
    }),
    tools: q.tools?.map((t) => ({ name: t.name, description: t.description, input_schema: t.schema })),
    output_config: q.schema && { format: { type: 'json_schema', schema: q.schema } },
    stop_sequences: q.stop,
    thinking: q.effort && { type: 'enabled', budget_tokens: budgets[q.effort] },
  });
}

function messagesGot(raw) {
  const of = (type) => raw.content.filter((b) => b.type === type);
  const u = raw.usage ?? {};
  return {
    text: of('text').map((b) => b.text).join(''), thinking: of('thinking').map((b) => b.thinking).join(''),
    calls: of('tool_use').map((b) => ({ id: b.id, name: b.name, args: b.input })),
    finish: raw.stop_reason, raw,
    usage: { input: sum(u.input_tokens, u.cache_read_input_tokens, u.cache_creation_input_tokens),
      output: u.output_tokens, cached: u.cache_read_input_tokens, reasoning: u.output_tokens_details?.thinking_tokens },
    turn: { native: [{ role: 'assistant', content: raw.content }] },
  };
}

export function anthropic(url, key) {
  const client = new Anthropic({ apiKey: key, authToken: null, baseURL: url, maxRetries: 0 });
  const options = (q) => ({ headers: sim(q.sim), maxRetries: q.retries ?? 0 });
  return {
    sdk: client,
    ask: async (q) => messagesGot(await client.messages.create(messagesBody(q), options(q))),
    stream: async (q) => messagesGot(await client.messages.stream(messagesBody(q), options(q)).finalMessage()),
    leave: async (q, n) => {
      for await (const _ of await client.messages.create({ ...messagesBody(q), stream: true }, options(q))) {
        if (--n <= 0)
          break;
      }
    },
  };
}

/* Gemini */

function generateBody(q) {
  const retry = { attempts: (q.retries ?? 0) + 1, initialDelay: 0.01, jitter: 0 };
  return {
    model: q.model,
    contents: turns(q, (t) => {
      if (t.results)
        return [{ role: 'user', parts: t.results.map((r) => ({ functionResponse:
          defined({ id: r.native ? r.id : undefined, name: r.name, response: r.value }) })) }];
      return [{ role: 'user', parts: [{ text: t.user },
        ...(t.image ? [{ inlineData: { mimeType: 'image/png', data: png } }] : [])] }];
    }),
    config: defined({
      systemInstruction: q.system,
      tools: q.tools && [{ functionDeclarations: q.tools.map((t) => ({ name: t.name, description: t.description,
        parametersJsonSchema: t.schema })) }],
      responseMimeType: q.schema && 'application/json', responseJsonSchema: q.schema,
      stopSequences: q.stop, maxOutputTokens: q.max,
      thinkingConfig: q.effort && { thinkingBudget: { low: 1024, medium: 2048, high: 4096 }[q.effort], includeThoughts: true },
      httpOptions: { headers: sim(q.sim), retryOptions: q.retries ? retry : undefined },
    }),
  };
}

function generateGot(raw) {
  const content = raw.candidates?.[0]?.content ?? { parts: [] };
  const parts = content.parts ?? [];
  const texts = (thought) => parts.filter((p) => p.text && Boolean(p.thought) === thought).map((p) => p.text).join('');
  const u = raw.usageMetadata ?? {};
  return {
    text: texts(false), thinking: texts(true), finish: raw.candidates?.[0]?.finishReason, raw,
    calls: parts.filter((p) => p.functionCall).map(({ functionCall: c }) => ({ id: c.id, name: c.name,
      args: c.args ?? {}, native: c.id !== undefined })),
    usage: raw.usageMetadata && { input: u.promptTokenCount, output: sum(u.candidatesTokenCount, u.thoughtsTokenCount),
      cached: u.cachedContentTokenCount, reasoning: u.thoughtsTokenCount },
    turn: { native: [content] },
  };
}

// All chunks as one answer; a text that goes on joins the part before.
async function generateSum(stream) {
  const parts = [];
  let last = {};
  let finish;
  for await (const chunk of stream) {
    last = chunk;
    const candidate = chunk.candidates?.[0];
    finish = candidate?.finishReason ?? finish;
    for (const p of candidate?.content?.parts ?? []) {
      const to = parts.at(-1);
      if (to?.text !== undefined && p.text !== undefined && Boolean(to.thought) === Boolean(p.thought)
        && !to.thoughtSignature) {
        to.text += p.text;
        if (p.thoughtSignature)
          to.thoughtSignature = p.thoughtSignature;
      } else {
        parts.push({ ...p });
      }
    }
  }
  return { candidates: [{ content: { role: 'model', parts }, finishReason: finish }], usageMetadata: last.usageMetadata };
}

export function gemini(url, key, options = {}) {
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url }, ...options });
  return {
    sdk: client,
    ask: async (q) => generateGot(await client.models.generateContent(generateBody(q))),
    stream: async (q) => generateGot(await generateSum(await client.models.generateContentStream(generateBody(q)))),
    leave: async (q, n) => {
      const left = new AbortController();
      const body = generateBody(q);
      body.config.abortSignal = left.signal;
      for await (const _ of await client.models.generateContentStream(body)) {
        if (--n <= 0)
          break;
      }
      left.abort();
    },
  };
}

/* Vercel's AI SDK */

function vercelOptions(kind, q) {
  const budget = { low: 1024, medium: 2048, high: 4096 }[q.effort];
  const thinking = q.effort && {
    chat: { openai: { reasoningEffort: q.effort, forceReasoning: true } },
    responses: { openai: { reasoningEffort: q.effort, reasoningSummary: 'auto', forceReasoning: true } },
    anthropic: { anthropic: { thinking: { type: 'enabled', budgetTokens: budget }, structuredOutputMode: 'outputFormat' } },
    google: { google: { thinkingConfig: { thinkingBudget: budget, includeThoughts: true } } },
  }[kind];
  const store = kind === 'responses' ? { openai: { store: false, ...thinking?.openai } }
    : thinking ?? { anthropic: { structuredOutputMode: 'outputFormat' } };
  return {
    instructions: q.system, providerOptions: store,
    maxRetries: q.retries ?? 0, headers: sim(q.sim), maxOutputTokens: q.max, stopSequences: q.stop,
    messages: turns(q, (t) => {
      if (t.results)
        return [{ role: 'tool', content: t.results.map((r) => ({ type: 'tool-result', toolCallId: r.id,
          toolName: r.name, output: { type: 'json', value: r.value } })) }];
      return [{ role: 'user', content: t.image
        ? [{ type: 'text', text: t.user }, { type: 'file', data: png, mediaType: 'image/png' }] : t.user }];
    }),
    tools: q.tools && Object.fromEntries(q.tools.map((t) => [t.name,
      tool({ description: t.description, inputSchema: jsonSchema(t.schema) })])),
    output: q.schema && Output.object({ schema: jsonSchema(q.schema) }),
    onError: () => {},
  };
}

async function vercelGot(result) {
  const usage = await result.usage;
  const { messages } = await result.response;
  return {
    text: await result.text, thinking: (await result.reasoningText) ?? '', finish: await result.finishReason,
    calls: (await result.toolCalls).map((c) => ({ id: c.toolCallId, name: c.toolName, args: c.input })),
    usage: { input: usage.inputTokens, output: usage.outputTokens,
      cached: usage.inputTokenDetails?.cacheReadTokens, reasoning: usage.outputTokenDetails?.reasoningTokens },
    raw: result, turn: { native: messages },
  };
}

function vercel(kind) {
  return (url, key) => {
    const made = {
      chat: () => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat,
      responses: () => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).responses,
      anthropic: () => createAnthropic({ baseURL: `${url}/v1`, apiKey: key }),
      google: () => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key }),
    }[kind]();
    const options = (q) => defined({ model: made(q.model), ...vercelOptions(kind, q) });
    const watched = async (q, each) => {
      const result = streamText(options(q));
      for await (const part of result.stream ?? result.fullStream) {
        if (part.type === 'error')
          throw part.error;
        if (each?.(part))
          break;
      }
      return result;
    };
    return {
      ask: async (q) => vercelGot(await generateText(options(q))),
      stream: async (q) => vercelGot(await watched(q)),
      leave: async (q, n) => {
        const left = new AbortController();
        const result = streamText({ ...options(q), abortSignal: left.signal });
        for await (const part of result.stream ?? result.fullStream) {
          if (part.type === 'error')
            throw part.error;
          if (part.type === 'text-delta' && --n <= 0)
            break;
        }
        left.abort();
      },
    };
  };
}

/* LangChain */

function langchain(useResponsesApi) {
  return (url, key) => {
    const made = (q) => {
      const model = new ChatOpenAI(defined({
        model: q.model, apiKey: key, maxRetries: q.retries ?? 0, useResponsesApi, maxTokens: q.max, streamUsage: true,
        zdrEnabled: useResponsesApi || undefined,
        configuration: { baseURL: `${url}/v1`, defaultHeaders: sim(q.sim) },
        modelKwargs: q.effort && !useResponsesApi ? { reasoning_effort: q.effort } : undefined,
        reasoning: q.effort && useResponsesApi ? { effort: q.effort, summary: 'auto' } : undefined,
      }));
      const more = defined({
        stop: q.stop,
        tools: q.tools?.map((t) => ({ type: 'function',
          function: { name: t.name, description: t.description, parameters: t.schema } })),
        response_format: q.schema && { type: 'json_schema', json_schema: { name: 'answer', schema: q.schema, strict: true } },
      });
      return model.withConfig(more);
    };
    const messages = (q) => [...(q.system ? [new SystemMessage(q.system)] : []), ...turns(q, (t) => {
      if (t.results)
        return t.results.map((r) => new ToolMessage({ tool_call_id: r.id, content: JSON.stringify(r.value) }));
      return [new HumanMessage({ content: t.image
        ? [{ type: 'text', text: t.user }, { type: 'image_url', image_url: { url: dataUrl } }] : t.user })];
    })];
    const got = (raw) => ({
      text: raw.text, thinking: '', finish: raw.response_metadata?.finish_reason ?? raw.response_metadata?.status, raw,
      calls: (raw.tool_calls ?? []).map((c) => ({ id: c.id, name: c.name, args: c.args })),
      usage: raw.usage_metadata && { input: raw.usage_metadata.input_tokens, output: raw.usage_metadata.output_tokens,
        cached: raw.usage_metadata.input_token_details?.cache_read,
        reasoning: raw.usage_metadata.output_token_details?.reasoning },
      turn: { native: [raw] },
    });
    return {
      ask: async (q) => got(await made(q).invoke(messages(q))),
      stream: async (q) => {
        let all;
        for await (const chunk of await made(q).stream(messages(q)))
          all = all ? all.concat(chunk) : chunk;
        return got(all);
      },
      leave: async (q, n) => {
        const left = new AbortController();
        for await (const _ of await made(q).stream(messages(q), { signal: left.signal })) {
          if (--n <= 0)
            break;
        }
        left.abort();
      },
    };
  };
}

// lacks: what the SDK has no word for; hides: shows no thinking; keeps: sends
// members back that it does not know, such as Gemini's signature of a call.
export const clients = {
  'openai-chat': { make: openaiChat, dialect: 'openai', keeps: true },
  'openai-responses': { make: openaiResponses, dialect: 'openai', keeps: true, lacks: ['stop'] },
  anthropic: { make: anthropic, dialect: 'anthropic', keeps: true },
  gemini: { make: gemini, dialect: 'gemini', keeps: true },
  'vercel-chat': { make: vercel('chat'), dialect: 'openai', hides: true },
  'vercel-responses': { make: vercel('responses'), dialect: 'openai', lacks: ['stop'] },
  'vercel-anthropic': { make: vercel('anthropic'), dialect: 'anthropic' },
  'vercel-google': { make: vercel('google'), dialect: 'gemini', keeps: true },
  'langchain-chat': { make: langchain(false), dialect: 'openai', hides: true },
  'langchain-responses': { make: langchain(true), dialect: 'openai', lacks: ['stop', 'effort'], hides: true },
};
