#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Every SDK against every provider dialect: what an application asks, the
// provider is asked, and what the provider says, the application is told. A
// case is one cell, "client > provider: scenario". C=REGEX narrows.
import { agree, reconcile } from './lib/bill.mjs';
import { clients, openaiChat, anthropic, png } from './lib/clients.mjs';
import { arrived, dialects, names, stage } from './lib/dialects.mjs';
import { providerKey } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, skip, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const made = {};
let at;
let expected;

teardown(() => stack.stop());

const city = (more) => ({ type: 'object', properties: { city: { type: 'string' }, ...more }, required: ['city'],
  additionalProperties: false });
const tools = [
  { name: 'get_weather', description: 'Weather of a city', schema: city({ days: { type: 'integer' } }) },
  { name: 'get_time', description: 'Time in a city', schema: city({ zone: { type: 'string', enum: ['UTC', 'local'] } }) },
];
const schema = { type: 'object', properties: { title: { type: 'string' }, count: { type: 'integer' },
  tags: { type: 'array', items: { type: 'string' } } }, required: ['title', 'count', 'tags'], additionalProperties: false };
const said = { seed: 11, tokens: 40, prompt_tokens: 90 };
const thought = { seed: 11, tokens: 40, prompt_tokens: 90, reasoning_tokens: 8, show_thinking: 1 };
const user = (text, more) => [{ user: text, ...more }];
let marks = 0;
const mark = () => `mark${++marks}x`;

test('the stage is set, and the simulator says what is to come', async () => {
  at = await stage(stack);
  for (const [name, c] of Object.entries(clients))
    made[name] = c.make(at.agent.url, at.key);
  const sim = openaiChat(at.direct.url, providerKey);
  const q = { model: 'chat', turns: user('hi'), sim: said };
  expected = {
    text: (await sim.ask(q)).text,
    short: (await sim.ask({ ...q, sim: { ...said, tokens: 32 } })).text,
    calls: (await sim.ask({ ...q, tools, sim: { ...said, tool_calls: 2 } })).calls,
    json: JSON.parse((await sim.ask({ ...q, schema })).text),
    thinking: (await anthropic(at.direct.url, providerKey).ask({ ...q, effort: 'low', sim: thought })).thinking,
  };
  assert(expected.calls.length === 2 && expected.thinking.length > 5, JSON.stringify(expected));
}, { timeout: 120000 });

const named = (calls) => calls.map(({ name, args }) => ({ name, args }));

// Usage as the client shows it; what its SDK does not show is not asked for.
function checkUsage(got, provider, want) {
  equal([got.usage?.input, got.usage?.output], [want.input, want.output], 'usage');
  for (const what of ['cached', 'reasoning']) {
    if (want[what] !== undefined && dialects[provider].tells.includes(what))
      equal(got.usage[what], want[what], what);
  }
}

const cell = {};

cell.text = async (c, q, how, provider) => {
  const m = mark();
  const got = await c[how]({ ...q, system: `Be kind, ${m}s.`, turns: user(`Hello ${m}u "\\ \u{1f600}`), max: 400, sim: said });
  equal(got.text, expected.text, 'text');
  checkUsage(got, provider, { input: 90, output: 40 });
  const seen = await arrived(stack.provider, `${m}u`);
  assert(seen.text.includes(`Be kind, ${m}s.`), 'the system text did not arrive');
  assert(JSON.stringify(seen.body).includes(JSON.stringify(`${m}u "\\ \u{1f600}`).slice(1, -1)), 'the text was changed');
};

