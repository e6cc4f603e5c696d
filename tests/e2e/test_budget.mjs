#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A HARD budget raced for by many clients over two agents, plain, streamed
// and abandoned: never a nano-dollar above it, and little left below.
import { agree, reconcile } from './lib/bill.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let agents;
let secrets;

// Requests that cost more at worst than 0.02 USD, in every dialect: 4096
// tokens out are 0.041.
const ask = { role: 'user', content: 'A long story.' };
const x_sim = { tokens: 3000, events: 4 };
const gemini = { contents: [{ role: 'user', parts: [{ text: 'A long story.' }] }], x_sim };
const shrinking = {
  chat: ['/v1/chat/completions', { model: 'sim-large', messages: [ask], x_sim }],
  capped: ['/v1/chat/completions', { model: 'sim-large', messages: [ask], max_tokens: 4000, x_sim }],
  stream: ['/v1/chat/completions', { model: 'sim-large', messages: [ask], stream: true, x_sim }],
  translated: ['/v1/chat/completions', { model: 'large-anthropic', messages: [ask] }],
  responses: ['/v1/responses', { model: 'sim-large', input: 'A long story.', store: false, x_sim }],
  messages: ['/v1/messages', { model: 'large-anthropic', max_tokens: 4096, messages: [ask], x_sim }],
  gemini: ['/v1beta/models/large-gemini:generateContent', gemini],
  geministream: ['/v1beta/models/large-gemini:streamGenerateContent?alt=sse',
    { ...gemini, generationConfig: { maxOutputTokens: 4000, temperature: 1 } }],
};

teardown(() => stack.stop());

test('the stack starts: two agents, two budgets', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir, { 'sim-large': { ttft_ms: 2 } }), apiKey: providerKey,
  });
  await stack.startControl();
  ({ secrets } = await stack.apply([
    ...catalog(stack.provider.url),
    ...tenant('small', ['app'], { budget: '0.05' }),
    ...tenant('nested', ['app'], { budget: '0.50' }),
    item('budget', 'nested.project', {
      scope: 'nested.team.project', limit_usd: '0.04', mode: 'hard', period: 'day',
    }),
    ...tenant('mixed', ['app'], { budget: '0.50' }),
    item('budget', 'mixed.large', {
      scope: 'mixed', limit_usd: '0.01', mode: 'hard', period: 'month', model: 'sim-large',
    }),
    ...tenant('vectors', ['app'], { budget: '0.0004' }),
    ...['anthropic', 'gemini'].flatMap((dialect) => [
      item('provider', dialect, { dialect, base_url: stack.provider.url, credential: providerKey }),
      item('deployment', `large-${dialect}`, {
        model: 'sim-large', provider: dialect, upstream_model: 'sim-large', region: 'local',
      }),
      item('route', `large-${dialect}`, { targets: [{ deployment: `large-${dialect}` }] }),
    ]),
    ...Object.keys(shrinking).flatMap((name) => tenant(`rest-${name}`, ['app'], { budget: '0.02' })),
    ...tenant('soft', ['app'], { budget: '0.001', mode: 'soft' }),
  ]));
  agents = [stack.agent('agent-1'), stack.agent('agent-2')];
  for (const a of agents)
    await a.start();
  await stack.settled();
}, { timeout: 120000 });

async function race(key, clients, each) {
  const count = { 200: 0, 402: 0, 429: 0, other: 0, left: 0 };
  await Promise.all(Array.from({ length: clients }, async (_, c) => {
    for (let i = 0; i < each; i++) {
      const leaving = (c + i) % 11 === 0;
      const controller = new AbortController();
      if (leaving)
        setTimeout(() => controller.abort(), 5 + (i % 20));
      try {
        const r = await agents[(c + i) % 2].chat(key, prompt('Spend it.', {
          model: 'sim-large', stream: i % 2 === 1, max_completion_tokens: 40,
          x_sim: { tokens: 5 + ((c * 7 + i) % 36), gap_ms: leaving ? 5 : 0 },
        }), {}, { signal: controller.signal });
        await r.text();
        count[r.status in count ? r.status : 'other'] += 1;
      } catch {
        count.left += 1;
      }
    }
  }));
  return count;
}

async function check(budget, count) {
  const result = await reconcile(stack);
  const status = await stack.rest.get(`/v1/budgets/${budget}/status`);
  const limit = BigInt(status.limit_nanousd);
  const spent = BigInt(status.spent_nanousd);
  console.log(`# ${budget}: ${JSON.stringify(count)} spent ${spent} of ${limit}`);
  agree(result);
  equal(count.other, 0, `other answers ${JSON.stringify(count)}`);
  assert(count[200] > 0 && count[402] > 0, JSON.stringify(count));
  assert(spent <= limit, `overspent by ${spent - limit} nano-USD`);
  return { limit, spent };
}

test('64 clients over two agents run into a small HARD budget', async () => {
  const count = await race(secrets['small.team.project.app'], 64, 12);
  const { limit, spent } = await check('small.main', count);
  assert(spent * 100n >= limit * 80n, `blocked with ${limit - spent} of ${limit} left`);
}, { timeout: 120000 });

