// SPDX-License-Identifier: Apache-2.0
// Benchmarks of the agent beside nginx: same upstream, same load, same run,
// in turns; CPU from the kernel's accounting of all processes of each side.
// The agent has everything switched on: authentication, limits, three
// budgets, journal, shipping to a control plane with PostgreSQL.
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { catalog, item, modelsFile, providerKey, tenant } from '../e2e/lib/fixture.mjs';
import { bin, cpuSeconds, Proc, root, until } from '../e2e/lib/proc.mjs';
import { Stack } from '../e2e/lib/stack.mjs';

const run = promisify(execFile);
const quick = process.env.QUICK === '1';
const out = path.join(root, 'build/bench');
const results = [];
const notes = [];
const rounds = quick ? 2 : 3;
const seconds = quick ? 2 : 5;

// One agent worker beside one nginx worker: what is compared is work, not
// the number of threads.
const workers = Number(process.env.WORKERS ?? 1);

function add(name, value, unit, baselineName, baseline, more = {}) {
  const round = (v) => (v === null ? null : Number(v.toPrecision(4)));
  results.push({
    name, value: round(value), unit, baseline_name: baselineName, baseline: round(baseline),
    ...more, ratio: baseline ? round(more.ratio ?? value / baseline) : null,
  });
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

async function load(args) {
  const { stdout } = await run(path.join(bin, 'headgate-load'), args, { maxBuffer: 1 << 24 });
  return JSON.parse(stdout);
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function children(pid) {
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    .split(' ').filter(Boolean).map(Number);
}

class Nginx {
  constructor(dir) {
    this.dir = dir;
    this.proc = new Proc('nginx', path.join(dir, 'nginx.log'));
  }

  async start(upstream) {
    this.port = await freePort();
    const conf = path.join(this.dir, 'nginx.conf');
    const text = fs.readFileSync(path.join(root, 'tests/bench/nginx.conf.in'), 'utf8')
      .replaceAll('@WORKERS@', String(workers)).replaceAll('@PORT@', String(this.port))
      .replaceAll('@UPSTREAM@', upstream).replaceAll('@DIR@', this.dir);
    fs.writeFileSync(conf, text);
    this.proc.start('nginx', ['-c', conf, '-p', this.dir]);
    await until('nginx to listen', async () =>
      (await fetch(`http://127.0.0.1:${this.port}/readyz`)).ok);
  }

  cpu() {
    return [this.proc.pid, ...children(this.proc.pid)].reduce((s, pid) => s + cpuSeconds(pid), 0);
  }
}

function rss(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
}

// About 350 bytes, answered with about 800.
const small = JSON.stringify({
  model: 'sim-small', max_completion_tokens: 40, temperature: 0.2,
  messages: [
    { role: 'system', content: 'You are a helpful assistant of a small company.' },
    { role: 'user', content: 'Rephrase in one short sentence: the irrigation gate lets through what each user has a right to, and measures it, day and night.' },
  ],
});
const stream = JSON.stringify({
  model: 'sim-large', stream: true, stream_options: { include_usage: true }, max_completion_tokens: 200,
  messages: [{ role: 'user', content: 'Tell me a story.' }],
});

// The same, translated: to a provider with Anthropic's API, and from its SDK.
const translated = {
  small: JSON.stringify({ ...JSON.parse(small), model: 'claude-small' }),
  toAnthropic: JSON.stringify({ ...JSON.parse(stream), model: 'claude-large' }),
  fromAnthropic: JSON.stringify({
    model: 'sim-large', stream: true, max_tokens: 200, messages: [{ role: 'user', content: 'Tell me a story.' }],
  }),
};

const stack = new Stack({ dir: fs.mkdtempSync(path.join(os.tmpdir(), 'headgate-bench-')) });
const nginx = new Nginx(stack.dir);
let agent;
let auth;

async function start() {
  await stack.startProvider({
    models: modelsFile(stack.dir, {
      'sim-small': { tokens: 40 }, 'sim-large': { tokens: 200, gap_ms: 20 },
    }),
    args: ['--threads', '1', '--totals-only', '--keep-last', '0'],
  });
  // No record file: it would be a write a request at the simulator.
  await stack.provider.proc.stop();
  stack.provider.record = '';
  await stack.provider.start();
  await stack.startControl();
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url),
    item('provider', 'anthropic', { dialect: 'anthropic', base_url: stack.provider.url, credential: providerKey }),
    ...['small', 'large'].flatMap((size) => [
      item('deployment', `claude-${size}`, { model: `sim-${size}`, provider: 'anthropic', upstream_model: `sim-${size}`, region: 'local' }),
      item('route', `claude-${size}`, { targets: [{ deployment: `claude-${size}` }] }),
    ]),
    ...tenant('acme', ['app'], { budget: '1000000' }),
    item('budget', 'acme.team', { scope: 'acme.team', limit_usd: '900000', mode: 'hard', period: 'month' }),
    item('budget', 'acme.project', { scope: 'acme.team.project', limit_usd: '800000', mode: 'hard', period: 'day' }),
    item('limit', 'acme.key', {
      scope: 'acme.team.project.app', requests_per_minute: 100000000,
      tokens_per_minute: 100000000000, concurrency: 20000,
    }),
  ]);
  auth = `authorization: Bearer ${secrets['acme.team.project.app']}`;
  agent = stack.agent('agent', { workers, args: ['--forward-sim-headers'] });
  await agent.start();
  await nginx.start(`127.0.0.1:${stack.provider.port}`);
  // Leases in place before anything is measured.
  await until('the agent to serve', async () => {
    const r = await agent.chat(auth.slice('authorization: Bearer '.length), small);
    await r.text();
    return r.ok;
  });
}