cell.tools = async (c, q, how) => {
  const knobs = { ...said, tool_calls: 2 };
  const start = user('Weather and time in Paris?');
  const one = await c[how]({ ...q, turns: start, tools, max: 400, sim: knobs });
  equal(named(one.calls), named(expected.calls), 'calls');
  assert(one.calls[0].id !== one.calls[1].id || one.calls[0].id === undefined, 'two calls with one id');
  const m = mark();
  const results = { results: one.calls.map((call, i) => ({ ...call, value: { result: `${m}-${i}` } })) };
  const two = await c[how]({ ...q, turns: [...start, one.turn, results], tools, max: 400, sim: { ...said, tool_calls: 0 } });
  equal(two.text, expected.text, 'text after the results');
  const seen = await arrived(stack.provider, `${m}-1`);
  assert(seen.text.indexOf(`${m}-0`) > seen.text.indexOf('Paris') && seen.text.includes(`${m}-1`), 'results');
  const three = await c[how]({ ...q, tools, max: 400, sim: knobs,
    turns: [...start, one.turn, results, two.turn, ...user('And in Rome?')] });
  equal(named(three.calls), named(expected.calls), 'calls of the third turn');
};

cell.image = async (c, q, how) => {
  const m = mark();
  const got = await c[how]({ ...q, turns: user(`What is this? ${m}`, { image: true }), max: 400, sim: said });
  equal(got.text, expected.text, 'text');
  assert((await arrived(stack.provider, m)).text.includes(png), 'the image did not arrive');
};

cell.schema = async (c, q, how) => {
  const got = await c[how]({ ...q, turns: user('Fill it in.'), schema, max: 400, sim: said });
  equal(JSON.parse(got.text), expected.json, 'JSON');
};

cell.stop = async (c, q, how) => {
  const m = mark();
  const got = await c[how]({ ...q, turns: user(`Stop there. ${m}`), stop: [`END${m}`], max: 400, sim: said });
  equal(got.text, expected.text, 'text');
  assert((await arrived(stack.provider, m)).text.includes(`"END${m}"`), 'the stop sequence did not arrive');
};

cell.length = async (c, q, how) => {
  const got = await c[how]({ ...q, turns: user('Talk on.'), max: 20, sim: { ...said, tokens: 60 } });
  assert(/length|max_tokens|MAX_TOKENS|incomplete/.test(got.finish), `finish: ${got.finish}`);
  equal(got.usage.output, 20, 'output tokens');
};

cell.usage = async (c, q, how, provider) => {
  const got = await c[how]({ ...q, turns: user('Count.'), max: 400, sim: { ...thought, show_thinking: 0, cached_tokens: 30 } });
  equal(got.text, expected.short, 'text');
  checkUsage(got, provider, { input: 90, output: 40, cached: 30, reasoning: 8 });
};

cell.thinking = async (c, q, how, provider, client) => {
  const start = user('Think, then call.');
  const one = await c[how]({ ...q, turns: start, tools, effort: 'low', max: 5000, sim: { ...thought, tool_calls: 2 } });
  if (!client.hides)
    equal(one.thinking, expected.thinking, 'thinking');
  equal(one.calls.length, 2, 'calls');
  const m = mark();
  const results = { results: one.calls.map((call) => ({ ...call, value: { result: m } })) };
  const two = await c[how]({ ...q, turns: [...start, one.turn, results], tools, effort: 'low', max: 5000, sim: thought });
  equal(two.text, expected.short, 'text after the results');
  const seen = await arrived(stack.provider, m);
  const onCalls = ['gemini', 'vertex'].includes(provider);
  if (dialects[provider].thinks === 'signed' && (onCalls ? client.keeps : !client.hides))
    assert(/signature/i.test(seen.text), 'the signature did not come back');
};

// Where the provider shows no thinking, it is still told to think.
cell.effort = async (c, q, how, provider) => {
  const m = mark();
  const ask = { ...q, turns: user(`Think. ${m}`), effort: 'low', max: 5000, sim: said };
  if (provider === 'mistral') {
    const error = await rejects(c[how](ask));
    assert(/reasoning|thinking/i.test(error.message), error.message);
    return;
  }
  equal((await c[how](ask)).text.slice(0, 60), expected.text.slice(0, 60), 'text');
  assert(/low|minimal/.test(JSON.stringify((await arrived(stack.provider, m)).body.reasoning_effort
    ?? (await arrived(stack.provider, m)).body.reasoning)), 'the effort did not arrive');
};

