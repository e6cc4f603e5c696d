#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Embeddings between dialects: OpenAI's and Google's SDKs against the embedding
// calls of every provider. The simulator makes the same vectors of the same
// texts in every dialect, so what comes through must be equal to the last bit.
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';

import { agree, ledger, reconcile, shipped } from './lib/bill.mjs';
import { arrived, sim, stage } from './lib/dialects.mjs';
import { item, providerKey } from './lib/fixture.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, teardown, test } from './lib/tap.mjs';

const TITAN = 'amazon.titan-embed-text-v2:0';
const ON_BEDROCK = 'us.cohere.embed-multilingual-v3';
const PROVIDERS = ['openai', 'azure', 'azurev1', 'mistral', 'gemini', 'vertex', 'cohere', 'ollama', 'cob'];
const texts = ['one "quoted" \\ text', '\u{1f600} two\n\u4f60\u597d', 'three'];

const stack = new Stack();
let at;
let openai;
let google;
let want;

teardown(() => stack.stop());

const embeds = { kind: 'embeddings', context_tokens: 8192, dimensions: 64,
  prices: [{ class: 'input', usd_per_mtok: '0.02' }] };

test('the stage is set, and the simulator says what is to come', async () => {
  const list = [];
  for (const [name, upstream] of [['titan', TITAN], ['cob-embed', ON_BEDROCK], ['odd', 'amazon.nova-embed']])
    list.push(item('deployment', name, { model: 'embed', provider: 'bedrock', upstream_model: upstream }),
      item('route', name, { targets: [{ deployment: name }] }));
  for (const name of ['openai', 'ollama', 'cohere'])
    list.push(item('route', `${name}-loose`, { lenient: true, targets: [{ deployment: `${name}-embed` }] }));
  list.push(item('budget', 'acme.hard', { scope: 'acme.team.project.hard', limit_usd: '0.10', mode: 'hard', period: 'month' }));
  at = await stage(stack, { keys: ['hard'], more: list, sims: { [TITAN]: embeds, [ON_BEDROCK]: embeds } });
  openai = (url, key, more = {}) => new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0, ...more }).embeddings;
  google = (url, key) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } }).models;
  want = (await openai(at.direct.url, providerKey).create({ model: 'embed', input: texts, encoding_format: 'float' }))
    .data.map((d) => d.embedding);
  assert(want.length === 3 && want[0].length === 64, JSON.stringify(want).slice(0, 200));
}, { timeout: 120000 });

const ours = () => openai(at.agent.url, at.key);
const packed = (v) => Buffer.from(Float32Array.from(v).buffer).toString('base64');

async function raw(where, body, { key = at.key, knobs = {} } = {}) {
  const r = await fetch(`${at.agent.url}${where}`, { method: 'POST', headers: { authorization: `Bearer ${key}`,
    'x-goog-api-key': key, 'content-type': 'application/json', ...sim(knobs) }, body: JSON.stringify(body) });
  return { status: r.status, headers: r.headers, body: await r.json() };
}

test('OpenAI: texts, as floats, to every provider', async () => {
  for (const p of PROVIDERS) {
    const got = await ours().create({ model: `${p}-embed`, input: texts, encoding_format: 'float' });
    equal(got.data.map((d) => d.embedding), want, p);
    equal(got.data.map((d) => [d.index, d.object]), [0, 1, 2].map((i) => [i, 'embedding']), p);
    assert(got.usage.prompt_tokens > 0 && got.usage.total_tokens === got.usage.prompt_tokens, `${p}: ${JSON.stringify(got.usage)}`);
    if (p !== 'openai')
      equal(got.object, 'list', p);
  }
});

test('OpenAI: as the SDK asks when nothing is said, which is base64', async () => {
  for (const p of PROVIDERS) {
    const got = await ours().create({ model: `${p}-embed`, input: texts });
    equal(got.data.map((d) => [...d.embedding]), want.map((v) => v.map(Math.fround)), p);
  }
});

test('base64 is byte for byte what OpenAI would send', async () => {
  for (const p of PROVIDERS) {
    const r = await raw('/v1/embeddings', { model: `${p}-embed`, input: texts, encoding_format: 'base64' });
    equal(r.status, 200, JSON.stringify(r.body).slice(0, 300));
    equal(r.body.data.map((d) => d.embedding), want.map(packed), p);
  }
});

test('OpenAI: one text, and fewer dimensions', async () => {
  const direct = (await openai(at.direct.url, providerKey).create({ model: 'embed', input: texts[0], encoding_format: 'float' }))
    .data[0].embedding;
  for (const p of [...PROVIDERS, 'titan']) {
    const model = p === 'titan' ? p : `${p}-embed`;
    const got = await ours().create({ model, input: texts[0], dimensions: 16, encoding_format: 'float' });
    equal(got.data.map((d) => d.embedding), [direct.slice(0, 16)], p);
    equal(got.model, got.model.startsWith('embed') ? 'embed' : model, p);
  }
});

