// SPDX-License-Identifier: Apache-2.0
// Partitions: two agents in network namespaces of their own, the cable to the
// control plane cut, one-way, flapping, slow, lossy, short of packet size,
// reset; agents and control plane die while it is. Requests go on inside the
// leases, the HARD budget holds, and afterwards all usage arrives.
import { agree, reconcile } from '../e2e/lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from '../e2e/lib/fixture.mjs';
import { bin, delay, Hopeless, ports, until } from '../e2e/lib/proc.mjs';
import { Agent, Stack } from '../e2e/lib/stack.mjs';
import { CONTROL, Net, PROVIDER, why } from './lib/netns.mjs';
import { Random } from './lib/random.mjs';
import fs from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';

export const title = 'partitions: agents in network namespaces, twelve schedules';

class SpaceAgent extends Agent {
  spawn(token) {
    fs.rmSync(this.portsFile, { force: true });
    fs.mkdirSync(this.dir, { recursive: true });
    const { space } = this.options;
    this.proc.start('ip', ['netns', 'exec', space.name, path.join(bin, 'headgate-agent'),
      '--data-listen', `${space.address}:${this.ports.data}`,
      '--status-listen', `${space.address}:${this.ports.status}`,
      '--data-dir', this.dir, '--ports-file', this.portsFile, '--name', this.name,
      '--workers', '1', '--log-format', 'json', ...(token ? ['--join-token', token] : [])]);
    return this;
  }

  async start({ ready = true } = {}) {
    const enrolled = fs.existsSync(path.join(this.dir, 'identity'));
    this.spawn(enrolled ? null : await this.joinToken());
    this.ports = await ports(this.portsFile, this.proc);
    this.url = `http://${this.options.space.address}:${this.ports.data}`;
    this.statusUrl = `http://${this.options.space.address}:${this.ports.status}`;
    if (ready)
      await this.ready();
    return this;
  }
}

// name, how long (ms), what happens. `s` are the namespaces.
const SCHEDULES = [
  ['cut', 4000, (t) => t.each((s) => s.both('drop'))],
  ['cut towards the control plane', 4000, (t) => t.each((s) => s.up('drop'))],
  ['cut from the control plane', 4000, (t) => t.each((s) => s.down('drop'))],
  ['one agent cut', 4000, (t) => t.spaces[0].both('drop')],
  ['flapping', 6000, (t) => t.flap(300, 400)],
  ['flapping slowly', 8000, (t) => t.flap(1500, 800)],
  ['50 kbit/s', 6000, (t) => t.each((s) => s.slow('50kbit'))],
  ['packets above 600 bytes vanish', 6000, (t) => t.each((s) => s.both('meta length > 600 drop'))],
  ['a third of the packets is lost', 6000,
    (t) => t.each((s) => s.both('numgen random mod 100 < 33 drop'))],
  ['connections are reset', 4000,
    (t) => t.each((s) => s.up('meta l4proto tcp reject with tcp reset'))],
  ['cut, and the control plane dies', 4000, async (t) => {
    t.each((s) => s.both('drop'));
    await t.stack.control.proc.kill();
    await t.stack.control.start();
  }],
  ['isolated, and an agent dies', 15000, async (t) => {
    t.each((s) => s.both('drop'));
    await delay(1000);
    await t.stack.agents[1].proc.kill();
    await t.stack.agents[1].start({ ready: false });
  }],
];

class Trial {
  constructor(stack, spaces, keys, random) {
    Object.assign(this, { stack, spaces, keys, random });
    this.statuses = {};
    this.ok = [0, 0];
    this.faults = 0;
  }

  each(fn) { this.spaces.forEach(fn); }

  async flap(off, on) {
    const end = Date.now() + 5000;
    while (Date.now() < end) {
      this.each((s) => s.both('drop'));
      await delay(off);
      this.each((s) => s.heal());
      await delay(on);
    }
  }

  async client(i) {
    const which = i % 2;
    for (let n = 0; !this.stopping; n++) {
      try {
        const r = await this.stack.agents[which].chat(this.random.pick(this.keys),
          prompt(`request ${i}.${n}`, { stream: n % 2 === 0,
            x_sim: { tokens: this.random.between(1, 40) } }),
          {}, { signal: AbortSignal.timeout(20000) });
        await r.text();
        this.statuses[r.status] = (this.statuses[r.status] ?? 0) + 1;
        if (r.ok) this.ok[which] += 1;
        await delay(r.ok ? 3 : 30);
      } catch {
        await delay(50);
      }
    }
  }

