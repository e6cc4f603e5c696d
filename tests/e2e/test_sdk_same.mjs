#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Where an SDK and a provider speak the same dialect, the gateway is not to be
// seen: answers and streams, member by member, are those that the SDK gets
// from the provider directly. Also what is not a conversation: embeddings,
// images, sound, moderations, stored responses, lists of models.
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI, { AzureOpenAI, toFile } from 'openai';

import { agree, reconcile } from './lib/bill.mjs';
import { anthropic, clients, gemini, openaiChat, png } from './lib/clients.mjs';
import { arrived, names, sim, stage } from './lib/dialects.mjs';
import { providerKey } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';
import { wav } from './lib/traffic.mjs';

const stack = new Stack();
let at;
let pairs;

teardown(() => stack.stop());

// Without what the gateway may change: the model's name.
function plain(value) {
  return JSON.parse(JSON.stringify(value, (k, v) =>
    (['model', 'modelVersion', 'sdkHttpResponse', '_request_id', 'parsed', 'automaticFunctionCallingHistory',
      'responseId'].includes(k) ? undefined : v)));
}

async function collect(stream) {
  const out = [];
  for await (const event of stream)
    out.push(plain(event));
  return out;
}

const openai = (url, key) => new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
const azure = (deployment, extra) => (url, key) => new AzureOpenAI({
  apiKey: key, endpoint: url, apiVersion: '2024-10-21', deployment, maxRetries: 0, ...extra });

test('the stage is set', async () => {
  at = await stage(stack);
  const both = (make, here, there = make) => [make(at.agent.url, at.key, here), there(at.direct.url, providerKey)];
  pairs = {
    'openai-chat > openai': { ends: both(clients['openai-chat'].make), model: 'openai-chat' },
    'openai-responses > openai': { ends: both(clients['openai-responses'].make), model: 'openai-chat' },
    'anthropic > anthropic': { ends: both(anthropic), model: 'anthropic-chat' },
    'gemini > gemini': { ends: both(gemini), model: 'gemini-chat' },
    'AzureOpenAI > azure': { model: 'azure-chat', ends: [
      openaiChat(null, null, azure('azure-chat')(at.agent.url, at.key)),
      openaiChat(null, null, azure('chat')(at.direct.url, providerKey))] },
    'openai-chat > azurev1': { model: 'azurev1-chat', ends: [
      openaiChat(null, null, new OpenAI({ apiKey: at.key, baseURL: `${at.agent.url}/openai/v1`, maxRetries: 0 })),
      openaiChat(null, null, new OpenAI({ apiKey: providerKey, baseURL: `${at.direct.url}/openai/v1`, maxRetries: 0 }))] },
    'openai-responses > azurev1': { model: 'azurev1-chat', ends: [
      clients['openai-responses'].make(null, null, new OpenAI({ apiKey: at.key, baseURL: `${at.agent.url}/openai/v1` })),
      clients['openai-responses'].make(null, null, new OpenAI({ apiKey: providerKey, baseURL: `${at.direct.url}/openai/v1` }))] },
  };
}, { timeout: 120000 });

const tools = [{ name: 'find', description: 'Finds', schema: { type: 'object', properties: { what: { type: 'string' } }, required: ['what'] } }];
const schema = { type: 'object', properties: { a: { type: 'string' }, n: { type: 'integer' } }, required: ['a', 'n'], additionalProperties: false };
const asks = {
  text: {},
  'text in many pieces': { sim: { split: 3 } },
  'two tools': { tools, sim: { tool_calls: 2 } },
  'JSON schema': { schema },
  image: { image: true },
  thinking: { effort: 'low', max: 5000, sim: { show_thinking: 1 } },
  'usage in detail': { sim: { cached_tokens: 12, reasoning_tokens: 5 } },
  'cut short': { max: 16, sim: { tokens: 40 } },
  refusal: { sim: { refusal: 1 } },
};

const ways = ['openai-chat > openai', 'openai-responses > openai', 'anthropic > anthropic', 'gemini > gemini',
  'AzureOpenAI > azure', 'openai-chat > azurev1', 'openai-responses > azurev1'];
for (const name of ways) {
  for (const [what, { image, ...more }] of Object.entries(asks)) {
    for (const how of ['ask', 'stream']) {
      test(`${name}: ${what} (${how})`, async () => {
        const { ends: [here, there], model } = pairs[name];
        const q = { turns: [{ user: 'Say "x" & \u{1f600}', image }], max: 300, ...more,
          sim: { seed: 5, tokens: 30, prompt_tokens: 60, ...more.sim } };
        equal(plain((await here[how]({ ...q, model })).raw), plain((await there[how]({ ...q, model: 'chat' })).raw), 'answer');
      });
    }
  }
}

