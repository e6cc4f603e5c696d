// SPDX-License-Identifier: Apache-2.0
// One HARD budget of 10 USD, eight agents, 200 clients each, all at once,
// until every client is told that the budget is exhausted. Overspend must be
// nothing. Each refusal on the way is held against the provider's log: was
// there money for the request when it was refused? And what is left at the end?
import { agree, reconcile } from '../e2e/lib/bill.mjs';
import { item, providerKey } from '../e2e/lib/fixture.mjs';
import { delay, until } from '../e2e/lib/proc.mjs';
import { Stack } from '../e2e/lib/stack.mjs';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

export const title = 'budget race: 8 agents x 200 clients on one 10 USD HARD budget';

const AGENTS = 8;
const CLIENTS = 200;
const LIMIT = 10_000_000_000n; // nano-USD
const CAP = 100; // max_completion_tokens
const INPUT = 1000n; // nano-USD a token
const OUTPUT = 40_000n;
const prices = [{ class: 'input', usd_per_mtok: '1' }, { class: 'output', usd_per_mtok: '40' }];

function models(dir) {
  const file = path.join(dir, 'models.json');
  fs.writeFileSync(file, JSON.stringify({ models: [{
    id: 'race', kind: 'chat', context_tokens: 128000, max_output_tokens: 4096, prices,
    knobs: { ttft_ms: 20 },
  }] }));
  return file;
}

function config(url) {
  return [
    item('provider', 'sim', { dialect: 'openai', base_url: `${url}/v1`, credential: providerKey }),
    item('model', 'race', { context_tokens: 128000, max_output_tokens: 4096,
      capabilities: ['chat'], prices }),
    item('deployment', 'race-1', { model: 'race', provider: 'sim', upstream_model: 'race' }),
    item('route', 'race', { targets: [{ deployment: 'race-1' }] }),
    item('tenant', 'acme'), item('team', 'acme.t'), item('project', 'acme.t.p'),
    item('key', 'acme.t.p.k'),
    item('budget', 'acme.main', { scope: 'acme', limit_usd: '10', mode: 'hard', period: 'once' }),
  ];
}

