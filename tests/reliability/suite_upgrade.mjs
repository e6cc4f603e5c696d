// SPDX-License-Identifier: Apache-2.0
// Upgrades under load, from an older commit: the control plane first (its
// schema migrates while agents serve), then the agents, each killed in the
// middle so that the new one ships the old one's journal; and new agents with
// an old control plane. Nothing is lost or billed twice.
import { agree, reconcile } from '../e2e/lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from '../e2e/lib/fixture.mjs';
import { bin, delay, until } from '../e2e/lib/proc.mjs';
import { Stack } from '../e2e/lib/stack.mjs';
import { run as exec } from './lib/build.mjs';
import fs from 'node:fs';
import path from 'node:path';

export const title = 'upgrade: old agents and control plane with new ones';

// The oldest whose wire and schema this one promises to work with.
const OLD = process.env.OLD ?? 'cb13423';
const PROGRAMS = ['headgate-agent', 'headgate-control'];

// The programs of that commit, kept between runs; '' with a reason logged.
async function oldPrograms(root, log) {
  const tree = path.join(root, 'build/old', OLD);
  const dir = path.join(tree, 'build/dev/bin');
  if (PROGRAMS.every((p) => fs.existsSync(path.join(dir, p))))
    return dir;
  fs.mkdirSync(tree, { recursive: true });
  const tar = path.join(tree, 'source.tar');
  const got = await exec('git', ['-C', root, 'archive', '-o', tar, OLD]);
  if (got instanceof Error) {
    log(`SKIPPED: no commit ${OLD} here: ${String(got.stderr).trim()}`);
    return '';
  }
  await exec('tar', ['-xf', tar, '-C', tree]);
  fs.rmSync(tar);
  const made = await exec('make', ['-s', '-j2', ...PROGRAMS.map((p) => `build/dev/bin/${p}`)],
    { cwd: tree });
  if (made instanceof Error)
    throw new Error(`make of ${OLD}: ${String(made.stderr).slice(-2000)}`);
  return dir;
}

class Load {
  constructor(stack, keys) {
    Object.assign(this, { stack, keys, ok: 0, statuses: {}, stopping: false });
    this.tasks = Array.from({ length: 12 }, (_, i) => this.client(i));
  }

  async client(i) {
    for (let n = 0; !this.stopping; n++) {
      const agent = this.stack.agents[(i + n) % this.stack.agents.length];
      try {
        const r = await agent.chat(this.keys[n % this.keys.length], prompt(`request ${i}.${n}`, {
          stream: n % 2 === 0, x_sim: { tokens: 5 + n % 20 } }),
        {}, { signal: AbortSignal.timeout(20000) });
        await r.text();
        this.statuses[r.status] = (this.statuses[r.status] ?? 0) + 1;
        if (r.ok) this.ok += 1; else await delay(20);
      } catch {
        await delay(50);
      }
    }
  }

  more(n, what) {
    const want = this.ok + n;
    return until(`${n} requests ${what}`, () => this.ok >= want, 60000);
  }

  async stop() {
    this.stopping = true;
    await Promise.all(this.tasks);
  }
}

async function start(controlBin, agentBin) {
  const stack = new Stack({ allow: [/./] });
  await stack.startProvider({ apiKey: providerKey,
    models: modelsFile(stack.dir, { 'sim-small': { ttft_ms: 3 } }) });
  await stack.startControl({ bin: controlBin });
  const { secrets } = await stack.apply([...catalog(stack.provider.url),
    ...tenant('roomy', ['app'], { budget: '1000' }), ...tenant('tight', ['app'], { budget: '0.1' })]);
  for (const name of ['agent-1', 'agent-2'])
    await stack.agent(name, { workers: 2, bin: agentBin }).start();
  await stack.settled();
  return { stack, load: new Load(stack, Object.values(secrets)) };
}

async function finish({ stack, load }, what, sum, log) {
  await load.more(50, 'in the end');
  await load.stop();
  const result = await reconcile(stack, 60000);
  agree(result);
  const tight = await stack.rest.get('/v1/budgets/tight.main/status');
  log(`${what}: ${JSON.stringify(load.statuses)}, ${result.ledgerRows} metered, ` +
    `tight ${tight.spent_nanousd} of ${tight.limit_nanousd}`);
  sum.upgrades += 1;
  sum.requests_metered += result.ledgerRows;
  sum.overspend_hard_nanousd = Math.max(sum.overspend_hard_nanousd,
    Number(tight.spent_nanousd) - Number(tight.limit_nanousd));
}

async function replace(stack, load, agent, newBin) {
  await agent.proc.kill();
  agent.options.bin = newBin;
  await agent.start();
  await load.more(50, `with ${agent.name} replaced`);
}

// Old everywhere; the control plane, then the agents become new.
async function upgrade(old, sum, log) {
  const run = await start(old, old);
  const { stack, load } = run;
  try {
    await load.more(200, 'with old programs');
    await stack.control.proc.kill();
    await delay(500); // usage and leases pile up in old journals
    stack.control.options.bin = undefined;
    await stack.control.start();
    await load.more(200, 'of old agents with the new control plane');
    for (const agent of stack.agents) {
      stack.control.proc.signal('SIGSTOP'); // what it has is not shipped
      await delay(300);
      const replaced = replace(stack, load, agent, bin);
      await delay(500);
      stack.control.proc.signal('SIGCONT');
      await replaced;
    }
    await finish(run, 'old to new', sum, log);
  } finally {
    await load.stop();
    for (const p of stack.procs)
      await p.kill().catch(() => {});
  }
}

// New agents before their control plane; that becomes new under them.
async function agentsFirst(old, sum, log) {
  const run = await start(old, bin);
  const { stack, load } = run;
  try {
    await load.more(200, 'of new agents with the old control plane');
    await stack.agents[0].proc.kill();
    await stack.agents[0].start();
    await load.more(100, 'after a restart');
    await stack.control.proc.stop();
    stack.control.options.bin = undefined;
    await stack.control.start();
    await finish(run, 'agents first', sum, log);
  } finally {
    await load.stop();
    for (const p of stack.procs)
      await p.kill().catch(() => {});
  }
}

export async function run({ root, log }) {
  const old = await oldPrograms(root, log);
  const sum = { upgrades: 0, requests_metered: 0, lost: 0, duplicated: 0,
    overspend_hard_nanousd: 0 };
  if (!old)
    return { upgrades: 0, upgrades_skipped: 1 };
  try {
    await upgrade(old, sum, log);
    await agentsFirst(old, sum, log);
  } catch (e) {
    throw Object.assign(e, { figures: sum });
  }
  return sum;
}
