#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The simulator's Bedrock, asked directly: InvokeModel with and without a
// response stream in Anthropic's format, the oracle bill of it, what it
// refuses in whose words, and each fault that a stream of frames can have.
import fs from 'node:fs';
import path from 'node:path';

import Anthropic from '@anthropic-ai/sdk';

import { chunks, frames, invoke } from './lib/bedrock.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, teardown, test } from './lib/tap.mjs';

const aws = { accessKeyId: 'AKIASIM', secretAccessKey: 'secret/sim+key' };
const key = 'sk-sim-bedrock-0123456789';
const stack = new Stack();
let sim;
let anthropic;

teardown(() => stack.stop());

test('starts', async () => {
  const models = path.join(stack.dir, 'models.json');
  fs.writeFileSync(models, JSON.stringify({
    models: [{ id: 'anthropic.sim-v1:0', max_output_tokens: 4096, prices: [
      { class: 'input', usd_per_mtok: '1' }, { class: 'output', usd_per_mtok: '2' },
      { class: 'output', usd_per_mtok: '3.5', tier: 'priority' },
      { class: 'cache_read', usd_per_mtok: '0.1' }, { class: 'cache_write_1h', usd_per_mtok: '2.5' }] }],
    aws: { access_key: aws.accessKeyId, secret_key: aws.secretAccessKey, region: 'us-east-1' },
  }));
  sim = await stack.startProvider({ models, apiKey: key });
  anthropic = new Anthropic({ apiKey: key, baseURL: sim.url, maxRetries: 0 });
});

const lastRow = async () => (await sim.bill()).at(-1);
const knobs = (k) => Object.fromEntries(Object.entries(k).map(([n, v]) => [`x-sim-${n.replaceAll('_', '-')}`, String(v)]));
const ask = (action, body, k = {}, headers = {}) =>
  invoke(sim.url, 'anthropic.sim-v1:0', action, body, aws, { ...knobs(k), ...headers });
const body = (more = {}) => ({ anthropic_version: 'bedrock-2023-05-31', max_tokens: 1000,
  messages: [{ role: 'user', content: 'Tell me.' }], ...more });
