// SPDX-License-Identifier: Apache-2.0
// Overload of one agent: twice what its deployment can take, more connections
// and descriptors than it may have, more memory than there is. It sheds with
// 429 or 503 and a time to come back, serves as much as at its peak, does not
// die, and is itself again within five seconds.
import { agree, reconcile } from '../e2e/lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from '../e2e/lib/fixture.mjs';
import { delay, until } from '../e2e/lib/proc.mjs';
import { Stack } from '../e2e/lib/stack.mjs';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';

export const title = 'overload: twice the capacity, descriptors, memory';

const PLACES = 8; // of the deployment
const CONNECTIONS = 300;

class Overload {
  constructor(stack, agent, key, log) {
    Object.assign(this, { stack, agent, key, log });
    this.closedStatuses = {};
    this.pool = new http.Agent({ keepAlive: true, maxSockets: 250 });
  }

  // {status, retry: has a time to come back}
  ask(body = prompt('overload', { max_completion_tokens: 16, x_sim: { tokens: 8 } })) {
    const text = JSON.stringify(body);
    return new Promise((resolve) => {
      const req = http.request({ host: '127.0.0.1', port: this.agent.ports.data, method: 'POST',
        path: '/v1/chat/completions', agent: this.pool, timeout: 20000,
        headers: { authorization: `Bearer ${this.key}`, 'content-type': 'application/json',
          'content-length': Buffer.byteLength(text) } }, (res) => {
        res.resume();
        res.on('end', () => resolve({ status: res.statusCode,
          retry: 'retry-after' in res.headers || 'retry-after-ms' in res.headers }));
        res.on('error', () => resolve({ status: 0 }));
      });
      req.on('timeout', () => req.destroy());
      req.on('error', () => resolve({ status: 0 }));
      req.end(text);
    });
  }

  // As many as are served at once, each client waiting for its answer.
  async closed(ms) {
    const end = Date.now() + ms;
    let ok = 0;
    await Promise.all(Array.from({ length: PLACES }, async () => {
      while (Date.now() < end) {
        const { status } = await this.ask();
        ok += status === 200 ? 1 : 0;
        this.closedStatuses[status] = (this.closedStatuses[status] ?? 0) + 1;
      }
    }));
    return ok / (ms / 1000);
  }

  // rate requests a second, whatever comes of them.
  async open(rate, ms) {
    const count = { ok: 0, shed: 0, rude: 0, other: 0 };
    const pending = [];
    const start = Date.now();
    let sent = 0;
    while (Date.now() - start < ms) {
      for (; sent < rate * (Date.now() - start) / 1000; sent++)
        pending.push(this.ask().then((r) => {
          if (r.status === 200) count.ok += 1;
          else if ((r.status === 503 || r.status === 429) && r.retry) count.shed += 1;
          else if (r.status === 503 || r.status === 429) count.rude += 1;
          else count.other += 1;
        }));
      await delay(5);
    }
    const seconds = (Date.now() - start) / 1000;
    await Promise.all(pending);
    return { ...count, goodput: count.ok / seconds };
  }

  alive(what) {
    if (!this.agent.proc.running)
      throw new Error(`${what}: the agent died: ${JSON.stringify(this.agent.proc.result)}\n` +
        this.agent.proc.tail());
  }

  // ms until it serves again, three times in a row.
  async recovery(what) {
    const start = Date.now();
    let row = 0;
    await until(`service after ${what}`, async () => {
      row = (await this.ask()).status === 200 ? row + 1 : 0;
      return row === 3;
    }, 5000, 10);
    this.alive(what);
    return Date.now() - start;
  }

  limit(name, value) {
    const r = spawnSync('prlimit', ['--pid', String(this.agent.proc.pid), `--${name}=${value}:`]);
    if (r.error || r.status !== 0)
      throw new Error(`prlimit: ${r.error?.message ?? r.stderr}`);
  }

  unlimited(name) { this.limit(name, name === 'nofile' ? 4096 : 'unlimited'); }