const sides = () => ({
  nginx: { url: `http://127.0.0.1:${nginx.port}/v1/chat/completions`, cpu: () => nginx.cpu(), sse: `http://127.0.0.1:${nginx.port}/stream/v1/chat/completions` },
  agent: { url: `${agent.url}/v1/chat/completions`, cpu: () => cpuSeconds(agent.proc.pid), sse: `${agent.url}/v1/chat/completions` },
});

function healthy(name, target) {
  if (target.errors > 0 || target.incomplete > 0 || target.bad_answers > 0)
    notes.push(`${name}: ${target.errors} errors, ${target.incomplete} incomplete, by status ${JSON.stringify(target.by_status)}`);
}

// CPU seconds of a side for each unit of what the load counted.
async function cost(name, side, args, unit) {
  const cpu = side.cpu();
  const got = (await load([...args, '-H', auth])).targets[0];
  healthy(name, got);
  const used = side.cpu() - cpu;
  return { us: (used / got[unit]) * 1e6, target: got };
}

async function compare(name, pathOf, args, unit) {
  const figures = { nginx: [], agent: [] };
  const rates = { nginx: [], agent: [] };
  for (let i = 0; i < rounds; i++) {
    for (const [who, side] of Object.entries(sides())) {
      const got = await cost(`${name} ${who}`, side, [...args, '-w', '0', pathOf(side)], unit);
      figures[who].push(got.us);
      rates[who].push(got.target[`${unit}_per_s`]);
    }
  }
  return { nginx: median(figures.nginx), agent: median(figures.agent), rate: { nginx: median(rates.nginx), agent: median(rates.agent) } };
}

async function smallRequests() {
  const args = ['-c', '64', '-d', String(seconds), '-b', small];
  const closed = await compare('small', (s) => s.url, args, 'requests');
  add('small_request_cpu', closed.agent, 'us/request', 'nginx', closed.nginx, { goal: 2.0 });
  add('small_request_rate', closed.rate.agent, 'requests/s', 'nginx', closed.rate.nginx);
  const rate = Math.floor(Math.min(closed.rate.agent, closed.rate.nginx) / 2);
  const open = await compare('small at half load', (s) => s.url, [...args, '-r', String(rate)], 'requests');
  add('small_request_cpu_half_load', open.agent, 'us/request', 'nginx', open.nginx);
  return closed.rate.agent;
}

async function streams() {
  const n = quick ? 300 : 1000;
  const args = ['-s', '-c', String(n), '-d', String(seconds + 4), '-b', stream];
  const got = await compare('sse', (s) => s.sse, args, 'events');
  add('sse_event_cpu', got.agent, 'us/event', 'nginx, proxy_buffering off', got.nginx, { goal: 1.3 });
  add('sse_event_rate', got.rate.agent, 'events/s', 'nginx, proxy_buffering off', got.rate.nginx);
}

// Translation beside passing through, by the same agent in the same run.
async function translation() {
  const chat = `${agent.url}/v1/chat/completions`;
  const side = sides().agent;
  const n = quick ? 300 : 1000;
  const sse = (url, body) => [['-s', '-c', String(n), '-d', String(seconds + 4), '-w', '0', '-b', body,
    '-H', 'anthropic-version: 2023-06-01', url], 'events'];
  // Events as fast as they come: what they cost without a packet each.
  const burst = (url, body) => [['-s', '-c', '8', '-d', String(seconds), '-w', '0', '-b', body.replace(':200', ':2000'),
    '-H', 'anthropic-version: 2023-06-01', '-H', 'x-sim-knobs: gap_ms=0; tokens=2000', url], 'events'];
  const plain = (body) => [['-c', '64', '-d', String(seconds), '-w', '0', '-b', body, chat], 'requests'];
  const cases = {
    pass: sse(chat, stream), to: sse(chat, translated.toAnthropic),
    from: sse(`${agent.url}/v1/messages`, translated.fromAnthropic),
    burst: burst(chat, stream), burstTo: burst(chat, translated.toAnthropic),
    burstFrom: burst(`${agent.url}/v1/messages`, translated.fromAnthropic),
    plain: plain(small), translated: plain(translated.small),
  };
  const figures = {};
  for (let i = 0; i < rounds; i++) {
    for (const [name, [args, unit]] of Object.entries(cases))
      (figures[name] ??= []).push((await cost(`translation ${name}`, side, args, unit)).us);
  }
  const f = Object.fromEntries(Object.entries(figures).map(([name, list]) => [name, median(list)]));
  add('sse_event_cpu_openai_from_anthropic', f.to, 'us/event', 'passed through', f.pass, { goal: 2.5 });
  add('sse_event_cpu_anthropic_from_openai', f.from, 'us/event', 'passed through', f.pass, { goal: 2.5 });
  add('burst_event_cpu_openai_from_anthropic', f.burstTo, 'us/event', 'passed through', f.burst);
  add('burst_event_cpu_anthropic_from_openai', f.burstFrom, 'us/event', 'passed through', f.burst);
  add('small_request_cpu_translated', f.translated, 'us/request', 'passed through', f.plain);
}

