#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// TLS with a provider fails: in the handshake (alert, close, an answer that is
// no TLS, silence) and in the middle of an answer (alert, a record that cannot
// be decrypted, an end without close_notify). The client gets an error in its
// dialect, another target is tried while nobody was served, and the bill is
// right. The simulator speaks TLS itself; OpenSSL's own stack fails.
import Anthropic from '@anthropic-ai/sdk';

import { agree, ledger, reconcile, shipped } from './lib/bill.mjs';
import { Authority } from './lib/cert.mjs';
import { scenario } from './lib/dialects.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let agent;
let app;
let key;

teardown(() => stack.stop());

const times = { connect_timeout_ms: 800, first_byte_timeout_ms: 1500, idle_timeout_ms: 1000 };

test('the stack starts, the provider speaks TLS', async () => {
  const ca = new Authority(stack.dir);
  const { cert, key: secret } = ca.certificate('provider', 'DNS:localhost,IP:127.0.0.1');
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey,
    args: ['--tls-cert', cert, '--tls-key', secret] });
  await stack.startControl();
  const target = (name, provider) => item('deployment', name,
    { model: 'sim-small', provider, upstream_model: 'sim-small', ...times });
  const provider = (name, more) => item('provider', name,
    { dialect: 'openai', base_url: `https://localhost:${stack.provider.tlsPort}/v1`, credential: providerKey, ...more });
  const { secrets } = await stack.apply([...catalog(stack.provider.url, times),
    provider('tls'), target('tls-1', 'tls'), item('route', 'tls', { targets: [{ deployment: 'tls-1' }] }),
    provider('tls-messages', { dialect: 'anthropic', base_url: `https://localhost:${stack.provider.tlsPort}` }),
    target('tls-messages-1', 'tls-messages'),
    item('route', 'tls-messages', { targets: [{ deployment: 'tls-messages-1' }] }),
    provider('tls-other'), target('tls-other-1', 'tls-other'),
    item('route', 'tls-other', { targets: [{ deployment: 'tls-other-1' }] }),
    item('route', 'tls-then-plain', {
      targets: [{ deployment: 'tls-other-1', priority: 0 }, { deployment: 'sim-small-1', priority: 1 }] }),
    ...tenant('acme', ['app'], { budget: '100' })]);
  key = secrets['acme.team.project.app'];
  agent = await stack.agent('agent-1', { args: ['--upstream-ca-file', ca.path('ca.pem'), '--workers', '1'] }).start();
  await stack.settled();
  app = agent.client(key);
}, { timeout: 120000 });

const ask = (knobs = {}, more = {}) => prompt('Over TLS, please.', { model: 'tls', x_sim: { tokens: 20, ...knobs }, ...more });
const rows = async () => (await stack.provider.bill()).length;

async function order(fault, n = 1) {
  const r = await fetch(`${stack.provider.url}/sim/tls?fault=${fault}&times=${n}`, { method: 'POST' });
  equal(r.status, 200);
}

// The agent has no connection left that it could use again: as many requests
// as it may have kept connections, each of which ends its own.
const alone = () => Promise.all(Array.from({ length: 6 }, () => served(ask({ until_close: 1, ttft_ms: 30 }))));

async function served(body = ask()) {
  const r = await agent.chat(key, body);
  const text = await r.text();
  equal(r.status, 200, text);
  return JSON.parse(text);
}

test('plain and streamed over TLS, byte by byte as well', async () => {
  const want = (await served()).choices[0].message.content;
  for (const sim of [{}, { split: 1 }, { fault: 'slow-drip' }, { framing: 'crlf', split: 3 }]) {
    let text = '';
    for await (const chunk of await app.chat.completions.create(ask(sim, { stream: true })))
      text += chunk.choices[0]?.delta?.content ?? '';
    equal(text, want);
  }
  assert((await stack.provider.stats()).tls_connections > 0, 'it was not TLS');
});

// The next case needs the first target again: a few good answers by it alone.
async function settledCircuit() {
  for (let i = 0; i < 3; i++)
    await served(prompt('Over TLS, please.', { model: 'tls-other' }));
}

// ---- in the handshake ----