const ask = { seed: 5, tokens: 30, prompt_tokens: 60 };

test('streams are equal event by event', async () => {
  const headers = sim({ ...ask, reasoning_tokens: 4 });
  const here = openai(at.agent.url, at.key);
  const there = openai(at.direct.url, providerKey);
  const chat = (model, more) => ({ model, messages: [{ role: 'user', content: 'x' }], stream: true, max_completion_tokens: 90, ...more });
  for (const more of [{}, { n: 2 }, { stream_options: { include_usage: true } }]) {
    equal(await collect(await here.chat.completions.create(chat('openai-chat', more), { headers })),
      await collect(await there.chat.completions.create(chat('chat', more), { headers })), `chat ${JSON.stringify(more)}`);
  }
  const respond = (model) => ({ model, input: 'x', stream: true, store: false });
  equal(await collect(await here.responses.create(respond('openai-chat'), { headers })),
    await collect(await there.responses.create(respond('chat'), { headers })), 'responses');
  const claude = (url, key, model) => new Anthropic({ apiKey: key, baseURL: url }).messages.create(
    { model, max_tokens: 90, stream: true, messages: [{ role: 'user', content: 'x' }] }, { headers });
  equal(await collect(await claude(at.agent.url, at.key, 'anthropic-chat')),
    await collect(await claude(at.direct.url, providerKey, 'chat')), 'messages');
  const google = (url, key, model) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url, headers } })
    .models.generateContentStream({ model, contents: 'x' });
  equal(await collect(await google(at.agent.url, at.key, 'gemini-chat')),
    await collect(await google(at.direct.url, providerKey, 'chat')), 'generate');
});

test('bytes are equal however they are cut', async () => {
  const bodies = {
    '/v1/chat/completions': (model) => ({ model, stream: true, stream_options: { include_usage: true }, messages: [{ role: 'user', content: 'x' }] }),
    '/v1/responses': (model) => ({ model, stream: true, store: false, input: 'x' }),
    '/v1/messages': (model) => ({ model, stream: true, max_tokens: 50, messages: [{ role: 'user', content: 'x' }] }),
    '/v1beta/models/{}:streamGenerateContent?alt=sse': () => ({ contents: [{ role: 'user', parts: [{ text: 'x' }] }] }),
  };
  const bytesOf = async (url, secret, path, body, model, knobs) => {
    const r = await fetch(url + path.replace('{}', model), { method: 'POST', body: JSON.stringify(body(model)),
      headers: { ...(path.includes('{}') ? { 'x-goog-api-key': secret } : { authorization: `Bearer ${secret}` }),
        'content-type': 'application/json', 'anthropic-version': '2023-06-01', ...sim({ ...ask, ...knobs }) } });
    equal(r.status, 200, path);
    return r.text();
  };
  for (const [path, body] of Object.entries(bodies)) {
    const provider = /messages/.test(path) ? 'anthropic' : /models/.test(path) ? 'gemini' : 'openai';
    for (const framing of ['lf', 'crlf', 'cr', 'mixed']) {
      const knobs = { framing, comments: 3, padding: 2 };
      const want = await bytesOf(at.direct.url, providerKey, path, body, 'chat', knobs);
      for (const split of [1, 3, 7]) {
        equal(await bytesOf(at.agent.url, at.key, path, body, `${provider}-chat`, { ...knobs, split }), want,
          `${path}, ${framing}, ${split} bytes`);
      }
    }
  }
});

test('a response that fails in mid-stream is the provider\'s, and ends uncleanly', async () => {
  for (const fault of ['error-event=2', 'error-overloaded=2']) {
    const told = async (client, model) => {
      const events = [];
      const stream = await client.responses.create({ model, input: 'x', stream: true, store: false },
        { headers: sim({ ...ask, events: 5, fault }) });
      try {
        for await (const e of stream)
          events.push(plain(e));
      } catch (e) {
        if (e.message !== 'terminated')
          events.push(e.message);
      }
      return events;
    };
    equal(await told(openai(at.agent.url, at.key), 'openai-chat'),
      await told(openai(at.direct.url, providerKey), 'chat'), fault);
  }
});

// The same call through the gateway and directly.
function same(name, call, ends) {
  test(name, async () => {
    const here = (ends?.[0] ?? openai)(at.agent.url, at.key);
    const there = (ends?.[1] ?? ends?.[0] ?? openai)(at.direct.url, providerKey);
    const headers = sim(ask);
    const prefix = ends ? ['', ''] : ['openai-', ''];
    equal(plain(await call(here, prefix[0], { headers })), plain(await call(there, prefix[1], { headers })), 'answer');
  });
}

