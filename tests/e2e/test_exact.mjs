#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Near the end of a hard budget prompts are reserved for by their tokens, not
// by their bytes: what can be paid for is served, and nothing costs more than
// was reserved. What the provider bills comes from the npm package
// gpt-tokenizer, with the framing that OpenAI documents. SEED=n repeats a run.
import fs from 'node:fs';
import path from 'node:path';

import { agree, reconcile } from './lib/bill.mjs';
import { item, modelsFile, providerKey, tenant } from './lib/fixture.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, seeded, skip, teardown, test } from './lib/tap.mjs';

const root = process.env.HG_ROOT ?? path.resolve(import.meta.dirname, '../..');
const reference = path.join(root, 'agent/tokenizer/data/node_modules/gpt-tokenizer');
const tables = path.join(process.env.HG_BIN ?? path.join(root, 'build/dev/bin'), '../share/headgate');
const seed = seeded();
const RUNS = 48;
const stack = new Stack();
let agent;
let secrets;
let encode;

teardown(() => stack.stop());

// mulberry32
let state = seed;
function random(n) {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % n;
}
const pick = (list) => list[random(list.length)];

const words = ('the of and a to in is you that it he was for on are as with his they I at be this have from or one had by '
  + 'budget reservation provider understanding tokenizer Streaming "quoted" back\\slash getElementById snake_case 12345 3.14 '
  + 'naïve Größe привет мир 東京 안녕하세요 🎉 👩‍💻 \t \n {"a":1} if(x==y){return;} https://example.com/?q=1 <|endoftext|> '
  + '\u0007 \u2028 ﷽ Z͑ͫa̴l̷g̶o̸').split(' ');

function text(n) {
  let s = '';
  while (s.length < n)
    s += pick(words) + (random(9) === 0 ? pick(['', '\n\n', '    ', '.']) : ' ');
  return s;
}

const tools = [{ type: 'function', function: { name: 'look_up', description: 'Looks something up.',
  parameters: { type: 'object', properties: { q: { type: 'string', minLength: 1, maxLength: 12345 } }, required: ['q'] } } }];

// [path, body, tokens of the prompt as the provider counts them]
function request(size) {
  const parts = Array.from({ length: 1 + random(3) }, () => text(size / 3));
  const system = text(40);
  const frame = 3 + 2 * 4;
  const n = frame + encode(system).length;
  const each = n + parts.reduce((sum, p) => sum + encode(p).length, 0);
  switch (random(4)) {
    case 0:
      return ['/v1/chat/completions', { model: 'exact', max_tokens: 50, messages: [{ role: 'system', content: system },
        { role: 'user', content: parts.join('') }] }, n + encode(parts.join('')).length];
    case 1:
      return ['/v1/chat/completions', { model: 'exact', max_tokens: 50, tools, messages: [{ role: 'system', content: system },
        { role: 'user', content: parts.map((t) => ({ type: 'text', text: t })) }] },
      each + encode(JSON.stringify(tools)).length];
    case 2:
      return ['/v1/responses', { model: 'exact', max_output_tokens: 50, store: false, instructions: system,
        input: parts.map((t) => ({ role: 'user', content: t })) }, each + 4 * parts.length];
    default:
      return ['/v1/messages', { model: 'exact', max_tokens: 50, system,
        messages: [{ role: 'user', content: parts.map((t) => ({ type: 'text', text: t })) }] }, each];
  }
}

async function ask(tenantName, [url, body], tokens) {
  const r = await fetch(`${agent.url}${url}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secrets[`${tenantName}.team.project.app`]}`,
      'content-type': 'application/json', 'anthropic-version': '2023-06-01',
      'x-sim-prompt-tokens': String(tokens), 'x-sim-tokens': '50' },
    body: JSON.stringify(body),
  });
  return { status: r.status, text: await r.text() };
}

// nano-USD: 2.50 a million in, 10 out
const cost = (tokens) => tokens * 2500 + 50 * 10000;
const asked = [];

