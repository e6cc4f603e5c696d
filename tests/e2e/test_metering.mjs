#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The metering run: mixed requests of every client dialect to every provider
// dialect, plain and streamed, with caches, reasoning, tiers, long contexts,
// tools, faults and clients that leave; then the ledger is compared with the
// simulator's bill, which is computed by code of its own: token by token and
// nano-dollar by nano-dollar, or flagged as estimated with the deviation shown.
// SEED=n repeats a run, REQUESTS=n and TRAFFIC_SECONDS=n bound it; PLANT=1 must fail.
import fs from 'node:fs';
import path from 'node:path';

import { compare, corrections, isEstimate, ledger } from './lib/bill.mjs';
import { item, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, seeded, teardown, test } from './lib/tap.mjs';
import { clients, conversation, others, Random, send } from './lib/traffic.mjs';

const seed = seeded();
const wanted = Number(process.env.REQUESTS ?? 20000);
const seconds = Number(process.env.TRAFFIC_SECONDS ?? 150);
const concurrency = Number(process.env.CONCURRENCY ?? 64);

const stack = new Stack();
const sent = []; // what each request was and what came
const ops = Object.keys(clients);
let keys;
let agents;

teardown(() => stack.stop());

const line = (cls, usd, more = {}) => ({ class: cls, usd_per_mtok: usd, ...more });
const past = { to: '2026-01-01T00:00:00Z' };
const now = { from: '2026-01-01T00:00:00Z' };

// The same lines on both sides; which one holds is decided by code of each.
const prices = {
  plain: [line('input', '0.15'), line('cache_read', '0.075'), line('output', '0.60')],
  bare: [line('input', '1.000000001'), line('output', '3.999999999')],
  rich: [
    line('input', '9.99', past), line('input', '2.50', now), line('cache_read', '0.25'),
    line('cache_write_5m', '3.125'), line('cache_write_1h', '5'), line('output', '10'),
    line('reasoning', '12.345678901'), line('audio_in', '40'), line('audio_out', '80'),
    line('audio_cache_read', '2.5'), line('image_in', '5.55'), line('image_out', '30'),
    line('web_search', '10000'), line('input', '4.25', { tier: 'priority' }),
    line('output', '17', { tier: 'priority' }), line('reasoning', '18', { tier: 'priority' }),
    line('input', '1.25', { tier: 'flex' }), line('cache_read', '0.125', { tier: 'flex' }),
    line('output', '5', { tier: 'flex' }), line('input', '1.1', { tier: 'batch' }),
    line('input', '5', { above_tokens: 200000 }), line('cache_read', '0.5', { above_tokens: 200000 }),
    line('output', '15', { above_tokens: 200000 }),
    line('input', '8.5', { tier: 'priority', above_tokens: 200000 }),
    line('output', '25.5', { tier: 'priority', above_tokens: 200000 }),
    line('input', '6', { above_tokens: 500000 }),
  ],
  embed: [line('input', '0.02')],
  free: [line('input', '0')], // moderations
  media: [
    line('input', '2.5'), line('output', '10'), line('audio_in', '6'), line('image_in', '8'),
    line('image_out', '32'),
  ],
  units: [
    line('input', '1'), line('output', '1'), line('audio_seconds', '100'), line('characters', '15'),
    line('images', '40000'), line('search_units', '2000'),
  ],
};
const models = Object.keys(prices);

// Provider: its fields, and the models that it serves.
const chatModels = ['plain', 'bare', 'rich'];
const everything = [...chatModels, 'embed', 'free', 'media', 'units'];
const aws = { access_key: 'AKIASIMULATOR000', secret_key: 'secret/of+the+simulator', region: 'eu-central-1' };
const providers = (url) => ({
  openai: [{ dialect: 'openai', base_url: `${url}/v1` }, everything],
  azure: [{ dialect: 'azure', base_url: url, api_version: '2024-10-21' }, everything],
  azurev1: [{ dialect: 'azure', base_url: url }, everything],
  vllm: [{ dialect: 'openai', base_url: `${url}/vllm/v1`, rejects: ['responses'] }, chatModels],
  deepseek: [{ dialect: 'openai', base_url: `${url}/deepseek/v1`, rejects: ['responses', 'developer'] }, chatModels],
  mistral: [{ dialect: 'mistral', base_url: `${url}/mistral` }, [...chatModels, 'embed']],
  anthropic: [{ dialect: 'anthropic', base_url: url }, chatModels],
  gemini: [{ dialect: 'gemini', base_url: url }, [...chatModels, 'embed']],
  vertex: [{ dialect: 'vertex', base_url: url, auth: 'bearer', project: 'acme', region: 'europe-west4' }, [...chatModels, 'embed']],
  bedrock: [{ dialect: 'bedrock', base_url: url, region: aws.region, credential: JSON.stringify({
    access_key_id: aws.access_key, secret_access_key: aws.secret_key }) }, chatModels],
  cohere: [{ dialect: 'cohere', base_url: url }, [...chatModels, 'units', 'embed']],
  ollama: [{ dialect: 'ollama', base_url: url }, [...chatModels, 'embed']],
});

