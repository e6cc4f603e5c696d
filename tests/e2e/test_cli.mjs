#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The admin CLI against a real control plane: the example company applied,
// changed, rolled back; errors that name file, line and field; exit codes.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { bin, root } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const env = { ...process.env, HEADGATE_CONFIG: path.join(stack.dir, 'contexts.json') };
const acme = path.join(root, 'examples/acme');

teardown(() => stack.stop());

function cli(...args) {
  return new Promise((resolve) => {
    execFile(path.join(bin, 'headgate'), args, { env }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }));
  });
}

async function ok(...args) {
  const got = await cli(...args);
  equal(got.code, 0, `headgate ${args.join(' ')}: ${got.stderr}\nexit status`);
  return got.stdout;
}

// Lists come as an array.
const list = (got) => (Array.isArray(got) ? got : got.items);
const json = async (...args) => JSON.parse(await ok(...args, '-o', 'json'));

test('login keeps a context; a wrong token is refused with 5', async () => {
  await stack.startControl();
  await ok('login', stack.control.url, '--token-file', stack.control.tokenFile);
  assert((await ok('whoami')).includes('owner'));
  const wrong = path.join(stack.dir, 'wrong');
  fs.writeFileSync(wrong, 'hga-wrong-wrong-wrong-wrong-wrong-wrong-wrong-w\n');
  equal((await cli('whoami', '--server', stack.control.url, '--token-file', wrong)).code, 5);
}, { timeout: 120000 });

test('apply: dry run writes nothing, apply makes one version, again nothing', async () => {
  assert(/Dry run: 54 to change/.test(await ok('apply', '-f', acme, '--dry-run')));
  equal(list(await json('get', 'tenants')).length, 0, 'tenants after the dry run');
  const got = await json('apply', '-f', acme, '-m', 'first');
  equal(got.changes.length, 54);
  equal(got.created_secrets.length, 7, 'keys shown');
  assert(got.created_secrets.every((s) => /^hg-[A-Za-z0-9_-]{43}$/.test(s.secret)));
  assert(/Nothing to change/.test(await ok('apply', '-f', acme)));
});

test('an error in line 17 is told with file, line and field', async () => {
  const dir = path.join(stack.dir, 'bad');
  fs.mkdirSync(dir);
  const text = fs.readFileSync(path.join(acme, '40-initech.yaml'), 'utf8');
  const lines = ['# line 1', ...Array.from({ length: 9 }, (_, i) => `# line ${i + 2}`),
    'kind: budget', 'name: initech.monthly', 'spec:', '  scope: initech', '  mode: hard',
    '  period: month', '  limit_usd: "twelve"'];
  equal(lines.length, 17);
  fs.writeFileSync(path.join(dir, '50-budget.yaml'), `${lines.join('\n')}\n`);
  fs.writeFileSync(path.join(dir, '40-initech.yaml'), text.split('---\n').slice(0, 4).join('---\n'));
  const got = await cli('apply', '-f', dir);
  equal(got.code, 7);
  assert(/50-budget\.yaml:17/.test(got.stderr), got.stderr);
  assert(/limit_usd/.test(got.stderr), got.stderr);
  fs.writeFileSync(path.join(dir, '50-budget.yaml'), `${lines.slice(0, 16).join('\n')}\n  limit_usd: [\n`);
  const syntax = await cli('apply', '-f', dir);
  equal(syntax.code, 7);
  assert(/50-budget\.yaml:1[78]/.test(syntax.stderr), syntax.stderr);
});

test('changes are shown as a difference, and can be rolled back', async () => {
  await ok('set', 'budget', 'initech.monthly', 'limit_usd=0.10');
  const newest = Number(list(await json('version', 'list'))[0].version);
  assert(/0\.05.*0\.10|0\.10.*0\.05/s.test(await ok('version', 'diff', String(newest - 1), String(newest))));
  await ok('version', 'rollback', String(newest - 1));
  const budget = await json('get', 'budget', 'initech.monthly');
  assert(Number(budget.limit_usd) === 0.05, JSON.stringify(budget));
});

test('budgets: more for a while, a transfer, events', async () => {
  await ok('create', 'budget', 'initech.spare', 'scope=initech', 'limit_usd=0.02', 'period=quarter',
    'anchor_month=2', 'thresholds=[50,100]');
  const until = new Date(Date.now() + 3600000).toISOString();
  assert(/0\.12/.test(await ok('budget', 'increase', 'initech.spare', '0.1', '--until', until, '--reason', 'launch')));
  assert(/0\.09/.test(await ok('budget', 'transfer', 'initech.spare', 'initech.monthly', '0.03', '--reason', 'agreed')));
  const status = await json('budget', 'status', 'initech.monthly');
  assert(status.adjustment_nanousd === 30000000 && status.limit_nanousd === 80000000, JSON.stringify(status));
  await ok('budget', 'events');
  assert(list(await json('budget', 'events', 'initech.spare')).length === 0);
  await ok('delete', 'budget', 'initech.spare');
});

test('keys, join tokens, agents, reports', async () => {
  assert(/hg-[A-Za-z0-9_-]{43}/.test(await ok('key', 'create', 'acme.research.chat.ci', '--expires', '90d')));
  await ok('key', 'revoke', 'acme.research.chat.ci');
  assert(/hgj1\./.test(await ok('agent', 'token', '--group', 'eu', '--region', 'eu')));
  await ok('agent', 'list');
  const month = new Date().toISOString().slice(0, 7);
  for (const format of ['table', 'json', 'csv'])
    await ok('report', 'chargeback', '--month', month, '-o', format);
  await ok('budget', 'status', 'initech.monthly');
  await ok('audit', 'list');
});

test('secrets are write-only: no credential and no key comes back', async () => {
  const all = (await Promise.all(['providers', 'keys', 'tenants'].map((k) => ok('get', k, '-o', 'json')))).join('');
  assert(!all.includes('sk-simulator'), 'the credential came back');
  assert(!/hg-[A-Za-z0-9_-]{43}/.test(all), 'a key came back');
  assert(!stack.control.proc.log().includes('sk-simulator'), 'the credential is in the log');
});

test('exit codes: usage 2, not found 3, conflict 4, unavailable 6, invalid 7', async () => {
  equal((await cli('nonsense')).code, 2);
  equal((await cli('get', 'tenant', 'nobody')).code, 3);
  equal((await cli('create', 'tenant', 'acme')).code, 4);
  equal((await cli('get', 'tenants', '--server', 'http://127.0.0.1:1')).code, 6);
  equal((await cli('create', 'tenant', 'Not A Name')).code, 7);
});

await run();
