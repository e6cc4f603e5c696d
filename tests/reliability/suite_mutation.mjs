// SPDX-License-Identifier: Apache-2.0
// Are the tests any good? Wrong operators are put into the code that handles
// money and journal, one at a time, in a copy of the tree; the tests of that
// code must notice. A mutant that hangs is noticed too (limits are CPU time, so
// that a busy machine kills nobody); one that does not compile does not count.
//
// What became of each mutant is appended to build/mutation/log.jsonl. A run
// that was interrupted goes on there: who was killed is not tried again as long
// as the file that was changed is the same (FRESH=1 tries all); who survived is.
// tests/reliability/equivalent.txt names changes that no test can see, each
// with the reason; they do not count. QUICK=1 leaves out the slow tests: who
// survives them is tried by all of them in the next run.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import { run as exec } from './lib/build.mjs';
import { mutants } from './lib/mutants.mjs';
import { Random } from './lib/random.mjs';

export const title = 'mutation: wrong operators in the code of money and journal';

const MODE = 'dev';

// What stands for a file, the quick and the likely killers first; those in `slow`
// are left out by QUICK=1. NAME is the unit test tests/unit/NAME.c, sim FROM N
// the simulation of N seeds, torture that of file calls.
const QUICK = process.env.QUICK === '1';
const AREAS = [
  { files: /^agent\/money\/.*\.c$/,
    tests: ['agent/test_lease_edges', 'agent/test_lease_sums', 'agent/test_lease_rates', 'agent/test_lease_life', 'agent/test_lease_turns',
      'agent/test_lease', 'agent/test_lease_claim', 'agent/test_lease_rest', 'agent/test_lease_value_edges', 'agent/test_lease_value_told', 'agent/test_lease_value', 'money/test_learn',
      'agent/test_filter', 'money/test_sizing', 'sim 1 300'],
    slow: ['agent/test_decay', 'agent/test_reserve', 'agent/test_server', 'system/test_value', 'sim 301 900'] },
  { files: /^agent\/journal\/(journal|replay|ship|intents|acks|machine|store|record|segment)\.c$/,
    tests: ['agent/test_intents', 'agent/test_record', 'agent/test_segment', 'agent/test_shard', 'agent/test_shard_memory', 'agent/test_rotate',
      'agent/test_folder', 'agent/test_ship', 'agent/test_ship_files', 'agent/test_machine', 'agent/test_lower',
      'agent/test_store', 'agent/test_replay', 'agent/test_journal_edges', 'agent/test_journal', 'sim 1 300'],
    slow: ['agent/test_decay', 'agent/test_spool', 'torture', 'sim 301 900'] },
  { files: /^controlplane\/money\/(exchange|grant)\.c$/,
    tests: ['money/test_grant_borders', 'money/test_exchange', 'controlplane/test_grant', 'money/test_sizing', 'money/test_learn', 'sim 1 300'],
    slow: ['controlplane/test_lease', 'controlplane/test_lease_some', 'controlplane/test_bounded',
      'controlplane/test_closing', 'controlplane/test_money_edges', 'sim 301 900'] },
  { files: /^controlplane\/money\/value\.c$/,
    tests: ['money/test_value'],
    slow: ['system/test_value'] },
  { files: /^common\/(money|price)\.c$/,
    tests: ['common/test_money', 'common/test_price', 'provider/test_price', 'agent/test_bound'],
    slow: [] },
].map((a) => ({ files: a.files, tests: QUICK ? a.tests : [...a.tests, ...a.slow] }));

const MEMORY_KIB = 4 << 20; // address space of a program
// Seconds, and times what the unchanged takes: processor time ends what spins,
// the other what sleeps.
const LIMIT = { cpu: [5, 6], wall: [40, 8] };

// {make: program, run: command line} of a test, in the folder `build`.
function program(test, build) {
  const [name, from, n] = test.split(' ');
  if (name === 'sim')
    return { make: 'bin/headgate-sim', run: `${build}/bin/headgate-sim --first --from ${from} --seeds ${n} --jobs 1` };
  if (name === 'torture')
    return { make: 'bin/headgate-torture', run: `${build}/bin/headgate-torture faults --seed 3` };
  return { make: `unit/${name}`, run: `${build}/unit/${name}` };
}