test('Google: one content and several, to every provider', async () => {
  for (const p of PROVIDERS) {
    for (const contents of [texts[2], texts]) {
      const got = await google(at.agent.url, at.key).embedContent({ model: `${p}-embed`, contents, config: { outputDimensionality: 32 } });
      const there = await google(at.direct.url, providerKey).embedContent({ model: 'embed', contents, config: { outputDimensionality: 32 } });
      equal(got.embeddings.map((e) => e.values), there.embeddings.map((e) => e.values), p);
    }
  }
});

test('Gemini: a single embedContent, its parts joined', async () => {
  const direct = (await openai(at.direct.url, providerKey).create({ model: 'embed', input: 'one two', encoding_format: 'float' }))
    .data[0].embedding;
  for (const p of ['openai', 'cohere', 'vertex', 'ollama']) {
    const r = await raw(`/v1beta/models/${p}-embed:embedContent`, { content: { parts: [{ text: 'one ' }, { text: 'two' }] } });
    equal([r.status, r.body.embedding?.values], [200, direct], `${p}: ${JSON.stringify(r.body).slice(0, 200)}`);
  }
});

test('what a vector is for goes along where the provider knows it', async () => {
  const m = (n) => `text${n}x of a task`;
  await ours().create({ model: 'cohere-embed', input: m(1), input_type: 'search_query' });
  equal((await arrived(stack.provider, m(1))).body.input_type, 'search_query', 'cohere');
  await ours().create({ model: 'cohere-embed', input: m(2) });
  equal((await arrived(stack.provider, m(2))).body.input_type, 'search_document', 'cohere, by default');
  await ours().create({ model: 'gemini-embed', input: m(3), input_type: 'clustering', dimensions: 8 });
  equal((await arrived(stack.provider, m(3))).body.requests, [{ model: 'models/embed', content: { parts: [{ text: m(3) }] },
    taskType: 'CLUSTERING', outputDimensionality: 8 }], 'gemini');
  await google(at.agent.url, at.key).embedContent({ model: 'cohere-embed', contents: [m(4)], config: { taskType: 'RETRIEVAL_QUERY' } });
  equal((await arrived(stack.provider, m(4))).body.input_type, 'search_query', 'cohere of Gemini');
  await google(at.agent.url, at.key).embedContent({ model: 'vertex-embed', contents: [m(5)],
    config: { taskType: 'RETRIEVAL_DOCUMENT', title: 'A "title"' } });
  equal((await arrived(stack.provider, m(5))).body.instances,
    [{ content: m(5), task_type: 'RETRIEVAL_DOCUMENT', title: 'A "title"' }], 'vertex');
});

test('what cannot be carried is refused by the client\'s own name of it', async () => {
  const cases = [
    ['cohere-embed', { input: [1, 2, 3] }, 'input[0]'],
    ['gemini-embed', { input: ['a', [1, 2]] }, 'input[1]'],
    ['ollama-embed', { input: 'a', input_type: 'search_query' }, 'input_type'],
    ['gemini-embed', { input: 'a', input_type: 'nothing' }, 'input_type'],
    ['vertex-embed', { input: 'a', truncate: 'END' }, 'truncate'],
    ['gemini-embed', { input: 'a', encoding_format: 'int8' }, 'encoding_format'],
    ['cohere-embed', { input: 'a', dimensions: 0 }, 'dimensions'],
    ['cohere-embed', { input: [] }, 'input'],
    ['titan', { input: ['a', 'b'] }, 'input'],
    ['odd', { input: 'a' }, 'model'],
  ];
  for (const [model, body, param] of cases) {
    const r = await raw('/v1/embeddings', { model, ...body });
    equal([r.status, r.body.error?.param], [400, param], `${model} ${JSON.stringify(body)}: ${JSON.stringify(r.body)}`);
  }
  const one = (more) => ({ content: { parts: [{ text: 'a' }] }, ...more });
  const google = [
    ['openai-embed:embedContent', one({ taskType: 'CLUSTERING' }), 'taskType'],
    ['openai-embed:batchEmbedContents', { requests: [one({ taskType: 'CLUSTERING' })] }, 'requests[0].taskType'],
    ['cohere-embed:embedContent', one({ taskType: 'FACT_VERIFICATION' }), 'taskType'],
    ['cohere-embed:embedContent', one({ title: 'x' }), 'title'],
    ['cohere-embed:batchEmbedContents', { requests: [one({ outputDimensionality: 8 }), one({})] }, 'requests[1]'],
    ['ollama-embed:embedContent', { content: { parts: [{ inlineData: { mimeType: 'image/png', data: 'AAAA' } }] } }, 'content.parts[0]'],
    ['ollama-embed:batchEmbedContents', { requests: [{}] }, 'requests[0].content'],
  ];
  for (const [path, body, field] of google) {
    const r = await raw(`/v1beta/models/${path}`, body);
    equal([r.status, r.body.error?.status], [400, 'INVALID_ARGUMENT'], `${path}: ${JSON.stringify(r.body)}`);
    assert(JSON.stringify(r.body).includes(field), `${field} is not in ${JSON.stringify(r.body)}`);
  }
  const none = await raw('/v1/embeddings', { model: 'anthropic-embed', input: 'a' });
  assert(none.status >= 400 && none.status < 500, `Anthropic: ${none.status}`);
});