function configuration(url) {
  const items = models.map((m) => item('model', m, {
    context_tokens: 2000000, ...(m === 'embed' || m === 'free' ? {} : { max_output_tokens: 16000 }),
    capabilities: m === 'embed' ? ['embeddings'] : m === 'free' ? ['moderations'] : ['chat', 'tools', 'vision', 'reasoning'],
    prices: prices[m],
  }));
  for (const [name, [spec, serves]] of Object.entries(providers(url))) {
    items.push(item('provider', name, { credential: providerKey, ...spec }));
    for (const m of serves) {
      const deployment = (suffix, more) => items.push(item('deployment', `${name}-${m}${suffix}`, {
        model: m, provider: name, upstream_model: m, region: 'local', ...more }));
      const route = (suffix, target, more) => items.push(item('route', `${name}-${m}${suffix}`, {
        targets: [{ deployment: `${name}-${m}${target}` }], ...more }));
      deployment('', {});
      route('', '', { on_disconnect: 'abort' });
      if (!chatModels.includes(m))
        continue;
      deployment('-slow', { first_byte_timeout_ms: 400, idle_timeout_ms: 400 });
      route('-drain', '', { on_disconnect: 'drain', drain_max_concurrent: 1000 });
      route('-slow', '-slow', {});
    }
  }
  return items;
}

// ---- what is sent ----

const faults = {
  any: ['429', '429-quota', '400', '500', '502', '503', '529', 'reset-before-bytes', 'cut', 'wrong-length',
    'half-close', 'bad-chunk', 'bad-json', 'missing-usage', 'zero-usage', 'usage-twice', 'usage-null',
    'content-filter', 'not-http', 'reset-after-bytes=300', 'slow-drip'],
  plain: ['truncated-gzip', 'invalid-utf8'],
  stream: ['cut=3', 'error-event', 'error-overloaded', 'error-throttled', 'no-done', 'not-sse', 'bad-crc',
    'sse-error', 'reset-after-bytes=1500', 'cut=0', 'error-event=1'],
};

// What the answer is to be, as knobs of the simulator.
function knobs(r, stream, other) {
  const k = { tokens: r.between(1, 60) };
  const maybe = (percent, name, value) => { if (r.chance(percent)) k[name] = value(); };
  if (other)
    return k;
  maybe(40, 'prompt_tokens', () => (r.chance(25) ? r.between(190000, 700000) : r.between(100, 9000)));
  maybe(30, 'cached_tokens', () => r.between(0, 3000));
  maybe(20, 'cache_write_5m_tokens', () => r.between(0, 900));
  maybe(20, 'cache_write_1h_tokens', () => r.between(0, 900));
  maybe(30, 'reasoning_tokens', () => r.between(0, 40));
  maybe(25, 'tier', () => r.pick(['standard', 'priority', 'flex', 'batch', 'scale', 'provisioned']));
  maybe(10, 'usage', () => r.pick(['running', 'sparse', 'inside', 'bare', 'delta']));
  maybe(8, 'web_search', () => r.between(1, 4));
  maybe(8, 'tool_use_tokens', () => r.between(1, 900));
  maybe(20, 'partial_args', () => 1);
  maybe(10, 'obfuscation', () => 1);
  maybe(6, 'audio_in_tokens', () => r.between(1, 50));
  maybe(6, 'image_in_tokens', () => r.between(1, 50));
  maybe(4, 'audio_out_tokens', () => r.between(1, 20));
  maybe(4, 'image_out_tokens', () => r.between(1, 20));
  maybe(5, 'rejected_tokens', () => r.between(1, 9));
  maybe(5, 'tool_calls', () => r.between(1, 3));
  maybe(3, 'refusal', () => 1);
  maybe(2, 'safety', () => r.between(1, 2));
  maybe(10, 'show_thinking', () => r.below(2));
  if (stream) {
    maybe(15, 'framing', () => r.pick(['lf', 'crlf', 'cr', 'mixed']));
    maybe(8, 'split', () => r.between(1, 90));
    maybe(8, 'comments', () => r.between(1, 5));
    maybe(5, 'multiline', () => r.between(2, 4));
    maybe(5, 'ping', () => r.between(1, 5));
    maybe(5, 'events', () => r.between(1, 30));
    maybe(3, 'unknown_events', () => 1);
  }
  return k;
}

