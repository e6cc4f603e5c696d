// SPDX-License-Identifier: Apache-2.0
// One HARD budget of 10 USD, eight agents, 200 clients each, all at once,
// until every client is told that the budget is exhausted. Overspend must be
// nothing; what is left, and whether a request that it could pay for was
// refused for good, is measured.
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

// One request over a kept-alive connection; {status, code}.
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
        resolve({ status: res.statusCode, code });
      });
      res.on('error', () => resolve({ status: 0, code: 'broken' }));
    });
    req.on('error', (e) => resolve({ status: 0, code: e.code ?? 'error' }));
    req.end(body);
  });
}

async function client(agent, pool, key, count, seed) {
  for (let i = 0; ; i++) {
    const r = await ask(agent, pool, key, 20 + ((seed * 31 + i * 7) % 80));
    const what = r.status === 200 ? 'ok' : r.code;
    count[what] = (count[what] ?? 0) + 1;
    if (r.code === 'budget_exhausted')
      return;
    if (r.status !== 200)
      await delay(20 + ((seed + i) % 30));
  }
}

async function trial({ log }) {
  const stack = new Stack();
  const count = {};
  try {
    await stack.startProvider({ models: models(stack.dir), apiKey: providerKey });
    await stack.startControl();
    const { secrets } = await stack.apply(config(stack.provider.url));
    const agents = Array.from({ length: AGENTS }, (_, i) => stack.agent(`agent-${i}`, { workers: 1 }));
    await Promise.all(agents.map((a) => a.start()));
    await stack.settled(30000);
    const started = Date.now();
    await Promise.all(agents.flatMap((a, n) => {
      const pool = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
      return Array.from({ length: CLIENTS }, (_, c) =>
        client(a, pool, secrets['acme.t.p.k'], count, n * CLIENTS + c));
    }));
    const seconds = (Date.now() - started) / 1000;
    const result = await reconcile(stack, 60000);
    agree(result);
    const status = await until('rights to come back', async () => {
      const s = await stack.rest.get('/v1/budgets/acme.main/status');
      return s.leased_nanousd === 0 && s;
    }, 30000);
    const spent = BigInt(status.spent_nanousd);
    const worst = 40_000n * BigInt(CAP) + 1_000n * 200n; // a reservation, roughly
    const left = LIMIT - spent;
    // What was left would have paid for this many, yet all were turned away.
    const blocked = left > worst ? Number(left / worst) : 0;
    log(`${JSON.stringify(count)} in ${seconds.toFixed(1)} s; spent ${spent} of ${LIMIT}, ` +
      `left ${left}`);
    await stack.stop();
    return { result, spent, blocked, affordable: (count.ok ?? 0) + blocked, count };
  } catch (e) {
    await stack.stop().catch(() => {});
    throw e;
  }
}

export async function run(ctx) {
  const trials = ctx.soak ? 50 : 2;
  const sum = { requests_metered: 0, budget_races: 0, lost: 0, duplicated: 0,
    cost_drift_nanousd: 0, overspend_hard_nanousd: 0 };
  let blocked = 0;
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
    blocked += t.blocked;
    affordable += t.affordable;
  }
  sum.false_block_rate = affordable > 0 ? blocked / affordable : 1;
  if (sum.overspend_hard_nanousd > 0 || sum.false_block_rate >= 0.001)
    throw Object.assign(new Error(`overspend ${sum.overspend_hard_nanousd}, ` +
      `false blocks ${blocked} of ${affordable}`), { figures: sum });
  return sum;
}