const bytes = async (r) => Buffer.from(await r.arrayBuffer()).toString('base64');
const picture = () => toFile(Buffer.from(png, 'base64'), 'p.png', { type: 'image/png' });
const sound = () => toFile(wav(3), 's.wav', { type: 'audio/wav' });

for (const encoding_format of ['float', 'base64'])
  same(`embeddings, ${encoding_format}`, (c, p, o) => c.embeddings.create(
    { model: `${p}embed`, input: ['one', 'two'], dimensions: 16, encoding_format }, o));
same('embeddings as the SDK asks by itself', (c, p, o) => c.embeddings.create({ model: `${p}embed`, input: [[1, 2, 3]] }, o));
same('completions', (c, p, o) => c.completions.create({ model: `${p}media`, prompt: 'Once', max_tokens: 40 }, o));
same('completions, streamed', async (c, p, o) => collect(await c.completions.create(
  { model: `${p}media`, prompt: 'Once', max_tokens: 40, stream: true, stream_options: { include_usage: true } }, o)));
same('moderations', (c, p, o) => c.moderations.create({ model: `${p}media`, input: ['a', 'b'] }, o));
same('images', (c, p, o) => c.images.generate({ model: `${p}media`, prompt: 'a cat', n: 2 }, o));
same('images, edited', async (c, p, o) => c.images.edit({ model: `${p}media`, prompt: 'a dog', image: await picture() }, o));
same('sound to text', async (c, p, o) => c.audio.transcriptions.create({ model: `${p}media`, file: await sound() }, o));
same('sound to text, streamed', async (c, p, o) => collect(await c.audio.transcriptions.create(
  { model: `${p}media`, file: await sound(), stream: true }, o)));
same('sound to English', async (c, p, o) => c.audio.translations.create({ model: `${p}media`, file: await sound() }, o));
same('text to sound', async (c, p, o) => bytes(await c.audio.speech.create({ model: `${p}media`, voice: 'alloy', input: 'Hello' }, o)));
same('rerank', (c, p, o) => c.post('/rerank', { ...o, body: { model: `${p}media`, query: 'q', documents: ['a', 'b', 'c'], top_n: 2 } }));
same('AzureOpenAI: embeddings', (c, p, o) => c.embeddings.create({ model: 'x', input: 'one', dimensions: 8 }, o),
  [azure('azure-embed'), azure('embed')]);
same('AzureOpenAI: images', (c, p, o) => c.images.generate({ model: 'x', prompt: 'a cat' }, o),
  [azure('azure-media'), azure('media')]);
same('AzureOpenAI: sound to text', async (c, p, o) => c.audio.transcriptions.create({ model: 'x', file: await sound() }, o),
  [azure('azure-media'), azure('media')]);
same('AzureOpenAI with a token instead of a key', (c, p, o) => c.chat.completions.create(
  { model: 'x', messages: [{ role: 'user', content: 'x' }] }, o),
[(url, key) => azure('azure-chat', { apiKey: undefined, azureADTokenProvider: async () => key })(url),
  azure('chat')]);

test('Gemini: embeddings, one and several', async () => {
  const google = (url, key) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url, headers: sim(ask) } }).models;
  for (const contents of ['one', ['one', 'two']]) {
    const here = await google(at.agent.url, at.key).embedContent({ model: 'gemini-embed', contents });
    const there = await google(at.direct.url, providerKey).embedContent({ model: 'embed', contents });
    equal(plain(here), plain(there), 'embeddings');
  }
});

test('Gemini: a JSON array instead of events', async () => {
  for (const provider of ['gemini', 'openai', 'anthropic', 'bedrock']) {
    const r = await fetch(`${at.agent.url}/v1beta/models/${provider}-chat:streamGenerateContent`, { method: 'POST',
      headers: { 'x-goog-api-key': at.key, 'content-type': 'application/json', ...sim(ask) },
      body: JSON.stringify({ contents: [{ role: 'user', parts: [{ text: 'x' }] }] }) });
    const text = await r.text();
    equal(r.status, 200, text.slice(0, 300));
    assert(/json/.test(r.headers.get('content-type')), r.headers.get('content-type'));
    const list = JSON.parse(text);
    assert(Array.isArray(list) && list.length > 1, `${provider}: ${list.length} elements`);
    equal(list.at(-1).usageMetadata.totalTokenCount, 90, `${provider}: tokens`);
  }
});