async function latency(max) {
  const rate = Math.floor(max / 2);
  const direct = `${stack.provider.url}/v1/chat/completions`;
  for (const [who, side] of Object.entries(sides())) {
    const got = await load(['-c', '64', '-d', String(seconds * 2), '-w', '1', '-r', String(rate),
      '-b', small, '-H', auth, direct, side.url]);
    const [d, s] = got.targets;
    healthy(`latency direct/${who}`, d);
    healthy(`latency ${who}`, s);
    for (const q of ['p50', 'p99']) {
      const added = (s.latency_us[q] - d.latency_us[q]) / 1000;
      const name = who === 'agent' ? `added_latency_${q}` : `added_latency_${q}_of_nginx`;
      add(name, added, 'ms', 'direct to the simulator', d.latency_us[q] / 1000,
        { ratio: s.latency_us[q] / d.latency_us[q], ...(who === 'agent' ? { goal: q === 'p50' ? 0.15 : 1 } : {}) });
    }
  }
}

async function memory() {
  const before = rss(agent.proc.pid);
  const n = quick ? 500 : 2000;
  const running = load(['-s', '-c', String(n), '-d', '6', '-w', '0', '-b', stream, '-H', auth, sides().agent.sse]);
  await until('the streams to be open', async () =>
    (await stack.provider.stats()).active >= n * 0.98, 15000).catch(() => notes.push('not all streams were open'));
  const during = rss(agent.proc.pid);
  await running;
  add('memory_per_stream', (during - before) / n / 1024, 'KiB', 'goal', 32);
  add('memory_agent', before / 1048576, 'MiB', null, null);
}

// Benchmarks that are programs of their own and print JSON lines.
function program(name) {
  const file = path.join(bin, name);
  if (!fs.existsSync(file)) {
    notes.push(`${name}: no program, not measured`);
    return;
  }
  const got = spawnSync(file, [], { encoding: 'utf8', timeout: 900000 });
  if (got.status !== 0) {
    notes.push(`${name} failed: ${(got.stderr || got.error?.message || '').slice(-500)}`);
    return;
  }
  for (const line of got.stdout.split('\n')) {
    if (line.startsWith('{'))
      results.push(JSON.parse(line));
  }
}

function print() {
  const show = (v) => (v === null || v === undefined ? '' : String(v));
  const rows = [['what', 'value', 'unit', 'baseline', 'its value', 'ratio', 'goal'],
    ...results.map((r) => [r.name, r.value, r.unit, r.baseline_name, r.baseline, r.ratio, r.goal].map(show))];
  const width = rows[0].map((_, i) => Math.max(...rows.map((r) => r[i].length)));
  for (const r of rows)
    console.log(r.map((c, i) => c.padEnd(width[i])).join('  ').trimEnd());
  for (const note of notes)
    console.log(`note: ${note}`);
}

try {
  fs.mkdirSync(out, { recursive: true });
  await start();
  console.log(`${os.cpus().length} x ${os.cpus()[0].model}, ${workers} worker each, ${rounds} rounds`);
  if (process.env.ONLY === 'translation') {
    await translation();
  } else if (process.env.ONLY === 'small') {
    await smallRequests();
  } else {
    await memory(); // of a fresh process
    const max = await smallRequests();
    await streams();
    await translation();
    await latency(max);
    program('money_bench');
    program('lease_bench');
    program('ingest_bench');
    program('tokenizer_bench');
  }
  fs.writeFileSync(path.join(out, 'results.json'), `${JSON.stringify(results, null, 1)}\n`);
  print();
  await nginx.proc.stop();
  await stack.stop();
  fs.rmSync(stack.dir, { recursive: true, force: true });
  process.exit(notes.length === 0 ? 0 : 1);
} catch (error) {
  console.error(`bench: failed: ${error.stack ?? error}\nlogs: ${stack.dir}`);
  process.exit(1);
}
