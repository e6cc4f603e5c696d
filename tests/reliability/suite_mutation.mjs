// SPDX-License-Identifier: Apache-2.0
// Are the tests any good? Wrong operators are put into the code that handles
// money and journal, one at a time, in a copy of the tree; the tests of that
// code must notice. A mutant that hangs is noticed too; one that does not
// compile does not count.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

import { Random } from './lib/random.mjs';
import { mutants } from './lib/mutants.mjs';

export const title = 'mutation: wrong operators in the code of money and journal';

const run_ = promisify(execFile);

// Files, and the unit tests that stand for them; the simulation runs for all
// but common/.
const AREAS = [
  { files: /^agent\/money\/.*\.c$/, tests: ['agent/test_lease'], sim: true },
  { files: /^agent\/journal\/(journal|replay|ship|intents|acks|machine|store|record)\.c$/,
    tests: ['agent/test_journal', 'agent/test_machine'], sim: true },
  { files: /^controlplane\/money\/.*\.c$/, tests: ['controlplane/test_grant'], sim: true },
  { files: /^common\/money\.c$/, tests: ['common/test_money'], sim: false },
];

async function sh(cwd, command, ms) {
  try {
    const r = await run_('bash', ['-c', command],
      { cwd, timeout: ms, maxBuffer: 1 << 26, killSignal: 'SIGKILL', env: { ...process.env, MAKEFLAGS: '' } });
    return { code: 0, out: r.stdout + r.stderr };
  } catch (e) {
    return { code: e.killed ? 'late' : (e.code ?? 1), out: `${e.stdout ?? ''}${e.stderr ?? ''}` };
  }
}

async function prepare(root, tree) {
  const r = await sh(root, `mkdir -p '${tree}' && git ls-files -z -co --exclude-standard | ` +
    `xargs -0 tar cf - --ignore-failed-read 2>/dev/null | tar xf - -C '${tree}'`, 60000);
  if (r.code !== 0)
    throw new Error(`cannot copy the tree: ${r.out.slice(-500)}`);
}

const programs = (area) => [
  ...(area.sim ? ['build/dev/bin/headgate-sim'] : []),
  ...area.tests.map((t) => `build/dev/unit/${t}`),
];

// true when a test fails, false when all pass, null when it does not compile.
async function killed(tree, area) {
  const built = await sh(tree, `make -s ${programs(area).join(' ')}`, 300000);
  if (built.code !== 0)
    return null;
  for (const t of area.tests) {
    if ((await sh(tree, `timeout -s KILL 60 build/dev/unit/${t}`, 70000)).code !== 0)
      return true;
  }
  if (!area.sim)
    return false;
  const r = await sh(tree, 'timeout -s KILL 120 build/dev/bin/headgate-sim --seeds 4000 --seconds 60', 130000);
  return r.code !== 0;
}

function choose(root, random) {
  const list = [];
  for (const area of AREAS) {
    for (const dir of ['agent/money', 'agent/journal', 'controlplane/money', 'common']) {
      for (const f of fs.readdirSync(path.join(root, dir))) {
        const file = `${dir}/${f}`;
        if (area.files.test(file))
          for (const m of mutants(fs.readFileSync(path.join(root, file), 'utf8')))
            list.push({ ...m, file, area });
      }
    }
  }
  for (let i = list.length - 1; i > 0; i--) {
    const k = random.below(i + 1);
    [list[i], list[k]] = [list[k], list[i]];
  }
  return list;
}

async function worker(tree, queue, state) {
  while (state.done < state.want && queue.length > 0) {
    const m = queue.pop();
    const file = path.join(tree, m.file);
    const was = fs.readFileSync(file, 'utf8');
    state.done += 1;
    fs.writeFileSync(file, m.text);
    const dead = await killed(tree, m.area).finally(() => fs.writeFileSync(file, was));
    if (dead === null) {
      state.done -= 1;
      state.broken += 1;
      continue;
    }
    if (dead)
      state.killed += 1;
    else
      state.alive.push(`${m.file}:${m.line}: ${m.from}  ->  ${m.to}`);
  }
}

export async function run({ soak, dir, root, log }) {
  const want = Number(process.env.MUTANTS ?? (soak ? 1000 : 50));
  const seed = Number(process.env.SEED ?? 7);
  const queue = choose(root, new Random(seed));
  const state = { want, done: 0, killed: 0, broken: 0, alive: [] };
  const trees = [path.join(dir, 'tree-1'), path.join(dir, 'tree-2')];

  log(`${queue.length} mutants possible, ${want} tried (seed ${seed})`);
  for (const tree of trees) {
    await prepare(root, tree);
    const all = [...new Set(AREAS.flatMap(programs))].join(' ');
    const built = await sh(tree, `make -s -j2 ${all}`, 900000);
    if (built.code !== 0)
      throw new Error(`the unchanged tree does not build: ${built.out.slice(-1000)}`);
  }
  for (const area of AREAS) {
    if (await killed(trees[0], area) !== false)
      throw new Error(`the unchanged tree fails the tests of ${area.files}`);
  }
  await Promise.all(trees.map((t) => worker(t, queue, state)));
  const tried = state.killed + state.alive.length;
  const figures = { mutants: tried, mutants_killed: state.killed,
    mutation_kill_rate: tried > 0 ? Number((state.killed / tried).toFixed(4)) : 0 };
  for (const a of state.alive)
    log(`survived: ${a}`);
  if (figures.mutation_kill_rate < 0.9)
    throw Object.assign(new Error(`kill rate ${figures.mutation_kill_rate}`), { figures });
  return figures;
}
