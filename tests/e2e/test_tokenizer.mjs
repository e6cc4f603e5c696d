#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The agent's tokenizers give the very ids that the npm package gpt-tokenizer
// gives: for the test vectors in it, and for random texts made of everything
// that the splitting rules tell apart. Counting in steps and from streams
// gives as many. SEED=n repeats a run, ROUNDS=n makes it longer.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { equal, run, seeded, skip, test } from './lib/tap.mjs';

const root = process.env.HG_ROOT ?? path.resolve(import.meta.dirname, '../..');
const bin = process.env.HG_BIN ?? path.join(root, 'build/dev/bin');
const tables = path.join(bin, '../share/headgate');
const reference = path.join(root, 'agent/tokenizer/data/node_modules/gpt-tokenizer');
const ENCODINGS = ['o200k_base', 'cl100k_base'];
const seed = seeded();
const rounds = Number(process.env.ROUNDS ?? 800);

function need() {
  for (const file of [reference, path.join(tables, 'o200k_base.bpe'), path.join(bin, 'headgate-tokenize')]) {
    if (!fs.existsSync(file))
      skip(`${path.relative(root, file)} is not there (make tokenizers)`);
  }
}

function ours(encoding, mode, texts) {
  const got = spawnSync(path.join(bin, 'headgate-tokenize'), [tables, encoding, mode], {
    input: texts.map((t) => `${JSON.stringify(t)}\n`).join(''),
    encoding: 'utf8', maxBuffer: 1 << 30, timeout: 250000,
  });
  if (got.status !== 0)
    throw new Error(`headgate-tokenize: ${got.stderr || got.error?.message || got.signal}`);
  return got.stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
}

async function theirs(encoding) {
  const { encode } = await import(path.join(reference, `esm/encoding/${encoding}.js`));
  return (text) => encode(text, { disallowedSpecial: new Set() });
}

// A stream keeps 252 bytes at most: a longer piece may cost some tokens at a cut.
function compare(encoding, texts, want, slack = () => 0) {
  const got = ours(encoding, 'encode', texts);
  equal(got.length, texts.length, 'answers');
  texts.forEach((text, i) => {
    if (JSON.stringify(got[i]) !== JSON.stringify(want[i]))
      throw new Error(`${encoding} seed ${seed}: ${JSON.stringify(text.slice(0, 4000))}\n` +
        `got  ${JSON.stringify(got[i]).slice(0, 4000)}\nwant ${JSON.stringify(want[i]).slice(0, 4000)}`);
  });
  const what = (mode, i) => `${encoding} seed ${seed} ${mode} of ${JSON.stringify(texts[i].slice(0, 4000))}`;
  ours(encoding, 'walk', texts).forEach((n, i) => equal(n, want[i].length, what('walk', i)));
  ours(encoding, 'stream', texts).forEach((n, i) => {
    if (Math.abs(n - want[i].length) > slack(texts[i]))
      equal(n, want[i].length, what('stream', i));
  });
}
const perCut = (text) => 8 + Buffer.byteLength(text) / 60;

function vectors(encoding) {
  const file = fs.readFileSync(path.join(reference, 'data/TestPlans.txt'), 'utf8');
  const found = [...file.matchAll(/EncodingName: (.*)\nSample: ([^]*?)\nEncoded: (\[.*\])/g)]
    .filter((m) => m[1].trim() === encoding);
  return { texts: found.map((m) => m[2]), ids: found.map((m) => JSON.parse(m[3])) };
}

// mulberry32
let state = seed;
function random(n) {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % n;
}
const pick = (list) => list[random(list.length)];

// U+0085 and U+FEFF: JavaScript's \s is not White_Space there. U+017F behind
// an apostrophe is a contraction where case is folded as Unicode says.
const unfit = (cp) => cp === 0x85 || cp === 0xfeff || cp === 0x17f || (cp >= 0xd800 && cp < 0xe000);

