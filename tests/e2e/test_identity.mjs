#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Two agents with one identity (a copied data folder), an old copy started
// again, join tokens used twice or expired, an agent that was revoked.
import fs from 'node:fs';
import path from 'node:path';

import { agree, reconcile } from './lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

// The refused twin says so as an error; that is what is tested.
const stack = new Stack({ allow: [/fence|identity|refused|join|enrol|revoked|signature|unauth|forbid|epoch/i] });
let agent;
let key;

teardown(() => stack.stop());

// The control plane has to see that the twin is gone first.
async function serves() {
  const started = Date.now();
  await until('the agent to serve', async () => {
    const r = await agent.chat(key, prompt());
    await r.text();
    return r.status === 200;
  }, 30000);
  console.log(`# the agent serves again after ${Date.now() - started} ms`);
}

test('the stack starts', async () => {
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await stack.startControl();
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...tenant('acme', ['app'], { budget: '10' })]);
  key = secrets['acme.team.project.app'];
  agent = await stack.agent('agent-1').start();
  await stack.settled();
  equal((await agent.chat(key, prompt())).status, 200);
}, { timeout: 120000 });

test('a copy of a running agent: one of the two serves, the other is fenced', async () => {
  const dir = path.join(stack.dir, 'copy');
  fs.cpSync(agent.dir, dir, { recursive: true });
  const twin = stack.agent('twin', { dir });
  await twin.start({ ready: false });
  const ready = async (a) => (await fetch(`${a.statusUrl}/readyz`)).ok;
  // A process that has not met the control plane yet is not ready either.
  const fenced = async (a) => (await (await fetch(`${a.statusUrl}/readyz?verbose`)).text())
    .includes('[-] not fenced');
  await until('one of them to be fenced', async () => await fenced(agent) || await fenced(twin));
  await until('exactly one of them to be ready', async () =>
    Number(await ready(agent)) + Number(await ready(twin)) === 1);
  const loser = (await ready(agent)) ? twin : agent;
  const r = await loser.chat(key, prompt());
  assert(r.status >= 400, `the fenced one served a budgeted request: ${r.status}`);
  await r.text();
  await twin.proc.kill();
  // The twin took the boot epoch that comes next: the one after it is ours.
  for (let i = 0; i < 2; i++) {
    await agent.proc.kill();
    await agent.start({ ready: false });
  }
  await serves();
}, { timeout: 60000 });

test('an old copy of the data folder, started after the agent went on', async () => {
  const old = path.join(stack.dir, 'old');
  await agent.proc.stop();
  fs.cpSync(agent.dir, old, { recursive: true });
  await agent.start();
  await agent.proc.kill();
  await agent.start();
  const twin = stack.agent('old-twin', { dir: old });
  await twin.start({ ready: false });
  await until('the old copy to be refused', async () => {
    const r = await twin.chat(key, prompt());
    await r.text();
    return r.status >= 400 && !(await fetch(`${twin.statusUrl}/readyz`)).ok;
  });
  await twin.proc.kill();
  await serves();
}, { timeout: 60000 });

test('a join token is good for as many agents as it says', async () => {
  const { token } = await stack.rest.post('/v1/join-tokens', {
    group: 'default', region: 'local', expires_in: '1h', max_uses: 1,
  });
  const one = stack.agent('joined-1');
  one.joinToken = async () => token;
  await one.start();
  const two = stack.agent('joined-2');
  two.spawn(token);
  await until('the second to be refused', async () => {
    if (!two.proc.running)
      return true;
    return /refused|used|join/i.test(two.proc.log()) &&
      !fs.existsSync(path.join(two.dir, 'identity'));
  });
  await two.proc.kill();
  await one.proc.stop();
}, { timeout: 60000 });

test('a revoked agent is cut off', async () => {
  const three = await stack.agent('agent-3').start();
  const { items } = await stack.rest.get('/v1/agents?limit=100');
  const identity = fs.readFileSync(path.join(three.dir, 'identity'), 'latin1');
  const mine = items.find((a) => identity.includes(a.id));
  assert(mine, 'the agent is not in the list');
  await stack.rest.delete(`/v1/agents/${mine.id}`);
  await until('the revoked agent not to be ready', async () =>
    !three.proc.running || !(await fetch(`${three.statusUrl}/readyz`)).ok, 15000);
  await three.proc.kill();
}, { timeout: 60000 });

test('the bill is right after all that', async () => {
  agree(await reconcile(stack));
});

await run();
