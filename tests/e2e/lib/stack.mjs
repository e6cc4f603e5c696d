// SPDX-License-Identifier: Apache-2.0
// A whole Headgate in a temporary folder: control plane with embedded
// PostgreSQL, agents, provider simulator, all on ports from the kernel.
// Restarts keep their ports, as a real installation does.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import OpenAI from 'openai';

import { bin, Hopeless, ports, Proc, until } from './proc.mjs';
import { Rest } from './rest.mjs';

export class Provider {
  constructor(stack, name, options) {
    this.stack = stack;
    this.options = options;
    this.proc = stack.proc(name);
    this.record = path.join(stack.dir, `${name}.record`);
    this.portsFile = path.join(stack.dir, `${name}.ports`);
    this.port = options.port ?? 0;
  }

  async start() {
    const o = this.options;
    fs.rmSync(this.portsFile, { force: true });
    this.proc.start(path.join(bin, 'headgate-provider'), [
      '--listen', `${o.host ?? '127.0.0.1'}:${this.port}`, '--ports-file', this.portsFile,
      ...(this.record ? ['--record', this.record] : []), ...(o.models ? ['--models', o.models] : []),
      ...(o.apiKey ? ['--api-key', o.apiKey] : []),
      ...(o.canaries ?? []).flatMap((c) => ['--canary', c]),
      ...(o.args ?? []),
    ]);
    const { http, https } = await ports(this.portsFile, this.proc);
    this.port = http;
    this.tlsPort = https; // with --tls-cert and --tls-key
    this.url = `http://${o.host ?? '127.0.0.1'}:${this.port}`;
    return this;
  }

  async get(what) {
    return (await fetch(`${this.url}/sim/${what}`)).json();
  }

  async bill() { return (await this.get('bill')).rows; }
  stats() { return this.get('stats'); }
  async last() { return (await this.get('last')).requests; }
}

export class Control {
  constructor(stack, options) {
    this.stack = stack;
    this.options = options;
    const name = options.name ?? 'control';
    this.proc = stack.proc(name);
    this.portsFile = path.join(stack.dir, `${name}.ports`);
    this.tokenFile = path.join(stack.dir, 'owner.token');
    this.store = options.store ?? `embedded:${path.join(stack.dir, 'pg')}`;
    this.ports = options.ports ?? { rest: 0, channel: 0, publish: 0 };
  }

  async start() {
    const p = this.ports;
    const host = this.options.channelHost ?? '127.0.0.1';
    fs.rmSync(this.portsFile, { force: true });
    this.proc.start(path.join(this.options.bin ?? bin, 'headgate-control'), [
      'serve', '--store', this.store, '--listen', `127.0.0.1:${p.rest}`,
      '--channel-listen', `${host}:${p.channel}`,
      '--publish-listen', `${host}:${p.publish}`,
      '--ports-file', this.portsFile, '--bootstrap-token-file', this.tokenFile,
      '--master-key-file', path.join(this.stack.dir, 'master.key'),
      '--log-format', 'json', ...(this.options.args ?? []),
    ]);
    this.ports = await ports(this.portsFile, this.proc, 90000);
    this.url = `http://127.0.0.1:${this.ports.rest}`;
    this.token = fs.readFileSync(this.tokenFile, 'utf8').trim();
    this.rest = new Rest(this.url, this.token);
    await until('the control plane to be ready', async () =>
      (await fetch(`${this.url}/readyz`)).ok, 30000);
    return this;
  }

  // Lines of the embedded server's postmaster.pid.
  postmasterFile() {
    const file = path.join(this.stack.dir, 'pg', 'data', 'postmaster.pid');
    const found = [file, path.join(this.stack.dir, 'pg', 'postmaster.pid')]
      .find((f) => fs.existsSync(f));
    return found ? fs.readFileSync(found, 'utf8').split('\n') : [];
  }

  // Pid of the embedded postmaster.
  postmaster() {
    return Number(this.postmasterFile()[0] ?? 0);
  }

  // How others connect to the embedded server.
  conninfo() {
    const socket = encodeURIComponent(this.postmasterFile()[4]);
    return `postgresql://headgate@/headgate?host=${socket}`;
  }
}

export class Agent {
  constructor(stack, name, options) {
    this.stack = stack;
    this.name = name;
    this.options = options;
    this.proc = stack.proc(name);
    this.dir = options.dir ?? path.join(stack.dir, name);
    this.portsFile = path.join(stack.dir, `${name}.ports`);
    this.ports = options.ports ?? { data: 0, status: 0 };
  }

  async joinToken() {
    const { group = 'default', region = 'local' } = this.options;
    return (await this.stack.control.rest.post('/v1/join-tokens', {
      group, region, expires_in: '1h', max_uses: 1,
    })).token;
  }

  spawn(token) {
    fs.rmSync(this.portsFile, { force: true });
    fs.mkdirSync(this.dir, { recursive: true });
    this.proc.start(path.join(this.options.bin ?? bin, 'headgate-agent'), [
      '--data-listen', `127.0.0.1:${this.ports.data}`,
      '--status-listen', `127.0.0.1:${this.ports.status}`,
      '--data-dir', this.dir, '--ports-file', this.portsFile, '--name', this.name,
      '--workers', String(this.options.workers ?? 2), '--log-format', 'json',
      ...(token ? ['--join-token', token] : []), ...(this.options.args ?? []),
    ], { env: this.options.env ?? {} });
    return this;
  }