test(`the stack starts, seed ${seed}`, async () => {
  if (!fs.existsSync(reference) || !fs.existsSync(path.join(tables, 'o200k_base.bpe')))
    skip('the tokenizer tables are not there (make tokenizers)');
  ({ encode } = await import(path.join(reference, 'esm/encoding/o200k_base.js')));
  const plain = encode;
  encode = (t) => plain(t, { disallowedSpecial: new Set() });
  for (let i = 0; i < RUNS; i++)
    asked.push(request(400 + random(8000)));
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await stack.startControl();
  const usd = (nano) => (nano / 1e9).toFixed(9);
  ({ secrets } = await stack.apply([
    item('provider', 'sim', { dialect: 'openai', base_url: `${stack.provider.url}/v1`, credential: providerKey }),
    item('model', 'exact', { context_tokens: 128000, max_output_tokens: 4096, tokenizer: 'o200k', capabilities: ['chat', 'tools'],
      prices: [{ class: 'input', usd_per_mtok: '2.50' }, { class: 'output', usd_per_mtok: '10.00' }] }),
    item('deployment', 'exact', { model: 'exact', provider: 'sim', upstream_model: 'sim-large', region: 'local' }),
    item('route', 'exact', { targets: [{ deployment: 'exact' }] }),
    ...tenant('prose', ['app'], { budget: '0.015' }),
    ...asked.flatMap(([, , tokens], i) => tenant(`run-${i}`, ['app'],
      { budget: usd(Math.ceil(cost(tokens) * 1.35) + 500000) })),
  ]));
  agent = stack.agent('agent-1', { args: ['--forward-sim-headers'] });
  await agent.start();
  await stack.settled();
}, { timeout: 120000 });

test('what the bytes would refuse is served once', async () => {
  if (!agent)
    skip('no tables');
  const story = 'It was a dark and stormy night; the rain fell in torrents, except at occasional intervals. '.repeat(200);
  const body = { model: 'exact', max_tokens: 50, messages: [{ role: 'user', content: story }], response_format: { type: 'json_object' } };
  // 18,200 bytes would be 0.0455 USD; 4,000 tokens are 0.010.
  const tokens = encode(story).length + 7;
  const r = await ask('prose', ['/v1/chat/completions', body], tokens);
  equal(r.status, 200, r.text);
  equal(await agent.metric('headgate_prompts_counted_total'), 1);
  // What is left now pays for no second one, whatever is counted.
  equal((await ask('prose', ['/v1/chat/completions', body], tokens)).status, 402);
});

test(`nothing costs more than was reserved, seed ${seed}`, async () => {
  if (!agent)
    skip('no tables');
  const served = [];
  for (let i = 0; i < RUNS; i++) {
    const r = await ask(`run-${i}`, asked[i], asked[i][2]);
    assert(r.status === 200 || r.status === 402, `${r.status} ${r.text}`);
    if (r.status === 200)
      served.push(i);
  }
  const counted = await agent.metric('headgate_prompts_counted_total');
  console.log(`# ${served.length} of ${RUNS} served, ${counted} prompts counted`);
  equal(await agent.metric('headgate_reservation_overruns_total'), 0);
  assert(served.length >= RUNS * 0.8, `${served.length} of ${RUNS} served`);
  assert(counted >= RUNS / 2, `${counted} counted`);
  agree(await reconcile(stack));
  for (let i = 0; i < RUNS; i++) {
    const s = await stack.rest.get(`/v1/budgets/run-${i}.main/status`);
    assert(BigInt(s.spent_nanousd) <= BigInt(s.limit_nanousd), `run ${i}: ${s.spent_nanousd} of ${s.limit_nanousd}`);
    equal(Number(s.spent_nanousd), served.includes(i) ? cost(asked[i][2]) : 0, `run ${i}`);
  }
}, { timeout: 120000 });

await run();
