#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// What the agent counts by itself: tokens that rates take before the answer,
// ratios that it learns from answers, answers that do not tell their usage, and
// surfaces whose format has none. Counts are compared with gpt-tokenizer's.
import fs from 'node:fs';
import path from 'node:path';

import { agree, ledger, reconcile, shipped } from './lib/bill.mjs';
import { clients, openaiChat } from './lib/clients.mjs';
import { sim, stage } from './lib/dialects.mjs';
import { item, providerKey } from './lib/fixture.mjs';
import { bin, root, until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { form, wav } from './lib/traffic.mjs';
import { assert, equal, run, skip, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const reference = path.join(root, 'agent/tokenizer/data/node_modules/gpt-tokenizer');
const PROVIDERS = ['openai', 'anthropic', 'gemini', 'bedrock'];
let at;
let encode;

teardown(() => stack.stop());

const line = (cls, usd) => ({ class: cls, usd_per_mtok: usd });
const chat = { capabilities: ['chat', 'completions', 'moderations'], max_output_tokens: 8192, context_tokens: 200000 };
const dear = [line('input', '2.50'), line('output', '10.00')];

function items() {
  const list = [
    item('model', 'exact', { ...chat, tokenizer: 'o200k', prices: dear }),
    item('model', 'ratio', { ...chat, tokenizer: 'bytes:3.5', prices: dear }),
    item('model', 'free', { capabilities: ['moderations'], prices: [line('input', '0')] }),
    item('model', 'heard', { capabilities: ['audio'], tokenizer: 'o200k', prices: [...dear, line('audio_in', '6')] }),
    item('model', 'later', { ...chat, prices: dear.map((l) => ({ ...l, from: '2099-01-01' })) }),
    item('limit', 'acme.tpm', { scope: 'acme.team.project.limited', tokens_per_minute: 100000000 }),
    item('limit', 'acme.small', { scope: 'acme.team.project.small', tokens_per_minute: 1000 }),
    item('budget', 'acme.hard', { scope: 'acme.team.project.hard', limit_usd: '0.10', mode: 'hard', period: 'month' }),
  ];
  const serve = (name, model, provider, upstream) => list.push(
    item('deployment', name, { model, provider, upstream_model: upstream }),
    item('route', name, { targets: [{ deployment: name }] }));
  for (const p of PROVIDERS)
    serve(`exact-${p}`, 'exact', p, 'chat');
  serve('ratio-openai', 'ratio', 'openai', 'chat');
  serve('free-openai', 'free', 'openai', 'media');
  serve('later-openai', 'later', 'openai', 'chat');
  serve('heard-openai', 'heard', 'openai', 'media');
  return list;
}

function need() {
  for (const file of [reference, path.join(bin, '../share/headgate/o200k_base.bpe')]) {
    if (!fs.existsSync(file))
      skip(`${path.relative(root, file)} is not there (make tokenizers)`);
  }
}

const count = (text) => encode(text).length;

// It is written when the server is through with the request.
async function explain(id) {
  let got;
  await until(`${id} to be explained`, async () => {
    const r = await fetch(`${at.agent.statusUrl}/v1/explain/${id}`);
    got = await r.json();
    return r.ok;
  }, 5000, 2);
  return got;
}


async function post(where, key, body, knobs = {}) {
  const r = await fetch(`${at.agent.url}${where}`, { method: 'POST',
    headers: { authorization: `Bearer ${at.secrets[`acme.team.project.${key}`]}`, 'content-type': 'application/json',
      ...(where.startsWith('/v1beta') ? { 'x-goog-api-key': at.secrets[`acme.team.project.${key}`] } : {}), ...sim(knobs) },
    body: JSON.stringify(body) });
  return { status: r.status, headers: r.headers, body: await r.json(), id: r.headers.get('x-request-id') };
}

const ask = (text, more = {}) => ({ messages: [{ role: 'user', content: text }], max_completion_tokens: 100, ...more });

async function row(id) {
  await shipped(stack);
  const found = [...(await ledger(stack.rest)).values()].find((r) => r.originals[0].request_id === id);
  assert(found, `no row of ${id}`);
  return { ...found.originals[0], usage: found.tokens };
}

test('the stage is set', async () => {
  if (fs.existsSync(reference))
    ({ encode } = await import(path.join(reference, 'esm/encoding/o200k_base.js')));
  at = await stage(stack, { keys: ['limited', 'small', 'hard'], more: items() });
}, { timeout: 120000 });

test('rates take a prompt by its tokenizer, and the truth afterwards', async () => {
  need();
  const text = '\u4f60\u597d world, {"a": [1, 2, 3]} supercalifragilistic \u{1f600} '.repeat(30);
  const left = async () => Number((await post('/v1/chat/completions', 'limited', { model: 'exact-openai', ...ask('x') },
    { prompt_tokens: 1, tokens: 1 })).headers.get('x-ratelimit-remaining-tokens'));
  for (const p of PROVIDERS) {
    const r = await post('/v1/chat/completions', 'limited', { model: `exact-${p}`, ...ask(text) },
      { prompt_tokens: 500, tokens: 40 });
    equal(r.status, 200, JSON.stringify(r.body));
    const e = await explain(r.id);
    equal(e.rate_tokens_taken, 3 + 3 + count(text) + 100, `${p}: taken`);
    equal(e.rate_tokens_settled, 540, `${p}: settled`);
    equal([e.tokenizer, e.token_millibytes], ['o200k', 0], 'how');
  }
  // What a request took and did not use is there again.
  // The agent's share of the limit can change meanwhile: not three times.
  const taken = [];
  for (let i = 0; i < 3 && !(taken.at(-1) < 5000); i++) {
    const before = await left();
    await post('/v1/chat/completions', 'limited', { model: 'exact-openai', ...ask(text, { max_completion_tokens: 8000 }) },
      { prompt_tokens: 10, tokens: 5 });
    taken.push(before - await left());
  }
  assert(taken.at(-1) < 5000, `what was not used stayed taken: ${taken}`);
});

test('a prompt above what is counted exactly goes by what was counted', async () => {
  need();
  for (const unit of ['The quick brown fox jumps. ', '{"key":[1,22,333]},\n', '\u4f60\u597d\u4e16\u754c\u3002']) {
    const text = unit.repeat(Math.ceil(700000 / Buffer.byteLength(unit)));
    const r = await post('/v1/chat/completions', 'limited', { model: 'exact-openai', ...ask(text) },
      { prompt_tokens: 500, tokens: 4 });
    equal(r.status, 200, JSON.stringify(r.body).slice(0, 300));
    const { rate_tokens_taken: taken } = await explain(r.id);
    const want = count(text) + 106;
    assert(Math.abs(taken - want) < want / 50, `${JSON.stringify(unit)}: ${taken}, in truth ${want}`);
  }
}, { timeout: 120000 });

test('a key without token limits has its prompts not counted', async () => {
  const r = await post('/v1/chat/completions', 'app', { model: 'exact-openai', ...ask('some words') });
  equal((await explain(r.id)).rate_tokens_taken, 0, 'taken');
});

test('a token limit refuses by the same count', async () => {
  need();
  const text = 'word '.repeat(700);
  const one = await post('/v1/chat/completions', 'small', { model: 'exact-openai', ...ask(text) }, { prompt_tokens: 700, tokens: 10 });
  equal(one.status, 200, 'first');
  const two = await post('/v1/chat/completions', 'small', { model: 'exact-openai', ...ask(text) });
  equal([two.status, two.body.error.code], [429, 'rate_limited'], 'second');
});

test('the ratio of other models is learned from their answers', async () => {
  const text = 'A sentence of no great interest to anybody. '.repeat(100);
  const told = Math.round(Buffer.byteLength(text) / 5) + 6; // 5 bytes a token
  let e;
  for (let i = 0; i < 400; i++) {
    const r = await post('/v1/chat/completions', 'limited', { model: 'ratio-openai', ...ask(text) }, { prompt_tokens: told, tokens: 2 });
    e = await explain(r.id);
    if (i === 0)
      assert(e.token_millibytes >= 3500 && e.token_millibytes < 4500, `${e.token_millibytes} at first`);
    if (e.token_millibytes > 4900)
      break;
  }
  assert(e.token_millibytes > 4900 && e.token_millibytes <= 5000, `${e.token_millibytes} in the end`);
  assert(Math.abs(e.rate_tokens_taken - 100 - told) < told / 20, `${e.rate_tokens_taken} taken, ${told} told`);
}, { timeout: 120000 });

// What an SDK's answer says: all text that the model made.
const said = (got) => [got.text, ...got.calls.flatMap((c) => [c.name, JSON.stringify(c.args)])].join('');

test('answers that do not tell their usage are counted by the tokenizer', async () => {
  need();
  const key = at.secrets['acme.team.project.app'];
  const prompt = 'Tell me of \u4f60\u597d, and of {"json": true}. ';
  const knobs = { seed: 5, tokens: 60 };
  const text = (await openaiChat(at.direct.url, providerKey).ask({ model: 'chat', turns: [{ user: prompt }], sim: knobs })).text;
  const seen = new Set((await ledger(stack.rest)).keys());
  const want = [];
  for (const [name, c] of Object.entries(clients).slice(0, 4)) {
    const made = c.make(at.agent.url, key);
    for (const p of PROVIDERS) {
      for (const how of ['ask', 'stream']) {
        if (name === 'anthropic' && p === 'anthropic' && how === 'stream')
          continue; // as it comes: its SDK wants usage
        const got = await made[how]({ model: `exact-${p}`, turns: [{ user: prompt }], max: 400,
          sim: { ...knobs, fault: 'missing-usage' } });
        equal(said(got), text, `${name} ${p} ${how}`);
        want.push(`${name} ${p} ${how}`);
      }
    }
  }
  await shipped(stack);
  const rows = [...(await ledger(stack.rest)).values()].filter((r) => !seen.has(r.id)).map((r) => r.originals[0]);
  const flagged = rows.filter((r) => r.source === 'estimated');
  equal(flagged.length, want.length, 'estimated rows');
  for (const r of flagged) {
    equal(Number(r.tokens.output), count(text), `output of ${r.deployment}`);
    assert(Math.abs(Number(r.tokens.input) - count(prompt)) <= 12, `input of ${r.deployment}: ${r.tokens.input}`);
  }
}, { timeout: 120000 });

test('old completions without usage, too', async () => {
  need();
  const r = await post('/v1/completions', 'app', { model: 'exact-openai', prompt: 'Once upon a time', max_tokens: 50 },
    { tokens: 20, fault: 'missing-usage' });
  equal(r.status, 200, JSON.stringify(r.body));
  const got = await row(r.id);
  equal([got.source, Number(got.usage.output), Number(got.usage.input)],
    ['estimated', count(r.body.choices[0].text), count('Once upon a time')], 'row');
});

test('what was heard without usage: as JSON, as text and in a stream', async () => {
  need();
  for (const more of [{}, { response_format: 'text' }, { stream: 'true' }]) {
    const f = form({ model: 'heard-openai', ...more }, { name: 'file', filename: 'a.wav', type: 'audio/wav', data: wav(6) });
    const r = await fetch(`${at.agent.url}/v1/audio/transcriptions`, { method: 'POST', body: f.body,
      headers: { authorization: `Bearer ${at.secrets['acme.team.project.app']}`, 'content-type': f.type, ...sim({ fault: 'missing-usage' }) } });
    const body = await r.text();
    equal(r.status, 200, body);
    const text = more.stream ? [...body.matchAll(/"delta":"((?:[^"\\]|\\.)*)"/g)].map((m) => JSON.parse(`"${m[1]}"`)).join('')
      : more.response_format ? body.trimEnd() : JSON.parse(body).text;
    assert(text.length > 20, body);
    const got = await row(r.headers.get('x-request-id'));
    equal([got.source, Number(got.usage.output)], ['estimated', count(text)], JSON.stringify(more));
  }
});

const held = async () => BigInt((await stack.rest.get('/v1/budgets/acme.hard/status')).held_nanousd ?? 0);

test('moderations cost nothing where the model does', async () => {
  const r = await post('/v1/moderations', 'hard', { model: 'free-openai', input: 'Is this fine?' });
  equal(r.status, 200, JSON.stringify(r.body));
  const got = await row(r.id);
  equal([got.source, got.cost_nanousd, got.usage], ['provider_final', 0, {}], 'row');
  equal(await held(), 0n, 'held');
});

test('a model that has no price yet is refused for that, in each dialect', async () => {
  const model = 'later-openai';
  const messages = [{ role: 'user', content: 'hello' }];
  const errors = {
    '/v1/chat/completions': [{ model, messages }, (b) => [b.error.code, b.error.param]],
    '/v1/responses': [{ model, input: 'hello' }, (b) => [b.error.code, b.error.param]],
    '/v1/messages': [{ model, messages, max_tokens: 9 }, (b) => [b.error.type, b.type]],
    [`/v1beta/models/${model}:generateContent`]: [{ contents: [{ role: 'user', parts: [{ text: 'hello' }] }] },
      (b) => [b.error.status, b.error.code]],
  };
  const seen = [];
  for (const [where, [body, code]] of Object.entries(errors)) {
    const r = await post(where, 'app', body);
    equal(r.status, 400, `${where}: ${JSON.stringify(r.body)}`);
    assert(/has no price now/.test(r.body.error.message), JSON.stringify(r.body));
    seen.push(code(r.body));
  }
  equal(seen, [['unsupported', 'model'], ['unsupported', 'model'], ['invalid_request_error', 'error'],
    ['INVALID_ARGUMENT', 400]]);
  equal((await post('/v1/chat/completions', 'app', { model: 'exact-openai', ...ask('hello') })).status, 200, 'another model');
});

test('embedContent is counted here, flagged, and may use a hard budget', async () => {
  const text = 'Words that become a vector. '.repeat(20);
  const one = { model: 'models/gemini-embed', content: { parts: [{ text }] } };
  for (const [verb, body, n] of [['embedContent', one, 1], ['batchEmbedContents', { requests: [one, one] }, 2]]) {
    const r = await post(`/v1beta/models/gemini-embed:${verb}`, 'hard', body);
    equal(r.status, 200, JSON.stringify(r.body));
    const got = await row(r.id);
    equal(got.source, 'estimated', verb);
    const tokens = Number(got.usage.input) / n;
    assert(tokens > Buffer.byteLength(text) / 8 && tokens < Buffer.byteLength(text) / 2, `${verb}: ${tokens}`);
  }
  const told = await post('/v1beta/models/gemini-embed:embedContent', 'hard', one, { usage: 'running', prompt_tokens: 77 });
  equal(told.status, 200, JSON.stringify(told.body));
  const got = await row(told.id);
  equal([got.source, Number(got.usage.input)], ['provider_final', 77], 'told');
});

test('after corrections the ledger is the provider\'s bill', async () => {
  agree(await reconcile(stack));
});

await run();
