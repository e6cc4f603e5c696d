#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The journal's file system fills up (a small tmpfs): requests with budgets
// are refused, nothing crashes, nothing is lost; with room they go on.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { agree, reconcile } from './lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, skip, teardown, test } from './lib/tap.mjs';

// A full disk is an error worth its line in the log.
const stack = new Stack({ allow: [/journal|disk|space|ENOSPC/i] });
const mount = path.join(stack.dir, 'small');
let mounted = false;
let agent;
let key;

function unmount() {
  if (mounted)
    spawnSync('umount', ['-l', mount]);
  mounted = false;
}

stack.beforeRemove = unmount;
teardown(() => stack.stop().finally(unmount));

test('the stack starts, the agent\'s data folder on a file system of 8 MiB', async () => {
  fs.mkdirSync(mount);
  mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', mount]).status === 0;
  if (!mounted)
    skip('needs the right to mount a tmpfs');
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await stack.startControl();
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...tenant('acme', ['app'], { budget: '100' })]);
  key = secrets['acme.team.project.app'];
  agent = stack.agent('agent-1', {
    dir: path.join(mount, 'data'), workers: 1,
    args: ['--segment-size', '256KiB', '--journal-reserve', '1MiB'],
  });
  await agent.start();
  await stack.settled();
  equal((await agent.chat(key, prompt())).status, 200);
}, { timeout: 120000 });

const filler = path.join(mount, 'filler');

function fill() {
  const fd = fs.openSync(filler, 'w');
  const block = Buffer.alloc(4096);
  try {
    for (;;)
      fs.writeSync(fd, block);
  } catch (error) {
    assert(error.code === 'ENOSPC', error.message);
  } finally {
    fs.closeSync(fd);
  }
}

test('disk full: refused with 503 and a retry header, no crash', async () => {
  if (!mounted)
    skip('no tmpfs');
  fill();
  let refused;
  // What room the agent holds in reserve it may use up first.
  await until('a refusal', async () => {
    const batch = await Promise.all(Array.from({ length: 32 }, (_, i) =>
      agent.chat(key, prompt('x', { stream: i % 2 === 0 }))));
    for (const r of batch) {
      const text = await r.text();
      if (r.status !== 200)
        refused = { status: r.status, headers: r.headers, text };
    }
    return refused;
  }, 60000, 1);
  equal(refused.status, 503);
  assert(/journal/.test(refused.text), refused.text);
  assert(agent.proc.running, 'the agent died');
}, { timeout: 90000 });

test('with room again the same agent serves', async () => {
  if (!mounted)
    skip('no tmpfs');
  fs.rmSync(filler);
  await until('a request to be served', async () => {
    const r = await agent.chat(key, prompt());
    await r.text();
    return r.status === 200;
  }, 20000);
});

test('killed while the disk is full, started again with room: nothing lost', async () => {
  if (!mounted)
    skip('no tmpfs');
  fill();
  await Promise.all(Array.from({ length: 50 }, () => agent.chat(key, prompt()).then((r) => r.text())));
  await agent.proc.kill();
  fs.rmSync(filler);
  await agent.start();
  await until('a request to be served', async () => {
    const r = await agent.chat(key, prompt());
    await r.text();
    return r.status === 200;
  }, 20000);
  agree(await reconcile(stack));
}, { timeout: 90000 });

await run();
