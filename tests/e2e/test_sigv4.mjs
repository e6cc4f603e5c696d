#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The agent's AWS signatures are those of @smithy/signature-v4, for random
// model ids, bodies, regions, credentials and instants. SEED=n repeats a run,
// ROUNDS=n makes it longer.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';

import { assert, equal, run, seeded, skip, test } from './lib/tap.mjs';

const root = process.env.HG_ROOT ?? path.resolve(import.meta.dirname, '../..');
const bin = process.env.HG_BIN ?? path.join(root, 'build/dev/bin');
const signer = path.join(bin, '../unit/agent/test_access');
const seed = seeded();
const rounds = Number(process.env.ROUNDS ?? 500);

let state = seed;
function below(n) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}
function text(alphabet, min, max) {
  let s = '';
  for (let n = min + below(max - min + 1); n > 0; n--)
    s += alphabet[below(alphabet.length)];
  return s;
}
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

function call(i) {
  const models = ['anthropic.claude-sonnet-4-20250514-v1:0', 'meta.llama3-70b',
    'arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.amazon.nova-v1:0',
    text(`${letters}-._~:/ %+&=?#@!$'()*,;é`, 1, 60)];
  return {
    base: ['https://bedrock-runtime.us-east-1.amazonaws.com', 'https://h:444/prefix',
      'http://127.0.0.1:7420', 'http://[::1]', 'https://h.example:443'][below(5)],
    region: ['us-east-1', 'eu-central-1', 'cn-north-1'][below(3)],
    accessKeyId: text(letters, 16, 20), secretAccessKey: text(`${letters}/+`, 1, 60),
    sessionToken: i % 2 ? text(`${letters}/+=`, 1, 900) : '',
    model: models[below(models.length)], stream: below(2),
    at: 1 + below(4000000000), body: Buffer.from(Array.from({ length: below(2000) }, () => below(256))),
  };
}

function ours(calls) {
  const lines = calls.map((c) => [c.base, c.region, c.accessKeyId, c.secretAccessKey,
    c.sessionToken, c.model, c.stream, c.at, c.body.toString('hex')].join('\t'));
  const got = spawnSync(signer, ['--sign'], {
    input: `${lines.join('\n')}\n`, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 60000 });
  if (got.status !== 0)
    throw new Error(`${signer}: ${got.stderr || got.error?.message || got.signal}`);
  return got.stdout.split('\n\n').filter((block) => block).map((block) => {
    const [where, ...lines2] = block.replaceAll('\r', '').split('\n');
    return { path: where, headers: Object.fromEntries(lines2.map((l) => {
      const at = l.indexOf(': ');
      return [l.slice(0, at).toLowerCase(), l.slice(at + 2)];
    })) };
  });
}

async function theirs(c, where) {
  const url = new URL(c.base);
  const v4 = new SignatureV4({ service: 'bedrock', region: c.region, sha256: Sha256,
    applyChecksum: true, credentials: { accessKeyId: c.accessKeyId,
      secretAccessKey: c.secretAccessKey, sessionToken: c.sessionToken || undefined } });
  return v4.sign({ method: 'POST', protocol: url.protocol, hostname: url.hostname, path: where,
    query: {}, headers: { host: url.host }, body: c.body },
  { signingDate: new Date(c.at * 1000) });
}

test(`signatures equal (seed ${seed})`, async () => {
  if (!fs.existsSync(signer))
    skip(`${signer} is not there (make check T=agent/test_access)`);
  const calls = Array.from({ length: rounds }, (_, i) => call(i))
    .filter((c) => c.model !== '.' && c.model !== '..');
  const got = ours(calls);
  equal(got.length, calls.length, 'answers');
  for (const [i, c] of calls.entries()) {
    const encoded = [...Buffer.from(c.model)].map((b) => (
      /[A-Za-z0-9._~-]/.test(String.fromCharCode(b)) ? String.fromCharCode(b)
        : `%${b.toString(16).toUpperCase().padStart(2, '0')}`)).join('');
    const prefix = new URL(c.base).pathname.replace(/\/$/, '');
    equal(got[i].path, `${prefix}/model/${encoded}/converse${c.stream ? '-stream' : ''}`);
    const want = (await theirs(c, got[i].path)).headers;
    for (const name of ['authorization', 'x-amz-date', 'x-amz-content-sha256',
      'x-amz-security-token'])
      equal(got[i].headers[name], want[name], `${name} of ${JSON.stringify(c)}`);
    assert(want.authorization.includes('Signature='), 'the reference signed nothing');
  }
}, { timeout: 120000 });

await run();
