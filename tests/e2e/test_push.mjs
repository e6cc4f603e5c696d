#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Changes of the configuration reach agents by push: the agent does not ask.
// What was not heard is asked for.
import { FaultProxy } from '../reliability/lib/faultproxy.mjs';
import { catalog, item, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const COMMITS = 20;

const stack = new Stack();
let proxy;
let agent;

teardown(async () => {
  await stack.stop();
  await proxy?.close();
});

// One series by its labels, 0 while there is none.
async function series(name, labels) {
  const text = await (await fetch(`${agent.statusUrl}/metrics`)).text();
  const line = text.split('\n').find((l) => l.startsWith(`${name}{`) &&
    Object.entries(labels).every(([k, v]) => l.includes(`${k}="${v}"`)));
  return Number(line?.split(' ').at(-1) ?? 0);
}

const applied = () => series('headgate_config_pushes_total', { outcome: 'applied' });
const pulls = () => series('headgate_control_requests_total', { type: 'MSG_PULL', outcome: 'ok' });

// A change, until the agent runs it.
async function change(i) {
  const { version } = await stack.apply([
    item('limit', 'acme.minute', { scope: 'acme', requests_per_minute: 1000 + i })]);
  await until(`the agent at version ${version}`,
    async () => await agent.metric('headgate_config_version') >= Number(version), 10000);
}

test('a control plane whose publications pass a proxy, an agent', async () => {
  proxy = await new FaultProxy().listen();
  await stack.startControl({ args: ['--advertise-publish', `tls+tcp://127.0.0.1:${proxy.port}`] });
  proxy.target = stack.control.ports.publish;
  await stack.apply([...catalog('http://127.0.0.1:9'), ...tenant('acme', ['app'], { budget: '10' })]);
  agent = stack.agent('agent-1');
  await agent.start();
  await stack.settled();
  // The subscription stands when a push is heard.
  for (let i = 1; await applied() === 0; i++)
    await change(-i);
}, { timeout: 60000 });

test('changes are applied as they are pushed', async () => {
  const before = { applied: await applied(), pulls: await pulls() };
  for (let i = 0; i < COMMITS; i++)
    await change(i);
  const pushed = await applied() - before.applied;
  const pulled = await pulls() - before.pulls;
  // A heartbeat may tell of a version an instant before it is pushed.
  assert(pushed >= COMMITS - 2, `${pushed} of ${COMMITS} were pushed`);
  assert(pulled <= 2, `${pulled} pulls`);
  await stack.settled();
}, { timeout: 60000 });

test('changes that are not heard are pulled', async () => {
  proxy.set({ name: 'blackhole', direction: 'down' });
  const before = { applied: await applied(), pulls: await pulls() };
  for (let i = 0; i < 3; i++)
    await change(COMMITS + i);
  equal(await applied(), before.applied);
  assert(await pulls() > before.pulls, 'nothing was pulled');
  await stack.settled();
}, { timeout: 60000 });

test('and pushed again when they can be heard', async () => {
  proxy.set({ name: 'reset' });
  proxy.set({ name: 'pass' });
  const before = await applied();
  for (let i = 0; await applied() === before; i++)
    await change(2 * COMMITS + i);
}, { timeout: 60000 });

run();
