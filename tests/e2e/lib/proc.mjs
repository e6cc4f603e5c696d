// SPDX-License-Identifier: Apache-2.0
// Real processes: started with their output in files, waited for by
// condition, ended by pid, and looked through for errors afterwards.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = process.env.HG_ROOT ?? fileURLToPath(new URL('../../..', import.meta.url));
export const bin = process.env.HG_BIN ?? path.join(root, 'build/dev/bin');

const live = new Set();

// Nothing that we started outlives us.
process.on('exit', () => {
  for (const p of live)
    p.signal('SIGKILL');
});
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(name, () => process.exit(130));

export function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Thrown inside until(): there is no point in waiting any longer.
export class Hopeless extends Error {}

// Polls until fn gives something true; what fn last threw is in the error.
export async function until(what, fn, ms = 20000, every = 20) {
  const deadline = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const got = await fn();
      if (got)
        return got;
      last = undefined;
    } catch (error) {
      if (error instanceof Hopeless)
        throw error;
      last = error;
    }
    if (Date.now() > deadline)
      throw new Error(`waited ${ms} ms for ${what}${last ? `: ${last.message}` : ''}`);
    await delay(every);
  }
}

const bad = [
  /AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer/,
  /runtime error:/,
  /MUST\(|must_fail|Assertion/,
  /"level":"error"/i,
  /\bERROR\b/,
];

export class Proc {
  constructor(name, logFile, detached = false) {
    this.name = name;
    this.detached = detached; // may outlive us, see release()
    this.logFile = logFile;
    this.child = null;
    this.exited = null;
    this.killed = false;
  }

  start(program, args, { env = {}, cwd } = {}) {
    const log = fs.openSync(this.logFile, 'a');
    fs.writeSync(log, `# start ${path.basename(program)} ${args.join(' ')}\n`);
    this.killed = false;
    this.child = spawn(program, args, {
      stdio: ['ignore', log, log], env: { ...process.env, ...env }, cwd,
      detached: this.detached,
    });
    fs.closeSync(log);
    this.pid = this.child.pid;
    this.exited = new Promise((resolve) => {
      this.child.on('error', (error) => {
        live.delete(this);
        this.result = { code: -1, error: error.message };
        resolve(this.result);
      });
      this.child.on('exit', (code, signal) => {
        live.delete(this);
        this.result = { code, signal };
        resolve(this.result);
      });
    });
    this.result = null;
    live.add(this);
    return this;
  }

  get running() {
    return this.child !== null && this.result === null;
  }

  // Let it live on when we end.
  release() {
    live.delete(this);
    this.child.unref();
  }

  signal(name) {
    if (!this.running)
      return;
    try {
      process.kill(this.pid, name);
    } catch {
      // it ended meanwhile
    }
  }

  async kill() {
    this.killed = true;
    this.signal('SIGKILL');
    await this.exited;
  }

  async stop(ms = 20000) {
    if (!this.running)
      return this.result;
    this.signal('SIGTERM');
    const late = delay(ms).then(() => 'late');
    if (await Promise.race([this.exited, late]) === 'late') {
      this.signal('SIGABRT');
      await this.exited;
      throw new Error(`${this.name} did not end within ${ms} ms of SIGTERM`);
    }
    return this.result;
  }

  log() {
    return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, 'utf8') : '';
  }

  tail(n = 30) {
    return this.log().trimEnd().split('\n').slice(-n).join('\n');
  }

  // Lines that no healthy run has; `allow` are patterns of expected ones.
  badLines(allow = []) {
    return this.log().split('\n').filter((line) => bad.some((b) => b.test(line)) &&
      !allow.some((a) => a.test(line)));
  }
}

// Waits for a --ports-file and reads it: {rest: 7400, ...}.
export async function ports(file, proc, ms = 60000) {
  const text = await until(`${proc.name} to be ready`, () => {
    if (!proc.running)
      throw new Hopeless(`${proc.name} ended: ${JSON.stringify(proc.result)}`);
    return fs.existsSync(file) && fs.readFileSync(file, 'utf8');
  }, ms).catch((error) => {
    throw new Error(`${error.message}\n${proc.tail()}`);
  });
  return Object.fromEntries(text.trim().split('\n').map((line) => {
    const [name, port] = line.split('=');
    return [name, Number(port)];
  }));
}

export function cpuSeconds(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