// One request, all of it decided by the random numbers.
function plan(r, all) {
  const other = r.chance(12);
  const op = other ? r.pick(Object.keys(others)) : r.pick(ops);
  const serves = (name) => all[name][1];
  const usage = /^image/.test(op) && r.chance(40) ? 'bare' : /^trans/.test(op) && r.chance(40) ? 'duration' : null;
  const want = op === 'moderations' ? 'free' : op === 'embeddings' || op === 'embed_content' ? 'embed' : op === 'completions' ? 'plain'
    : usage || op === 'speech' ? 'units' : 'media';
  const embeds = ['openai', 'azure', 'mistral', 'gemini', 'vertex', 'cohere', 'ollama'];
  const able = { embed_content: embeds, embeddings: embeds,
    rerank: ['openai', 'cohere'], moderations: ['openai'], completions: ['openai', 'azure'],
    count_tokens: ['openai', 'anthropic', 'gemini'], gemini_count_tokens: ['gemini', 'bedrock', 'cohere'] };
  const names = other ? able[op] ?? ['openai', 'azure'] : Object.keys(all);
  const provider = r.pick(names);
  const counts = op.endsWith('count_tokens');
  const model = counts ? 'plain' : op === 'rerank' && provider === 'cohere' ? 'units' : other ? want : r.pick(serves(provider).filter((m) => chatModels.includes(m)));
  const stream = other ? op === 'completions' && r.chance(50) : r.chance(50);
  const p = { op, provider, model, stream, other, knobs: knobs(r, stream, other), leave: {}, suffix: '' };
  const dice = r.below(100);
  if (dice < 12) {
    p.fault = r.pick([...faults.any, ...(stream ? faults.stream : faults.plain)]);
  } else if (dice < 14 && !other) {
    p.fault = stream && r.chance(70) ? `stall=${r.between(1, 5)}` : 'stall';
    p.suffix = '-slow';
  } else if (dice < 24 && !other) {
    p.suffix = r.chance(50) ? '-drain' : '';
    p.knobs.gap_ms = r.between(1, 4);
    p.knobs.ttft_ms = r.between(0, 40);
    p.leave = stream && r.chance(85) ? { chunks: r.between(1, 25) } : { ms: r.between(0, 60) };
  }
  if (other && !stream && (p.fault?.startsWith('stall') || counts))
    delete p.fault;
  if (p.fault)
    p.knobs.fault = p.fault;
  if (usage)
    p.usage = usage;
  return p;
}

// A conversation that the provider can hold.
function talk(r, p) {
  const c = conversation(r);
  if (p.provider === 'mistral' && c.thinking)
    Object.assign(c, { thinking: false, cap: 100 });
  return c;
}

async function perform(r, p) {
  const route = `${p.provider}-${p.model}${p.suffix}`;
  const key = keys[`acme.team.project.${p.other ? 'other' : p.op}`];
  const how = p.other ? others[p.op](r, route, p.stream) : clients[p.op](talk(r, p), route, p.stream, key);
  if (p.op === 'embeddings' && !['openai', 'azure'].includes(p.provider) && Array.isArray(how.body.input[0]))
    how.body.input = ['one', 'two three']; // tokens are for OpenAI only
  how.headers ??= how.google ? { 'x-goog-api-key': key }
    : how.anthropic ? { 'x-api-key': key, 'anthropic-version': '2023-06-01' } : { authorization: `Bearer ${key}` };
  const list = Object.entries(p.knobs).map(([k, v]) => (k === 'fault' ? `fault=${v}` : `${k}=${v}`)).join(';');
  if (!p.op.endsWith('count_tokens'))
    how.headers['x-sim-knobs'] = list;
  if (p.usage)
    how.headers['x-sim-usage'] = p.usage;
  const got = await send(new URL(r.pick(agents).url), how, p.leave);
  return { ...p, body: how.body, status: got.status, how: got.how, error: got.error, head: got.head,
    id: got.headers['x-request-id'], cost: got.headers['x-headgate-cost-nanousd'] };
}

