// SPDX-License-Identifier: Apache-2.0
// The figures that build/reliability.json always has after a whole run, who
// measures each, and what they must be. docs/RELIABILITY.md explains them;
// `make lint T=figures` compares this list with the suites and with that page.

// name: [suite, file that writes it when that is not the suite's]
export const FIGURES = {
  lost: ['chaos'], duplicated: ['chaos'], cost_drift_nanousd: ['chaos'],
  overspend_hard_nanousd: ['race'], overspend_bounded_nanousd: ['chaos'],
  bounded_limit_nanousd: ['chaos'], false_block_rate: ['race'],
  sim_seeds: ['sim'], sim_violations: ['sim', 'tests/sim/main.c'],
  virtual_hours: ['sim'], planted_bugs: ['sim'], planted_bugs_caught: ['sim'],
  mutants: ['mutation'], mutants_killed: ['mutation'], mutation_kill_rate: ['mutation'],
  crash_points: ['crash'], power_loss_images: ['crash'], recovery_ms_1gib: ['crash'],
  backlog_shipped_per_s: ['crash'], io_faults: ['iofault'], alloc_failures: ['alloc'],
  kills: ['chaos'], partitions: ['partition'], channel_faults: ['chaos'],
  requests_metered: ['chaos'], overload_goodput: ['overload'],
  overload_recovery_ms_max: ['overload'], tsan_reports: ['tsan'],
};

const ZERO = ['lost', 'duplicated', 'cost_drift_nanousd', 'overspend_hard_nanousd',
  'sim_violations', 'tsan_reports'];

// [name, what holds, a value in words]
const GATES = [
  ...ZERO.map((n) => [n, (v) => v === 0, 'zero']),
  ['false_block_rate', (v) => v < 0.001, 'below 0.001'],
  ['overspend_bounded_nanousd', (v, f) => v <= f.bounded_limit_nanousd, 'at most bounded_limit_nanousd'],
  ['planted_bugs_caught', (v, f) => v === f.planted_bugs, 'planted_bugs'],
  ['mutation_kill_rate', (v) => v >= 0.9, 'at least 0.9'],
  ['recovery_ms_1gib', (v) => v <= 2000, 'at most 2000'],
  ['backlog_shipped_per_s', (v) => v > 0, 'above 0'],
  ['overload_goodput', (v) => v >= 0.9, 'at least 0.9'],
  ['overload_recovery_ms_max', (v) => v <= 5000, 'at most 5000'],
];

// Sentences about figures that are there and not what they must be.
export function broken(figures) {
  return GATES.filter(([name, holds]) => name in figures && !holds(figures[name], figures))
    .map(([name, , words]) => `${name} is ${figures[name]}, not ${words}`);
}

// Figures that a suite of those that passed should have written; one that said
// X_skipped need not.
export function missing(figures, suites) {
  const ran = suites.filter((s) => !s.error && !Object.keys(s.figures).some((k) => k.endsWith('_skipped')))
    .map((s) => s.name);
  return Object.entries(FIGURES).filter(([name, [suite]]) => ran.includes(suite) &&
    !Number.isFinite(figures[name])).map(([name]) => name);
}
