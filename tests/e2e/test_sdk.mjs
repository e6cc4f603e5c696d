#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The official OpenAI SDK through the gateway: everything works as it does
// directly at the provider, and what is refused is refused clearly.
import OpenAI from 'openai';

import { agree, ledger, reconcile, shipped } from './lib/bill.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Provider, Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let agent;
let keys;
let app;
let direct;

teardown(() => stack.stop());

test('the stack starts: control plane, agent, provider, configuration', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir), apiKey: providerKey, canaries: ['hg-'],
  });
  await stack.startControl();
  agent = stack.agent('agent-1', { args: ['--forward-sim-headers'] });
  const got = await stack.apply([
    ...catalog(stack.provider.url),
    ...tenant('acme', ['app', { name: 'old', spec: { expires_at: '2020-01-01T00:00:00Z' } },
      { name: 'narrow', spec: { routes: ['sim-small'] } }, 'revoked', 'slow'],
    { budget: '100.00' }),
    ...tenant('poor', ['app'], { budget: '0.000001' }),
    item('limit', 'acme.slow', { scope: 'acme.team.project.slow', requests_per_minute: 3 }),
  ]);
  keys = got.secrets;
  await agent.start();
  await stack.settled();
  app = agent.client(keys['acme.team.project.app']);
  // A second simulator, to compare with: its bill is not ours.
  const other = await new Provider(stack, 'direct', { models: modelsFile(stack.dir) }).start();
  direct = new OpenAI({ apiKey: providerKey, baseURL: `${other.url}/v1`, maxRetries: 0 });
}, { timeout: 120000 });

test('a plain chat completion', async () => {
  const got = await app.chat.completions.create(prompt('Hello there.'));
  equal(got.object, 'chat.completion');
  equal(got.choices[0].message.role, 'assistant');
  assert(got.choices[0].message.content.length > 0, 'no content');
  equal(got.usage.total_tokens, got.usage.prompt_tokens + got.usage.completion_tokens);
});

test('the same answer as directly from the provider, field by field', async () => {
  const ask = prompt('Compare me.', { seed: 7, temperature: 0.5, x_sim: { seed: 7 } });
  const strip = ({ id, created, model, ...rest }) => rest;
  const a = strip(await app.chat.completions.create(ask));
  const b = strip(await direct.chat.completions.create(ask));
  equal(a, b, 'answer');
});

test('a streamed completion; usage stays hidden from who did not ask', async () => {
  const stream = await app.chat.completions.create(prompt('Stream this.', { stream: true }));
  let text = '';
  let finish;
  let chunks = 0;
  for await (const chunk of stream) {
    chunks += 1;
    assert(!('usage' in chunk) || chunk.usage === undefined, 'usage was shown');
    assert(chunk.choices.length === 1, `a chunk with ${chunk.choices.length} choices`);
    text += chunk.choices[0].delta.content ?? '';
    finish = chunk.choices[0].finish_reason ?? finish;
  }
  assert(text.length > 10 && chunks > 5, `${chunks} chunks, ${text.length} characters`);
  assert(['stop', 'length'].includes(finish), finish);
});

test('a streamed completion with include_usage shows it once, at the end', async () => {
  const stream = await app.chat.completions.create(prompt('Stream this.', {
    stream: true, stream_options: { include_usage: true },
  }));
  const usages = [];
  for await (const chunk of stream) {
    assert('usage' in chunk, 'a chunk without usage');
    if (chunk.usage !== null)
      usages.push([chunk.usage, chunk.choices.length]);
  }
  equal(usages.length, 1, 'usage chunks');
  equal(usages[0][1], 0, 'choices of the usage chunk');
  assert(usages[0][0].completion_tokens > 0);
});

test('the stream is what the provider streams, event by event', async () => {
  for (const options of [{}, { stream_options: { include_usage: true } }, { n: 3 }]) {
    const ask = prompt('Same stream?', { stream: true, x_sim: { seed: 8 }, ...options });
    const read = async (client) => {
      const out = [];
      for await (const { id, created, model, ...rest } of await client.chat.completions.create(ask))
        out.push(rest);
      return out;
    };
    equal(await read(app), await read(direct), `events with ${JSON.stringify(options)}`);
  }
});