  async start({ ready = true } = {}) {
    const enrolled = fs.existsSync(path.join(this.dir, 'identity'));
    this.spawn(enrolled ? null : await this.joinToken());
    this.ports = await ports(this.portsFile, this.proc);
    this.url = `http://127.0.0.1:${this.ports.data}`;
    this.statusUrl = `http://127.0.0.1:${this.ports.status}`;
    if (ready)
      await this.ready();
    return this;
  }

  ready(ms = 20000) {
    return until(`${this.name} to be ready`, async () => {
      if (!this.proc.running)
        throw new Hopeless(`${this.name} ended`);
      return (await fetch(`${this.statusUrl}/readyz`)).ok;
    }, ms).catch((error) => {
      throw new Error(`${error.message}\n${this.proc.tail()}`);
    });
  }

  // One metric, summed over its labels.
  async status() {
    return (await fetch(`${this.statusUrl}/v1/status`)).json();
  }

  async metric(name) {
    const text = await (await fetch(`${this.statusUrl}/metrics`)).text();
    let sum = 0;
    for (const line of text.split('\n')) {
      if (line.startsWith(name) && /[ {]/.test(line[name.length] ?? ''))
        sum += Number(line.slice(line.lastIndexOf(' ') + 1));
    }
    return sum;
  }

  client(apiKey, options = {}) {
    return new OpenAI({
      apiKey, baseURL: `${this.url}/v1`, maxRetries: 0, timeout: 30000, ...options,
    });
  }

  chat(apiKey, body, headers = {}, options = {}) {
    return fetch(`${this.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...options,
    });
  }
}

export class Stack {
  constructor(options = {}) {
    this.options = options;
    this.procs = [];
    this.agents = [];
    this.allow = options.allow ?? [];
    const base = process.env.TMPDIR ?? os.tmpdir();
    this.dir = options.dir ?? fs.mkdtempSync(path.join(base, 'stack-'));
    fs.mkdirSync(this.dir, { recursive: true });
    fs.chmodSync(this.dir, 0o755); // PostgreSQL runs as another user
  }

  proc(name) {
    const p = new Proc(name, path.join(this.dir, `${name}.log`), this.options.detached);
    this.procs.push(p);
    return p;
  }

  async startProvider(options = {}) {
    this.provider = await new Provider(this, options.name ?? 'provider', options).start();
    return this.provider;
  }

  // Another control plane on the store of the first one.
  startReplica(name, options = {}) {
    return new Control(this, { name, store: this.control.conninfo(), ...options }).start();
  }

  async startControl(options = {}) {
    this.control = await new Control(this, options).start();
    this.rest = this.control.rest;
    return this.control;
  }

  agent(name, options = {}) {
    const a = new Agent(this, name, options);
    this.agents.push(a);
    return a;
  }

  // Applies items; returns {secrets: {name: secret}, version}.
  async apply(items, message = 'test') {
    const got = await this.rest.post('/v1/apply', { message, items });
    const secrets = Object.fromEntries(
      (got.created_secrets ?? []).map((s) => [s.name, s.secret]));
    return { ...got, secrets };
  }

  // Every ready agent has the newest version.
  async settled(ms = 10000) {
    const { items } = await this.rest.get('/v1/versions?limit=1');
    const newest = Number(items[0]?.version ?? 0);
    await until(`all agents at version ${newest}`, async () => {
      const { items: agents } = await this.rest.get('/v1/agents?limit=100');
      const here = agents.filter((a) => a.state === 'connected');
      const running = this.agents.filter((a) => a.proc.running).length;
      return here.length >= running &&
        here.every((a) => Number(a.active_version) >= newest);
    }, ms);
    return newest;
  }

  // Ends everything and fails when a log holds what it should not.
  async stop() {
    const problems = [];
    const order = [...this.agents.map((a) => a.proc), this.control?.proc, ...this.procs];
    for (const p of new Set(order.filter(Boolean))) {
      if (!p.running)
        continue;
      const result = await p.stop().catch((error) => {
        problems.push(error.message);
        return p.result;
      });
      if (result && (result.code ?? 0) !== 0 && !p.killed)
        problems.push(`${p.name} ended with ${JSON.stringify(result)}\n${p.tail()}`);
      if (result?.signal && !p.killed)
        problems.push(`${p.name} died of ${result.signal}\n${p.tail()}`);
    }
    for (const p of this.procs) {
      for (const line of p.badLines(this.allow).slice(0, 5))
        problems.push(`${p.name}: ${line}`);
    }
    if (problems.length > 0) {
      problems.push(`logs: ${this.dir}`);
      throw new Error(problems.join('\n'));
    }
    this.beforeRemove?.();
    if (!process.env.KEEP && !this.options.dir)
      fs.rmSync(this.dir, { recursive: true, force: true });
  }
}