  // Connections that say nothing; those that stay are closed at the end.
  async crowd(n, ms) {
    const sockets = Array.from({ length: n }, () => {
      const s = net.connect(this.agent.ports.data, '127.0.0.1');
      s.on('error', () => {});
      return s;
    });
    await delay(ms);
    return () => sockets.forEach((s) => s.destroy());
  }
}

async function capacity(o, soak, sum) {
  await o.closed(3000); // rights, connections
  const peak = await o.closed(4000);
  const got = await o.open(2 * peak, soak ? 300000 : 10000);
  sum.overload_recovery_ms_max = await o.recovery('overload');
  sum.overload_goodput = Number((got.goodput / peak).toFixed(3));
  sum.overload_shed = got.shed;
  o.log(`${JSON.stringify(o.closedStatuses)} peak ${peak.toFixed(0)}/s; at twice that ${JSON.stringify(got)}`);
  if (got.rude + got.other > 0)
    throw new Error(`${got.rude} refusals without a time to come back, ${got.other} others`);
  if (got.shed === 0)
    throw new Error('nothing was shed: this was no overload');
  if (sum.overload_goodput < 0.9)
    throw new Error(`goodput ${sum.overload_goodput} of the peak`);
}

async function crowds(o, sum) {
  for (const [what, n, nofile] of [['connections', CONNECTIONS, 0],
    ['descriptors', CONNECTIONS, fs.readdirSync(`/proc/${o.agent.proc.pid}/fd`).length + 20]]) {
    if (nofile)
      o.limit('nofile', nofile);
    const leave = await o.crowd(n, 3000);
    o.alive(what);
    leave();
    const ms = await o.recovery(what);
    sum.overload_recovery_ms_max = Math.max(sum.overload_recovery_ms_max, ms);
    o.log(`${what}: ${n} silent clients, serves ${ms} ms after they left`);
    if (nofile)
      o.unlimited('nofile');
  }
}

// Bodies that are larger together than what the process may still have.
async function memory(o, sum) {
  const status = fs.readFileSync(`/proc/${o.agent.proc.pid}/status`, 'utf8');
  const size = Number(/VmSize:\s+(\d+)/.exec(status)[1]) * 1024;
  o.limit('as', size + (48 << 20));
  const body = prompt('x'.repeat(8 << 20), { max_completion_tokens: 16 });
  const count = {};
  await Promise.all(Array.from({ length: 24 }, async () => {
    for (let i = 0; i < 3; i++) {
      const { status: s } = await o.ask(body);
      count[s] = (count[s] ?? 0) + 1;
    }
  }));
  o.alive('memory');
  const ms = await o.recovery('memory');
  o.unlimited('as');
  sum.overload_recovery_ms_max = Math.max(sum.overload_recovery_ms_max, ms);
  o.log(`memory: statuses ${JSON.stringify(count)}, serves ${ms} ms afterwards`);
}

export async function run({ soak, log }) {
  const stack = new Stack({ allow: [/./] });
  const sum = {};
  try {
    await stack.startProvider({ apiKey: providerKey,
      models: modelsFile(stack.dir, { 'sim-small': { ttft_ms: 40 } }) });
    await stack.startControl();
    const { secrets } = await stack.apply([
      ...catalog(stack.provider.url, { max_concurrency: PLACES }),
      ...tenant('acme', ['app'], { budget: '1000' })]);
    const agent = stack.agent('agent-1', { workers: 1,
      args: ['--max-connections', '250', '--max-streams', '64', '--queue-wait', '300ms'] });
    await agent.start();
    await stack.settled();
    const o = new Overload(stack, agent, secrets['acme.team.project.app'], log);
    await capacity(o, soak, sum);
    await crowds(o, sum);
    await memory(o, sum);
    o.pool.destroy();
    const result = await reconcile(stack, 60000);
    agree(result);
    await stack.stop();
    return { ...sum, requests_metered: result.ledgerRows, lost: result.lost.length,
      duplicated: result.duplicated.length };
  } catch (e) {
    log(`logs in ${stack.dir}`);
    throw Object.assign(e, { figures: sum });
  } finally {
    for (const p of stack.procs)
      await p.kill().catch(() => {});
  }
}
