// SPDX-License-Identifier: Apache-2.0
// Crashes: a process kills itself before, in and after every file call of the
// journal's life, and so does its successor while it recovers; a power cut at
// every call leaves any mixture of unsynced blocks and names; and a real agent
// starts on a journal of one gigabyte and serves while that goes out.
import { catalog, modelsFile, prompt, providerKey, tenant } from '../e2e/lib/fixture.mjs';
import { delay, until } from '../e2e/lib/proc.mjs';
import { Stack } from '../e2e/lib/stack.mjs';
import { torture } from './lib/torture.mjs';
import fs from 'node:fs';
import path from 'node:path';

export const title = 'crashes: kill at every file call, power-cut images, 1 GiB backlog';

const GIB = 1 << 30;
const READY_MS = 2000; // from the start of the process, with a journal of that size

// A folder in memory where there is one: a kill does not need a disk.
function quickDir(dir) {
  try {
    return fs.mkdtempSync('/dev/shm/headgate-kill-');
  } catch {
    return fs.mkdtempSync(path.join(dir, 'kill-'));
  }
}

async function points({ soak, dir, log }, sum) {
  const first = Number(process.env.SEED ?? 1);
  const seeds = soak ? 40 : 1;
  const quick = quickDir(dir);
  try {
    for (let seed = first; seed < first + seeds; seed++) {
      for (const args of [['kill', quick], ['power', '--images', soak ? 200 : 20]]) {
        const got = await torture([...args, '--seed', seed], log);
        sum.crash_points += got.crash_points;
        sum.power_loss_images += got.power_loss_images;
        if (got.failures > 0)
          throw new Error(`${args[0]}: ${got.failures} broken promises, seed ${seed}`);
      }
    }
  } finally {
    fs.rmSync(quick, { recursive: true, force: true });
  }
  log(`${sum.crash_points} crash points, ${sum.power_loss_images} images`);
}

async function unshipped(agent) {
  const text = await (await fetch(`${agent.statusUrl}/metrics`)).text();
  return Number(/^headgate_spool_records\{state="unshipped"\} (\S+)/m.exec(text)?.[1] ?? 0);
}

// Latency of requests while `busy()` is true, for at most ms.
async function serve(agent, key, busy, ms) {
  const times = [];
  const late = Date.now() + ms;
  while (Date.now() < late && await busy()) {
    const t = performance.now();
    const r = await agent.chat(key, prompt());
    await r.text();
    if (!r.ok)
      throw new Error(`${r.status} while the backlog is shipped`);
    times.push(performance.now() - t);
    await delay(10);
  }
  times.sort((a, b) => a - b);
  return times;
}

async function backlog({ soak, log }, sum) {
  const stack = new Stack({ allow: [/./] });
  try {
    await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
    await stack.startControl();
    const { secrets } = await stack.apply([
      ...catalog(stack.provider.url), ...tenant('acme', ['app'], { budget: '1000000000' })]);
    const key = secrets['acme.team.project.app'];
    const agent = stack.agent('agent-1', { workers: 1 });
    await agent.start();
    await stack.settled();
    // The first brings rights; one more that is not shipped, for the control
    // plane is stopped.
    for (const stop of [true, false]) {
      const r = await agent.chat(key, prompt());
      await r.text();
      if (!r.ok)
        throw new Error(`a first request: ${r.status}`);
      if (stop)
        stack.control.proc.signal('SIGSTOP');
    }
    await until('its record to be written', async () => await unshipped(agent) > 0, 10000);
    await agent.proc.kill();
    stack.control.proc.signal('SIGCONT');
    const { records } = await torture(['fill', path.join(agent.dir, 'journal'), GIB]);
    const started = performance.now();
    await agent.start();
    sum.recovery_ms_1gib = Math.round(performance.now() - started);
    const before = await unshipped(agent);
    const at = performance.now();
    const times = await serve(agent, key, async () => await unshipped(agent) > 0,
      soak ? 3600000 : 20000);
    const after = await unshipped(agent);
    sum.backlog_records = records;
    sum.backlog_shipped_per_s = Math.round((before - after) / (performance.now() - at) * 1000);
    sum.backlog_request_p99_ms = Number((times[Math.floor(times.length * 0.99)] ?? 0).toFixed(1));
    log(`${records} records: ready after ${sum.recovery_ms_1gib} ms; ` +
      `${sum.backlog_shipped_per_s} records/s go out while ${times.length} requests are served`);
    if (soak && after > 0)
      throw new Error(`${after} records of the backlog did not go out in an hour`);
    if (sum.recovery_ms_1gib > READY_MS || sum.backlog_shipped_per_s <= 0)
      throw new Error(`ready after ${sum.recovery_ms_1gib} ms (at most ${READY_MS}), ` +
        `${before - after} records of the backlog went out`);
  } finally {
    for (const p of stack.procs)
      await p.kill().catch(() => {});
    fs.rmSync(stack.dir, { recursive: true, force: true });
  }
}

export async function run(ctx) {
  const sum = { crash_points: 0, power_loss_images: 0 };
  try {
    if (!process.env.BACKLOG_ONLY)
      await points(ctx, sum);
    await backlog(ctx, sum);
  } catch (e) {
    throw Object.assign(e, { figures: sum });
  }
  return sum;
}