function listed(root) {
  const file = path.join(root, 'tests/reliability/equivalent.txt');
  const known = new Map();
  for (const line of fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n') : []) {
    const m = /^(\S+): (.+?) {2}-> {2}(.*?) {2}# (.+)$/.exec(line);
    if (m)
      known.set(`${m[1]}: ${m[2]}  ->  ${m[3]}`, m[4]);
    else if (line.trim() && !line.startsWith('#'))
      throw new Error(`equivalent.txt: no reason in: ${line}`);
  }
  return known;
}

const nameOf = (m) => `${m.file}: ${m.from}  ->  ${m.to}`;

// All mutants in a random order; of the files whose names hold FILES only.
function choose(root, random) {
  const only = new RegExp(process.env.FILES ?? '');
  const list = [];
  for (const dir of ['agent/money', 'agent/journal', 'controlplane/money', 'common']) {
    for (const f of fs.readdirSync(path.join(root, dir)).sort()) {
      const file = `${dir}/${f}`;
      const area = only.test(file) ? AREAS.find((a) => a.files.test(file)) : undefined;
      const text = area ? fs.readFileSync(path.join(root, file), 'utf8') : '';
      const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
      for (const m of area ? mutants(text) : [])
        list.push({ ...m, file, area, key: `${hash}:${m.line}:${m.column}:${m.to}` });
    }
  }
  for (let i = list.length - 1; i > 0; i--) {
    const k = random.below(i + 1);
    [list[i], list[k]] = [list[k], list[i]];
  }
  return list;
}

class Tree {
  constructor(dir) {
    this.dir = dir;
    this.build = `build/${MODE}`;
    this.env = { ...process.env, TMPDIR: path.join(dir, '..'), CCACHE_NOHASHDIR: '1', CCACHE_BASEDIR: dir };
    for (const name of ['MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES', 'T', 'C', 'B', 'MODE', 'HG_BIN', 'HG_ROOT'])
      delete this.env[name];
  }

  sh(text) {
    return exec('bash', ['-c', text], { cwd: this.dir, env: this.env });
  }

  async make(programs, jobs = 1) {
    const r = await this.sh(`make -s -j${jobs} ${programs.map((p) => `${this.build}/${p}`).join(' ')}`);
    return r instanceof Error ? String(r.stdout) + String(r.stderr) : '';
  }