test('tools: a call, its result, an answer; and streamed', async () => {
  const tools = [{
    type: 'function',
    function: {
      name: 'get_weather', description: 'Weather of a city', strict: true,
      parameters: { type: 'object', properties: { query: { type: 'string' } }, required: ['query'] },
    },
  }];
  const ask = prompt('How is the weather?', { tools, tool_choice: 'auto' });
  const first = await app.chat.completions.create(ask);
  equal(first.choices[0].finish_reason, 'tool_calls');
  const call = first.choices[0].message.tool_calls[0];
  equal(call.function.name, 'get_weather');
  JSON.parse(call.function.arguments);
  const second = await app.chat.completions.create({
    ...ask,
    messages: [...ask.messages, first.choices[0].message,
      { role: 'tool', tool_call_id: call.id, content: '{"degrees": 21}' }],
  });
  equal(second.choices[0].finish_reason === 'tool_calls', false);
  const runner = app.chat.completions.stream({ ...ask, stream: true });
  const final = await runner.finalChatCompletion();
  JSON.parse(final.choices[0].message.tool_calls[0].function.arguments);
});

test('what the gateway does not know is passed on byte for byte', async () => {
  const body = '{ "x_new_field":{"b":[1,2.50,-0e1,"\\u00e9\\ud83d\\ude00"],"a":null},  "model" : '
    + '"sim-small","messages":[{"role":"user","content":"h\\u00e9llo \\/ \\n 😀"}],"metadata":{"k":"v"},'
    + '"max_completion_tokens":5}';
  const response = await agent.chat(keys['acme.team.project.app'], body);
  equal(response.status, 200);
  const seen = (await stack.provider.last()).at(-1);
  equal(seen.body, body, 'body at the provider');
});

test('the upstream model name and forced usage are all that is changed', async () => {
  const body = '{"model":"sim-small","stream":true,"messages":[{"role":"user","content":"x"}],"top_p":0.10}';
  const response = await agent.chat(keys['acme.team.project.app'], body);
  await response.text();
  const seen = JSON.parse((await stack.provider.last()).at(-1).body);
  equal(seen.stream_options, { include_usage: true });
  delete seen.stream_options;
  equal(seen, JSON.parse(body));
});

test('credentials: the client\'s never leaves, the provider\'s never comes back', async () => {
  const response = await agent.chat(keys['acme.team.project.app'], prompt(), {
    cookie: 'session=secret-cookie', 'x-forwarded-for': '10.1.2.3', 'openai-organization': 'org-mine',
  });
  equal(response.status, 200);
  const { head } = (await stack.provider.last()).at(-1);
  assert(!/secret-cookie|org-mine|10\.1\.2\.3/i.test(head), head);
  assert(head.includes(`Bearer ${providerKey}`), 'no provider credential');
  const answer = JSON.stringify([...response.headers]) + await response.text();
  assert(!answer.includes('sk-sim'), 'the provider credential came back');
  assert(/x-request-id/i.test(head) && response.headers.get('x-request-id'), 'no request id');
  equal((await stack.provider.stats()).forbidden, 0, 'client keys at the provider');
});

test('embeddings as floats and as base64', async () => {
  const floats = await app.embeddings.create({
    model: 'sim-embed', input: ['one', 'two'], encoding_format: 'float', dimensions: 8,
  });
  equal(floats.data.length, 2);
  equal(floats.data[0].embedding.length, 8);
  const base64 = await app.embeddings.create({ model: 'sim-embed', input: ['one', 'two'], dimensions: 8 });
  equal([...base64.data[1].embedding].length, 8);
  const tokens = await app.embeddings.create({ model: 'sim-embed', input: [[1, 2, 3], [4, 5]], dimensions: 8 });
  equal(tokens.usage.prompt_tokens > 0, true);
});

test('/v1/models lists what the key may use', async () => {
  const all = (await app.models.list()).data.map((m) => m.id).sort();
  equal(all, ['sim-embed', 'sim-large', 'sim-small']);
  const narrow = agent.client(keys['acme.team.project.narrow']);
  equal((await narrow.models.list()).data.map((m) => m.id), ['sim-small']);
  equal((await narrow.models.retrieve('sim-small')).id, 'sim-small');
});

