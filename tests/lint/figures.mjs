// SPDX-License-Identifier: Apache-2.0
// The figures of build/reliability.json: each name is written by the suite that
// is said to measure it and explained in docs/RELIABILITY.md; what the README
// shows is one of them; and the gates fail when a goal is missed.
import fs from 'node:fs';

import { FIGURES, broken, missing } from '../reliability/lib/figures.mjs';

const bad = [];
const read = (file) => fs.readFileSync(file, 'utf8');
const doc = read('docs/RELIABILITY.md');

for (const [name, [suite, file = `tests/reliability/suite_${suite}.mjs`]] of Object.entries(FIGURES)) {
  if (!new RegExp(`\\b${name}\\b`).test(read(file)))
    bad.push(`${file}: does not write ${name}`);
  if (!doc.includes(`\`${name}\``))
    bad.push(`docs/RELIABILITY.md: does not explain ${name}`);
}

for (const [, name] of read('tests/reliability/readme.mjs').matchAll(/^ {2}\['.*', '(\w+)'(?:, '\w+')?\],$/gm))
  if (!(name in FIGURES))
    bad.push(`tests/reliability/readme.mjs: ${name} is no figure`);

const GOOD = { lost: 0, duplicated: 0, cost_drift_nanousd: 0, overspend_hard_nanousd: 0,
  sim_violations: 0, tsan_reports: 0, false_block_rate: 0.0009, overspend_bounded_nanousd: 7,
  bounded_limit_nanousd: 7, planted_bugs: 10, planted_bugs_caught: 10, mutation_kill_rate: 0.9,
  recovery_ms_1gib: 2000, backlog_shipped_per_s: 1, overload_goodput: 0.9, overload_recovery_ms_max: 5000 };
const WORSE = { lost: 1, duplicated: 1, cost_drift_nanousd: 1, overspend_hard_nanousd: 1,
  sim_violations: 1, tsan_reports: 1, false_block_rate: 0.001, overspend_bounded_nanousd: 8,
  planted_bugs_caught: 9, mutation_kill_rate: 0.89, recovery_ms_1gib: 2001, backlog_shipped_per_s: 0,
  overload_goodput: 0.89, overload_recovery_ms_max: 5001 };
if (broken(GOOD).length > 0)
  bad.push(`figures.mjs: ${broken(GOOD)}`);
for (const [name, value] of Object.entries(WORSE))
  if (broken({ ...GOOD, [name]: value }).length !== 1)
    bad.push(`figures.mjs: nobody minds that ${name} is ${value}`);

const suites = [...new Set(Object.values(FIGURES).map(([suite]) => suite))]
  .map((name) => ({ name, figures: {} }));
const all = Object.fromEntries(Object.keys(FIGURES).map((name) => [name, 0]));
if (missing(all, suites).length > 0)
  bad.push('figures.mjs: misses what is there');
for (const name of Object.keys(FIGURES)) {
  const { [name]: gone, ...rest } = all;
  if (missing(rest, suites).join() !== name || missing({ ...rest, [name]: NaN }, suites).join() !== name)
    bad.push(`figures.mjs: nobody misses ${name} (${gone})`);
}
for (const line of bad)
  console.log(line);
process.exit(bad.length > 0 ? 1 : 0);
