// SPDX-License-Identifier: Apache-2.0
// Runs headgate-torture; its figures, after logging what it found.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

import { bin } from '../../e2e/lib/proc.mjs';

export async function torture(args, log = () => {}) {
  const { stdout, stderr } = await promisify(execFile)(path.join(bin, 'headgate-torture'),
    args.map(String), { maxBuffer: 1 << 26 }).catch((e) => e);
  const lines = (stdout ?? '').trim().split('\n');
  for (const line of lines.filter((l) => /^(not ok|#)/.test(l)).slice(0, 20))
    log(line);
  try {
    return JSON.parse(lines.at(-1));
  } catch {
    throw new Error(`headgate-torture ${args.join(' ')}: ${stderr || stdout}`);
  }
}
