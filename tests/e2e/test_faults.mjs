#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The provider misbehaves, or the client leaves: what the client sees, when
// the provider notices, and that the bill is right in every case.
import { agree, ledger, reconcile, shipped } from './lib/bill.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let agent;
let app;
let key;

teardown(() => stack.stop());

test('the stack starts', async () => {
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await stack.startControl();
  agent = stack.agent('agent-1');
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url, {
      connect_timeout_ms: 1000, first_byte_timeout_ms: 1500, idle_timeout_ms: 1000,
    }),
    item('provider', 'dead', { dialect: 'openai', base_url: 'http://127.0.0.1:1/v1', credential: 'x' }),
    item('deployment', 'dead-1', { model: 'sim-small', provider: 'dead', upstream_model: 'sim-small' }),
    item('route', 'dead', { targets: [{ deployment: 'dead-1' }] }),
    item('route', 'failover', {
      targets: [{ deployment: 'dead-1', priority: 0 }, { deployment: 'sim-small-1', priority: 1 }],
    }),
    ...tenant('acme', ['app'], { budget: '100' })]);
  key = secrets['acme.team.project.app'];
  await agent.start();
  await stack.settled();
  app = agent.client(key);
}, { timeout: 120000 });

const ask = (sim, more = {}) => prompt('Misbehave, please.', { x_sim: { tokens: 20, ...sim }, ...more });

async function collect(stream) {
  let text = '';
  for await (const chunk of stream)
    text += chunk.choices[0]?.delta?.content ?? '';
  return text;
}

// Status that a plain request gets, and its error object.
async function plain(sim) {
  const response = await agent.chat(key, ask(sim));
  const text = await response.text();
  let error;
  try {
    ({ error } = JSON.parse(text));
  } catch {
    throw new Error(`${response.status}, not JSON: ${text.slice(0, 200)}`);
  }
  return { status: response.status, error, headers: response.headers };
}

for (const [fault, statuses] of [
  ['429', [429]], ['429-quota', [429]], ['400', [400]], ['500', [500, 502]],
  ['503', [502, 503]], ['401', [401, 502, 503]], ['reset-before-bytes', [502]], ['cut', [502]],
  ['reset-after-bytes', [502]], ['wrong-length', [502]], ['stall', [504]],
  ['redirect', [502]],
]) {
  test(`plain answer: ${fault}: ${statuses.join(' or ')} in OpenAI's dialect`, async () => {
    const { status, error, headers } = await plain({ fault, retry_after_ms: 1234 });
    assert(statuses.includes(status), `status ${status}: ${JSON.stringify(error)}`);
    assert(error?.message && error.type, JSON.stringify(error));
    assert(!JSON.stringify(error).includes('127.0.0.1'), 'an upstream address in the error');
    if (fault === '429')
      equal(headers.get('retry-after-ms'), '1234');
    equal((await agent.chat(key, ask({}))).status, 200, 'the next request');
  });
}

for (const sim of [{ fault: 'slow-drip' }, { split: 1 }, { fault: 'missing-usage' },
  { fault: 'zero-usage' }, { reasoning_tokens: 15 }, { cached_tokens: 4 }]) {
  test(`plain answer: ${JSON.stringify(sim)} passes`, async () => {
    const response = await agent.chat(key, ask(sim));
    equal(response.status, 200);
    JSON.parse(await response.text());
  });
}

for (const sim of [{ fault: 'slow-drip' }, { split: 1 }, { split: 3, framing: 'crlf' },
  { framing: 'crlf' }, { framing: 'cr' }, { comments: 2 }, { gap_ms: 5 }, { events: 200 },
  { tokens: 0 }, { fault: 'missing-usage' }, { fault: 'usage-twice' }, { reasoning_tokens: 20 }]) {
  test(`stream: ${JSON.stringify(sim)} arrives whole`, async () => {
    const body = ask({ seed: 5, ...sim }, { stream: true });
    const want = await collect(await app.chat.completions.create(
      ask({ seed: 5, tokens: sim.tokens ?? 20, reasoning_tokens: sim.reasoning_tokens ?? 0 }, { stream: true })));
    equal(await collect(await app.chat.completions.create(body)), want);
  });
}

