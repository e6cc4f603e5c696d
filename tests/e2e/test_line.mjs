#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The line between agents and control plane behind a proxy that swallows bytes:
// connections that never hear that they are dead. Once bytes pass again, every
// agent is in contact within the time that docs/ARCHITECTURE.md promises.
import { FaultProxy } from '../reliability/lib/faultproxy.mjs';
import { catalog, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, run, teardown, test } from './lib/tap.mjs';

const AGENTS = ['agent-1', 'agent-2', 'agent-3'];
const MARGIN_MS = 5000; // for a busy machine

const stack = new Stack({ allow: [/no contact/, /cannot|broke|answer|connected/] });
let proxy;

teardown(async () => {
  await stack.stop();
  await proxy?.close();
});

const beats = (a) => a.metric('headgate_control_requests_total');
const connected = (a) => a.metric('headgate_control_connected');

// How long until every agent is answered.
async function healed(bound, what) {
  const since = Date.now();
  const before = await Promise.all(stack.agents.map(beats));
  await until(`all agents in contact after ${what}`, async () => {
    for (const [i, a] of stack.agents.entries())
      if (await connected(a) !== 1 || await beats(a) === before[i])
        return false;
    return true;
  }, bound + 20000);
  const took = Date.now() - since;
  console.log(`# ${what}: contact after ${took} ms`);
  assert(took <= bound + MARGIN_MS, `${what}: ${took} ms, ${bound} ms are promised`);
}

const lost = (ms) => until('no agent in contact', async () =>
  (await Promise.all(stack.agents.map(connected))).every((n) => n === 0), ms);

test('a control plane whose line passes a proxy, three agents', async () => {
  proxy = await new FaultProxy().listen();
  await stack.startControl({ args: ['--advertise', `tls+tcp://127.0.0.1:${proxy.port}`] });
  proxy.target = stack.control.ports.channel;
  await stack.apply([...catalog('http://127.0.0.1:9'), ...tenant('acme', ['app'], { budget: '10' })]);
  for (const name of AGENTS)
    await stack.agent(name).start();
  await stack.settled();
}, { timeout: 60000 });

test('requests are swallowed', async () => {
  proxy.set({ name: 'blackhole' });
  const faults = proxy.faults;
  await until('swallowed heartbeats', () => proxy.faults >= faults + AGENTS.length, 10000);
  proxy.set({ name: 'pass' });
  await healed(6000, 'swallowed heartbeats');
}, { timeout: 60000 });

test('answers are swallowed, and the handshakes after them', async () => {
  proxy.set({ name: 'blackhole', direction: 'down' });
  await lost(15000);
  const { faults } = proxy;
  await until('swallowed handshakes', () => proxy.faults >= faults + 2 * AGENTS.length, 30000);
  proxy.set({ name: 'pass' });
  await healed(10000, 'swallowed handshakes');
}, { timeout: 90000 });

test('the control plane is killed and comes back behind a proxy that swallows', async () => {
  await stack.control.proc.kill();
  await lost(15000);
  proxy.set({ name: 'blackhole' });
  await stack.control.start();
  proxy.target = stack.control.ports.channel;
  const { faults } = proxy;
  await until('swallowed handshakes', () => proxy.faults >= faults + AGENTS.length, 30000);
  proxy.set({ name: 'pass' });
  await healed(10000, 'a restart behind a black hole');
}, { timeout: 90000 });

run();
