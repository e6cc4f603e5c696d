// SPDX-License-Identifier: Apache-2.0
// Delivery chaos: three agents, the control plane and PostgreSQL are killed,
// stopped and paused at random while requests flow, and the channel between
// them drops, delays, cuts and corrupts. Afterwards the ledger is the
// provider's bill: nothing lost, nothing twice, no drift, no budget exceeded.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { agree, reconcile } from '../e2e/lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from '../e2e/lib/fixture.mjs';
import { delay, until } from '../e2e/lib/proc.mjs';
import { Stack } from '../e2e/lib/stack.mjs';
import { FaultProxy } from './lib/faultproxy.mjs';
import { Random } from './lib/random.mjs';

export const title = 'delivery chaos: kills, pauses, channel faults, against the provider\'s bill';

const OVERSPEND_NANOUSD = 50e6; // of the bounded budget

const NETWORK = [
  { name: 'reset' }, { name: 'blackhole' }, { name: 'blackhole', direction: 'up' },
  { name: 'blackhole', direction: 'down' }, { name: 'corrupt' }, { name: 'truncate' },
  { name: 'delay', ms: 300 }, { name: 'slow', bytes: 50000 },
];

class Chaos {
  constructor(stack, proxies, random, log) {
    Object.assign(this, { stack, proxies, random, log });
    this.figures = { kills: 0, partitions: 0, pauses: 0, database_stops: 0 };
    this.ok = 0;
    this.statuses = {};
  }

  async client(i, keys) {
    const { random } = this;
    for (let n = 0; !this.stopping; n++) {
      const agent = this.stack.agents[(i + n) % this.stack.agents.length];
      const leave = random.chance(0.08);
      const controller = new AbortController();
      if (leave)
        setTimeout(() => controller.abort(), random.between(1, 60));
      try {
        const r = await agent.chat(random.pick(keys), prompt(`request ${i}.${n}`, {
          model: random.pick(['sim-small', 'sim-large']), stream: random.chance(0.5),
          x_sim: { tokens: random.between(1, 60), ...(random.chance(0.1) ? {
            fault: random.pick(['429', '500', 'cut=3', 'reset-before-bytes', 'missing-usage']) } : {}) },
        }), {}, { signal: AbortSignal.any([controller.signal, AbortSignal.timeout(10000)]) });
        await r.text();
        this.statuses[r.status] = (this.statuses[r.status] ?? 0) + 1;
        if (r.ok) this.ok += 1; else await delay(5);
      } catch {
        await delay(10);
      }
    }
  }

  async killAgent() {
    const a = this.random.pick(this.stack.agents);
    this.figures.kills += 1;
    await a.proc.kill();
    await delay(this.random.below(300));
    await a.start({ ready: false });
  }

  async killControl() {
    this.figures.kills += 1;
    await this.stack.control.proc.kill();
    await delay(this.random.below(500));
    await this.stack.control.start();
    this.retarget();
  }

  async stopDatabase() {
    const pid = this.stack.control.postmaster();
    if (!pid)
      return;
    this.figures.database_stops += 1;
    try { process.kill(pid, 'SIGQUIT'); } catch { /* it is gone already */ }
    await delay(this.random.between(100, 600));
    if (!this.stack.control.proc.running)
      await this.stack.control.start();
    this.retarget();
  }

  async pause() {
    const p = this.random.pick([...this.stack.agents.map((a) => a.proc), this.stack.control.proc]);
    this.figures.pauses += 1;
    p.signal('SIGSTOP');
    await delay(this.random.between(50, 1500));
    p.signal('SIGCONT');
  }

  async network() {
    const mode = this.random.pick(NETWORK);
    const some = this.random.chance(0.5) ? this.proxies : [this.random.pick(this.proxies)];
    this.figures.partitions += 1;
    for (const p of some)
      p.set(mode);
    await delay(this.random.between(100, 1500));
    for (const p of some)
      p.set({ name: 'pass' });
  }

  retarget() {
    this.proxies[0].target = this.stack.control.ports.channel;
    this.proxies[1].target = this.stack.control.ports.publish;
  }

  async round(keys) {
    const clients = Array.from({ length: 24 }, (_, i) => this.client(i, keys));
    const what = [() => this.killAgent(), () => this.killAgent(), () => this.killControl(),
      () => this.stopDatabase(), () => this.pause(), () => this.network(), () => this.network(),
      () => this.network()];
    const want = this.ok + 500;
    const late = Date.now() + 60000;
    try {
      for (let i = 0; i < 8; i++) {
        await this.random.pick(what)();
        await delay(this.random.below(300));
      }
      for (const p of this.proxies)
        p.set({ name: 'pass' });
      await until('requests to flow again', () => this.ok >= want || Date.now() > late, 90000);
    } finally {
      this.stopping = true;
      await Promise.all(clients);
      this.stopping = false;
    }
  }

  // All is whole again; then the books.
  async settle() {
    for (const a of this.stack.agents) {
      if (!a.proc.running)
        await a.start({ ready: false });
      await a.ready(60000);
    }
    await until('the control plane to answer', () => this.stack.rest.get('/v1/agents'), 60000);
    await until('the configuration everywhere', () => this.stack.settled(10000), 60000);
    const result = await reconcile(this.stack, 60000);
    if (result.duplicated.length > 0) {
      const id = result.duplicated[0].split('/')[0];
      this.log(JSON.stringify(await this.stack.rest.get(`/v1/usage?request_id=${id}`), null, 1));
      this.log(JSON.stringify((await this.stack.provider.bill()).filter((r) => r.request_id === id)));
    }
    agree(result);
    return result;
  }
}

