#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Reconciliation of money on a running system: the job finds nothing on its
// own traffic, names planted damage, and the CLI explains it.
import { execFile } from 'node:child_process';
import path from 'node:path';

import { shipped } from './lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { bin, until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack({ allow: [/money differs/] });
let secrets;

teardown(() => stack.stop());

function program(file, args) {
  return new Promise((resolve) => {
    execFile(file, args, { env: process.env }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }));
  });
}

const cli = (...args) => program(path.join(bin, 'headgate'), [...args,
  '--server', stack.control.url, '--token-file', stack.control.tokenFile]);

async function sql(text) {
  const got = await program('psql', ['-qAtX', '-v', 'ON_ERROR_STOP=1', stack.control.conninfo(), '-c', text]);
  equal(got.code, 0, got.stderr);
  return got.stdout.trim();
}

async function metric(name) {
  const text = await (await fetch(`${stack.control.url}/metrics`)).text();
  const line = text.split('\n').find((l) => l.startsWith(`${name} `));
  return line === undefined ? null : Number(line.split(' ')[1]);
}

test('the stack starts, and some traffic', async () => {
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await stack.startControl({ args: ['--reconcile-interval', '200ms'] });
  ({ secrets } = await stack.apply([...catalog(stack.provider.url),
    ...tenant('acme', ['app'], { budget: '5' }), ...tenant('other', ['app'])]));
  const agent = await stack.agent('agent-1').start();
  await stack.settled();
  await Promise.all(Array.from({ length: 40 }, async (_, i) => {
    const r = await agent.chat(secrets[`${i % 2 ? 'acme' : 'other'}.team.project.app`],
      prompt(`Question ${i}.`, { stream: i % 3 === 0 }));
    equal(r.status, 200, await r.text());
  }));
  await shipped(stack);
}, { timeout: 120000 });

test('nothing differs: job, metrics, REST, CLI', async () => {
  const at = Date.now();
  await until('a run after the traffic', async () => {
    const run_ = await stack.rest.get('/v1/audit/money');
    return Date.parse(run_.at) > at && run_.usage_rows >= 40 && run_.actor === '';
  });
  equal(await metric('headgate_money_audit_differences'), 0);
  assert(await metric('headgate_money_audit_last_run_seconds') > at / 1000 - 60);
  const got = await cli('audit', 'money', '--run');
  equal(got.code, 0, got.stdout + got.stderr);
  assert(/All agree\./.test(got.stdout), got.stdout);
  const { stdout } = await cli('audit', 'money', '--run', '--tenant', 'acme', '-o', 'json');
  const report = JSON.parse(stdout);
  equal(report.differences, 0);
  equal(report.usage_rows, 20);
  equal(report.usage_nanousd, report.ledger_nanousd);
  equal(report.scope, 'full');
  equal((await cli('audit', 'money', '--tenant', 'acme')).code, 2, 'a filter without --run');
  equal((await cli('audit', 'money', '--run', '--tenant', 'nobody')).code, 3, 'unknown tenant');
});

test('damage is explained down to the record, exit status 1', async () => {
  const gone = await sql('DELETE FROM usage WHERE ctid = (SELECT min(ctid) FROM usage WHERE cost > 0) '
    + "AND cost > 0 RETURNING shard || ' ' || seq || ' ' || cost");
  assert(gone.split('\n').length === 1, gone);
  const [shard, seq, cost] = gone.split(' ');
  const got = await cli('audit', 'money', '--run');
  equal(got.code, 1, got.stdout + got.stderr);
  assert(got.stdout.includes('DIFFERENCES'), got.stdout);
  assert(new RegExp(`record ${seq} of agent [0-9a-f-]+, epoch 1, shard ${shard} was booked by batch`)
    .test(got.stdout), got.stdout);
  const report = JSON.parse((await cli('audit', 'money', '-o', 'json')).stdout);
  const kinds = new Set(report.findings.filter((f) => !f.notice).map((f) => f.kind));
  for (const kind of ['usage_ledger', 'usage_hourly', 'usage_missing'])
    assert(kinds.has(kind), [...kinds].join(' '));
  equal(Number(report.ledger_nanousd) - Number(report.usage_nanousd), Number(cost));
  await until('the metric to tell', async () =>
    await metric('headgate_money_audit_differences') > 0);
  await until('a log record', () => /money differs/.test(stack.control.proc.log()));
});

await run();
