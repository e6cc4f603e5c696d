#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The end of a budget's period under load, with two control planes of which
// one is killed in the middle: closed once, carried over once, what it spent
// is final, what comes late is a correction, and the books agree.
import { execFile } from 'node:child_process';
import path from 'node:path';

import { agree, reconcile } from './lib/bill.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { bin, until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let agents;
let replica;
let secrets;

teardown(() => stack.stop());

function program(file, args) {
  return new Promise((resolve) => {
    execFile(file, args, { env: process.env }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }));
  });
}

async function sql(text) {
  const got = await program('psql', ['-qAtX', '-v', 'ON_ERROR_STOP=1', stack.control.conninfo(), '-c', text]);
  equal(got.code, 0, got.stderr);
  return got.stdout.trim();
}

const periods = async (name) => (await stack.rest.get(`/v1/budgets/${name}/periods`)).items;

test('two control planes, two agents, a budget that carries over', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir, { 'sim-large': { ttft_ms: 2 } }), apiKey: providerKey,
  });
  await stack.startControl();
  replica = await stack.startReplica('replica-1');
  ({ secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...tenant('acme', ['app']),
    item('budget', 'acme.daily', {
      scope: 'acme', limit_usd: '0.5', mode: 'hard', period: 'day', carry_over_percent: 50,
    }),
  ]));
  agents = ['agent-1', 'agent-2'].map((name) => stack.agent(name));
  for (const a of agents)
    await a.start();
  await stack.settled();
}, { timeout: 120000 });

const count = { 200: 0, 402: 0, 429: 0, other: 0 };

async function send(i) {
  const r = await agents[i % 2].chat(secrets['acme.team.project.app'], prompt('Spend it.', {
    model: 'sim-large', stream: i % 3 === 0, max_completion_tokens: 40, x_sim: { tokens: 5 + (i % 36) },
  }));
  await r.text();
  count[r.status in count ? r.status : 'other'] += 1;
  return r.status;
}

test('the period ends in the middle of the load, a control plane is killed', async () => {
  for (let i = 0; i < 40; i++)
    equal(await send(i), 200);
  let stopping = false;
  const clients = Array.from({ length: 8 }, async (_, c) => {
    for (let i = 0; !stopping; i++)
      await send(c + i);
  });
  await until('some traffic', () => count[200] > 80);
  // Its end is moved to the past: from here on it is over.
  await sql("UPDATE budget_period SET period_end = hg_ns(now()) - 31000000000 WHERE state = 'open'");
  replica.proc.kill();
  await until('it to be closed', async () =>
    (await periods('acme.daily')).some((p) => p.state === 'closed'), 60000);
  const served = count[200];
  await until('the next one to serve', () => count[200] > served + 20, 30000);
  stopping = true;
  await Promise.all(clients);
  await replica.start();
}, { timeout: 150000 });

test('closed once, carried once, never above the limits', async () => {
  agree(await reconcile(stack));
  const [open, closed, ...more] = await periods('acme.daily');
  console.log(`# ${JSON.stringify(count)}, closed ${closed.spent_nanousd}, carried ${closed.carried_out_nanousd}, `
    + `late ${open.corrections_in_nanousd}`);
  equal(more.length, 0);
  equal(closed.state, 'closed');
  equal(open.state, 'open');
  equal(open.period_start, closed.period_end, 'it begins where the other ended');
  equal(count.other, 0, JSON.stringify(count));
  const left = closed.limit_nanousd - closed.spent_nanousd;
  const cap = closed.configured_nanousd / 2;
  equal(closed.carried_out_nanousd, Math.min(left, cap));
  equal(open.carried_in_nanousd, closed.carried_out_nanousd);
  equal(open.limit_nanousd, open.configured_nanousd + open.carried_in_nanousd);
  assert(open.spent_nanousd <= open.limit_nanousd && closed.spent_nanousd <= closed.limit_nanousd);
  const spent = Number(await sql('SELECT sum(amount) FROM ledger'));
  equal(open.spent_nanousd + closed.spent_nanousd, spent, 'each nano-dollar is in one period');
  const audit = await stack.rest.post('/v1/audit/money', {});
  equal(audit.differences, 0, JSON.stringify(audit.findings.slice(0, 5)));
  const kinds = (await stack.rest.get('/v1/budgets/acme.daily/events')).items.map((e) => e.kind).sort();
  equal(kinds.join(' '), 'carry closed');
});

test('the command shows them, and refusals the effective limit', async () => {
  const got = await program(path.join(bin, 'headgate'), ['budget', 'periods', 'acme.daily',
    '--server', stack.control.url, '--token-file', stack.control.tokenFile]);
  equal(got.code, 0, got.stderr);
  assert(/closed/.test(got.stdout) && /open/.test(got.stdout), got.stdout);
  const limit = (await periods('acme.daily'))[0].limit_nanousd / 1e9;
  let error;
  await until('the budget to be spent', async () => {
    const r = await agents[0].chat(secrets['acme.team.project.app'], prompt('All.', {
      model: 'sim-large', max_completion_tokens: 4000, x_sim: { tokens: 3900 },
    }));
    const body = JSON.parse(await r.text());
    ({ error } = body);
    return r.status === 402;
  }, 60000);
  equal(Number(error.headgate?.limit_usd ?? /of ([0-9.]+) USD/.exec(error.message)[1]), limit);
});

await run();
