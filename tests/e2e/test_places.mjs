#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The agent itself is at its limit: four streams at once, six requests.
// Critical keys go first while batch floods, batch goes on, whom the queue
// cannot hold is refused with a time to come back, and every place comes back.
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
let hasty; // lets nobody wait for long
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
  [agent, hasty] = ['40s', '6s'].map((wait, i) => stack.agent(`agent-${i + 1}`, { workers: 2,
    args: ['--queue-wait', wait, '--queue-max', '60', '--max-streams', String(streams), '--max-requests', String(requests)] }));
  await agent.start();
  await hasty.start();
  await stack.settled();
  for (const t of Object.keys(classes)) // rights
    equal((await ask(key(t), { stream: false })).status, 200);
}, { timeout: 120000 });

async function ask(k, { ms = slow, stream = true, at = agent } = {}) {
  const start = Date.now();
  const r = await at.chat(k, prompt('Hello.', { stream, max_completion_tokens: 8,
    x_sim: { tokens: 4, ttft_ms: ms } }));
  const text = await r.text();
  return { status: r.status, ms: Date.now() - start, text,
    retry: Number(r.headers.get('retry-after-ms')) };
}

const waiting = (cls, at = 'streams') =>
  agent.metric(`headgate_queue_length{class="${cls}",at="${at}"}`);

// Takes places until release(): nothing depends on how fast we are.
async function hold(n, stream) {
  const controllers = Array.from({ length: n }, () => new AbortController());
  const gone = controllers.map((c) => agent.chat(key('plain'), prompt('Hold.', { stream, max_completion_tokens: 8,
    x_sim: { tokens: 4, ttft_ms: 60000 } }), {}, { signal: c.signal }).then((r) => r.text(), () => 'left'));
  await until('the places to be taken', async () => (await stack.provider.stats()).active === n);
  return async () => {
    controllers.forEach((c) => c.abort());
    await Promise.all(gone);
  };
}

// Batch waits, then critical ones come, then places come free: in which order
// they end, [critical, batch], each {at, status, text}.
async function race(n, late, stream, at) {
  const release = await hold(stream ? streams : requests, stream);
  let ended = 0;
  const order = (p) => p.then((q) => ({ ...q, at: ended++ }));
  const batch = Array.from({ length: n }, (_, i) => order(ask(key(i % 2 ? 'night' : 'other'), { stream })));
  await until('a queue', async () => (await waiting('batch', at)) === n);
  const quick = Array.from({ length: late }, () => order(ask(key('urgent'), { stream })));
  await until('critical ones in it', async () => (await waiting('critical', at)) === late);
  await release();
  const [first, rest] = [await Promise.all(quick), await Promise.all(batch)];
  equal(first.map((q) => q.status).join(), Array(late).fill(200).join());
  equal(rest.map((q) => q.status).join(), Array(n).fill(200).join());
  return [first, rest];
}

test('critical goes before a flood of batch, and batch goes on', async () => {
  const [first, rest] = await race(50, 6, true, 'streams');
  assert(rest.every((q) => q.text.includes('[DONE]')), 'a stream without its end');
  // One of 17 is batch; four are served at once and may end in any order.
  assert(Math.max(...first.map((q) => q.at)) < 12, `critical ones ended as ${first.map((q) => q.at + 1)} of 56`);
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
  const [[first]] = await race(24, 1, false, 'requests');
  assert(first.at < requests, `the critical one ended as number ${first.at + 1}`);
}, { timeout: 60000 });

test('a critical one displaces the last of batch in a full queue', async () => {
  const release = await hold(streams, true);
  const batch = Array.from({ length: 60 }, () => ask(key('night')));
  await until('a full queue', async () => (await waiting('batch')) === 60);
  const quick = Array.from({ length: 12 }, () => ask(key('urgent')));
  await until('twelve to change', async () => (await waiting('critical')) === 12 && (await waiting('batch')) === 48);
  await release();
  equal((await Promise.all(quick)).map((q) => q.status).join(), Array(12).fill(200).join());
  const rest = await Promise.all(batch);
  equal([200, 503].map((status) => rest.filter((q) => q.status === status).length), [48, 12], 'batch served, displaced');
}, { timeout: 60000 });

test('whom the queue cannot hold is refused at once', async () => {
  const release = await hold(streams, true);
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
  assert(shed.every((q) => q.text.includes('as many streams as it can')), shed[0].text);
}, { timeout: 60000 });

test('what cannot be served in time is refused, most at once', async () => {
  const got = await Promise.all(Array.from({ length: 150 }, () => ask(key('plain'), { ms: 600, at: hasty })));
  const ok = got.filter((q) => q.status === 200);
  const shed = got.filter((q) => q.status === 503);
  equal(ok.length + shed.length, 150);
  assert(ok.length >= 20 && shed.length >= 80, `${ok.length} served, ${shed.length} shed`);
  assert(shed.every((q) => q.retry >= 1000), 'without a time to come back');
  const late = shed.filter((q) => q.ms >= 3000).length;
  assert(late < shed.length / 2, `${late} of ${shed.length} refused late`);
  // 6 s, and as long again for the answers to reach us on a busy machine
  assert(shed.every((q) => q.ms < 12000), 'waited longer than may be');
}, { timeout: 60000 });

test('who leaves gives up his turn; the books agree', async () => {
  const release = await hold(streams, true);
  const controllers = Array.from({ length: 10 }, () => new AbortController());
  const left = controllers.map((c) => agent.chat(key('plain'),
    prompt('Hello.', { stream: true }), {}, { signal: c.signal })
    .then((r) => r.text(), () => 'left'));
  await until('a queue', async () => (await waiting('standard')) === 10);
  controllers.forEach((c) => c.abort());
  await Promise.all(left);
  await until('an empty queue', async () => (await waiting('standard')) === 0);
  await release();
  const all = await Promise.all(Array.from({ length: streams }, () => ask(key('plain'))));
  equal(all.map((q) => q.status).join(), Array(streams).fill(200).join());
  agree(await reconcile(stack));
}, { timeout: 60000 });

await run();
