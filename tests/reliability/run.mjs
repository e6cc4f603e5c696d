// SPDX-License-Identifier: Apache-2.0
// Runs the fault suites and writes what they measured to
// build/reliability.json. A suite is a module tests/reliability/suite_X.mjs
// with
//
//   export const title = 'what it does, in a few words';
//   export async function run({ soak, dir, log }) -> figures
//
// Figures are merged: numbers add up, except those named in `largest`. A suite
// fails by throwing; what it threw is shown and the exit status is 1.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { execFileSync } from 'node:child_process';

import { broken, missing } from './lib/figures.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = process.env.HG_ROOT ?? path.join(here, '../..');
const soak = process.env.SOAK === '1';
const only = (process.env.T ?? '').split(',').filter(Boolean);

// Worst cases, not sums.
const largest = new Set(['overspend_hard_nanousd', 'overspend_bounded_nanousd',
  'false_block_rate', 'false_block_rate_hindsight', 'cost_drift_nanousd', 'lost', 'duplicated',
  'bounded_limit_nanousd', 'recovery_ms_1gib', 'overload_recovery_ms_max']);

const suites = fs.readdirSync(here)
  .map((f) => /^suite_(\w+)\.mjs$/.exec(f)?.[1]).filter(Boolean).sort()
  .filter((name) => only.length === 0 || only.includes(name));

function merge(into, figures) {
  for (const [name, value] of Object.entries(figures)) {
    if (typeof value !== 'number' || !(name in into))
      into[name] = value;
    else if (largest.has(name))
      into[name] = Math.max(into[name], value);
    else
      into[name] += value;
  }
}

async function one(name, dir) {
  const { title, run } = await import(path.join(here, `suite_${name}.mjs`));
  const started = Date.now();
  const log = (text) => console.log(`#   ${text}`);
  const figures = {};
  let error;

  console.log(`# ${name}: ${title}`);
  fs.mkdirSync(dir, { recursive: true });
  fs.chmodSync(dir, 0o755);
  process.env.TMPDIR = dir;
  try {
    Object.assign(figures, await run({ soak, dir, log, root }));
  } catch (e) {
    error = e;
    Object.assign(figures, e.figures ?? {});
  }
  return { name, title, figures, error, seconds: (Date.now() - started) / 1000 };
}

function commit() {
  try {
    return execFileSync('git', ['-C', root, 'rev-parse', '--short', 'HEAD'],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

// A suite that could not run says so by a figure X_skipped.
function word(r) {
  if (r.error)
    return 'FAILED';
  return Object.keys(r.figures).some((k) => k.endsWith('_skipped')) ? 'SKIP  ' : 'ok    ';
}

function table(results, total) {
  const width = Math.max(...results.map((r) => r.name.length), 5);
  console.log('');
  for (const r of results)
    console.log(`${word(r)} ${r.name.padEnd(width)} ` +
      `${r.seconds.toFixed(0).padStart(5)} s  ${r.title}`);
  console.log('');
  const names = Object.keys(total).filter((k) => typeof total[k] === 'number').sort();
  const column = Math.max(...names.map((n) => n.length), 1);
  for (const n of names)
    console.log(`${n.padEnd(column)}  ${total[n]}`);
}

const base = fs.mkdtempSync(path.join(os.tmpdir(), 'reliability-'));
const results = [];
const total = {};
fs.chmodSync(base, 0o755);
for (const name of suites) {
  const r = await one(name, path.join(base, name));
  results.push(r);
  merge(total, r.figures);
  console.log(`# ${name}: ${word(r).trim()} after ${r.seconds.toFixed(0)} s; ` +
    `${results.length} of ${suites.length} suites, ${(performance.now() / 60000).toFixed(1)} min`);
  if (r.error)
    console.log(String(r.error.stack ?? r.error).split('\n').map((l) => `#   ${l}`).join('\n'));
}
table(results, total);
const wrong = [...broken(total), ...missing(total, results).map((n) => `${n} is missing`)];
for (const text of wrong)
  console.log(`FAILED: ${text}`);
total.suites = Object.fromEntries(results.map((r) => [r.name,
  { ok: !r.error, seconds: r.seconds, ...r.figures }]));
total.commit = commit();
total.soak = soak;
total.command = `make reliability${soak ? ' SOAK=1' : ''}${only.length ? ` T=${only}` : ''}`;
const out = path.join(root, 'build/reliability.json');
fs.mkdirSync(path.dirname(out), { recursive: true });
fs.writeFileSync(out, `${JSON.stringify(total, null, 1)}\n`);
console.log(`\n${out}`);
const failed = results.some((r) => r.error) || wrong.length > 0 || results.length === 0;
if (!failed)
  fs.rmSync(base, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