test('the stack starts: two agents, twelve providers', async () => {
  const file = path.join(stack.dir, 'models.json');
  const list = models.map((id) => ({ id, kind: id === 'embed' ? 'embeddings' : 'chat', context_tokens: 2000000,
    max_output_tokens: 16000, dimensions: 64, prices: structuredClone(prices[id]) }));
  if (process.env.PLANT) // proves that a difference is seen
    list.find((m) => m.id === 'rich').prices.find((p) => p.class === 'reasoning').usd_per_mtok = '12.35';
  fs.writeFileSync(file, JSON.stringify({ models: list, aws }));
  await stack.startProvider({ models: file, apiKey: providerKey, canaries: ['hg-'] });
  await stack.startControl();
  const got = await stack.apply([
    ...configuration(stack.provider.url), ...tenant('acme', [...ops, 'other'], { budget: '1000000' })]);
  keys = got.secrets;
  // All clients begin at once, before any rights are there. On a busy machine
  // the first ones may take longer than the 2 s that a request waits; refusals
  // are not what is looked at here.
  agents = [1, 2].map((n) => stack.agent(`agent-${n}`, { args: ['--forward-sim-headers', '--lease-wait', '30s'] }));
  for (const a of agents)
    await a.start();
  await stack.settled();
  console.log(`# ${wanted} requests, at most ${seconds} s`);
}, { timeout: 120000 });

