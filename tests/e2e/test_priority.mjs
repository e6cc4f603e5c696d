#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Places are short: a slow deployment with two of them. Critical keys go first,
// batch goes on, what cannot be in time is refused with a time to come back,
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
  agent = stack.agent('agent-1', { workers: 2, args: ['--queue-wait', '4s', '--queue-max', '60'] });
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

test('critical goes before a queue of batch, and batch goes on', async () => {
  const batch = Array.from({ length: 40 }, (_, i) => ask(key(i % 2 ? 'night' : 'other')));
  await until('a queue', async () => (await waiting('batch')) >= 30, 5000, 5);
  const quick = [];
  for (let i = 0; i < 4; i++) {
    quick.push(await ask(key('urgent')));
    quick.push(await ask(secrets['night.team.project.page']));
  }
  const got = await Promise.all(batch);
  equal(quick.map((q) => q.status).join(), Array(8).fill(200).join());
  equal(got.map((q) => q.status).join(), Array(40).fill(200).join());
  // A place comes free each 50 ms; each waits for the next one and is served.
  const worst = Math.max(...quick.map((q) => q.ms));
  const last = Math.max(...got.map((q) => q.ms));
  assert(worst < last / 2, `critical took up to ${worst} ms, batch up to ${last} ms`);
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

test('what cannot be served in time is refused at once', async () => {
  const many = Array.from({ length: 150 }, () => ask(key('plain')));
  const got = await Promise.all(many);
  const ok = got.filter((q) => q.status === 200);
  const shed = got.filter((q) => q.status === 503);
  equal(ok.length + shed.length, 150);
  assert(ok.length >= 40 && shed.length >= 60, `${ok.length} served, ${shed.length} shed`);
  assert(shed.every((q) => q.retry >= 1000), 'without a time to come back');
}, { timeout: 60000 });

test('a higher class displaces the last of a lower one', async () => {
  const batch = Array.from({ length: 61 }, () => ask(key('night'), { x_sim: { tokens: 4, ttft_ms: 60 } }));
  await until('a full queue', async () => (await waiting('batch')) >= 50, 5000, 5);
  const quick = await Promise.all(Array.from({ length: 12 }, () => ask(key('urgent'))));
  equal(quick.map((q) => q.status).join(), Array(12).fill(200).join());
  await Promise.all(batch);
}, { timeout: 60000 });

test('who leaves the queue gives up his turn', async () => {
  const held = [ask(key('plain'), { x_sim: { tokens: 4, ttft_ms: 1500 } }),
    ask(key('plain'), { x_sim: { tokens: 4, ttft_ms: 1500 } })];
  const controllers = Array.from({ length: 10 }, () => new AbortController());
  const left = controllers.map((c) => agent.chat(key('plain'), body(), {}, { signal: c.signal })
    .then((r) => r.text(), () => 'left'));
  await until('a queue', async () => (await waiting('standard')) >= 8, 1400, 5);
  controllers.forEach((c) => c.abort());
  await Promise.all(left);
  await until('an empty queue', async () => (await waiting('standard')) === 0, 1400, 5);
  await Promise.all(held);
  equal((await ask(key('plain'))).status, 200);
}, { timeout: 60000 });

test('the books agree', async () => {
  agree(await reconcile(stack));
}, { timeout: 60000 });

await run();