  // '' or what failed. The tests of a program share a process, so that one that
  // hangs leaves none behind; those with a database fork, to stop it in the end.
  async test(name, seconds) {
    const began = process.hrtime.bigint();
    const r = await this.sh(`ulimit -c 0; ulimit -v ${MEMORY_KIB}; ulimit -t ${Math.ceil(seconds.cpu)}; TIMEFORMAT='cpu %U'; time ${/^(controlplane|system)\/test_(?!grant)/.test(name) ? '' : 'CK_FORK=no '}CK_DEFAULT_TIMEOUT=0 ` +
      `timeout -s KILL ${Math.ceil(seconds.wall)} ${program(name, this.build).run} 2>&1`);
    this.took = { wall: Number(process.hrtime.bigint() - began) / 1e9, cpu: Number(/cpu ([\d.]+)/.exec(r.stderr)?.[1] ?? 0) };
    if (!(r instanceof Error))
      return '';
    const why = String(r.stdout).split('\n').find((l) => /^(not ok|# seed)|:[FE]:/.test(l)) ?? `exit ${r.code ?? r.signal}`;
    return `${name}: ${why}`.slice(0, 300);
  }

  // What noticed it, '' when nothing did, null when it does not compile.
  async judge(m, seconds) {
    const file = path.join(this.dir, m.file);
    const was = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(file, m.text);
    try {
      for (const name of m.area.tests) {
        if (await this.make([program(name).make]) !== '')
          return null;
        const why = await this.test(name, seconds.get(name));
        if (why !== '')
          return why;
      }
      return '';
    } finally {
      fs.writeFileSync(file, was);
    }
  }
}

const testsOf = (areas) => [...new Set(areas.flatMap((a) => a.tests))];

async function prepare(root, dir, areas, jobs) {
  const tree = new Tree(dir);
  fs.mkdirSync(dir, { recursive: true });
  const r = await exec('bash', ['-c', `git ls-files -z -co --exclude-standard | ` +
    `xargs -0 tar cf - --ignore-failed-read 2>/dev/null | tar xf - -C '${dir}'`], { cwd: root });
  if (r instanceof Error)
    throw new Error(`cannot copy the tree: ${String(r.stderr).slice(-500)}`);
  const broken = await tree.make([...new Set(testsOf(areas).map((t) => program(t).make))], jobs);
  if (broken !== '')
    throw new Error(`the unchanged tree does not build: ${broken.slice(-1000)}`);
  return tree;
}

// The tests hold without a change; how many seconds each may take with one.
async function baseline(trees, areas) {
  const seconds = new Map();
  const names = testsOf(areas);
  await Promise.all(trees.map(async (tree) => {
    for (let name = names.pop(); name; name = names.pop()) {
      const why = await tree.test(name, { cpu: 600, wall: 900 });
      if (why !== '')
        throw new Error(`the unchanged tree fails: ${why}`);
      seconds.set(name, { cpu: LIMIT.cpu[0] + LIMIT.cpu[1] * tree.took.cpu,
        wall: LIMIT.wall[0] + LIMIT.wall[1] * tree.took.wall });
    }
  }));
  return seconds;
}

function earlier(file) {
  const killed = new Map();
  if (process.env.FRESH !== '1' && fs.existsSync(file))
    for (const line of fs.readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
      const r = JSON.parse(line);
      if (r.killed)
        killed.set(r.key, r);
      else
        killed.delete(r.key);
    }
  return killed;
}

async function worker(tree, next, note, seconds) {
  for (let m = next(); m; m = next())
    note(m, await tree.judge(m, seconds));
}

export async function run({ soak, dir, root, log }) {
  const want = Number(process.env.MUTANTS ?? (soak ? 1000 : 50));
  const seed = Number(process.env.SEED ?? 7);
  const workers = Number(process.env.WORKERS ?? 2);
  const file = path.join(root, 'build/mutation/log.jsonl');
  const queue = choose(root, new Random(seed));
  const equal = listed(root);
  const known = earlier(file);
  const s = { tried: 0, killed: 0, broken: 0, equal: 0, out: 0, alive: [] };

  fs.mkdirSync(path.dirname(file), { recursive: true });
  log(`${queue.length} mutants possible, ${want} tried (seed ${seed}); ${known.size} known from before`);
  const areas = AREAS.filter((a) => queue.some((m) => m.area === a));
  const trees = await Promise.all(Array.from({ length: workers },
    (_, i) => prepare(root, path.join(dir, `tree-${i}`), areas, Math.ceil(2 / workers))));
  const seconds = await baseline(trees, areas);
  const note = (m, why, old = false) => {
    s.out -= old ? 0 : 1;
    if (!old)
      fs.appendFileSync(file, `${JSON.stringify({ key: m.key, name: nameOf(m), line: m.line,
        killed: Boolean(why), compiles: why !== null, by: why })}\n`);
    if (why === null) {
      s.broken += 1;
      return;
    }
    s.tried += 1;
    if (why)
      s.killed += 1;
    else
      s.alive.push(`${m.file}:${m.line}: ${m.from}  ->  ${m.to}`);
    log(`${s.tried}/${want} ${why ? 'killed  ' : 'SURVIVED'} ${m.file}:${m.line}: ${m.from}  ->  ${m.to}` +
      `${why ? `   (${why.slice(0, 90)})` : ''}`);
  };
  const next = () => {
    while (s.tried + s.out < want && queue.length > 0) {
      const m = queue.pop();
      if (equal.has(nameOf(m))) {
        s.equal += 1;
        log(`equivalent: ${nameOf(m)}: ${equal.get(nameOf(m))}`);
      } else if (known.has(m.key)) {
        note(m, `${known.get(m.key).by} (earlier)`, true);
      } else {
        s.out += 1;
        return m;
      }
    }
    return null;
  };
  await Promise.all(trees.map((t) => worker(t, next, note, seconds)));
  const figures = { mutants: s.tried, mutants_killed: s.killed, mutants_equivalent: s.equal,
    mutation_seed: seed, mutation_kill_rate: s.tried > 0 ? Number((s.killed / s.tried).toFixed(4)) : 0 };
  for (const a of s.alive)
    log(`survived: ${a}`);
  if (figures.mutation_kill_rate < 0.9)
    throw Object.assign(new Error(`kill rate ${figures.mutation_kill_rate}`), { figures });
  return figures;
}
