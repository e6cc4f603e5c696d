// SPDX-License-Identifier: Apache-2.0
// A minimal TAP runner: cases run one after the other in the order of their
// declaration; a case fails when it throws. skip('why') inside a case skips.

import path from 'node:path';

const cases = [];
const teardowns = [];
let seed;

class Skip extends Error {}

export function test(name, fn, { timeout = 60000 } = {}) {
  cases.push({ name, fn, timeout });
}

// Runs after the last case, also after failures; throwing fails the suite.
export function teardown(fn) {
  teardowns.push(fn);
}

export function skip(why) {
  throw new Skip(why);
}

// Where a suite's random numbers begin: SEED, else by the clock, so that runs
// of people and soaks see new ones. Continuous integration (CI is set) decides
// about a change: it must not fail by luck, so it always takes the same ones.
export function seeded() {
  seed = Number(process.env.SEED || (process.env.CI ? 226813 : Date.now() % 1000000));
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new Error(`SEED is a number, not ${process.env.SEED}`);
  return seed;
}

function explain(error) {
  const text = String(error?.stack ?? error);
  return text.split('\n').map((line) => `# ${line}`).join('\n');
}

async function withTimeout(fn, ms) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([fn(), late]);
  } finally {
    clearTimeout(timer);
  }
}

// Runs everything, prints TAP, sets the exit status. C=regex narrows. The
// first case sets the stage: without it the others are not run.
export async function run() {
  const only = process.env.C ? new RegExp(process.env.C) : null;
  const chosen = cases.filter((c, i) => i === 0 || !only || only.test(c.name));
  let failed = 0;
  let number = 0;

  console.log(`1..${chosen.length + 1}`);
  if (seed !== undefined)
    console.log(`# SEED=${seed}`);
  for (const { name, fn, timeout } of chosen) {
    const started = Date.now();
    number += 1;
    try {
      await withTimeout(fn, timeout);
      console.log(`ok ${number} - ${name} (${Date.now() - started} ms)`);
    } catch (error) {
      if (error instanceof Skip) {
        console.log(`ok ${number} - ${name} # SKIP ${error.message}`);
        continue;
      }
      failed += 1;
      console.log(`not ok ${number} - ${name}`);
      console.log(explain(error));
      if (number === 1) {
        console.log('# the stage could not be set: the other cases are not run');
        break;
      }
    }
  }
  number += 1;
  try {
    for (const fn of teardowns.reverse())
      await withTimeout(fn, 60000);
    console.log(`ok ${number} - processes ended cleanly, logs hold no error`);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${number} - processes ended cleanly, logs hold no error`);
    console.log(explain(error));
  }
  if (failed !== 0 && seed !== undefined)
    console.log(`# again with the same random numbers: SEED=${seed} T=${path.basename(process.argv[1], '.mjs')} make e2e`);
  process.exit(failed === 0 ? 0 : 1);
}

export function assert(condition, message) {
  if (!condition)
    throw new Error(message ?? 'assertion failed');
}

export function equal(got, want, what = 'value') {
  const plain = (_, v) => (typeof v === 'bigint' ? `${v}n` : v);
  const a = JSON.stringify(got, plain);
  const b = JSON.stringify(want, plain);
  if (a === b)
    return;
  // Long values: from shortly before where they differ.
  let at = 0;
  while (a?.[at] === b?.[at])
    at += 1;
  const cut = (text) => String(text).slice(Math.max(0, at - 60), at + 300);
  throw new Error(`${what}: got ${cut(a)}, want ${cut(b)}`);
}

export async function rejects(promise, check) {
  let result;
  try {
    result = await promise;
  } catch (error) {
    check?.(error);
    return error;
  }
  throw new Error(`did not fail but gave ${JSON.stringify(result).slice(0, 300)}`);
}
