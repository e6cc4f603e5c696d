// SPDX-License-Identifier: Apache-2.0
// Writes the figures of build/reliability.json into README.md, between the
// markers "reliability: begin" and "reliability: end". Only a whole run in
// which every suite passed counts.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = process.env.HG_ROOT ??
  path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const BEGIN = '<!-- reliability: begin (tests/reliability/readme.mjs) -->';
const END = '<!-- reliability: end -->';

// What a line says, and of which figures.
const LINES = [
  ['requests metered while things broke', 'requests_metered'],
  ['usage records lost', 'lost'],
  ['usage records billed twice', 'duplicated'],
  ['difference to the provider\'s bill, nano-USD', 'cost_drift_nanousd'],
  ['HARD budgets overspent, nano-USD', 'overspend_hard_nanousd'],
  ['affordable requests refused', 'false_block_rate'],
  ['processes killed under load', 'kills'],
  ['partitions', 'partitions'],
  ['faults on the channel', 'channel_faults'],
  ['crash points of the journal', 'crash_points'],
  ['disk images after power cuts', 'power_loss_images'],
  ['file calls that failed', 'io_faults'],
  ['allocations that failed', 'alloc_failures'],
  ['start on a journal of 1 GiB, ms', 'recovery_ms_1gib'],
  ['goodput at twice the capacity, of the peak', 'overload_goodput'],
  ['simulated schedules', 'sim_seeds'],
  ['invariants broken in them', 'sim_violations'],
  ['planted bugs caught', 'planted_bugs_caught', 'planted_bugs'],
  ['wrong changes of the money code noticed by tests', 'mutants_killed', 'mutants'],
  ['reports of ThreadSanitizer', 'tsan_reports'],
];

const count = (n) => n.toLocaleString('en-US');

// A rate with two digits that count, in per cent.
const rate = (n) => `${(n * 100).toLocaleString('en-US', { maximumSignificantDigits: 2 })} %`;

function figure(f, name, of) {
  if (name.endsWith('_rate'))
    return rate(f[name]);
  return of ? `${count(f[name])} of ${count(f[of])}` : count(f[name]);
}

function table(f) {
  const rows = LINES.filter(([, name]) => name in f)
    .map(([text, name, of]) => `| ${text} | ${figure(f, name, of)} |`);
  return [`\`${f.command}\` at commit ${f.commit}:`, '', '| what | figure |', '|---|---|', ...rows]
    .join('\n');
}

const figures = JSON.parse(fs.readFileSync(path.join(root, 'build/reliability.json'), 'utf8'));
const suites = Object.entries(figures.suites);
const missing = fs.readdirSync(path.join(root, 'tests/reliability'))
  .map((f) => /^suite_(\w+)\.mjs$/.exec(f)?.[1]).filter((n) => n && !(n in figures.suites));
const bad = suites.filter(([, s]) => !s.ok || Object.keys(s).some((k) => k.endsWith('_skipped')));
if (missing.length > 0 || bad.length > 0) {
  console.error(`no whole run: ${[...missing, ...bad.map(([n]) => n)].join(', ')}`);
  process.exit(1);
}
const file = path.join(root, 'README.md');
const text = fs.readFileSync(file, 'utf8');
const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
if (begin < 0 || end < begin) {
  console.error('README.md has no markers for the figures');
  process.exit(1);
}
fs.writeFileSync(file, `${text.slice(0, begin + BEGIN.length)}\n${table(figures)}\n${text.slice(end)}`);
