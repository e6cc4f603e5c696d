// SPDX-License-Identifier: Apache-2.0
// Builds programs in another MODE (or tree) with make; the folder of programs.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

// What an outer make and the tests' own environment must not pass on.
function environment() {
  const env = { ...process.env };
  for (const name of ['MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES', 'T', 'C', 'B', 'MODE'])
    delete env[name];
  return env;
}

export async function run(program, args, options = {}) {
  return promisify(execFile)(program, args.map(String),
    { maxBuffer: 1 << 27, env: environment(), ...options }).catch((e) => e);
}

export async function build(root, mode, programs) {
  const dir = `build/${mode}`;
  const got = await run('make', ['-s', '-j2', `MODE=${mode}`, `B=${dir}`,
    ...programs.map((p) => `${dir}/bin/${p}`)], { cwd: root });
  if (got instanceof Error)
    throw new Error(`make MODE=${mode}: ${String(got.stderr).slice(-2000)}`);
  return path.join(root, dir, 'bin');
}