for (const [fault, status] of [['alert', 502], ['close', 502], ['plain', 502], ['stall', 504]]) {
  test(`handshake: ${fault}: ${status}, nothing billed, then it works`, async () => {
    await alone();
    const billed = await rows();
    const { requests } = await stack.provider.stats();
    await order(fault);
    const r = await agent.chat(key, ask());
    const { error } = await r.json();
    equal(r.status, status, JSON.stringify(error));
    assert(error.message && error.type, JSON.stringify(error));
    assert(!JSON.stringify(error).includes('localhost'), 'an address in the error');
    assert(!JSON.stringify(error).includes(providerKey), 'a credential in the error');
    equal((await stack.provider.stats()).requests, requests, 'requests that were sent');
    equal(await rows(), billed, 'rows of the bill');
    await served();
  });

  test(`handshake: ${fault}: the next target answers, once`, async () => {
    const before = await rows();
    await order(fault);
    const r = await agent.chat(key, ask({}, { model: 'tls-then-plain' }));
    equal(r.status, 200, await r.text());
    equal(await rows(), before + 1, 'rows of the bill');
    await order('none', 0);
    await settledCircuit();
  });
}

test('handshake: alert: Anthropic\'s words for Anthropic\'s client', async () => {
  const client = new Anthropic({ apiKey: key, baseURL: agent.url, maxRetries: 0 });
  await order('alert');
  const error = await rejects(client.messages.create({ model: 'tls-messages', max_tokens: 10,
    messages: [{ role: 'user', content: 'x' }] }));
  equal([error.status, error.error.type, error.error.error.type], [502, 'error', 'api_error']);
  const answer = await client.messages.create({ model: 'tls-messages', max_tokens: 10, messages: [{ role: 'user', content: 'x' }] });
  assert(answer.content[0].text.length > 0);
});

// ---- in the middle of an answer ----

const broken = ['tls-alert', 'tls-corrupt', 'no-close-notify', 'cut', 'half-close'];

for (const fault of broken) {
  test(`plain answer: ${fault}: 502, billed, never half an answer`, async () => {
    for (const until_close of [0, 1]) {
      const before = await rows();
      const r = await agent.chat(key, ask({ fault, until_close }));
      const { error } = await r.json();
      equal(r.status, 502, JSON.stringify(error));
      assert(error.message && error.type, JSON.stringify(error));
      equal(await rows(), before + 1, 'the provider bills it');
      await served();
    }
  });

  test(`stream: ${fault}: an error in the stream, never a clean end`, async () => {
    for (const until_close of [0, 1]) {
      const stream = await app.chat.completions.create(ask({ fault: `${fault}=5`, gap_ms: 2, until_close }, { stream: true }));
      let n = 0;
      await rejects((async () => {
        for await (const chunk of stream)
          n += chunk.choices.length;
      })());
      assert(n > 0, 'nothing came before it broke');
      await served();
    }
  });

  test(`plain answer: ${fault}: the next target answers, both are billed`, async () => {
    await scenario(stack.provider, [{ match: { body: 'Next, please.' }, knobs: { fault } }]);
    const before = await rows();
    const r = await agent.chat(key, prompt('Next, please.', { model: 'tls-then-plain' }));
    equal(r.status, 200, await r.text());
    const fresh = (await stack.provider.bill()).slice(before);
    equal(fresh.map((row) => row.attempt), [1, 2]);
    equal(fresh[0].request_id, fresh[1].request_id);
    await settledCircuit();
  });
}

test('an answer that ends with its connection is whole all the same', async () => {
  const want = (await served()).choices[0].message.content;
  for (const sim of [{ until_close: 1 }, { until_close: 1, split: 5 }]) {
    equal((await served(ask(sim))).choices[0].message.content, want);
    let text = '';
    for await (const chunk of await app.chat.completions.create(ask(sim, { stream: true })))
      text += chunk.choices[0]?.delta?.content ?? '';
    equal(text, want);
  }
});

test('an end without close_notify after a whole answer of known length is fine', async () => {
  for (let i = 0; i < 3; i++)
    await served();
  equal((await agent.chat(key, ask({ fault: 'no-close-notify', after: 1000 }, { stream: true }))).status, 200);
  await served();
});

test('in the end the ledger is the provider\'s bill', async () => {
  await shipped(stack);
  const all = [...(await ledger(stack.rest)).values()].flatMap((e) => e.originals);
  assert(all.some((r) => r.source === 'estimated' || r.source === 'provider_partial'), 'no estimates');
  agree(await reconcile(stack));
});

await run();