test('the traffic', async () => {
  const all = providers('');
  const started = Date.now();
  let next = 0;
  const client = async () => {
    while (next < wanted && Date.now() - started < seconds * 1000) {
      const r = new Random(seed * 1000003 + next++);
      sent.push(await perform(r, plan(r, all)));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
  const took = (Date.now() - started) / 1000;
  console.log(`# ${sent.length} requests in ${took.toFixed(1)} s, ${Math.round(sent.length / took)} a second`);
  assert(sent.length >= Math.min(wanted, 2000), `only ${sent.length} requests`);
}, { timeout: (seconds + 60) * 1000 });

test('what was asked without a fault is answered', () => {
  // Cohere's word for an answer that was blocked is an error.
  const fails = (s) => s.fault || (s.provider === 'cohere' && s.knobs.safety === 2);
  const clean = sent.filter((s) => !fails(s) && !s.leave.chunks && s.leave.ms === undefined);
  const bad = clean.filter((s) => s.status !== 200 || s.how !== 'end');
  const kinds = {};
  for (const s of bad) {
    const what = `${s.op} -> ${s.provider}${s.stream ? ' streamed' : ''}: ${s.status} ${s.how} ${s.error ?? ''} ${s.head.replace(/\s+/g, ' ').slice(0, 300)}`;
    kinds[what] = (kinds[what] ?? 0) + 1;
  }
  const worst = Object.entries(kinds).sort((a, b) => b[1] - a[1]).slice(0, Number(process.env.SHOW ?? 12));
  assert(bad.length === 0, `${bad.length} of ${clean.length}:\n${worst.map(([k, n]) => `${n} x ${k}`).join('\n')}`);
});

// ---- the books ----

let rows;
let books;

test('all usage arrives', async () => {
  await until('the provider to be idle', async () => (await stack.provider.stats()).active === 0, 60000, 200);
  await until('usage to be shipped', async () => {
    const { items } = await stack.rest.get('/v1/agents?limit=100');
    return items.every((a) => a.state === 'connected' && Number(a.unshipped) === 0);
  }, 60000, 200);
  let n = -1;
  await until('the ledger to be still', async () => {
    books = await ledger(stack.rest);
    const same = books.size === n;
    n = books.size;
    return same;
  }, 60000, 1500);
  rows = await stack.provider.bill();
  equal((await stack.provider.stats()).forbidden, 0, 'client keys at the provider');
}, { timeout: 200000 });

test('every billed request is in the ledger once', () => {
  const result = compare(rows, books);
  const show = (id) => JSON.stringify(result.lost.includes(id) ? rows.find((x) => `${x.request_id}/${x.attempt}` === id) : id);
  equal(result.duplicatedAtProvider, 0, 'rows of one attempt at the provider');
  assert(result.lost.length === 0, `${result.lost.length} lost, e.g. ${result.lost.slice(0, 3).map(show)}`);
  equal(result.duplicated.slice(0, 3), [], 'duplicated');
  const phantom = result.phantom.filter(({ entry }) => !entry.originals.some(isEstimate));
  equal(phantom.map((p) => p.entry.originals[0]).slice(0, 2), [], 'billed, but unknown to the provider');
});

const classes = (t) => Object.fromEntries(Object.entries(t ?? {}).filter(([, n]) => Number(n) !== 0)
  .map(([k, n]) => [k, Number(n)]).sort(([a], [b]) => (a < b ? -1 : 1)));
const total = (t) => Object.values(classes(t)).reduce((a, b) => a + b, 0);

test('tokens, classes and costs are those of the bill, unless flagged', () => {
  const byId = new Map(rows.map((row) => [`${row.request_id}/${row.attempt}`, row]));
  const wrong = [];
  const plans = new Map(sent.map((s) => [s.id, s]));
  for (const entry of books.values()) {
    const [one] = entry.originals;
    if (isEstimate(one))
      continue;
    const row = byId.get(entry.id) ?? { tokens: {}, cost_nanousd: 0 };
    const [got, want] = [classes(one.tokens), classes(row.tokens)];
    if (JSON.stringify(got) !== JSON.stringify(want) || BigInt(one.cost_nanousd) !== BigInt(row.cost_nanousd)) {
      const s = plans.get(one.request_id);
      wrong.push({ one: `${one.key} ${one.deployment} ${one.source} ${one.tier}`, got, want, cost: [one.cost_nanousd, row.cost_nanousd],
        tier: row.tier, streamed: row.streamed, op: row.op, fault: row.fault, knobs: s?.knobs, id: entry.id });
    }
  }
  const kinds = {};
  for (const w of wrong) {
    const kind = `${w.op} at ${w.one.split(' ')[1]} fault ${w.fault}`;
    (kinds[kind] ??= []).push(w);
  }
  assert(wrong.length === 0, `${wrong.length} rows differ:\n${Object.entries(kinds).slice(0, Number(process.env.SHOW ?? 8))
    .map(([k, list]) => `${list.length} x ${k}, e.g. ${JSON.stringify(list[0])}`).join('\n')}`);
});

// The rows of a pair of dialects: how many, how many estimated, how far off.
// Invented prompts (the simulator was told their tokens) cannot be estimated:
// their deviation is left out.
function pairs() {
  const plans = new Map(sent.map((s) => [s.id, s]));
  const byId = new Map(rows.map((row) => [`${row.request_id}/${row.attempt}`, row]));
  const table = {};
  const why = {};
  for (const entry of books.values()) {
    const [one] = entry.originals;
    const row = byId.get(entry.id);
    const s = plans.get(one.request_id);
    const client = one.key.split('.').at(-1);
    const name = client === 'other' ? `${s?.op ?? row?.op ?? 'other'} -> ${one.provider}` : `${client} -> ${one.provider}`;
    for (const t of [table[name] ??= { rows: 0, streamed: 0, flagged: 0, off: [], cost: [] },
      table.all ??= { rows: 0, streamed: 0, flagged: 0, off: [], cost: [] }]) {
      t.rows += 1;
      t.streamed += one.streamed ? 1 : 0;
      if (!isEstimate(one))
        continue;
      t.flagged += 1;
      if (!s || s.knobs.prompt_tokens !== undefined)
        continue;
      t.off.push(Math.abs(total(one.tokens) - total(row?.tokens)));
      t.cost.push(Math.abs(Number(one.cost_nanousd) - Number(row?.cost_nanousd ?? 0)));
    }
    if (isEstimate(one)) {
      const reason = s?.fault ?? (s?.how === 'end' ? `no fault, ${name}` : 'the client left');
      why[reason] = (why[reason] ?? 0) + 1;
    }
  }
  return { table, why };
}

test('flagged rows are few, and how far off they are is told', () => {
  const { table, why } = pairs();
  const mean = (list) => (list.length ? list.reduce((a, b) => a + b, 0) / list.length : 0);
  const head = ['pair', 'rows', 'streamed', 'flagged', 'mean tokens off', 'max', 'mean nano-USD off', 'max'];
  const lines = Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, t]) => [name, t.rows, t.streamed, t.flagged,
    mean(t.off).toFixed(1), Math.max(0, ...t.off), Math.round(mean(t.cost)), Math.max(0, ...t.cost)].map(String));
  const width = head.map((h, i) => Math.max(h.length, ...lines.map((l) => l[i].length)));
  for (const l of [head, ...lines])
    console.log(`# ${l.map((c, i) => (i ? c.padStart(width[i]) : c.padEnd(width[i]))).join('  ')}`);
  const { all } = table;
  console.log(`# flagged as estimated or partial: ${all.flagged} of ${all.rows} rows (${(100 * all.flagged / all.rows).toFixed(2)} %): `
    + Object.entries(why).sort((a, b) => b[1] - a[1]).map(([k, n]) => `${n} ${k}`).join(', '));
  assert(all.flagged < all.rows / 5, 'a fifth of the rows is flagged');
});

