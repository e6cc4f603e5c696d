#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Errors as SDKs meet them: those of providers that go away when the SDK tries
// again, and those that do not; refusals of the gateway in each dialect;
// fields that cannot be carried. Cells run side by side, because SDKs wait.
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';

import { agree, ledger, reconcile } from './lib/bill.mjs';
import { clients } from './lib/clients.mjs';
import { names, scenario, stage } from './lib/dialects.mjs';
import { item } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const made = {};
let at;

teardown(() => stack.stop());

test('the stage is set', async () => {
  at = await stage(stack, { keys: ['quick', { name: 'narrow', spec: { routes: ['openai-chat'] } },
    { name: 'old', spec: { expires_at: '2020-01-01T00:00:00Z' } }],
  more: [
    item('limit', 'acme.quick', { scope: 'acme.team.project.quick', requests_per_minute: 60 }),
    item('tenant', 'poor'), item('team', 'poor.team'), item('project', 'poor.team.project'), item('key', 'poor.team.project.app'),
    item('budget', 'poor.main', { scope: 'poor', limit_usd: '0.000001', mode: 'hard', period: 'month' }),
    item('route', 'drained', { targets: [{ deployment: 'anthropic-chat' }], on_disconnect: 'drain' }),
  ] });
  for (const [name, c] of Object.entries(clients))
    made[name] = c.make(at.agent.url, at.key);
}, { timeout: 120000 });

const statusOf = (e) => e.status ?? e.statusCode ?? e.lastError?.statusCode ?? e.lc_error?.status;

// Transient faults: the second try is answered.
const passing = {
  429: { fault: '429', retry_after_ms: 20 },
  500: { fault: '500' },
  529: { fault: '529', retry_after_ms: 20 },
  reset: { fault: 'reset-before-bytes' },
};

// Lasting ones, and the status that clients of OpenAI, Anthropic and Gemini see.
const lasting = {
  400: { fault: '400', want: [400, 400, 400] },
  413: { fault: '413', want: [413, 413, 413] },
  429: { fault: '429', want: [429, 429, 429] },
  500: { fault: '500', want: [500, 500, 500] },
  529: { fault: '529', want: [503, 529, 503] },
  // What a provider says about the gateway's own access is no client's fault.
  401: { fault: '401', want: [502, 502, 502] },
  403: { fault: '403', want: [502, 502, 502] },
  404: { fault: '404', want: [502, 502, 502] },
  reset: { fault: 'reset-before-bytes', want: [502, 502, 502] },
};

const cells = [];
for (const client of Object.keys(clients)) {
  for (const provider of names) {
    for (const [what, knobs] of Object.entries(passing))
      cells.push({ name: `${client} > ${provider}: ${what}, then an answer`, client, provider, knobs, passing: true });
    for (const [what, { want, ...knobs }] of Object.entries(lasting))
      cells.push({ name: `${client} > ${provider}: ${what}, for good`, client, provider, knobs, want });
  }
}
cells.forEach((c, i) => { c.mark = `cell${i}.`; });
const results = new Map();

async function again(c) {
  const got = await made[c.client].ask({ model: `${c.provider}-chat`, retries: 3, max: 200,
    turns: [{ user: c.mark }], sim: { tokens: 12, seed: 1 } });
  assert(got.text.length > 5, 'no text');
  equal(got.usage.output, 12, 'output tokens');
}

async function forGood(c) {
  for (const how of ['ask', 'stream']) {
    const e = await rejects(made[c.client][how]({ model: `${c.provider}-chat`, max: 200, turns: [{ user: c.mark }] }));
    const dialect = ['openai', 'anthropic', 'gemini'].indexOf(clients[c.client].dialect);
    equal(statusOf(e), c.want[dialect], `${how}: status (${e.message?.slice(0, 200)})`);
    assert(!/sk-sim|AKID/.test(`${e.message} ${JSON.stringify(e)}`), 'a credential in the error');
  }
}

test('all cells are asked', async () => {
  await scenario(stack.provider, cells.map((c) => ({ match: { body: c.mark },
    times: c.passing ? 1 : 0, knobs: c.knobs })));
  const queue = [...cells];
  const worker = async () => {
    for (let c = queue.shift(); c; c = queue.shift())
      results.set(c, await (c.passing ? again : forGood)(c).then(() => null, (e) => e));
  };
  const waiting = cells.filter((c) => c.passing);
  queue.splice(0, queue.length, ...cells.filter((c) => !c.passing));
  await Promise.all([...waiting.map(async (c) => results.set(c, await again(c).then(() => null, (e) => e))),
    ...Array.from({ length: 8 }, worker)]);
}, { timeout: 120000 });

for (const c of cells) {
  test(c.name, async () => {
    if (results.get(c))
      throw results.get(c);
  });
}

