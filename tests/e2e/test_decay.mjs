#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// What a streamed request holds of a hard budget falls when its provider tells
// its input: another request fits, a killed agent bills no more than that, and
// the books agree with the provider's bill.
import { agree, reconcile } from './lib/bill.mjs';
import { item, modelsFile, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack({ allow: [/./] });
let agent;
let secrets;
teardown(() => stack.stop());

// 16,000 bytes are 0.040 USD at one token a byte; the provider counts 4,000
// tokens: 0.010. 400 tokens out are 0.004.
const text = 'Once upon a time. '.repeat(16000 / 18);
const anthropic = { path: '/v1/messages', body: { model: 'anthropic', max_tokens: 400, stream: true,
  messages: [{ role: 'user', content: text }] } };
const gemini = { path: '/v1beta/models/gemini:streamGenerateContent?alt=sse', body: {
  contents: [{ role: 'user', parts: [{ text }] }], generationConfig: { maxOutputTokens: 400 } } };
const translated = { path: '/v1/chat/completions', body: { model: 'anthropic', max_tokens: 400, stream: true,
  messages: [{ role: 'user', content: text }] } };

const lowered = () => agent.metric('headgate_reservations_lowered_nanousd_total');

async function begin(name, { path, body }, sim = {}) {
  const knobs = { 'prompt-tokens': 4000, tokens: 300, events: 60, 'gap-ms': 50, usage: 'running', ...sim };
  const r = await fetch(`${agent.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secrets[`${name}.team.project.app`]}`, 'content-type': 'application/json',
      'anthropic-version': '2023-06-01',
      ...Object.fromEntries(Object.entries(knobs).map(([k, v]) => [`x-sim-${k}`, String(v)])) },
    body: JSON.stringify(body),
  });
  return r;
}

test('the stack starts', async () => {
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await stack.startControl();
  ({ secrets } = await stack.apply([
    item('model', 'large', { context_tokens: 128000, max_output_tokens: 4096, capabilities: ['chat'],
      prices: [{ class: 'input', usd_per_mtok: '2.50' }, { class: 'cache_read', usd_per_mtok: '1.25' },
        { class: 'output', usd_per_mtok: '10.00' }, { class: 'reasoning', usd_per_mtok: '12.345678901' }] }),
    ...['anthropic', 'gemini'].flatMap((dialect) => [
      item('provider', dialect, { dialect, base_url: stack.provider.url, credential: providerKey }),
      item('deployment', dialect, { model: 'large', provider: dialect, upstream_model: 'sim-large', region: 'local' }),
      item('route', dialect, { targets: [{ deployment: dialect }] }),
    ]),
    ...['anthropic', 'gemini', 'translated', 'killed', 'left'].flatMap((name) => tenant(name, ['app'], { budget: '0.06' })),
  ]));
  agent = stack.agent('agent-1', { args: ['--forward-sim-headers'] });
  await agent.start();
  await stack.settled();
}, { timeout: 120000 });

for (const [name, what] of Object.entries({ anthropic, gemini, translated })) {
  test(`${name}: a second request fits while the first one streams`, async () => {
    const before = await lowered();
    const first = await begin(name, what);
    equal(first.status, 200);
    await until('the reservation to fall', async () => await lowered() > before, 10000);
    const fall = await lowered() - before;
    assert(fall > 25e6 && fall < 35e6, `fell by ${fall}`);
    // At its worst 0.036 USD: what the first one held at first leaves 0.015.
    const smaller = { path: what.path, body: JSON.parse(JSON.stringify(what.body).replace(text, text.slice(0, 12000))) };
    const second = await begin(name, smaller, { 'gap-ms': 0, events: 4 });
    equal(second.status, 200, await second.clone().text());
    await second.text();
    await first.text();
    agree(await reconcile(stack));
    const status = await stack.rest.get(`/v1/budgets/${name}.main/status`);
    assert(BigInt(status.spent_nanousd) <= BigInt(status.limit_nanousd), status.spent_nanousd);
  });
}

test('its client leaves: what is held is what was still possible', async () => {
  const before = await lowered();
  const r = await begin('left', anthropic);
  await until('the reservation to fall', async () => await lowered() > before, 10000);
  await r.body.cancel();
  await until('its record', async () => (await stack.rest.all('/v1/usage?tenant=left')).length === 1, 10000);
  const status = await stack.rest.get('/v1/budgets/left.main/status');
  const held = Number(status.held_nanousd);
  assert(held > 0 && held < 16e6, `held ${held}`);
  agree(await reconcile(stack));
});

test('kill -9 in the middle: billed at what it fell to', async () => {
  const before = await lowered();
  const r = await begin('killed', anthropic);
  await until('the reservation to fall', async () => await lowered() > before, 10000);
  await agent.proc.kill();
  await r.text().catch(() => {});
  await agent.start();
  await stack.settled();
  let row;
  await until('the interrupted request to be billed', async () => {
    [row] = await stack.rest.all('/v1/usage?tenant=killed');
    return row;
  }, 20000);
  equal(row.source, 'crash_estimated');
  assert(Number(row.cost_nanousd) > 10e6 && Number(row.cost_nanousd) < 16e6, `billed ${row.cost_nanousd}`);
  agree(await reconcile(stack));
}, { timeout: 60000 });

await run();
