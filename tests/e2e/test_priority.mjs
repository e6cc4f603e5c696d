#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Places are short: a slow deployment with two of them. Critical keys go first,
// batch goes on, whom the queue cannot hold is refused with a time to come back,
// who leaves gives up his turn, and every place comes back.
import { agree, reconcile } from './lib/bill.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const slow = 100; // ms that an answer takes at least
let agent;
let secrets;

teardown(() => stack.stop());

const key = (t) => secrets[`${t}.team.project.app`];
const body = (more = {}) => prompt('Hello.', {
  max_completion_tokens: 8, x_sim: { tokens: 4, ttft_ms: slow }, ...more });

test('the stack starts: two places, keys of each class', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir, { 'sim-small': { ttft_ms: slow } }), apiKey: providerKey,
  });
  await stack.startControl();
  const classes = { urgent: 'critical', plain: undefined, night: 'batch', other: 'batch' };
  ({ secrets } = await stack.apply([
    ...catalog(stack.provider.url, { max_concurrency: 2 }),
    ...Object.entries(classes).flatMap(([t, priority]) => tenant(t, ['app'], { budget: '100' })
      .map((i) => (i.kind === 'tenant' && priority
        ? item('tenant', i.name, { priority }) : i))),
    // one key of a batch tenant is critical all the same
    item('key', 'night.team.project.page', { priority: 'critical' }),
  ]));
  agent = stack.agent('agent-1', { workers: 2, args: ['--queue-wait', '40s', '--queue-max', '60'] });
  await agent.start();
  await stack.settled();
  for (const t of Object.keys(classes)) { // rights
    const r = await agent.chat(key(t), body());
    await r.text();
    equal(r.status, 200);
  }
}, { timeout: 120000 });

async function ask(k, more) {
  const start = Date.now();
  const r = await agent.chat(k, body(more));
  await r.text();
  return { status: r.status, ms: Date.now() - start,
    retry: Number(r.headers.get('retry-after-ms')) };
}

const waiting = (cls) => agent.metric(`headgate_queue_length{class="${cls}",at="deployment"}`);

// Takes all places until release(): nothing depends on how fast we are.
async function hold(n = 2) {
  const controllers = Array.from({ length: n }, () => new AbortController());
  const gone = controllers.map((c) => agent.chat(key('plain'), body({ x_sim: { tokens: 4, ttft_ms: 60000 } }), {},
    { signal: c.signal }).then((r) => r.text(), () => 'left'));
  await until('the places to be taken', async () => (await stack.provider.stats()).active === n);
  return async () => {
    controllers.forEach((c) => c.abort());
    await Promise.all(gone);
  };
}

test('critical goes before a queue of batch, and batch goes on', async () => {
  const release = await hold();
  let ended = 0;
  const order = (p) => p.then((q) => ({ ...q, at: ended++ }));
  const batch = Array.from({ length: 40 }, (_, i) => order(ask(key(i % 2 ? 'night' : 'other'))));
  await until('a queue', async () => (await waiting('batch')) === 40);
  const quick = Array.from({ length: 8 }, (_, i) =>
    order(ask(i % 2 ? key('urgent') : secrets['night.team.project.page'])));
  await until('critical ones in it', async () => (await waiting('critical')) === 8);
  await release();
  const [first, rest] = [await Promise.all(quick), await Promise.all(batch)];
  equal(first.map((q) => q.status).join(), Array(8).fill(200).join());
  equal(rest.map((q) => q.status).join(), Array(40).fill(200).join());
  // One of 17 is batch; two are served at once and may end in any order.
  const worst = Math.max(...first.map((q) => q.at));
  assert(worst < 12, `critical ones ended as ${first.map((q) => q.at + 1)} of 48`);
  assert(await agent.metric('headgate_queue_wait_seconds_count{class="critical",at="deployment"}') >= 8, 'no waits');
}, { timeout: 60000 });

test('under a lasting load of critical ones batch is served its part', async () => {
  const end = Date.now() + 6000;
  const count = { urgent: 0, night: 0 };
  const load = async (t) => {
    while (Date.now() < end) {
      const { status } = await ask(key(t));
      count[t] += status === 200 ? 1 : 0;
    }
  };
  await Promise.all([...Array(12).fill('urgent'), ...Array(12).fill('night')].map(load));
  // 16 : 1, and a rest when the load ends
  assert(count.night >= 3, JSON.stringify(count));
  assert(count.urgent > 5 * count.night, JSON.stringify(count));
}, { timeout: 60000 });

test('whom the queue cannot hold is refused at once', async () => {
  const release = await hold();
  const shed = [];
  const many = Array.from({ length: 150 }, async () => {
    const q = await ask(key('plain'));
    if (q.status !== 200)
      shed.push(q);
    return q;
  });
  await until('a full queue, and the others refused', async () =>
    shed.length === 90 && (await waiting('standard')) === 60);
  await release();
  const got = await Promise.all(many);
  equal(got.filter((q) => q.status === 200).length, 60, 'served');
  assert(shed.every((q) => q.status === 503 && q.retry >= 1000), 'without a time to come back');
}, { timeout: 60000 });

test('a higher class displaces the last of a lower one', async () => {
  const release = await hold();
  const batch = Array.from({ length: 60 }, () => ask(key('night')));
  await until('a full queue', async () => (await waiting('batch')) === 60);
  const quick = Array.from({ length: 12 }, () => ask(key('urgent')));
  await until('twelve to change', async () => (await waiting('critical')) === 12 && (await waiting('batch')) === 48);
  await release();
  equal((await Promise.all(quick)).map((q) => q.status).join(), Array(12).fill(200).join());
  const rest = await Promise.all(batch);
  equal([200, 503].map((status) => rest.filter((q) => q.status === status).length), [48, 12], 'batch served, displaced');
}, { timeout: 60000 });

test('who leaves the queue gives up his turn', async () => {
  const release = await hold();
  const controllers = Array.from({ length: 10 }, () => new AbortController());
  const left = controllers.map((c) => agent.chat(key('plain'), body(), {}, { signal: c.signal })
    .then((r) => r.text(), () => 'left'));
  await until('a queue', async () => (await waiting('standard')) === 10);
  controllers.forEach((c) => c.abort());
  await Promise.all(left);
  await until('an empty queue', async () => (await waiting('standard')) === 0);
  await release();
  equal((await ask(key('plain'))).status, 200);
}, { timeout: 60000 });

test('the books agree', async () => {
  agree(await reconcile(stack));
}, { timeout: 60000 });

await run();