test('a transient fault met the provider once, the answer once', async () => {
  await scenario(stack.provider, []);
  const rows = await stack.provider.bill();
  equal(rows.length, cells.filter((c) => c.passing).length, 'billed answers');
});

/* Refusals of the gateway itself */

const three = {
  openai: (key) => new OpenAI({ apiKey: key, baseURL: `${at.agent.url}/v1`, maxRetries: 3 }),
  anthropic: (key) => new Anthropic({ apiKey: key, baseURL: at.agent.url, maxRetries: 3 }),
  gemini: (key) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: at.agent.url } }),
};
const hello = {
  openai: (c, model = 'openai-chat') => c.chat.completions.create({ model, messages: [{ role: 'user', content: 'x' }], max_completion_tokens: 50 }),
  anthropic: (c, model = 'openai-chat') => c.messages.create({ model, messages: [{ role: 'user', content: 'x' }], max_tokens: 50 }),
  gemini: (c, model = 'openai-chat') => c.models.generateContent({ model, contents: 'x', config: { maxOutputTokens: 50 } }),
};
const key = (name) => at.secrets[`acme.team.project.${name}`];
const refusals = {
  'a wrong key': { key: () => 'hg-wrongwrongwrongwrongwrongwrongwrongwrong1', status: 401, anthropic: 'authentication_error', gemini: 'UNAUTHENTICATED', openai: 'invalid_api_key' },
  'an expired key': { key: () => key('old'), status: 401, anthropic: 'authentication_error', gemini: 'UNAUTHENTICATED', openai: 'invalid_api_key' },
  'an empty budget': { key: () => at.secrets['poor.team.project.app'], status: 402, anthropic: 'billing_error', gemini: 'RESOURCE_EXHAUSTED', openai: 'budget_exhausted' },
  'an unknown model': { key: () => at.key, model: 'nope', status: 404, anthropic: 'not_found_error', gemini: 'NOT_FOUND', openai: 'model_not_found' },
  'a model of others': { key: () => key('narrow'), model: 'gemini-chat', status: 404, anthropic: 'not_found_error', gemini: 'NOT_FOUND', openai: 'model_not_found' },
};
for (const [what, want] of Object.entries(refusals)) {
  for (const dialect of Object.keys(three)) {
    test(`refused in the words of ${dialect}: ${what}`, async () => {
      const before = (await stack.provider.stats()).requests;
      const e = await rejects(hello[dialect](three[dialect](want.key()), want.model));
      equal(e.status, want.status, 'status');
      if (dialect === 'openai') {
        equal(e.code, want.openai, 'code');
        assert(e.error.message && e.type, 'shape');
      } else if (dialect === 'anthropic') {
        equal([e.error.type, e.error.error.type], ['error', want.anthropic], 'type');
        assert(e.error.request_id === e.headers.get('request-id') && e.error.request_id, 'request id');
      } else {
        const { error } = JSON.parse(e.message);
        equal([error.code, error.status], [want.status, want.gemini], 'status word');
      }
      if (dialect !== 'gemini' && want.status === 402)
        equal(e.headers.get('x-should-retry'), 'false', 'x-should-retry');
      equal((await stack.provider.stats()).requests, before, 'requests at the provider');
    });
  }
}

for (const dialect of Object.keys(three)) {
  test(`429 with retry headers makes the SDK wait: ${dialect}`, async () => {
    const client = three[dialect](key('quick'));
    const raw = () => ({
      openai: () => fetch(`${at.agent.url}/v1/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${key('quick')}` },
        body: JSON.stringify({ model: 'openai-chat', messages: [{ role: 'user', content: 'x' }], max_completion_tokens: 9 }) }),
      anthropic: () => fetch(`${at.agent.url}/v1/messages`, { method: 'POST', headers: { 'x-api-key': key('quick'), 'anthropic-version': '2023-06-01' },
        body: JSON.stringify({ model: 'openai-chat', messages: [{ role: 'user', content: 'x' }], max_tokens: 9 }) }),
      gemini: () => fetch(`${at.agent.url}/v1beta/models/openai-chat:generateContent`, { method: 'POST', headers: { 'x-goog-api-key': key('quick') },
        body: JSON.stringify({ contents: [{ parts: [{ text: 'x' }] }] }) }),
    }[dialect]());
    let refused;
    for (let n = 0; n < 80 && refused?.status !== 429; n++) {
      refused = await raw();
      refused.text_ = await refused.text();
    }
    equal(refused.status, 429, 'status');
    const ms = Number(refused.headers.get('retry-after-ms'));
    assert(ms > 0 && ms <= 2000, `retry-after-ms: ${ms}`);
    assert(Number(refused.headers.get('retry-after')) >= 1, 'retry-after');
    if (dialect === 'gemini')
      assert(/RetryInfo/.test(refused.text_) && /retryDelay/.test(refused.text_), refused.text_);
    const started = Date.now();
    if (dialect === 'gemini')
      return; // its SDK waits as it likes
    await hello[dialect](client);
    assert(Date.now() - started >= ms * 0.5, `went on after ${Date.now() - started} ms, told ${ms}`);
  });
}