const streamed = async (b, k) => {
  const r = await ask('invoke-with-response-stream', b, k);
  equal(r.status, 200);
  equal(r.headers.get('content-type'), 'application/vnd.amazon.eventstream');
  equal(r.headers.get('x-amzn-bedrock-content-type'), 'application/json');
  return chunks(new Uint8Array(await r.arrayBuffer()));
};
const textOf = (events) => events.map((e) => e.delta?.text ?? '').join('');
const sent = { usage: 'delta', tokens: 40, cached_tokens: 3, cache_write_1h_tokens: 2, reasoning_tokens: 7 };
const weather = [{ name: 'weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } }];

test('invoke: Anthropic\'s answer, with Bedrock\'s counts in fields, billed', async () => {
  const r = await ask('invoke', body(), { ...sent, tier: 'priority' });
  const { model: _, id: __, ...got } = await r.json();
  equal([got.type, got.role, got.stop_reason], ['message', 'assistant', 'end_turn']);
  equal(got.usage.output_tokens, 40);
  assert(!got.usage.output_tokens_details, 'thinking is split out');
  equal(r.headers.get('x-amzn-bedrock-input-token-count'), String(got.usage.input_tokens));
  equal(r.headers.get('x-amzn-bedrock-output-token-count'), '40');
  equal(r.headers.get('x-amzn-bedrock-cache-read-input-token-count'), '3');
  equal(r.headers.get('x-amzn-bedrock-service-tier'), 'priority');
  const row = await lastRow();
  equal([row.dialect, row.op, row.tier], ['bedrock', 'invoke', 'priority']);
  equal(row.tokens, { input: got.usage.input_tokens, cache_read: 3, cache_write_1h: 2, output: 40 });
  const nano = BigInt(got.usage.input_tokens) * 1000n + 3n * 100n + 2n * 2500n + 40n * 3500n;
  equal(BigInt(row.cost_nanousd), nano);
});

test('the same prompt gets the same answer as at Anthropic, whole and streamed', async () => {
  const want = await anthropic.messages.create({ model: 'anthropic.sim-v1:0', max_tokens: 1000,
    messages: body().messages }, { headers: knobs({ tokens: 40 }) });
  const plain = await (await ask('invoke', body(), { tokens: 40 })).json();
  equal(plain.content, want.content);
  const first = await lastRow();
  const events = await streamed(body(), { tokens: 40 });
  equal(events.map((e) => e.type).filter((t, i, all) => t !== all[i - 1]),
    ['message_start', 'content_block_start', 'ping', 'content_block_delta', 'content_block_stop', 'message_delta',
      'message_stop']);
  equal(textOf(events), want.content[0].text);
  const metrics = events.at(-1)['amazon-bedrock-invocationMetrics'];
  equal([metrics.inputTokenCount, metrics.outputTokenCount, metrics.cacheReadInputTokenCount],
    [first.tokens.input, 40, 0]);
  equal((await lastRow()).tokens, first.tokens);
  equal((await lastRow()).streamed, true);
});

test('tools in parallel, thinking that comes back, stop sequences', async () => {
  const thinking = { type: 'enabled', budget_tokens: 1024 };
  const call = body({ max_tokens: 3000, tools: weather, thinking });
  const answer = await (await ask('invoke', call, { tool_calls: 2 })).json();
  equal(answer.content.map((b) => b.type), ['thinking', 'tool_use', 'tool_use']);
  const events = await streamed(call, { tool_calls: 2 });
  const args = (index) => events.filter((e) => e.index === index).map((e) => e.delta?.partial_json ?? '').join('');
  equal([1, 2].map((i) => JSON.parse(args(i))), answer.content.slice(1).map((b) => b.input));
  const back = body({ max_tokens: 3000, tools: weather, thinking, messages: [...call.messages,
    { role: 'assistant', content: answer.content }, { role: 'user', content: answer.content.slice(1)
      .map((b) => ({ type: 'tool_result', tool_use_id: b.id, content: 'ok' })) }] });
  equal((await (await ask('invoke', back)).json()).stop_reason, 'end_turn');
  back.messages[1].content[0].signature = 'AAAA';
  equal((await ask('invoke', back)).status, 400);
  const stopped = await (await ask('invoke', body({ stop_sequences: ['END'] }), { stop_sequence: 1 })).json();
  equal([stopped.stop_reason, stopped.stop_sequence], ['stop_sequence', 'END']);
});

for (const [what, spoil, words] of [
  ['no version', (b) => { delete b.anthropic_version; }, 'anthropic_version: Field required'],
  ['another version', (b) => { b.anthropic_version = '2023-06-01'; }, 'bedrock-2023-05-31'],
  ['a model in the body', (b) => { b.model = 'x'; }, 'model: Extra inputs are not permitted'],
  ['stream in the body', (b) => { b.stream = true; }, 'stream: Extra inputs are not permitted'],
  ['no max_tokens', (b) => { delete b.max_tokens; }, 'max_tokens: Field required'],
  ['an image by its address', (b) => {
    b.messages[0].content = [{ type: 'image', source: { type: 'url', url: 'https://x.example/a.png' } }];
  }, 'source'],
  ['no messages', (b) => { b.messages = []; }, 'at least one message'],
]) {
  test(`refused: ${what}`, async () => {
    for (const action of ['invoke', 'invoke-with-response-stream']) {
      const spoilt = body();
      spoil(spoilt);
      const before = (await sim.bill()).length;
      const r = await ask(action, spoilt);
      equal(r.status, 400);
      assert(r.headers.get('x-amzn-errortype').startsWith('ValidationException'), 'type');
      const { message } = await r.json();
      assert(message.includes(words), message);
      equal((await sim.bill()).length, before, 'rows of the bill');
    }
  });
}

test('refused: other keys, other models, other types', async () => {
  const other = await invoke(sim.url, 'anthropic.sim-v1:0', 'invoke', body(), { ...aws, secretAccessKey: 'other' });
  equal(other.status, 403);
  const unknown = await invoke(sim.url, 'nobody', 'invoke', body(), aws);
  equal([unknown.status, (await unknown.json()).message], [400, 'The provided model identifier is invalid.']);
  equal((await ask('invoke', body(), {}, { 'content-type': 'text/plain' })).status, 400);
});

test('asserted: what must and must not arrive', async () => {
  const r = await ask('invoke', body(), {}, { 'x-sim-forbid': 'body:Tell me' });
  equal(r.status, 599);
  equal((await ask('invoke', body(), {}, { 'x-sim-require': 'header:x-api-key' })).status, 599);
  equal((await ask('invoke', body(), {}, { 'x-sim-require': 'header:authorization=AWS4-HMAC-SHA256' })).status, 200);
});

// ---- faults of frames, in both kinds of stream ----

const streams = {
  'invoke-with-response-stream': { body: body(), read: chunks },
  'converse-stream': { body: { messages: [{ role: 'user', content: [{ text: 'Tell me.' }] }] },
    read: (b) => frames(b).map(([kind, e]) => ({ kind, ...e })) },
};

// The bytes that came, whether the answer ended well or not.
async function bytes(action, k) {
  const r = await ask(action, streams[action].body, k);
  equal(r.status, 200);
  const got = [];
  let error = null;
  try {
    for await (const part of r.body)
      got.push(part);
  } catch (e) {
    error = e;
  }
  return { bytes: new Uint8Array(Buffer.concat(got)), error };
}

for (const action of Object.keys(streams)) {
  const read = (b) => streams[action].read(b);

  test(`${action}: exceptions after 200, by their names`, async () => {
    for (const [fault, type] of [['error-event', 'modelStreamErrorException'], ['error-throttled', 'throttlingException'],
      ['error-overloaded', 'serviceUnavailableException']]) {
      const got = await bytes(action, { fault: `${fault}=3`, tokens: 20 });
      const events = read(got.bytes);
      equal(events.at(-1).kind, type);
      assert(events.at(-1).message.length > 10, 'a message');
      equal((await lastRow()).tokens.output, 3, 'generated until then');
      const rows = (await sim.bill()).length;
      await bytes(action, { fault: `${fault}=0`, tokens: 20 });
      equal((await sim.bill()).length - rows, fault === 'error-event' ? 1 : 0, 'rows of an answer that did not begin');
    }
  });

  test(`${action}: a wrong checksum, JSON that breaks off, text that is no UTF-8`, async () => {
    const crc = await bytes(action, { fault: 'bad-crc=3', tokens: 20 });
    await rejects((async () => read(crc.bytes))());
    for (const fault of ['bad-json=3', 'invalid-utf8=3']) {
      const got = await bytes(action, { fault, tokens: 20 });
      equal(got.error, null);
      await rejects((async () => read(got.bytes))());
    }
  });

  test(`${action}: a frame that is really huge is valid, and is billed`, async () => {
    const got = await bytes(action, { fault: 'huge-frame=2', huge_bytes: 3000000, tokens: 10 });
    assert(got.bytes.length > 3000000, `${got.bytes.length} bytes`);
    assert(textOf(read(got.bytes)).length > 3000000, 'the text is not huge');
    equal((await lastRow()).tokens.output, 10);
  });

  test(`${action}: a prelude with a right checksum announces what never comes`, async () => {
    const controller = new AbortController();
    const r = await fetch(`${sim.url}/model/anthropic.sim-v1%3A0/${action}`, { method: 'POST',
      signal: controller.signal, body: JSON.stringify(streams[action].body),
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json',
        ...knobs({ fault: 'huge-length=2', tokens: 10, padding: 0 }) } });
    equal(r.status, 200);
    let all = Buffer.alloc(0);
    for await (const part of r.body) {
      all = Buffer.concat([all, part]);
      if (all.includes('xxxx'))
        break;
    }
    controller.abort();
    let at = 0;
    while (all.readUInt32BE(at) < all.length)
      at += all.readUInt32BE(at);
    equal(all.readUInt32BE(at), 0xfffffff0);
    const row = await lastRow();
    equal([row.disconnected, row.tokens.output], [true, 2]);
  });

  test(`${action}: usage: none, null, zero, twice; no end`, async () => {
    const tell = (events) => events.flatMap((e) => [e['amazon-bedrock-invocationMetrics'], e.usage, e.message?.usage])
      .filter((u) => u !== undefined);
    const usages = async (fault) => tell(read((await bytes(action, { fault, tokens: 10 })).bytes));
    equal(await usages('missing-usage'), []);
    assert((await usages('usage-null')).includes(null), 'null is told');
    for (const u of await usages('zero-usage'))
      assert(Object.entries(u).every(([n, v]) => typeof v !== 'number' || v === 0 || n.includes('atency')), JSON.stringify(u));
    equal((await lastRow()).tokens, {});
    assert((await usages('usage-twice')).length > (await usages('none')).length, 'twice');
    const end = read((await bytes(action, { fault: 'no-done', tokens: 10 })).bytes).at(-1);
    assert(end.kind !== 'metadata' && end.type !== 'message_stop', JSON.stringify(end));
  });

  test(`${action}: cut, reset, half closed, bad chunk, stalled for a while`, async () => {
    for (const fault of ['cut=3', 'reset-after-bytes=400', 'half-close=3', 'bad-chunk=3']) {
      const got = await bytes(action, { fault, tokens: 10, gap_ms: 1 });
      assert(got.error, `${fault}: no error`);
    }
    const started = Date.now();
    const got = await bytes(action, { fault: 'stall=3', stall_ms: 300, tokens: 10 });
    assert(Date.now() - started >= 300, 'it did not stall');
    equal(got.error, null);
    read(got.bytes);
    equal((await lastRow()).tokens.output, 10);
  });

  test(`${action}: any split, any padding: the same events`, async () => {
    const drop = (events) => events.map(({ p: _, ...e }) => ({ ...e, message: undefined, metrics: undefined }));
    const want = drop(read((await bytes(action, { tokens: 6 })).bytes));
    for (const k of [{ split: 1 }, { split: 7 }, { padding: 40 }, { fault: 'slow-drip' }])
      equal(drop(read((await bytes(action, { tokens: 6, ...k })).bytes)), want);
  });
}

await run();
