#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The agent reads event streams as @smithy/eventstream-codec writes them: all
// types of headers, any size, any split; what was damaged is refused.
// SEED=n repeats a run, ROUNDS=n makes it longer.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { EventStreamCodec, Int64 } from '@smithy/eventstream-codec';
import { fromUtf8, toUtf8 } from '@smithy/util-utf8';

import { equal, run, seeded, skip, test } from './lib/tap.mjs';

const root = process.env.HG_ROOT ?? path.resolve(import.meta.dirname, '../..');
const bin = process.env.HG_BIN ?? path.join(root, 'build/dev/bin');
const reader = path.join(bin, '../unit/agent/test_access');
const seed = seeded();
const rounds = Number(process.env.ROUNDS ?? 300);
const codec = new EventStreamCodec(toUtf8, fromUtf8);

let state = seed;
function below(n) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}
const bytes = (n) => Uint8Array.from({ length: n }, () => below(256));
const hex = (b) => Buffer.from(b).toString('hex');

// One of each type, with its text as the reader prints it.
const kinds = [
  () => [{ type: 'boolean', value: true }, '0:1'],
  () => [{ type: 'boolean', value: false }, '1:0'],
  () => { const v = below(256) - 128; return [{ type: 'byte', value: v }, `2:${v}`]; },
  () => { const v = below(65536) - 32768; return [{ type: 'short', value: v }, `3:${v}`]; },
  () => { const v = below(2 ** 31) - 2 ** 30; return [{ type: 'integer', value: v }, `4:${v}`]; },
  () => {
    const v = (below(2) ? 1 : -1) * below(2 ** 31);
    return [{ type: 'long', value: Int64.fromNumber(v) }, `5:${v === 0 ? 0 : v}`];
  },
  () => { const v = bytes(below(300)); return [{ type: 'binary', value: v }, `6:${hex(v)}`]; },
  () => { const v = 'Grüße '.repeat(below(9)); return [{ type: 'string', value: v }, `7:${hex(v)}`]; },
  () => { const v = below(2 ** 31); return [{ type: 'timestamp', value: new Date(v) }, `8:${v}`]; },
  () => {
    const v = hex(bytes(16));
    const text = [v.slice(0, 8), v.slice(8, 12), v.slice(12, 16), v.slice(16, 20), v.slice(20)];
    return [{ type: 'uuid', value: text.join('-') }, `9:${v}`];
  },
];

function message() {
  const headers = {};
  const printed = [];
  for (let i = below(12); i > 0; i--) {
    const name = `h${i}-${'x'.repeat(below(100))}`;
    const [header, text] = kinds[below(kinds.length)]();
    headers[name] = header;
    printed.push(` ${hex(name)}:${text}`);
  }
  const body = bytes(below(10) ? below(400) : below(70000));
  return { raw: codec.encode({ headers, body }), line: hex(body) + printed.join('') };
}

function read(raw, step) {
  const got = spawnSync(reader, ['--events', String(step)], {
    input: raw, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 60000 });
  if (got.status !== 0)
    throw new Error(`${reader}: ${got.stderr || got.error?.message || got.signal}`);
  return got.stdout.trimEnd().split('\n');
}

function need() {
  if (!fs.existsSync(reader))
    skip(`${reader} is not there (make check T=agent/test_access)`);
}

test(`messages are read as they were written (seed ${seed})`, async () => {
  need();
  const all = Array.from({ length: rounds }, message);
  const raw = Buffer.concat(all.map((m) => m.raw));
  for (const step of [1, 7, 4096, 65536]) {
    const got = read(raw, step);
    equal(got.length, all.length, `messages in pieces of ${step}`);
    for (const [i, m] of all.entries())
      equal(got[i], m.line, `message ${i} in pieces of ${step}`);
  }
}, { timeout: 120000 });

test('what was damaged is refused, as by the reference', async () => {
  need();
  for (let i = 0; i < 40; i++) {
    const raw = Buffer.from(message().raw);
    // Not the length: a longer message is only an unfinished one.
    raw[4 + below(raw.length - 4)] ^= 1 << below(8);
    let refused = false;
    try {
      codec.decode(raw);
    } catch {
      refused = true;
    }
    equal(read(raw, 4096).at(-1) === 'bad', refused, `damage ${i}`);
  }
}, { timeout: 60000 });

await run();