/* What cannot be carried */

const foreign = [
  ['openai-chat', 'anthropic', { logit_bias: { 5: 1 } }, 'logit_bias'],
  ['openai-chat', 'anthropic', { seed: 4 }, 'seed'],
  ['openai-chat', 'gemini', { parallel_tool_calls: false, tools: [{ type: 'function', function: { name: 'f' } }] }, 'parallel_tool_calls'],
  ['openai-chat', 'bedrock', { n: 2 }, 'n'],
  ['openai-chat', 'ollama', { logprobs: true }, 'logprobs'],
  ['openai-chat', 'cohere', { web_search_options: {} }, 'web_search_options'],
  ['openai-responses', 'anthropic', { text: { verbosity: 'low' } }, 'text.verbosity'],
  ['anthropic', 'openai', { top_k: 4 }, 'top_k'],
  ['anthropic', 'gemini', { container: 'c' }, 'container'],
  ['gemini', 'openai', { safetySettings: [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }] }, 'safetySettings'],
  ['gemini', 'anthropic', { seed: 4 }, 'generationConfig.seed'],
];
for (const [client, provider, more, field] of foreign) {
  test(`${client} > ${provider}: ${field} is refused by name; a lenient route drops it and says so`, async () => {
    const send = (route) => {
      const { sdk } = made[client];
      if (client === 'openai-chat')
        return sdk.chat.completions.create({ model: route, messages: [{ role: 'user', content: 'x' }], ...more }).withResponse();
      if (client === 'openai-responses')
        return sdk.responses.create({ model: route, input: 'x', store: false, ...more }).withResponse();
      if (client === 'anthropic')
        return sdk.messages.create({ model: route, max_tokens: 99, messages: [{ role: 'user', content: 'x' }], ...more }).withResponse();
      return sdk.models.generateContent({ model: route, contents: 'x', config: more });
    };
    const e = await rejects(send(`${provider}-chat`));
    equal(e.status, 400, e.message);
    assert(e.message.includes(field), `${field} is not named: ${e.message}`);
    if (client.startsWith('openai'))
      equal(e.param, field, 'param');
    const got = await send(`${provider}-lenient`);
    const dropped = got.response?.headers.get('x-headgate-dropped') ?? got.sdkHttpResponse?.headers['x-headgate-dropped'];
    assert(dropped?.split(/, ?/).includes(field), `x-headgate-dropped: ${dropped}`);
  });
}

test('operations that the model does not offer are refused at once', async () => {
  const { sdk } = made['openai-chat'];
  const calls = {
    'embeddings of Anthropic': () => sdk.embeddings.create({ model: 'anthropic-embed', input: 'x' }),
    'embeddings of a chat model': () => sdk.embeddings.create({ model: 'openai-chat', input: 'x' }),
    'a chat with an embedder': () => hello.openai(sdk, 'openai-embed'),
    'images of Gemini': () => sdk.images.generate({ model: 'gemini-media', prompt: 'x' }),
    'completions of Mistral': () => sdk.completions.create({ model: 'mistral-media', prompt: 'x' }),
    'speech of Bedrock': () => sdk.audio.speech.create({ model: 'bedrock-media', voice: 'alloy', input: 'x' }),
  };
  for (const [what, call] of Object.entries(calls)) {
    const e = await rejects(call());
    equal([e.status, e.param], [400, 'model'], `${what}: ${e.message}`);
  }
});

test('a drained stream is billed as the provider bills it', async () => {
  const q = { model: 'drained', max: 400, turns: [{ user: 'Leave.' }], sim: { tokens: 60, gap_ms: 5, seed: 2 } };
  for (const client of ['openai-chat', 'anthropic', 'gemini', 'openai-responses'])
    await made[client].leave(q, 3);
  await until('the answers to end', async () => (await stack.provider.stats()).active === 0);
  const rows = await until('the rows', async () => {
    const all = [...(await ledger(stack.rest)).values()].flatMap((e) => e.originals).filter((r) => r.route === 'drained');
    return all.length === 4 && all;
  });
  equal(rows.map((r) => [r.source, r.tokens.output]), Array(4).fill(['provider_final', 60]), 'source and tokens');
});

test('no key of a client reached a provider', async () => {
  const got = await made['openai-chat'].ask({ model: 'anthropic-chat', turns: [{ user: 'x' }], sim: { forbid: at.key } });
  assert(got.text.length > 0);
  equal((await stack.provider.stats()).forbidden, 0);
});

test('the ledger is the bill of the providers', async () => {
  await until('the last answers to end', async () => (await stack.provider.stats()).active === 0);
  agree(await reconcile(stack));
}, { timeout: 120000 });

await run();
