// SPDX-License-Identifier: Apache-2.0
// The same question with three official SDKs, each in its own dialect.
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';

const system = 'Summarise in one sentence.';

async function askOpenAi(agent, key, model, text, stream, { retries, cap }) {
  const answer = await agent.client(key, { maxRetries: retries }).chat.completions.create({
    model, stream, max_completion_tokens: cap,
    messages: [{ role: 'system', content: system }, { role: 'user', content: text }],
  });
  if (!stream)
    return answer.choices[0].message.content.length;
  let length = 0;
  for await (const chunk of answer)
    length += chunk.choices[0]?.delta?.content?.length ?? 0;
  return length;
}

async function askAnthropic(agent, key, model, text, stream, { retries, cap }) {
  const client = new Anthropic({ apiKey: key, baseURL: agent.url, maxRetries: retries });
  const answer = await client.messages.create({
    model, stream, max_tokens: cap, system, messages: [{ role: 'user', content: text }],
  });
  if (!stream)
    return answer.content[0].text.length;
  let length = 0;
  for await (const event of answer)
    length += event.delta?.text?.length ?? 0;
  return length;
}

async function askGoogle(agent, key, model, text, stream, { retries, cap }) {
  const { models } = new GoogleGenAI({
    apiKey: key, httpOptions: { baseUrl: agent.url, retryOptions: { attempts: retries + 1 } },
  });
  const ask = { model, contents: text, config: { systemInstruction: system, maxOutputTokens: cap } };
  if (!stream)
    return (await models.generateContent(ask)).text.length;
  let length = 0;
  for await (const chunk of await models.generateContentStream(ask))
    length += chunk.text?.length ?? 0;
  return length;
}

// [name, ask]; ask returns the length of the text.
export const sdks = [['openai', askOpenAi], ['@anthropic-ai/sdk', askAnthropic], ['@google/genai', askGoogle]];
