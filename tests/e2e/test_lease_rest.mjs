#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A lease that rests: an agent with a little steady traffic is given rights for
// minutes and falls silent. When another agent's requests need those rights,
// it is told, and they are served at once, not when it would report again.
import { agree, reconcile } from './lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { delay, until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const limit = 1_000_000_000;
let quiet;
let busy;
let key;
let going = true;
let traffic;
let failed = 0;

teardown(async () => {
  going = false;
  await traffic;
  await stack.stop();
});

test('the stack starts', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir, { 'sim-large': { ttft_ms: 2 } }), apiKey: providerKey,
  });
  await stack.startControl();
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url),
    ...tenant('calm', ['app'], { budget: '1.00', period: 'year' }),
  ]);
  key = secrets['calm.team.project.app'];
  quiet = stack.agent('agent-1');
  busy = stack.agent('agent-2');
  await quiet.start();
  await busy.start();
  await stack.settled();
}, { timeout: 120000 });

async function lease() {
  const status = await stack.rest.get('/v1/budgets/calm.main/status');

  return { free: Number(status.free_nanousd), leased: Number(status.leased_nanousd) };
}

// 0.0003 USD each 300 ms is 0.001 a second: ten seconds of it are 0.01.
test('an agent with steady traffic holds rights for minutes', async () => {
  traffic = (async () => {
    while (going) {
      const r = await quiet.chat(key, prompt('Spend it.', {
        model: 'sim-large', max_completion_tokens: 30, x_sim: { tokens: 28 },
      }));
      await r.text();
      failed += r.status !== 200;
      await delay(300);
    }
  })();
  await until('rights for minutes', async () => (await lease()).leased >= 0.1e9, 60000);
}, { timeout: 90000 });

// Streams that go on for a while, each held at its worst case when it begins,
// more of them than what is free pays for.
test('what it holds is given back when others need it, at once', async () => {
  const now = await lease();
  // 4096 tokens out are 0.041 USD, with what goes in it is some 0.047.
  const n = Math.floor((now.free + now.leased * 0.8) / 0.0485e9);
  assert(n * 0.041e9 > now.free, JSON.stringify(now));
  const recalls = await quiet.metric('headgate_lease_recalls_total');
  const from = Date.now();
  const took = await Promise.all(Array.from({ length: n }, async () => {
    const r = await busy.chat(key, prompt('A long story.', {
      model: 'sim-large', stream: true, max_completion_tokens: 4096,
      x_sim: { tokens: 40, events: 4, gap_ms: 1200 },
    }));
    const at = Date.now() - from;
    await r.text();
    return { status: r.status, at, shrunk: r.headers.get('x-headgate-max-output-tokens') };
  }));
  const slowest = Math.max(...took.map((t) => t.at));
  console.log(`# ${n} streams, free ${now.free}, leased ${now.leased}: the last began after ${slowest} ms`);
  for (const t of took)
    assert(t.status === 200 && t.shrunk === null, JSON.stringify(took));
  assert(slowest < 2000, `served after ${slowest} ms`);
  assert(await quiet.metric('headgate_lease_recalls_total') > recalls, 'nothing was recalled');
}, { timeout: 60000 });

test('the bill is right and nobody was refused', async () => {
  going = false;
  await traffic;
  equal(failed, 0, 'refused on the quiet agent');
  agree(await reconcile(stack));
  const now = await stack.rest.get('/v1/budgets/calm.main/status');
  assert(Number(now.spent_nanousd) <= limit, JSON.stringify(now));
}, { timeout: 60000 });

await run();
