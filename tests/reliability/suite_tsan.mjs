// SPDX-License-Identifier: Apache-2.0
// Delivery chaos with agents and control plane compiled with ThreadSanitizer;
// their reports are counted. What is suppressed is in tsan.supp, with reasons.
import fs from 'node:fs';
import path from 'node:path';

import { build, run as exec } from './lib/build.mjs';

export const title = 'threads: delivery chaos under ThreadSanitizer';

const PROGRAMS = ['headgate-agent', 'headgate-control', 'headgate-provider'];

function reports(dir) {
  const found = [];
  for (const f of fs.readdirSync(dir).filter((n) => n.startsWith('tsan.')))
    found.push(...fs.readFileSync(path.join(dir, f), 'utf8').split(/^={18}$/m)
      .filter((t) => t.includes('WARNING: ThreadSanitizer')));
  return found;
}

export async function run({ soak, root, dir, log }) {
  const bin = await build(root, 'tsan', PROGRAMS);
  const rounds = process.env.ROUNDS ?? (soak ? '200' : '3');
  const env = { ...process.env, HG_BIN: bin, HG_ROOT: root, ROUNDS: rounds, TMPDIR: dir,
    TSAN_OPTIONS: `log_path=${path.join(dir, 'tsan')} exitcode=0 second_deadlock_stack=1 ` +
      `ignore_noninstrumented_modules=0 suppressions=${path.join(root, 'tests/reliability/tsan.supp')}` };
  const got = await exec(process.execPath,
    [path.join(root, 'tests/reliability/tsan_chaos.mjs')], { env });
  const lines = String(got.stdout).trim().split('\n');
  const { figures, failure } = JSON.parse(lines.at(-1));
  for (const line of lines.slice(0, -1))
    log(line);
  const list = reports(dir);
  const sum = { tsan_reports: list.length, tsan_requests: figures?.requests_metered ?? 0,
    kills: figures?.kills ?? 0, lost: figures?.lost ?? 0, duplicated: figures?.duplicated ?? 0 };
  for (const text of list.slice(0, 3))
    log(text.trim().split('\n').slice(0, 30).join('\n'));
  if (failure || list.length > 0)
    throw Object.assign(new Error(failure ?? `${list.length} reports`), { figures: sum });
  return sum;
}