for (const fault of ['cut=5', 'reset-after-bytes=900', 'error-event=5', 'stall=5', 'huge-frame=5']) {
  test(`stream: ${fault}: the SDK sees an error, never a clean end`, async () => {
    const stream = await app.chat.completions.create(ask({ fault, gap_ms: 2 }, { stream: true }));
    await rejects(collect(stream));
    equal((await agent.chat(key, ask({}))).status, 200, 'the next request');
  });
}

for (const fault of ['bad-json=5', 'not-sse', 'no-done']) {
  test(`stream: ${fault}: ends one way or the other`, async () => {
    try {
      await collect(await app.chat.completions.create(ask({ fault }, { stream: true })));
    } catch (error) {
      assert(error.message, 'an error without a message');
    }
    equal((await agent.chat(key, ask({}))).status, 200, 'the next request');
  });
}

test('stream: first byte too late is 504', async () => {
  const error = await rejects(app.chat.completions.create(ask({ ttft_ms: 5000 }, { stream: true })));
  equal(error.status, 504);
});

test('upstream down: 502 at once; with a second deployment: served', async () => {
  const started = Date.now();
  const error = await rejects(app.chat.completions.create(ask({}, { model: 'dead' })));
  equal(error.status, 502);
  assert(Date.now() - started < 1000, 'slow');
  equal((await app.chat.completions.create(ask({}, { model: 'failover' }))).object, 'chat.completion');
});

async function leave(sim, more, when) {
  const before = (await stack.provider.stats()).disconnects;
  const controller = new AbortController();
  const response = agent.chat(key, ask(sim, more), {}, { signal: controller.signal });
  response.then((r) => r.body?.getReader().read()).catch(() => {});
  await until('the provider to be busy', async () => when(await stack.provider.stats()), 3000, 5);
  const left = Date.now();
  controller.abort();
  await until('the provider to notice', async () =>
    (await stack.provider.stats()).disconnects > before, 3000, 5);
  await response.catch(() => {});
  const row = (await stack.provider.bill()).filter((r) => r.disconnected).at(-1);
  return row.ended_at_ms - left;
}

test('the client leaves in mid-stream: the provider knows within 0.2 s', async () => {
  for (let i = 0; i < 5; i++) {
    const { events } = await stack.provider.stats();
    const ms = await leave({ tokens: 1000, gap_ms: 10 },
      { stream: true, max_completion_tokens: 2000 }, (s) => s.events > events + 5);
    assert(ms < 200, `noticed after ${ms} ms`);
  }
});

test('the client leaves before the first byte: the provider knows within 0.2 s', async () => {
  for (const stream of [false, true]) {
    const { chats } = await stack.provider.stats();
    const ms = await leave({ ttft_ms: 1400 }, { stream }, (s) => s.chats > chats && s.active > 0);
    assert(ms < 200, `stream ${stream}: noticed after ${ms} ms`);
  }
});

test('many clients leave at random moments; nothing is left open', async () => {
  const one = async (i) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), (i * 7) % 150);
    try {
      const r = await agent.chat(key, ask({ gap_ms: 3, tokens: 50 }, { stream: i % 2 === 0 }), {},
        { signal: controller.signal });
      await r.text();
    } catch {
      // left
    }
  };
  await Promise.all(Array.from({ length: 120 }, (_, i) => one(i)));
  await until('the provider to be idle', async () => (await stack.provider.stats()).active === 0);
});

test('missing usage is never free', async () => {
  await shipped(stack);
  const rows = [...(await ledger(stack.rest)).values()].flatMap((e) => e.originals);
  const estimated = rows.filter((r) => r.source === 'estimated');
  assert(estimated.length > 0, 'no estimated rows');
  assert(estimated.some((r) => BigInt(r.cost_nanousd) > 0n), 'all estimates are 0');
});

test('after corrections the ledger is the provider\'s bill', async () => {
  agree(await reconcile(stack));
});

await run();