test('tokens are counted in the words of Anthropic and of Gemini', async () => {
  const before = (await stack.provider.stats()).requests;
  const claude = new Anthropic({ apiKey: at.key, baseURL: at.agent.url });
  const google = new GoogleGenAI({ apiKey: at.key, httpOptions: { baseUrl: at.agent.url } });
  const text = 'Count these words, please. '.repeat(20);
  for (const provider of ['anthropic', 'openai', 'gemini', 'bedrock', 'ollama']) {
    const { data, response } = await claude.messages.countTokens({ model: `${provider}-chat`,
      messages: [{ role: 'user', content: text }],
      tools: [{ name: 'f', input_schema: { type: 'object' } }] }).withResponse();
    assert(data.input_tokens > 80 && data.input_tokens < 400, `${provider}: ${data.input_tokens}`);
    equal(response.headers.get('x-headgate-estimated'), 'true', 'flag');
    const { totalTokens } = await google.models.countTokens({ model: `${provider}-chat`, contents: text });
    assert(totalTokens > 80 && totalTokens < 400, `${provider}: ${totalTokens}`);
  }
  equal((await stack.provider.stats()).requests, before, 'requests at the provider');
});

test('the list of models in three dialects', async () => {
  const listed = async (pager) => {
    const out = [];
    for await (const m of pager)
      out.push((m.id ?? m.name).replace('models/', ''));
    return out.sort();
  };
  const a = await listed(openai(at.agent.url, at.key).models.list());
  const claude = new Anthropic({ apiKey: at.key, baseURL: at.agent.url });
  const google = new GoogleGenAI({ apiKey: at.key, httpOptions: { baseUrl: at.agent.url } });
  assert(a.length === 4 * names.length && a.includes('bedrock-chat'), `${a.length} models`);
  equal(await listed(claude.models.list()), a, 'of Anthropic');
  equal(await listed(await google.models.list()), a, 'of Gemini');
  equal((await claude.models.retrieve('anthropic-chat')).type, 'model');
  equal((await google.models.get({ model: 'gemini-chat' })).name, 'models/gemini-chat');
});

test('stored responses: asked for again, gone on with, deleted', async () => {
  const client = openai(at.agent.url, at.key);
  const headers = sim(ask);
  const one = await client.responses.create({ model: 'openai-chat', input: 'My name is Ann.' }, { headers });
  const again = await client.responses.retrieve(one.id);
  equal(again.output_text ?? again.output, one.output_text ?? one.output, 'what was stored');
  const items = await client.responses.inputItems.list(one.id);
  assert(JSON.stringify(items.data).includes('Ann'), 'the input');
  const two = await client.responses.create({ model: 'openai-chat', input: 'Who?', previous_response_id: one.id }, { headers });
  equal(two.previous_response_id, one.id);
  await client.responses.delete(one.id);
  const gone = await client.responses.retrieve(one.id).catch((e) => e);
  equal(gone.status, 404);
});

test('?key= works, and is in no log', async () => {
  const r = await fetch(`${at.agent.url}/v1beta/models/gemini-chat:generateContent?key=${at.key}`, { method: 'POST',
    headers: { 'content-type': 'application/json', ...sim({ ...ask, forbid: at.key }) },
    body: JSON.stringify({ contents: [{ parts: [{ text: 'x' }] }] }) });
  equal(r.status, 200, await r.text());
  const wrong = await fetch(`${at.agent.url}/v1beta/models/gemini-chat:generateContent?key=${at.key.slice(0, -3)}xyz`, { method: 'POST', body: '{}' });
  equal(wrong.status, 401, await wrong.text());
  for (const p of stack.procs) {
    const log = p.log();
    assert(!log.includes(at.key.slice(0, 20)) && !log.includes('?key='), `a key in the log of ${p.name}`);
  }
});

test('no key of a client, and no header of one, reached a provider', async () => {
  equal((await stack.provider.stats()).forbidden, 0);
  const r = await openai(at.agent.url, at.key).chat.completions.create(
    { model: 'openai-chat', messages: [{ role: 'user', content: 'markzz' }] }, { headers: { cookie: 'c=1' } });
  assert(r.choices.length === 1);
  const { head } = await arrived(stack.provider, 'markzz');
  assert(!/cookie|x-stainless|hg-/i.test(head), head);
});

test('the ledger is the bill of the providers', async () => {
  await until('the last answers to end', async () => (await stack.provider.stats()).active === 0);
  const result = await reconcile(stack);
  agree(result);
  assert(result.oracleRows > 100, `${result.oracleRows} rows`);
}, { timeout: 120000 });

await run();
