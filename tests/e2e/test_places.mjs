#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The agent itself is at its limit: four streams at once, six requests.
// Critical keys go first while batch floods, batch goes on, what cannot be in
// time is refused with a time to come back, and every place comes back.
import { agree, reconcile } from './lib/bill.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const slow = 100; // ms that an answer takes at least
const streams = 4;
const requests = 6;
let agent;
let secrets;

teardown(() => stack.stop());

const key = (t) => secrets[`${t}.team.project.app`];

test('the stack starts: few places of the agent, keys of each class', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir, { 'sim-small': { ttft_ms: slow } }), apiKey: providerKey,
  });
  await stack.startControl();
  const classes = { urgent: 'critical', plain: undefined, night: 'batch', other: 'batch' };
  ({ secrets } = await stack.apply([
    ...catalog(stack.provider.url),
    ...Object.entries(classes).flatMap(([t, priority]) => tenant(t, ['app'], { budget: '100' })
      .map((i) => (i.kind === 'tenant' && priority
        ? item('tenant', i.name, { priority }) : i))),
  ]));
  agent = stack.agent('agent-1', { workers: 2, args: ['--queue-wait', '6s', '--queue-max', '60',
    '--max-streams', String(streams), '--max-requests', String(requests)] });
  await agent.start();
  await stack.settled();
  for (const t of Object.keys(classes)) // rights
    equal((await ask(key(t), { stream: false })).status, 200);
}, { timeout: 120000 });

async function ask(k, { ms = slow, stream = true } = {}) {
  const start = Date.now();
  const r = await agent.chat(k, prompt('Hello.', { stream, max_completion_tokens: 8,
    x_sim: { tokens: 4, ttft_ms: ms } }));
  const text = await r.text();
  return { status: r.status, ms: Date.now() - start, text,
    retry: Number(r.headers.get('retry-after-ms')) };
}

const waiting = (cls, at = 'streams') =>
  agent.metric(`headgate_queue_length{class="${cls}",at="${at}"}`);

test('critical goes before a flood of batch, and batch goes on', async () => {
  const batch = Array.from({ length: 60 }, (_, i) => ask(key(i % 2 ? 'night' : 'other')));
  await until('a queue', async () => (await waiting('batch')) >= 40, 5000, 5);
  const quick = [];
  for (let i = 0; i < 6; i++)
    quick.push(await ask(key('urgent')));
  const got = await Promise.all(batch);
  equal(quick.map((q) => q.status).join(), Array(6).fill(200).join());
  equal(got.map((q) => q.status).join(), Array(60).fill(200).join());
  assert(got.every((q) => q.text.includes('[DONE]')), 'a stream without its end');
  const worst = Math.max(...quick.map((q) => q.ms));
  const last = Math.max(...got.map((q) => q.ms));
  assert(worst < last / 2, `critical took up to ${worst} ms, batch up to ${last} ms`);
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
  await Promise.all([...Array(16).fill('urgent'), ...Array(16).fill('night')].map(load));
  assert(count.night >= 5, JSON.stringify(count));
  assert(count.urgent > 5 * count.night, JSON.stringify(count));
}, { timeout: 60000 });

test('requests that are not streamed wait for places of their own kind', async () => {
  const held = Array.from({ length: 30 }, () => ask(key('night'), { stream: false }));
  await until('a queue', async () => (await waiting('batch', 'requests')) >= 20, 5000, 5);
  const quick = await ask(key('urgent'), { stream: false });
  const ends = await Promise.all(held);
  equal(quick.status, 200);
  const last = Math.max(...ends.map((q) => q.ms));
  assert(quick.ms < last * 0.7, `critical took ${quick.ms} ms, batch up to ${last} ms`);
  equal(ends.map((q) => q.status).join(), Array(30).fill(200).join());
}, { timeout: 60000 });

test('a critical one displaces the last of batch in a full queue', async () => {
  const batch = Array.from({ length: 64 }, () => ask(key('night'), { ms: 50 }));
  await until('a full queue', async () => (await waiting('batch')) >= 50, 5000, 5);
  const quick = await Promise.all(Array.from({ length: 12 }, () => ask(key('urgent'))));
  equal(quick.map((q) => q.status).join(), Array(12).fill(200).join());
  await Promise.all(batch);
}, { timeout: 60000 });

test('what cannot be served in time is refused, most at once', async () => {
  const got = await Promise.all(Array.from({ length: 150 }, () => ask(key('plain'), { ms: 600 })));
  const ok = got.filter((q) => q.status === 200);
  const shed = got.filter((q) => q.status === 503);
  equal(ok.length + shed.length, 150);
  assert(ok.length >= 20 && shed.length >= 80, `${ok.length} served, ${shed.length} shed`);
  assert(shed.every((q) => q.retry >= 1000), 'without a time to come back');
  assert(shed.every((q) => q.text.includes('as many streams as it can')), shed[0].text);
  const late = shed.filter((q) => q.ms >= 3000).length;
  assert(late < shed.length / 2, `${late} of ${shed.length} refused late`);
  assert(shed.every((q) => q.ms < 9000), 'waited longer than may be');
}, { timeout: 60000 });

test('who leaves gives up his turn; the books agree', async () => {
  const held = Array.from({ length: streams }, () => ask(key('plain'), { ms: 1500 }));
  await until('all places taken', async () =>
    (await stack.provider.stats()).active === streams, 1400, 5);
  const controllers = Array.from({ length: 10 }, () => new AbortController());
  const left = controllers.map((c) => agent.chat(key('plain'),
    prompt('Hello.', { stream: true }), {}, { signal: c.signal })
    .then((r) => r.text(), () => 'left'));
  await until('a queue', async () => (await waiting('standard')) === 10, 1400, 5);
  controllers.forEach((c) => c.abort());
  await Promise.all(left);
  await until('an empty queue', async () => (await waiting('standard')) === 0, 1400, 5);
  await Promise.all(held);
  const all = await Promise.all(Array.from({ length: streams }, () => ask(key('plain'))));
  equal(all.map((q) => q.status).join(), Array(streams).fill(200).join());
  agree(await reconcile(stack));
}, { timeout: 60000 });

await run();