// One request over a kept-alive connection; {status, code, id}.
function ask(agent, pool, key, tokens) {
  const body = JSON.stringify({ model: 'race', max_completion_tokens: CAP,
    messages: [{ role: 'user', content: 'race' }], x_sim: { tokens } });
  return new Promise((resolve) => {
    const req = http.request({ host: '127.0.0.1', port: agent.ports.data, method: 'POST',
      path: '/v1/chat/completions', agent: pool, headers: { authorization: `Bearer ${key}`,
        'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } }, (res) => {
      const parts = [];
      res.on('data', (d) => parts.push(d));
      res.on('end', () => {
        let code = '';
        if (res.statusCode !== 200)
          try { code = JSON.parse(Buffer.concat(parts)).error.code; } catch { code = 'unreadable'; }
        resolve({ status: res.statusCode, code, id: res.headers['x-request-id'] });
      });
      res.on('error', () => resolve({ status: 0, code: 'broken' }));
    });
    req.on('error', (e) => resolve({ status: 0, code: e.code ?? 'error' }));
    req.end(body);
  });
}

async function client(agent, pool, key, count, asked, seed) {
  for (let i = 0; ; i++) {
    const tokens = 20 + ((seed * 31 + i * 7) % 80);
    const r = await ask(agent, pool, key, tokens);
    const what = r.status === 200 ? 'ok' : r.code;
    count[what] = (count[what] ?? 0) + 1;
    asked.push({ agent, id: r.id, code: r.code, output: BigInt(tokens) * OUTPUT });
    if (r.code === 'budget_exhausted')
      return;
    if (r.status !== 200)
      await delay(20 + ((seed + i) % 30));
  }
}

// What the agents say of each request: when it was decided, what it held.
async function explain(asked) {
  const todo = asked.slice();
  const pool = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const get = (url) => new Promise((resolve, reject) => {
    http.get(url, { agent: pool }, (res) => {
      const parts = [];
      res.on('data', (d) => parts.push(d));
      res.on('end', () => (res.statusCode === 200
        ? resolve(JSON.parse(Buffer.concat(parts))) : resolve(null)));
    }).on('error', reject);
  });
  const next = async () => {
    for (let q = todo.pop(); q; q = todo.pop()) {
      const x = await get(`${q.agent.statusUrl}/v1/explain/${q.id}`);
      if (!x)
        continue;
      q.begin = Date.parse(x.started_at) + x.waited_us / 1000;
      q.end = Date.parse(x.started_at) + x.duration_us / 1000;
      q.held = BigInt(x.reserved_nanousd);
    }
  };
  await Promise.all(Array.from({ length: 8 }, next));
  pool.destroy();
}

// Which refusals would one ledger that sees everything at once have spared? It
// knows what is settled (as the provider billed it) and what requests in flight
// reserved, serves the refused one if the rest pays for the least that it could
// have been shrunk to, and then has that much less: it holds it for as long as
// a request takes, and what it costs for good. So a rest that pays for one more
// request is one false refusal, however many ask for it at the same time.
// `hindsight`: how many could have been served by one that knows, too, what each
// will cost in the end.
function judge(bill, asked) {
  const costs = new Map(bill.map((row) => [row.request_id, BigInt(row.cost_nanousd)]));
  const input = BigInt(bill[0]?.tokens.input ?? 0) * INPUT;
  const max = (a, b) => (a > b ? a : b);
  const min = (a, b) => (a < b ? a : b);
  const steps = [];
  const times = [];
  // 64 tokens out (SHRINK_MIN), and the bound of the input.
  const held = asked.map((q) => q.held ?? 0n).reduce(max, 0n);
  const least = held - BigInt(CAP - 64) * OUTPUT;
  const found = { budget_busy: 0, budget_exhausted: 0, hindsight: 0, unknown: 0 };
  const back = []; // of those that would have been served: when, how much
  let known = 0n;
  let hindsight = 0n;
  let i = 0;

  for (const q of asked) {
    const cost = costs.get(q.id);
    if (q.end === undefined) {
      found.unknown += 1;
    } else if (cost !== undefined) {
      steps.push({ at: q.begin, known: q.held, hindsight: cost },
        { at: q.end, known: cost - q.held, hindsight: 0n });
      times.push(q.end - q.begin);
    }
  }
  steps.sort((a, b) => a.at - b.at);
  times.sort((a, b) => a - b);
  for (const q of asked.filter((r) => r.code in found && r.end !== undefined)
    .sort((a, b) => a.end - b.end)) {
    for (; i < steps.length && steps[i].at <= q.end; i++) {
      known += steps[i].known;
      hindsight += steps[i].hindsight;
    }
    while (back.length > 0 && back[0].at <= q.end)
      known -= back.shift().rest;
    if (LIMIT - known >= least) {
      const hold = min(held, LIMIT - known);
      found[q.code] += 1;
      known += hold;
      back.push({ at: q.end + times[times.length >> 1], rest: max(0n, hold - input - q.output) });
    }
    if (LIMIT - hindsight >= input + q.output) {
      found.hindsight += 1;
      hindsight += input + q.output; // served, it would have left less
    }
  }
  return found;
}

// How waiting for rights ended, over all agents.
async function waits(agents) {
  const sum = {};
  for (const a of agents)
    for (const [, outcome, n] of (await (await fetch(`${a.statusUrl}/metrics`)).text())
      .matchAll(/^headgate_lease_waits_total\{outcome="(\w+)"\} (\d+)/gm))
      sum[outcome] = (sum[outcome] ?? 0) + Number(n);
  return sum;
}

async function trial({ log }) {
  const stack = new Stack();
  const count = {};
  const asked = [];
  try {
    await stack.startProvider({ models: models(stack.dir), apiKey: providerKey });
    await stack.startControl();
    const { secrets } = await stack.apply(config(stack.provider.url));
    const agents = Array.from({ length: AGENTS }, (_, i) => stack.agent(`agent-${i}`));
    await Promise.all(agents.map((a) => a.start()));
    await stack.settled(30000);
    const started = Date.now();
    await Promise.all(agents.flatMap((a, n) => {
      const pool = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
      return Array.from({ length: CLIENTS }, (_, c) =>
        client(a, pool, secrets['acme.t.p.k'], count, asked, n * CLIENTS + c));
    }));
    const seconds = (Date.now() - started) / 1000;
    await explain(asked);
    const result = await reconcile(stack, 60000);
    agree(result);
    const status = await until('rights to come back', async () => {
      const s = await stack.rest.get('/v1/budgets/acme.main/status');
      return s.leased_nanousd === 0 && s;
    }, 30000);
    const spent = BigInt(status.spent_nanousd);
    const worst = 40_000n * BigInt(CAP) + 1_000n * 200n; // a reservation, roughly
    const left = LIMIT - spent;
    const found = judge(await stack.provider.bill(), asked);
    if (found.unknown > 0)
      throw new Error(`${found.unknown} requests cannot be judged: the agents forgot them`);
    // What was left would have paid for this many, yet all were turned away.
    const blocked = left > worst ? Number(left / worst) : 0;
    log(`${JSON.stringify(count)} in ${seconds.toFixed(1)} s; spent ${spent} of ${LIMIT}, ` +
      `left ${left}; refused though there was money: ${JSON.stringify(found)}; ` +
      `waits for rights: ${JSON.stringify(await waits(agents))}`);
    await stack.stop();
    const refused = found.budget_busy + found.budget_exhausted;
    return { result, spent, blocked: blocked + refused, found, count,
      affordable: (count.ok ?? 0) + blocked + refused };
  } catch (e) {
    await stack.stop().catch(() => {});
    throw e;
  }
}

export async function run(ctx) {
  const trials = ctx.soak ? 50 : 2;
  const sum = { requests_metered: 0, budget_races: 0, lost: 0, duplicated: 0,
    cost_drift_nanousd: 0, overspend_hard_nanousd: 0, false_busy: 0, false_exhausted: 0 };
  let blocked = 0;
  let hindsight = 0;
  let affordable = 0;
  for (let i = 0; i < trials; i++) {
    const t = await trial(ctx);
    sum.budget_races += 1;
    sum.requests_metered += t.result.ledgerRows;
    sum.lost = Math.max(sum.lost, t.result.lost.length);
    sum.duplicated = Math.max(sum.duplicated, t.result.duplicated.length);
    sum.cost_drift_nanousd = Math.max(sum.cost_drift_nanousd,
      Math.abs(Number(t.result.oracleCost - t.result.ledgerCost)));
    sum.overspend_hard_nanousd = Math.max(sum.overspend_hard_nanousd,
      Number(t.spent > LIMIT ? t.spent - LIMIT : 0n));
    sum.false_busy += t.found.budget_busy;
    sum.false_exhausted += t.found.budget_exhausted;
    hindsight += t.found.hindsight;
    blocked += t.blocked;
    affordable += t.affordable;
  }
  sum.false_block_rate = affordable > 0 ? blocked / affordable : 1;
  sum.false_block_rate_hindsight = affordable > 0 ? hindsight / (affordable + hindsight) : 1;
  if (sum.overspend_hard_nanousd > 0 || sum.false_block_rate >= 0.001)
    throw Object.assign(new Error(`overspend ${sum.overspend_hard_nanousd}, ` +
      `false blocks ${blocked} of ${affordable}`), { figures: sum });
  return sum;
}
