// SPDX-License-Identifier: Apache-2.0
// Memory that runs out: every n-th allocation fails, in codecs, messages,
// configuration, journal, control plane, command line and a serving agent,
// under AddressSanitizer with its leak check. Each time the result is that of a
// healthy run, or "out of memory".
import path from 'node:path';

import { build, run as exec } from './lib/build.mjs';

export const title = 'allocations: every n-th one fails, under AddressSanitizer';

const PROGRAMS = ['headgate-allocs', 'headgate-allocs-control'];

export async function run({ root, log }) {
  const bin = await build(root, 'asan', PROGRAMS);
  const sum = { alloc_failures: 0, alloc_scenarios: 0 };
  for (const program of PROGRAMS) {
    const got = await exec(path.join(bin, program), [path.join(root, 'tests/fuzz/corpus')]);
    const lines = got.stdout.trim().split('\n');
    for (const line of lines.filter((l) => /^(not ok|#)/.test(l)))
      log(line);
    const figures = JSON.parse(lines.at(-1));
    sum.alloc_failures += figures.alloc_failures;
    sum.alloc_scenarios += figures.alloc_scenarios;
    if (got instanceof Error || figures.failures > 0)
      throw Object.assign(new Error(`${program}: ${String(got.stderr).slice(-3000)}`),
        { figures: sum });
  }
  return sum;
}