function character() {
  const ranges = [[0, 0x80], [0x20, 0x60], [0x80, 0x250], [0x250, 0x800], [0x800, 0x3100],
    [0x3000, 0x10000], [0x10000, 0x20000], [0, 0x110000]];
  for (;;) {
    const [from, to] = pick(ranges);
    const cp = from + random(to - from);
    if (!unfit(cp))
      return String.fromCodePoint(cp);
  }
}

// Large blocks of the same class (Han, Hangul, Tangut, none): samples do.
const alike = (cp) => (cp >= 0x3500 && cp < 0x9f00) || (cp >= 0xad00 && cp < 0xd700) ||
  (cp >= 0xe000 && cp < 0xf900) || (cp >= 0x17100 && cp < 0x18c00) || cp >= 0x20000;

// One of each class of character, and what the rules name.
const atoms = ['a', 'B', 'z', 'Q', '\u01c5', '\u02b0', '\u4e2d', '\u0e01', '\u0301', '\u0903', '\u20dd', '1', '9',
  '\u0663', '\u2167', '\u00bd', ' ', ' ', '  ', '\t', '\n', '\r', '\r\n', '\u00a0', '\u2003', '\u2028', '\u3000', '\v', '\x1c',
  '\'', '\'s', '\'S', '\'ll', '\'Re', '\'VE', '\'d', '\'m', '\'T', '\'l', '\'r', '/', '//', '.', '!', '{', '}', '"', '\\', '_', '-', '\u2019',
  '\u{1f600}', '\u{1f468}\u200d\u{1f469}', '\u{1f1e9}\u{1f1ea}', '\ufe0f', '\u200b', '\0', '\x7f', '\u{10ffff}',
  'the', 'The', ' the', 'HTTPServer', 'camelCase', 'ing', '<|endoftext|>', '\u00df', '\u00c9cole', '\u03a3', '\ud55c\uad6d'];

function randomText(repeats) {
  const kind = random(4);
  let text = '';
  for (let n = 1 + random(kind === 3 ? 400 : 40); n > 0; n--) {
    const unit = kind === 0 ? character() : kind === 1 || random(3) > 0 ? pick(atoms) : character();
    text += random(12) === 0 ? unit.repeat(1 + random(repeats)) : unit;
  }
  return text;
}

for (const encoding of ENCODINGS) {
  test(`${encoding}: the vectors of the package`, () => {
    need();
    const { texts, ids } = vectors(encoding);
    if (texts.length < 50)
      throw new Error(`only ${texts.length} vectors`);
    compare(encoding, texts, ids);
  });

  test(`${encoding}: random texts, seed ${seed}`, async () => {
    need();
    const encode = await theirs(encoding);
    for (const [repeats, slack] of [[4, undefined], [150, perCut]]) {
      const texts = Array.from({ length: rounds }, () => randomText(repeats));
      compare(encoding, texts, texts.map(encode), slack);
    }
  }, { timeout: 280000 });

  test(`${encoding}: every character alone and among letters`, async () => {
    need();
    const encode = await theirs(encoding);
    const texts = [];
    for (let at = 0; at < 0x110000; at += 256) {
      let text = '';
      for (let cp = at; cp < at + 256; cp++) {
        if (!unfit(cp) && (cp % 64 === 0 || !/\p{Cn}/u.test(String.fromCodePoint(cp))))
          text += `${String.fromCodePoint(cp)}aB${String.fromCodePoint(cp)} `;
      }
      if (text !== '' && (at % 0x1000 === 0 || !alike(at)))
        texts.push(text);
    }
    compare(encoding, texts, texts.map(encode));
  }, { timeout: 280000 });

  test(`${encoding}: long runs`, async () => {
    need();
    const encode = await theirs(encoding);
    const texts = ['a', 'A', 'ab', ' ', '\n', ' \n', '.', '=', '\u{1f600}', '\u4e2d', '\u0301', 'ACGT', '\'', '/']
      .map((unit) => unit.repeat(3000 / unit.length));
    compare(encoding, texts.map((t) => t.slice(0, 3000)), texts.map((t) => encode(t.slice(0, 3000))), perCut);
  }, { timeout: 280000 });
}

await run();