test('the project\'s budget ends first, the tenant\'s goes on', async () => {
  const count = await race(secrets['nested.team.project.app'], 32, 12);
  await check('nested.project', count);
  const outer = await stack.rest.get('/v1/budgets/nested.main/status');
  const inner = await stack.rest.get('/v1/budgets/nested.project/status');
  equal(outer.spent_nanousd, inner.spent_nanousd, 'both budgets saw the same money');
}, { timeout: 120000 });

test('a budget for one model ends, the other models go on', async () => {
  const key = secrets['mixed.team.project.app'];
  const count = await race(key, 16, 8);
  await check('mixed.large', count);
  const before = await stack.rest.get('/v1/budgets/mixed.main/status');
  const r = await agents[0].chat(key, prompt('Still here?', { model: 'sim-small', max_completion_tokens: 20 }));
  await r.text();
  equal(r.status, 200, 'sim-small is not limited by the budget of sim-large');
  await reconcile(stack);
  const large = await stack.rest.get('/v1/budgets/mixed.large/status');
  const main = await stack.rest.get('/v1/budgets/mixed.main/status');
  equal(before.spent_nanousd, large.spent_nanousd, 'both saw what sim-large cost');
  assert(main.spent_nanousd > before.spent_nanousd, 'only the tenant\'s budget saw sim-small');
}, { timeout: 120000 });

test('embeddings of token ids, which hold no text, are reserved for too', async () => {
  const key = secrets['vectors.team.project.app'];
  const count = {};
  await Promise.all(Array.from({ length: 32 }, async (_, i) => {
    const input = i % 2 ? Array(2000).fill(1) : [Array(1000).fill(7), Array(1000).fill(8)];
    const r = await fetch(`${agents[i % 2].url}/v1/embeddings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'sim-embed', input, dimensions: 8 }),
    });
    await r.text();
    count[r.status] = (count[r.status] ?? 0) + 1;
  }));
  agree(await reconcile(stack));
  const status = await stack.rest.get('/v1/budgets/vectors.main/status');
  assert(count[200] > 0, JSON.stringify(count));
  assert(BigInt(status.spent_nanousd) <= BigInt(status.limit_nanousd),
    `spent ${status.spent_nanousd} of ${status.limit_nanousd}, ${JSON.stringify(count)}`);
});

function post(agent, key, url, body) {
  return fetch(`${agent.url}${url}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json',
      'x-api-key': key, 'x-goog-api-key': key, 'anthropic-version': '2023-06-01' },
    body: JSON.stringify(body),
  });
}

for (const [name, [url, body]] of Object.entries(shrinking)) {
  test(`the rest of a budget pays for a shorter answer: ${name}`, async () => {
    const key = secrets[`rest-${name}.team.project.app`];
    const r = await post(agents[0], key, url, body);
    const text = await r.text();
    equal(r.status, 200, text);
    const cap = Number(r.headers.get('x-headgate-max-output-tokens'));
    assert(cap > 1000 && cap < 2000, `cap ${cap}`);
    equal(r.headers.get('x-headgate-max-output-reason'), 'budget');
    agree(await reconcile(stack));
    const status = await stack.rest.get(`/v1/budgets/rest-${name}.main/status`);
    const spent = BigInt(status.spent_nanousd);
    assert(spent <= BigInt(status.limit_nanousd), `spent ${spent}`);
    // The provider would have made 3000 tokens and obeyed the lower cap.
    if (body.x_sim)
      assert(spent > BigInt(cap - 1) * 10000n, `spent ${spent} for ${cap} tokens`);
  });
}

test('an answer that must be whole is not made shorter', async () => {
  const key = secrets['rest-chat.team.project.app'];
  await stack.rest.patch('/v1/budgets/rest-chat.main', { limit_usd: '0.04' });
  await stack.settled();
  for (const more of [{ response_format: { type: 'json_object' } },
    { tools: [{ type: 'function', function: { name: 'f', parameters: {} } }] }]) {
    const r = await post(agents[0], key, '/v1/chat/completions',
      { model: 'sim-large', messages: [ask], ...more });
    equal(r.status, 402);
    equal((await r.json()).error.code, 'budget_exhausted');
  }
});

test('a SOFT budget warns and never blocks', async () => {
  const key = secrets['soft.team.project.app'];
  for (let i = 0; i < 30; i++) {
    const r = await agents[i % 2].chat(key, prompt('x', { model: 'sim-large' }));
    equal(r.status, 200);
    await r.text();
  }
  agree(await reconcile(stack));
});

test('more money: blocked clients go on within seconds', async () => {
  const key = secrets['small.team.project.app'];
  await stack.rest.patch('/v1/budgets/small.main', { limit_usd: '0.10' });
  await stack.settled();
  const r = await agents[0].chat(key, prompt('x', { model: 'sim-large', max_completion_tokens: 20 }));
  equal(r.status, 200);
  await r.text();
  agree(await reconcile(stack));
});

await run();