test('refused: unknown, expired and malformed keys, all alike', async () => {
  const bodies = new Set();
  for (const key of ['hg-wrongwrongwrongwrongwrongwrongwrongwrong1', keys['acme.team.project.old'],
    'sk-other', `${keys['acme.team.project.app']}x`, keys['acme.team.project.app'].slice(0, -1)]) {
    const error = await rejects(agent.client(key).chat.completions.create(prompt()));
    equal(error.status, 401);
    equal(error.code, 'invalid_api_key');
    assert(error instanceof OpenAI.AuthenticationError);
    bodies.add(error.error?.message);
  }
  equal(bodies.size, 1, 'different messages');
});

test('refused: models that do not exist or are not for this key', async () => {
  const narrow = agent.client(keys['acme.team.project.narrow']);
  const unknown = await rejects(narrow.chat.completions.create(prompt('x', { model: 'nope' })));
  const foreign = await rejects(narrow.chat.completions.create(prompt('x', { model: 'sim-large' })));
  for (const error of [unknown, foreign]) {
    equal(error.status, 404);
    equal(error.code, 'model_not_found');
  }
});

test('refused: a body without a model, and one without messages', async () => {
  const key = keys['acme.team.project.app'];
  const none = await agent.chat(key, '{"messages":[]}');
  equal(none.status, 400);
  equal((await none.json()).error.type, 'invalid_request_error');
});

test('refused: a HARD budget that cannot carry the request, once, without retries', async () => {
  const before = (await stack.provider.stats()).requests;
  const poor = agent.client(keys['poor.team.project.app'], { maxRetries: 3 });
  const error = await rejects(poor.chat.completions.create(prompt()));
  equal(error.status, 402);
  equal(error.headers.get('x-should-retry'), 'false');
  const { headgate } = error.error;
  equal(headgate.budget, 'poor.main');
  equal(headgate.scope, 'poor');
  assert(Number(headgate.limit_usd) === 0.000001 && headgate.resets_at, JSON.stringify(headgate));
  equal((await stack.provider.stats()).requests, before, 'requests at the provider');
});

test('refused: more requests a minute than the key may send', async () => {
  const slow = agent.client(keys['acme.team.project.slow']);
  for (let i = 0; i < 3; i++)
    await slow.chat.completions.create(prompt());
  const error = await rejects(slow.chat.completions.create(prompt()));
  equal(error.status, 429);
  assert(Number(error.headers.get('retry-after-ms')) > 0, 'no retry-after-ms');
  assert(Number(error.headers.get('retry-after')) > 0, 'no retry-after');
});

test('a deleted key is refused within a second', async () => {
  const client = agent.client(keys['acme.team.project.revoked']);
  await client.chat.completions.create(prompt());
  const started = Date.now();
  await stack.rest.delete('/v1/keys/acme.team.project.revoked');
  await until('the key to be refused', async () => {
    try {
      await client.chat.completions.create(prompt());
      return false;
    } catch (error) {
      return error.status === 401;
    }
  }, 5000, 10);
  const took = Date.now() - started;
  assert(took < 1000, `took ${took} ms`);
});

test('explain says what decided', async () => {
  const response = await agent.chat(keys['acme.team.project.app'], prompt());
  await response.text();
  const id = response.headers.get('x-request-id');
  const got = await (await fetch(`${agent.statusUrl}/v1/explain/${id}`)).json();
  const text = JSON.stringify(got);
  for (const part of ['acme.team.project.app', 'sim-small', 'acme.main'])
    assert(text.includes(part), `${part} is not in ${text}`);
  assert(!text.includes('hg-'), 'a key in explain');
});

test('the ledger knows key, project and tokens; no prompt is in it', async () => {
  await shipped(stack);
  const rows = [...(await ledger(stack.rest, '?tenant=acme')).values()];
  assert(rows.length > 10, `${rows.length} rows`);
  const row = rows[0].originals[0];
  equal([row.tenant, row.project], ['acme', 'acme.team.project']);
  const text = JSON.stringify(rows.map((r) => r.originals));
  assert(!text.includes('Hello there'), 'a prompt in the ledger');
});

test('the ledger is the provider\'s bill, to the nano-dollar', async () => {
  const result = await reconcile(stack);
  agree(result);
  assert(result.oracleRows > 20, `${result.oracleRows} rows`);
  equal(result.corrected, 0, 'corrected rows');
  const report = await stack.rest.get(
    `/v1/reports/chargeback?month=${new Date().toISOString().slice(0, 7)}&group_by=tenant,key,model`);
  equal(BigInt(report.totals.cost_nanousd), result.oracleCost, 'the report\'s total');
});

await run();