cell.chopped = async (c, q, how, provider, client) => {
  // Google's SDKs know neither comments nor mixed line ends; bytes pass through.
  const google = client.dialect === 'gemini' && ['gemini', 'vertex'].includes(provider);
  const knobs = google ? { split: 5 } : { framing: 'mixed', split: 5, comments: 2, padding: 3 };
  const text = await c.stream({ ...q, turns: user('Chop.'), max: 400, sim: { ...said, ...knobs } });
  equal(text.text, expected.text, 'text');
  const calls = await c.stream({ ...q, turns: user('Chop.'), tools, max: 400, sim: { ...said, ...knobs, tool_calls: 2 } });
  equal(named(calls.calls), named(expected.calls), 'calls');
};

cell.midstream = async (c, q, how, provider, client, name) => {
  for (const fault of ['error-event=3', 'error-overloaded=3', 'cut=3']) {
    const error = await rejects(c.stream({ ...q, turns: user('Break.'), max: 400, sim: { ...said, fault, events: 10 } }));
    // A failed response of the Responses API is an event that SDKs do not throw;
    // the connection breaks behind it, so that nobody takes it for a whole one.
    assert(error instanceof Error && !/Syntax|Validation/.test(error.name)
      && (/responses/.test(name) || !/terminated/.test(error.message)), `not an error that was told: ${error}`);
  }
};

cell.leave = async (c, q) => {
  await c.leave({ ...q, turns: user('Leave.'), max: 400, sim: { seed: 3, tokens: 200, gap_ms: 5 } }, 4);
};

const once = new Set(['chopped', 'midstream', 'leave']);
for (const [name, client] of Object.entries(clients)) {
  for (const provider of names) {
    for (const [what, check] of Object.entries(cell)) {
      for (const how of once.has(what) ? ['stream'] : ['ask', 'stream']) {
        test(`${name} > ${provider}: ${what}${once.has(what) ? '' : ` (${how})`}`, async () => {
          if (client.lacks?.includes(what))
            skip('the SDK has no word for it');
          if (what === 'thinking' && !dialects[provider].thinks)
            skip('the provider shows no thinking');
          if (what === 'effort' && dialects[provider].thinks)
            skip('seen in its thinking');
          await check(made[name], { model: `${provider}-chat` }, how, provider, client, name);
        });
      }
    }
  }
}

// A chunk of Cohere's has several tokens: its text stands with the first.
test('log probabilities, where the provider tells them', async () => {
  const q = { messages: [{ role: 'user', content: 'hi' }], logprobs: true };
  const options = { headers: { 'x-sim-seed': '11', 'x-sim-tokens': '20' } };
  const chat = (url, key) => openaiChat(url, key).sdk.chat.completions;
  const streamed = async (c, body) => {
    const list = [];
    for await (const chunk of await c.create({ ...body, stream: true }, options))
      list.push(...chunk.choices[0]?.logprobs?.content ?? []);
    return list;
  };
  const direct = (await chat(at.direct.url, providerKey).create({ ...q, model: 'chat' }, options)).choices[0];
  const want = direct.logprobs.content;
  assert(want.length === 20, `${want.length} tokens`);
  for (const provider of ['openai', 'azure', 'gemini', 'vertex', 'cohere']) {
    const c = chat(at.agent.url, at.key);
    const body = { ...q, model: `${provider}-chat` };
    for (const got of [(await c.create(body, options)).choices[0].logprobs?.content ?? [], await streamed(c, body)]) {
      equal(got.map((t) => t.logprob), want.map((t) => t.logprob), provider);
      equal(got.map((t) => t.token).join(''), direct.message.content, provider);
    }
  }
});

test('no key of a client reached a provider', async () => {
  equal((await stack.provider.stats()).forbidden, 0);
});

test('the ledger is the bill of the providers', async () => {
  await until('the last answers to end', async () => (await stack.provider.stats()).active === 0);
  const result = await reconcile(stack);
  agree(result);
  if (!process.env.C)
    assert(result.oracleRows > 100, `${result.oracleRows} rows`);
}, { timeout: 120000 });

await run();