// What the agents do that have something left to tell: usage in a journal is
// late, not lost. Their stacks go beside their logs where gdb is installed.
async function late(stack, log) {
  for (const a of stack.agents) {
    const st = await a.status().catch(() => null);
    if (!a.proc.running || (st?.control?.connected && st.journal.unshipped === 0))
      continue;
    log(`${a.name}: ${st ? `${st.control?.state}, ${st.control?.connected ? '' : 'not '}connected, ` +
      `${st.journal.unshipped} records unshipped, heard ${st.control?.last_contact_ms_ago} ms ago: ` +
      `${st.control?.last_error}` : 'no answer'}`);
    const gdb = spawnSync('gdb', ['-p', String(a.proc.pid), '-batch', '-ex', 'thread apply all bt 20'],
      { encoding: 'utf8', timeout: 60000 });
    const sockets = spawnSync('ss', ['-tnp'], { encoding: 'utf8', timeout: 10000 });
    fs.writeFileSync(path.join(stack.dir, `${a.name}.stacks`), `${gdb.stdout ?? ''}\n${sockets.stdout ?? ''}`);
  }
}

export async function run({ soak, log }) {
  const seed = Number(process.env.SEED ?? (soak ? Date.now() % 1e9 : 42));
  const rounds = Number(process.env.ROUNDS ?? (soak ? 2000 : 20));
  const stack = new Stack({ allow: [/./] }); // errors in logs are the point
  const proxies = [await new FaultProxy().listen(), await new FaultProxy().listen()];
  const chaos = new Chaos(stack, proxies, new Random(seed), log);
  let result;
  try {
    await stack.startProvider({ models: modelsFile(stack.dir, { 'sim-small': { ttft_ms: 3 },
      'sim-large': { gap_ms: 1 } }), apiKey: providerKey });
    await stack.startControl({ args: [
      '--advertise', `tls+tcp://127.0.0.1:${proxies[0].port}`,
      '--advertise-publish', `tls+tcp://127.0.0.1:${proxies[1].port}`] });
    chaos.retarget();
    const loose = tenant('loose', ['app'], { budget: '0.3', mode: 'bounded' });
    loose.at(-1).spec.overspend_usd = String(OVERSPEND_NANOUSD / 1e9);
    const { secrets } = await stack.apply([...catalog(stack.provider.url),
      ...tenant('roomy', ['app'], { budget: '1000' }), ...tenant('tight', ['app'], { budget: '0.5' }),
      ...loose]);
    for (const name of ['agent-1', 'agent-2', 'agent-3'])
      await stack.agent(name, { workers: 2 }).start();
    await stack.settled();
    for (let i = 0; i < rounds; i++) {
      await chaos.round(Object.values(secrets));
      result = await chaos.settle();
      if ((i + 1) % 5 === 0 || i + 1 === rounds)
        log(`round ${i + 1} of ${rounds}, seed ${seed}: ${result.ledgerRows} metered, ` +
          `${result.corrected} corrected, ${JSON.stringify(chaos.statuses)}`);
    }
    const tight = await stack.rest.get('/v1/budgets/tight.main/status');
    const fixes = (await stack.rest.all('/v1/usage?tenant=tight'))
      .filter((r) => r.kind === 'correction').map((r) => Number(r.cost_nanousd));
    log(`tight: spent ${tight.spent_nanousd} of ${tight.limit_nanousd}; corrections up ` +
      `${fixes.filter((n) => n > 0).reduce((a, b) => a + b, 0)}, down ` +
      `${fixes.filter((n) => n < 0).reduce((a, b) => a + b, 0)}`);
    const over = Number(tight.spent_nanousd) - Number(tight.limit_nanousd);
    const bounded = await stack.rest.get('/v1/budgets/loose.main/status');
    log(`loose: spent ${bounded.spent_nanousd} of ${bounded.limit_nanousd}, released ${bounded.released_nanousd}`);
    if (bounded.mode !== 'bounded' || Number(bounded.released_nanousd) > OVERSPEND_NANOUSD)
      throw new Error(`a bounded budget released ${bounded.released_nanousd}, ${OVERSPEND_NANOUSD} may be`);
    await stack.stop();
    return { ...chaos.figures, chaos_rounds: rounds, requests_metered: result.ledgerRows,
      channel_faults: proxies.reduce((n, p) => n + p.faults, 0),
      lost: result.lost.length, duplicated: result.duplicated.length,
      cost_drift_nanousd: Math.abs(Number(result.oracleCost - result.ledgerCost)),
      overspend_hard_nanousd: Math.max(0, over),
      overspend_bounded_nanousd: Math.max(0, Number(bounded.spent_nanousd) - Number(bounded.limit_nanousd)),
      bounded_limit_nanousd: OVERSPEND_NANOUSD };
  } catch (e) {
    await late(stack, log);
    log(`seed ${seed}; logs in ${stack.dir}`);
    throw e;
  } finally {
    for (const p of stack.procs)
      await p.kill().catch(() => {});
    for (const p of proxies)
      await p.close();
  }
}
