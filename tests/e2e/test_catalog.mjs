#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The model catalogue imported into a real control plane: dry run, import,
// import again, a model changed by hand, a new edition, --force; and an agent
// that takes all of it.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { bin, root } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const shipped = path.join(root, 'schema/catalog');
const env = { ...process.env, HEADGATE_CONFIG: path.join(stack.dir, 'contexts.json'), HEADGATE_CATALOG: shipped };

teardown(() => stack.stop());

function cli(...args) {
  return new Promise((resolve) => {
    execFile(path.join(bin, 'headgate'), args, { env, maxBuffer: 64 << 20 }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }));
  });
}

async function ok(...args) {
  const got = await cli(...args);
  equal(got.code, 0, `headgate ${args.join(' ')}: ${got.stderr}\nexit status`);
  return got.stdout;
}

const json = async (...args) => JSON.parse(await ok(...args, '-o', 'json'));
const models = async () => {
  const got = await json('get', 'models');
  return Array.isArray(got) ? got : got.items;
};
const model = (name) => json('get', 'model', name);
const states = async (...args) => {
  const got = await json('catalog', 'diff', ...args);
  return Object.fromEntries((Array.isArray(got) ? got : got.items).map((m) => [m.name, m.state]));
};
let all;

test('the list needs no control plane', async () => {
  const text = await ok('catalog', 'list', '--provider', 'anthropic');
  assert(/claude-/.test(text) && !/gpt-/.test(text), text);
  all = await json('catalog', 'list');
  assert(all.length > 100);
  const none = await cli('catalog', 'list', '--provider', 'nobody');
  equal(none.code, 3, none.stderr);
});

test('a dry run writes nothing, the import makes one version', async () => {
  await stack.startControl();
  await ok('login', stack.control.url, '--token-file', stack.control.tokenFile);
  assert(/Dry run: /.test(await ok('catalog', 'import', '--dry-run')));
  equal((await models()).length, 0);
  const text = await ok('catalog', 'import');
  assert(text.includes(`Models: ${all.length} new, 0 updated, 0 same, 0 kept`), text.slice(-300));
  equal((await models()).length, all.length);
  assert(/Nothing to change/.test(await ok('catalog', 'import')));
}, { timeout: 120000 });

test('an agent takes every model of it', async () => {
  await stack.agent('agent-1').start();
  await stack.settled();
}, { timeout: 60000 });

test('what was changed by hand is kept; the rest follows a new edition', async () => {
  const [mine, other] = all.filter((m) => m.provider === 'mistral').map((m) => m.name);
  const dir = path.join(stack.dir, 'catalog');
  fs.mkdirSync(dir);
  const text = fs.readFileSync(path.join(shipped, 'mistral.yaml'), 'utf8');
  fs.writeFileSync(path.join(dir, 'mistral.yaml'), text.replace(/retrieved: .*/, 'retrieved: 2027-02-01')
    .replaceAll('class: output, usd_per_mtok: "', 'class: output, usd_per_mtok: "7'));
  await ok('set', 'model', mine, 'context_tokens=1234');
  let seen = await states('--catalog-dir', dir);
  equal(seen[mine], 'changed by hand');
  equal(seen[other], 'outdated');
  const told = await ok('catalog', 'import', '--catalog-dir', dir, '-m', 'new prices');
  assert(told.includes(`kept ${mine}: changed by hand`), told);
  equal((await model(mine)).context_tokens, 1234);
  const price = (m) => m.prices.find((p) => p.class === 'output' && !p.tier).usd_per_mtok;
  assert(price(await model(other)).startsWith('7'), price(await model(other)));
  assert((await model(other)).catalog.startsWith('mistral 2027-02-01 '));
  // The older edition does not see the newer one as made by hand either.
  seen = await states('--provider', 'mistral');
  equal(seen[other], 'outdated');
  await ok('catalog', 'import', path.join(dir, 'mistral.yaml'), '--models', mine, '--force');
  seen = await states('--catalog-dir', dir);
  equal(seen[mine], 'same');
  assert((await model(mine)).context_tokens !== 1234);
});

test('a model that was never imported is not touched', async () => {
  await ok('delete', 'model', 'gpt-4o');
  await ok('create', 'model', 'gpt-4o', 'prices=[{"class":"input","usd_per_mtok":"9"},{"class":"output","usd_per_mtok":"9"}]');
  equal((await states('--models', 'gpt-4o'))['gpt-4o'], 'changed by hand');
  await ok('catalog', 'import', '--models', 'gpt-4o');
  equal((await model('gpt-4o')).prices.length, 2);
});

test('faults name file and line', async () => {
  const file = path.join(stack.dir, 'bad.yaml');
  fs.writeFileSync(file, 'provider: x\nretrieved: 2026-11-22\nmodels:\n  - name: m\n    capabilities: [chat]\n'
    + '    prices:\n      - {class: input, usd_per_mtok: "1", date: "2026-11-22"}\n');
  const got = await cli('catalog', 'import', file);
  equal(got.code, 7);
  assert(/bad\.yaml:7: source/.test(got.stderr), got.stderr);
});

await run();
