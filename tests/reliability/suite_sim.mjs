// SPDX-License-Identifier: Apache-2.0
// The deterministic simulation: real agent and control-plane code over a
// modelled store, clock, network and disk.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

import { bin } from '../e2e/lib/proc.mjs';

export const title = 'simulation: random faults against the invariants, planted bugs';

export async function run({ soak, root, log }) {
  const args = ['--regress', path.join(root, 'tests/regress'),
    '--seeds', soak ? '1000000' : '20000', '--seconds', soak ? '36000' : '800'];
  const { stdout } = await promisify(execFile)(
    path.join(bin, 'headgate-sim'), args, { maxBuffer: 1 << 26 }).catch((e) => e);
  const last = stdout.trim().split('\n').at(-1);
  const figures = JSON.parse(last);
  const bad = stdout.split('\n').filter((l) => /^(not ok|# seed)/.test(l));

  log(`${figures.sim_seeds} seeds, ${figures.virtual_hours} virtual hours, ` +
    `${figures.planted_bugs_caught}/${figures.planted_bugs} planted bugs caught`);
  if (bad.length > 0)
    throw Object.assign(new Error(bad.join('\n')), { figures });
  return figures;
}