test('a lenient route leaves it out and says so; a user is always left out', async () => {
  const r = await raw('/v1/embeddings', { model: 'ollama-loose', input: 'a', input_type: 'search_query', truncate: 'END', user: 'u1' });
  equal([r.status, r.headers.get('x-headgate-dropped')], [200, 'user, truncate, input_type'], JSON.stringify(r.body).slice(0, 200));
  const strict = await raw('/v1/embeddings', { model: 'ollama-embed', input: 'a', user: 'u1' });
  equal([strict.status, strict.headers.get('x-headgate-dropped')], [200, 'user'], 'strict');
});

test('usage that is not told is counted here and flagged', async () => {
  const input = 'Some words that have to be counted here. '.repeat(10);
  for (const [p, knobs] of [['gemini', {}], ['cob', { fault: 'missing-usage' }], ['ollama', { fault: 'missing-usage' }], ['cohere', { fault: 'missing-usage' }]]) {
    const r = await raw('/v1/embeddings', { model: `${p}-embed`, input }, { knobs });
    equal(r.status, 200, JSON.stringify(r.body).slice(0, 200));
    equal(r.headers.get('x-headgate-estimated'), 'true', `${p}: flag`);
    const n = r.body.usage.prompt_tokens;
    assert(n > input.length / 8 && n < input.length / 2, `${p}: ${n} tokens`);
  }
  const told = await raw('/v1/embeddings', { model: 'gemini-embed', input }, { knobs: { usage: 'running', prompt_tokens: 77 } });
  equal([told.body.usage?.prompt_tokens, told.headers.get('x-headgate-estimated')], [77, null], 'told');
});

test('a hard budget takes them, and errors are in the client\'s words', async () => {
  const key = at.secrets['acme.team.project.hard'];
  for (const p of [...PROVIDERS, 'titan']) {
    const model = p === 'titan' ? p : `${p}-embed`;
    equal((await raw('/v1/embeddings', { model, input: 'hello' }, { key })).status, 200, p);
  }
  for (const p of ['cohere', 'gemini', 'ollama', 'vertex']) {
    const bad = await raw('/v1/embeddings', { model: `${p}-embed`, input: 'a' }, { knobs: { fault: 'bad-json' } });
    equal([bad.status, typeof bad.body.error.message], [502, 'string'], p);
    await rejects(openai(at.agent.url, at.key, { defaultHeaders: sim({ fault: '429' }) })
      .create({ model: `${p}-embed`, input: 'a' }), (e) => e instanceof OpenAI.RateLimitError);
  }
});

// Gemini never tells, so that its answers are always counted here.
test('a provider that says 0, or nothing, of its tokens', async () => {
  const send = (p, fault) => raw('/v1/embeddings', { model: `${p}-embed`, input: 'a b c' }, { knobs: { fault } });
  for (const p of PROVIDERS.filter((q) => !['cob', 'gemini'].includes(q))) {
    const zero = await send(p, 'zero-usage');
    equal([zero.status, zero.body.usage?.prompt_tokens, zero.headers.get('x-headgate-estimated')], [200, 0, null], p);
    const none = await send(p, 'missing-usage');
    const passes = /^(openai|azure|mistral)/.test(p); // as it came, without counts
    equal([none.status, none.headers.get('x-headgate-estimated')], [200, passes ? null : 'true'], p);
  }
});

test('rows tell tokens as the provider did; after corrections the bills agree', async () => {
  await shipped(stack);
  const rows = [...(await ledger(stack.rest)).values()].map((r) => r.originals[0]);
  const told = rows.filter((r) => r.source === 'provider_final');
  assert(told.length > 40, `${told.length} rows`);
  for (const p of ['vertex', 'cohere', 'ollama', 'bedrock', 'mistral'])
    assert(told.some((r) => r.provider === p), `no row of ${p} has the provider's word`);
  agree(await reconcile(stack));
});

await run();
