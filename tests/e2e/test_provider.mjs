#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The simulator itself: what judges the others must be right first. The
// official SDK talks to it directly; its bill survives kill -9.
import OpenAI from 'openai';

import { modelsFile, prompt, providerKey } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let sim;
let client;

teardown(() => stack.stop());

test('starts', async () => {
  sim = await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey, canaries: ['hg-'] });
  client = new OpenAI({ apiKey: providerKey, baseURL: `${sim.url}/v1`, maxRetries: 0 });
});

const usage = async (stream) => {
  let last;
  for await (const chunk of stream)
    last = chunk.usage ?? last;
  return last;
};

test('plain and streamed bill the same tokens, deterministic by seed', async () => {
  const ask = prompt('Hello', { x_sim: { seed: 3, cached_tokens: 2, reasoning_tokens: 5 }, max_completion_tokens: 30 });
  const plain = await client.chat.completions.create(ask);
  const streamed = await usage(await client.chat.completions.create(
    { ...ask, stream: true, stream_options: { include_usage: true } }));
  equal(plain.usage.completion_tokens, streamed.completion_tokens);
  equal(plain.usage.completion_tokens_details.reasoning_tokens, 5);
  const rows = await sim.bill();
  equal(rows[0].tokens, rows[1].tokens);
  equal(rows[0].tokens.cache_read, 2);
  equal(rows[0].tokens.input, plain.usage.prompt_tokens - 2);
  equal(rows[0].tokens.output + rows[0].tokens.reasoning, plain.usage.completion_tokens);
});

test('caps, choices and finish reasons', async () => {
  const got = await client.chat.completions.create(prompt('x', { n: 3, max_tokens: 4, x_sim: { tokens: 9 } }));
  equal(got.choices.length, 3);
  equal(got.choices.map((c) => c.finish_reason), ['length', 'length', 'length']);
  equal(got.usage.completion_tokens, 12);
});

test('errors as the real provider words them', async () => {
  const wrong = new OpenAI({ apiKey: 'sk-wrong', baseURL: `${sim.url}/v1`, maxRetries: 0 });
  equal((await rejects(wrong.models.list())).code, 'invalid_api_key');
  equal((await rejects(client.chat.completions.create(prompt('x', { model: 'nope' })))).code, 'model_not_found');
  const limited = await rejects(client.chat.completions.create(prompt('x', { x_sim: { fault: '429' } })));
  equal(limited.status, 429);
  assert(limited instanceof OpenAI.RateLimitError);
});

test('faults do what they say', async () => {
  for (const fault of ['reset-before-bytes', 'reset-after-bytes', 'cut', 'wrong-length', 'bad-json'])
    await rejects(client.chat.completions.create(prompt('x', { x_sim: { fault } })));
  for (const fault of ['cut', 'reset-after-bytes=700', 'error-event'])
    await rejects(client.chat.completions.create(
      prompt('x', { stream: true, x_sim: { fault, tokens: 30, gap_ms: 1 } })).then(usage));
  equal(await usage(await client.chat.completions.create(
    prompt('x', { stream: true, stream_options: { include_usage: true }, x_sim: { fault: 'missing-usage' } }))), undefined);
});

test('a client that leaves is billed for what was generated', async () => {
  const stream = await client.chat.completions.create(
    prompt('x', { stream: true, max_completion_tokens: 1000, x_sim: { tokens: 1000, gap_ms: 5 } }));
  let n = 0;
  for await (const chunk of stream) {
    n += chunk.choices.length;
    if (n > 10)
      break;
  }
  const row = await until('the row', async () => (await sim.bill()).find((r) => r.disconnected));
  assert(row.tokens.output >= 10 && row.tokens.output < 200, JSON.stringify(row));
});

test('a forbidden string is counted', async () => {
  await rejects(client.chat.completions.create(prompt('my key is hg-abc')));
  equal((await sim.stats()).forbidden, 1);
});

test('kill -9: the bill is still there', async () => {
  const before = await sim.bill();
  await sim.proc.kill();
  await sim.start();
  const after = await sim.bill();
  equal(after.length, before.length);
  const { events: _a, fault: _b, ...one } = before.at(-1);
  const { events: _c, fault: _d, ...two } = after.at(-1);
  equal(two, one);
});

await run();