test('plain answers tell their cost, and it is what is booked', () => {
  const wrong = [];
  let checked = 0;
  const costs = new Map();
  for (const entry of books.values()) {
    for (const one of entry.originals)
      costs.set(one.request_id, (costs.get(one.request_id) ?? 0n) + BigInt(one.cost_nanousd));
  }
  const billed = new Map();
  for (const row of rows)
    billed.set(row.request_id, (billed.get(row.request_id) ?? 0n) + BigInt(row.cost_nanousd));
  const flagged = new Set([...books.values()].filter((e) => e.originals.some(isEstimate)).map((e) => e.originals[0].request_id));
  for (const s of sent) {
    if (s.status !== 200 || s.how !== 'end' || s.stream || s.op.endsWith('count_tokens'))
      continue;
    if (s.cost === undefined) {
      if (s.op !== 'speech')
        wrong.push(`${s.op} -> ${s.provider}: no cost header (${s.fault ?? 'no fault'})`);
      continue;
    }
    checked += 1;
    if (BigInt(s.cost) !== costs.get(s.id))
      wrong.push(`${s.op} -> ${s.provider} ${s.id}: header ${s.cost}, ledger ${costs.get(s.id)}`);
    else if (!flagged.has(s.id) && BigInt(s.cost) !== billed.get(s.id))
      wrong.push(`${s.op} -> ${s.provider} ${s.id}: header ${s.cost}, bill ${billed.get(s.id)}`);
  }
  console.log(`# ${checked} plain answers told their cost`);
  assert(wrong.length === 0, `${wrong.length}: ${wrong.slice(0, 6).join('\n')}`);
  assert(checked > sent.length / 5, `only ${checked}`);
});

test('after corrections from the bill, ledger and bill are equal', async () => {
  const fixes = corrections(rows, books);
  for (let i = 0; i < fixes.length; i += 1000) {
    const got = await stack.rest.post('/v1/usage/corrections', { reason: 'the provider\'s bill', items: fixes.slice(i, i + 1000) });
    equal([got.refused, got.not_found], [0, 0], 'refused, not found');
  }
  books = await ledger(stack.rest);
  const result = compare(rows, books);
  equal(result.lost, [], 'lost');
  equal(result.phantom.slice(0, 2), [], 'phantom');
  equal(result.drift.slice(0, 2).map((d) => ({ ...d, entry: d.entry.originals })), [], `drift of ${result.drift.length} rows`);
  const byId = new Map(rows.map((row) => [`${row.request_id}/${row.attempt}`, row]));
  const off = [...books.values()].filter((e) =>
    JSON.stringify(classes(e.tokens)) !== JSON.stringify(classes(byId.get(e.id)?.tokens)));
  equal(off.slice(0, 2), [], 'tokens');
  equal(result.ledgerCost, result.oracleCost, 'cost of all');
  const report = await stack.rest.get(`/v1/reports/chargeback?month=${new Date().toISOString().slice(0, 7)}&group_by=model`);
  equal(BigInt(report.totals.cost_nanousd), result.oracleCost, 'cost in the report');
  const budget = await stack.rest.get('/v1/budgets/acme.main/status');
  equal(BigInt(budget.spent_nanousd), result.oracleCost, 'spent of the budget');
  console.log(`# ${result.oracleRows} rows of the bill, ${fixes.length} corrections, $${Number(result.oracleCost) / 1e9} in all`);
}, { timeout: 120000 });

await run();