  // One schedule; what broke, '' when nothing.
  async run([name, ms, fault], log) {
    const clients = Array.from({ length: 12 }, (_, i) => this.client(i));
    try {
      await this.granted();
      await delay(1500); // rights for this rate of requests
      const before = [...this.ok];
      const end = Date.now() + ms;
      await fault(this);
      await delay(Math.max(0, end - Date.now()));
      const during = this.ok.map((n, i) => n - before[i]);
      this.each((s) => s.heal());
      const healed = Date.now();
      await this.whole();
      log(`${name}: ${during.join(' + ')} requests served meanwhile, ` +
        `whole again after ${Date.now() - healed} ms`);
      if (during.some((n) => n === 0))
        throw new Error(`${name}: no request was served inside the leases`);
    } finally {
      this.each((s) => s.heal());
      this.stopping = true;
      await Promise.all(clients);
      this.stopping = false;
    }
  }

  // The line is back (TCP may take as long as it was cut), and every agent has
  // rights for five seconds of what it spends. It may have had them all along:
  // leases of a budget with plenty left rest.
  async granted() {
    await until('every agent to get rights', async () => {
      const all = await Promise.all(this.stack.agents.map((a) => a.status()));
      return all.every((s) => s.leases.some((l) => l.budget === 'roomy.main' && !l.superseded &&
        !l.fenced && l.rate_per_s > 0 && l.left >= 5 * l.rate_per_s));
    }, 60000);
  }

  // All agents are connected and serve again.
  async whole() {
    for (const a of this.stack.agents) {
      if (!a.proc.running)
        throw new Hopeless(`${a.name} ended`);
      await a.ready(60000);
    }
    await this.stack.settled(60000);
    const before = [...this.ok];
    await until('every agent to serve', () => this.ok.every((n, i) => n > before[i]), 30000);
  }
}

// A port that was free a moment ago; the control plane must be told it before
// it starts, for it advertises it.
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, CONTROL, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function stackWith(net, stack) {
  await stack.startProvider({ models: modelsFile(stack.dir, { 'sim-small': { ttft_ms: 3 } }),
    apiKey: providerKey, host: PROVIDER });
  const [channel, publish] = [await freePort(), await freePort()];
  await stack.startControl({ channelHost: CONTROL, ports: { rest: 0, channel, publish }, args: [
    '--advertise', `tls+tcp://${CONTROL}:${channel}`,
    '--advertise-publish', `tls+tcp://${CONTROL}:${publish}`] });
  const { secrets } = await stack.apply([...catalog(stack.provider.url),
    ...tenant('roomy', ['app'], { budget: '1000' }), ...tenant('tight', ['app'], { budget: '0.1' })]);
  for (let i = 1; i <= 2; i++) {
    const agent = new SpaceAgent(stack, `agent-${i}`, { space: net.add(i) });
    stack.agents.push(agent);
    await agent.start();
  }
  await stack.settled();
  return Object.values(secrets);
}

export async function run({ soak, log }) {
  const missing = why();
  if (missing) {
    log(`SKIPPED: no network namespaces here: ${missing}`);
    return { partitions_skipped: 1 };
  }
  const net = new Net();
  const stack = new Stack({ allow: [/./] });
  const random = new Random(Number(process.env.SEED ?? 5));
  let partitions = 0;
  try {
    net.open();
    const trial = new Trial(stack, net.spaces, await stackWith(net, stack), random);
    for (let i = 0; i < (soak ? 40 : 1); i++)
      for (const s of SCHEDULES) {
        const isolated = soak && s[0].startsWith('isolated');
        await trial.run(isolated ? [s[0], 600000, s[2]] : s, log);
        partitions += 1;
      }
    const result = await reconcile(stack, 60000);
    agree(result);
    const tight = await stack.rest.get('/v1/budgets/tight.main/status');
    log(`${JSON.stringify(trial.statuses)}; tight: ${tight.spent_nanousd} of ${tight.limit_nanousd}`);
    const over = Math.max(0, Number(tight.spent_nanousd) - Number(tight.limit_nanousd));
    if (over > 0)
      throw new Error(`overspent by ${over} nano-USD`);
    await stack.stop();
    return { partitions, requests_metered: result.ledgerRows, lost: result.lost.length,
      duplicated: result.duplicated.length, overspend_hard_nanousd: over,
      cost_drift_nanousd: Math.abs(Number(result.oracleCost - result.ledgerCost)) };
  } catch (e) {
    log(`logs in ${stack.dir}`);
    throw Object.assign(e, { figures: { partitions } });
  } finally {
    for (const p of stack.procs)
      await p.kill().catch(() => {});
    net.close();
  }
}
