#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// What dies, and what goes on: the control plane away at an agent's start
// and later, PostgreSQL stopped without a checkpoint while usage flows,
// agents killed at random moments, the provider restarted. Afterwards the
// ledger is the provider's bill.
import { agree, reconcile } from './lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { delay, until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

// PostgreSQL stopped under the control plane is an error that it must log.
const stack = new Stack({ allow: [/postgres|database|connection|server closed|store|terminat/i] });
const keys = [];
let agents;

teardown(() => stack.stop());

test('the stack starts: two agents', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir, { 'sim-small': { ttft_ms: 5, gap_ms: 2 } }), apiKey: providerKey,
  });
  await stack.startControl();
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...tenant('acme', ['app'], { budget: '1000' })]);
  keys.push(secrets['acme.team.project.app']);
  agents = [stack.agent('agent-1'), stack.agent('agent-2')];
  for (const a of agents)
    await a.start();
  await stack.settled();
}, { timeout: 120000 });

// Sends until stopped; counts what came of it.
class Load {
  constructor(clients = 16) {
    this.ok = 0;
    this.failed = 0;
    this.statuses = {};
    this.first = ''; // what failed first
    this.stopping = false;
    this.tasks = Array.from({ length: clients }, (_, i) => this.client(i));
  }

  async client(i) {
    for (let n = 0; !this.stopping; n++) {
      const agent = agents[(i + n) % agents.length];
      try {
        const r = await agent.chat(keys[0], prompt(`request ${n}`, {
          stream: n % 2 === 0, x_sim: { tokens: 10 + (n % 20) },
        }));
        const text = await r.text();
        this.statuses[r.status] = (this.statuses[r.status] ?? 0) + 1;
        if (r.ok) {
          this.ok += 1;
          continue;
        }
        this.failed += 1;
        this.first ||= `${agent.name}: ${r.status} ${text}`;
        await delay(5);
      } catch (error) {
        this.failed += 1;
        this.first ||= `${agent.name}: ${error.cause ?? error}`;
        await delay(20);
      }
    }
  }

  async more(n, ms = 20000) {
    const want = this.ok + n;
    await until(`${n} more requests (${JSON.stringify(this.statuses)})`, () => this.ok >= want, ms);
  }

  async stop() {
    this.stopping = true;
    await Promise.all(this.tasks);
  }
}

// Runs fn while requests are sent; they end with it, also when it fails.
async function underLoad(fn) {
  const load = new Load();
  try {
    await fn(load);
  } finally {
    await load.stop();
  }
  return load;
}

// An agent goes on for as long as its rights last: some seconds of what it was
// seen to spend. Right after its first requests nothing has been seen yet.
async function rightsFor(load, n) {
  await until(`every agent to hold rights for ${n} requests`, async () => {
    const leases = (await Promise.all(agents.map((a) => a.status()))).map((s) =>
      s.leases.find((l) => l.budget === 'acme.main' && !l.superseded));
    const each = leases.reduce((sum, l) => sum + Number(l.settled), 0) / load.ok;
    return leases.every((l) => l.left >= n * each + l.in_use);
  });
}

test('control plane killed and away: agents go on; then usage arrives', async () => {
  const load = await underLoad(async (l) => {
    await l.more(100);
    await rightsFor(l, 200);
    await stack.control.proc.kill();
    await l.more(200);
  });
  equal(load.failed, 0, `failed requests (${JSON.stringify(load.statuses)}, ${load.first})`);
  await stack.control.start();
  agree(await reconcile(stack));
}, { timeout: 120000 });

test('an agent starts with the control plane away, from its bundle on disk', async () => {
  await stack.control.proc.stop();
  await agents[0].proc.stop();
  await agents[0].start();
  const refused = await agents[0].chat('hg-nobody', prompt());
  equal(refused.status, 401, 'a wrong key without control plane');
  const models = await fetch(`${agents[0].url}/v1/models`, {
    headers: { authorization: `Bearer ${keys[0]}` },
  });
  equal(models.status, 200, 'configuration without control plane');
  await stack.control.start();
  await until('a request to be served', async () =>
    (await agents[0].chat(keys[0], prompt())).status === 200);
  agree(await reconcile(stack));
}, { timeout: 120000 });

test('PostgreSQL stopped "immediate" while usage flows, three times', async () => {
  await underLoad(async (load) => {
    for (let i = 0; i < 3; i++) {
      await load.more(60, 30000);
      const pid = await until('postmaster.pid', () => stack.control.postmaster(), 30000);
      process.kill(pid, 'SIGQUIT'); // what pg_ctl stop -m immediate sends
      await load.more(60, 30000);
    }
  });
  if (!stack.control.proc.running)
    await stack.control.start();
  await until('the control plane to be ready', async () =>
    (await fetch(`${stack.control.url}/readyz`)).ok, 60000);
  agree(await reconcile(stack, 60000));
}, { timeout: 200000 });

test('an agent killed at random moments under load', async () => {
  await underLoad(async (load) => {
    let seed = Number(process.env.SEED ?? 12345);
    for (let i = 0; i < Number(process.env.KILLS ?? 10); i++) {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      const agent = agents[i % 2];
      await load.more(10 + (seed % 60));
      await agent.proc.kill();
      await agent.start();
    }
    await load.more(50);
  });
  const result = await reconcile(stack, 60000);
  agree(result);
  console.log(`# ${result.oracleRows} billed, ${result.corrected} corrected after crashes`);
}, { timeout: 200000 });

test('control plane killed at random moments under load, three times', async () => {
  await underLoad(async (load) => {
    for (let i = 0; i < 3; i++) {
      await load.more(50 + i * 17);
      await stack.control.proc.kill();
      await load.more(20);
      await stack.control.start();
    }
  });
  agree(await reconcile(stack, 60000));
}, { timeout: 200000 });

test('nothing is owed: the budget has spent what the ledger says', async () => {
  const result = await reconcile(stack);
  const status = await stack.rest.get('/v1/budgets/acme.main/status');
  equal(BigInt(status.spent_nanousd), result.ledgerCost, 'spent');
  assert(BigInt(status.spent_nanousd) <= BigInt(status.limit_nanousd));
});

await run();
