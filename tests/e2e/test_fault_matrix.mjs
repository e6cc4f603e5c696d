#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Every fault of the simulator with every provider dialect, through the agent:
// what a client of OpenAI's dialect gets, plain and streamed; that the next
// request is served; that memory stays bounded; and that the bill is right.
import fs from 'node:fs';

import { agree, ledger, reconcile, shipped } from './lib/bill.mjs';
import { names, sim, stage } from './lib/dialects.mjs';
import { item, providerKey } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const quick = { connect_timeout_ms: 2000, first_byte_timeout_ms: 3000, idle_timeout_ms: 800 };
const passing = ['openai', 'azure', 'azurev1', 'vllm', 'deepseek']; // events go on as they are
const frames = ['bedrock', 'bedrockkey'];
let at;
let want; // the text that everybody says

teardown(() => stack.stop());

// The data of each event, whatever the line ends.
function events(body) {
  return body.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n').split('\n\n').map((event) =>
    event.split('\n').filter((l) => l.startsWith('data:')).map((l) => l.slice(l[5] === ' ' ? 6 : 5)).join('\n'))
    .filter((data) => data.length > 0);
}

// {status, text, end: 'done' | 'error' | 'open', error, headers}
async function send(name, knobs, stream, suffix = 'quick') {
  const r = await at.agent.chat(at.key, { model: `${name}-${suffix}`, stream, max_completion_tokens: 100,
    messages: [{ role: 'user', content: 'Go on.' }] }, sim({ tokens: 20, ...knobs }));
  let body = '';
  let broke = false;
  const utf8 = new TextDecoder();
  try {
    for await (const part of r.body)
      body += utf8.decode(part, { stream: true });
  } catch {
    broke = true;
  }
  const got = { name, status: r.status, headers: r.headers, body, text: '', end: 'open', error: null };
  if (r.status !== 200 || !stream) {
    assert(!broke, `${name}: a plain answer broke off`);
    const json = JSON.parse(body);
    got.error = json.error ?? null;
    got.text = json.choices?.[0].message.content ?? '';
    got.end = json.error ? 'error' : 'done';
    return got;
  }
  for (const data of events(body)) {
    if (data === '[DONE]') {
      got.end = 'done';
      continue;
    }
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      continue; // broken by the provider, passed on
    }
    got.text += event.choices?.[0]?.delta?.content ?? '';
    got.error ??= event.error ?? null;
  }
  if (got.error)
    got.end = 'error';
  return got;
}

const everybody = (knobs, stream, list = names, suffix) =>
  Promise.all(list.map((name) => send(name, knobs, stream, suffix)));

function checkError(got) {
  const { error, name } = got;
  assert(error && typeof error.message === 'string' && error.message.length > 0, `${name}: ${got.body.slice(0, 300)}`);
  for (const secret of [providerKey, '127.0.0.1', 'AKIDSIMULATED', 'bedrock-api-key'])
    assert(!got.body.includes(secret), `${name}: ${secret} in ${got.body.slice(0, 300)}`);
}

// The next request of each is served, whole, with what belongs to it.
async function goesOn(list = names) {
  for (const got of await everybody({}, false, list)) {
    equal(got.status, 200, `${got.name}: ${got.body.slice(0, 200)}`);
    equal(got.text, want, `text of ${got.name}`);
  }
}

function checkRefused(got, statuses) {
  assert(statuses.includes(got.status), `${got.name}: ${got.status}: ${got.body.slice(0, 300)}`);
  checkError(got);
}

// An error that the client cannot overlook, after the beginning of the text.
function checkBroken(got, least = 0) {
  equal([got.status, got.end], [200, 'error'], `${got.name}: ${got.body.slice(-300)}`);
  checkError(got);
  assert(want.startsWith(got.text), `${got.name}: ${got.text} is no beginning of ${want}`);
  assert(got.text.length >= least && got.text.length < want.length, `${got.name}: ${got.text}`);
}

function checkWhole(got) {
  equal([got.status, got.end, got.error], [200, 'done', null], `${got.name}: ${got.body.slice(-300)}`);
  equal(got.text, want, `text of ${got.name}`);
}

test('the stage is set', async () => {
  at = await stage(stack, { more: names.flatMap((name) => [
    item('deployment', `${name}-quick`, { model: 'chat', provider: name, upstream_model: 'chat', ...quick }),
    item('route', `${name}-quick`, { targets: [{ deployment: `${name}-quick` }] })]) });
  want = (await send('openai', {}, false)).text;
  assert(want.length > 40, want);
  await goesOn();
}, { timeout: 120000 });

// ---- answers that are nothing but an error ----

const upstream = [502];
const refusals = {
  400: [400], 401: upstream, 403: upstream, 404: upstream, 408: [408, 504], 413: [413], 429: [429],
  '429-quota': [402, 429], 500: [500], 502: [502, 503], 503: [503], 504: [502, 504], 529: [503],
  'content-filter': [400], redirect: upstream, 'not-http': upstream, 'reset-before-bytes': upstream,
  'sse-error': [500], stall: [504],
};
for (const [fault, statuses] of Object.entries(refusals)) {
  for (const stream of [false, true]) {
    test(`${fault}, ${stream ? 'streamed' : 'plain'}: ${statuses.join(' or ')}, in the client's words`, async () => {
      for (const got of await everybody({ fault }, stream))
        checkRefused(got, statuses);
      await goesOn();
    });
  }
}

for (const [retry, ms, header, advice] of [
  ['both', '1500', '2', null], ['ms', '1500', '2', null], ['seconds', null, '2', null],
  ['date', null, /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/, null], ['none', null, null, null],
  ['never', null, null, 'false'],
]) {
  test(`429 that says when to come again: ${retry}`, async () => {
    const { status, headers } = await send('openai', { fault: '429', retry, retry_after_ms: 1500 }, false);
    equal(status, 429);
    if (ms || !header)
      equal(headers.get('retry-after-ms'), ms);
    if (header instanceof RegExp)
      assert(header.test(headers.get('retry-after')), headers.get('retry-after'));
    else
      equal(headers.get('retry-after'), header);
    equal(headers.get('x-should-retry'), advice);
  });
}

// ---- answers that begin and break ----

for (const fault of ['cut', 'half-close', 'wrong-length', 'short-length', 'bad-chunk', 'bad-json', 'invalid-utf8',
  'truncated-gzip', 'reset-after-bytes=300', 'huge-length']) {
  test(`plain answer: ${fault}: 502, never half an answer`, async () => {
    for (const got of await everybody({ fault }, false))
      checkRefused(got, fault === 'huge-length' ? [502, 504] : upstream);
    await goesOn();
  });
}

for (const fault of ['cut=6', 'half-close=6', 'wrong-length=6', 'bad-chunk=6', 'stall=6', 'error-event=6',
  'error-overloaded=6', 'error-throttled=6', 'huge-length=6']) {
  test(`stream: ${fault}: the text until then, an error, no clean end`, async () => {
    for (const got of await everybody({ fault }, true))
      checkBroken(got, 1);
    await goesOn();
  });
}

for (const fault of ['cut=0', 'half-close=0', 'error-event=0', 'error-overloaded=0', 'error-throttled=0',
  'reset-after-bytes=1000', 'truncated-gzip']) {
  test(`stream: ${fault}: an error, before or within the stream`, async () => {
    for (const got of await everybody({ fault }, true)) {
      if (got.status === 200)
        checkBroken(got);
      else
        checkRefused(got, [429, 500, 502, 503]);
    }
    await goesOn();
  });
}

for (const fault of ['bad-json=6', 'invalid-utf8=6']) {
  test(`stream: ${fault}: an error where it is translated; passed on where it is not`, async () => {
    for (const got of await everybody({ fault }, true, names.filter((n) => !passing.includes(n))))
      checkBroken(got);
    for (const got of await everybody({ fault }, true, passing))
      equal([got.status, got.end], [200, 'done'], got.name);
    await goesOn();
  });
}

test('stream: bad-crc=6: a frame with a wrong checksum is not believed', async () => {
  for (const got of await everybody({ fault: 'bad-crc=6' }, true, frames))
    checkBroken(got, 1);
  await goesOn();
});

test('stream: no-done: an error, or what came without its mark', async () => {
  for (const got of await everybody({ fault: 'no-done' }, true)) {
    assert(got.status === 200 && want === got.text, `${got.name}: ${got.body.slice(-200)}`);
    if (passing.includes(got.name))
      equal(got.end, 'open', got.name);
  }
  await goesOn();
});

test('stream: not-sse: what comes is the plain answer', async () => {
  for (const got of await everybody({ fault: 'not-sse' }, true)) {
    equal(got.status, 200);
    equal(JSON.parse(got.body).choices[0].message.content, want, got.name);
  }
  await goesOn();
});

// ---- answers that are strange, and whole ----

for (const knobs of [
  { fault: 'missing-usage' }, { fault: 'usage-null' }, { fault: 'zero-usage' }, { fault: 'usage-twice' },
  { fault: 'slow-drip', gap_ms: 1, split: 50 }, { fault: 'stall=6', stall_ms: 150 }, { until_close: 1 },
  { usage: 'running' }, { usage: 'sparse' }, { usage: 'bare' }, { split: 1 }, { ttft_ms: 60 }, { gap_ms: 3 },
  { framing: 'mixed', split: 3, comments: 2, ping: 2, multiline: 3, padding: 5, bom: 1, ids: 1, nospace: 1,
    unknown_events: 1, blank_lines: 3 },
  { framing: 'cr', split: 1 }, { framing: 'crlf', no_final_blank: 1 },
]) {
  test(`${JSON.stringify(knobs)}: the same text`, async () => {
    for (const stream of [false, true]) {
      for (const got of await everybody(knobs, stream))
        checkWhole(got);
    }
  });
}

const schema = { type: 'object', required: ['city', 'days', 'exact'], properties: { city: { type: 'string' },
  days: { type: 'array', minItems: 2, items: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } } },
  exact: { type: 'boolean' } } };

// The calls of an answer, from the pieces of a stream.
async function calls(name, knobs) {
  const r = await at.agent.chat(at.key, { model: `${name}-quick`, stream: true, max_completion_tokens: 100,
    tools: [{ type: 'function', function: { name: 'weather', parameters: schema } }],
    messages: [{ role: 'user', content: 'Go on.' }] }, sim({ tokens: 20, tool_calls: 2, ...knobs }));
  const list = [];
  for (const data of events(await r.text()).filter((d) => d !== '[DONE]')) {
    for (const call of JSON.parse(data).choices?.[0]?.delta?.tool_calls ?? []) {
      list[call.index] ??= { pieces: 0, text: '' };
      list[call.index].pieces += 1;
      list[call.index].text += call.function.arguments ?? '';
    }
  }
  return list.map(({ pieces, text }) => ({ pieces, args: JSON.parse(text) }));
}

test('partial_args: arguments of calls that come leaf by leaf are the same', async () => {
  for (const name of ['gemini', 'vertex']) {
    for (const knobs of [{}, { split: 1 }, { framing: 'mixed', comments: 1 }, { reasoning_tokens: 5 }]) {
      const whole = await calls(name, knobs);
      equal(whole.length, 2);
      assert(typeof whole[0].args.city === 'string', JSON.stringify(whole));
      const got = await calls(name, { partial_args: 1, ...knobs });
      equal(got.map((c) => c.args), whole.map((c) => c.args));
      assert(got.every((c) => c.pieces > 3), 'they came in one piece');
    }
  }
});

test('tool_use_tokens: what Google\'s own tools put into the prompt is input', async () => {
  for (const name of ['gemini', 'vertex']) {
    for (const stream of [false, true]) {
      for (const usage of ['running', 'bare', 'inside'])
        checkWhole(await send(name, { prompt_tokens: 50, tool_use_tokens: 700, tokens: 24, reasoning_tokens: 4, usage }, stream));
      const row = (await stack.provider.bill()).at(-1);
      equal(row.tokens.input, 750);
    }
  }
});

test('surplus: a forged answer behind the real one is nobody\'s', async () => {
  for (const stream of [false, true]) {
    for (const got of await everybody({ fault: 'surplus' }, stream))
      checkWhole(got);
    for (let i = 0; i < 3; i++)
      await goesOn();
  }
});

// ---- what is too big ----

// Peak of the agent's memory while fn runs, above what it had before, in MB; 0
// in builds whose sanitizer keeps what was freed.
async function peak(fn) {
  const file = `/proc/${at.agent.proc.pid}`;
  const read = (what) => Number(new RegExp(`${what}:\\s+(\\d+)`).exec(fs.readFileSync(`${file}/status`, 'utf8'))[1]) / 1024;
  fs.writeFileSync(`${file}/clear_refs`, '5');
  const before = read('VmRSS');
  await fn();
  return /lib[atu]b?san/.test(fs.readFileSync(`${file}/maps`, 'utf8')) ? 0 : read('VmHWM') - before;
}

test('huge-frame: more than an event may have is refused, with bounded memory', async () => {
  for (const name of names) {
    const mb = await peak(async () => {
      const got = await send(name, { fault: 'huge-frame=6', huge_bytes: 23000000 }, true, 'chat');
      equal([got.status, got.end], [200, 'error'], `${name}: ${got.body.slice(-200)}`);
      checkError(got);
      assert(got.body.length < 2000000, `${name}: ${got.body.length} bytes went on`);
    });
    assert(mb < 48, `${name}: ${mb.toFixed(1)} MB`);
  }
  await goesOn();
}, { timeout: 120000 });

test('huge-frame: a big event that is within the limits goes through', async () => {
  for (const name of names) {
    const got = await send(name, { fault: 'huge-frame=6', huge_bytes: 1500000 }, true, 'chat');
    equal([got.status, got.end], [200, 'done'], `${name}: ${got.body.slice(-200)}`);
    equal(got.text.replace(/x{1000,}/, ''), want, name);
  }
});

test('huge-length: what a frame announces is neither waited for nor allocated', async () => {
  for (const name of frames) {
    const started = Date.now();
    const mb = await peak(async () => checkBroken(await send(name, { fault: 'huge-length=6' }, true, 'chat'), 1));
    assert(mb < 16, `${name}: ${mb.toFixed(1)} MB`);
    assert(Date.now() - started < 5000, `${name}: ${Date.now() - started} ms`);
  }
  const mb = await peak(() => everybody({ fault: 'huge-length' }, false));
  assert(mb < 32, `plain: ${mb.toFixed(1)} MB`);
});

// ---- the end ----

test('nothing is left open at the provider', async () => {
  await until('the provider to be idle', async () => (await stack.provider.stats()).active === 0);
  equal((await stack.provider.stats()).forbidden, 0, 'keys of ours at the provider');
});

test('each fault was played, and the ledger is the bill', async () => {
  await shipped(stack);
  const all = [...(await ledger(stack.rest)).values()].flatMap((e) => e.originals);
  assert(all.some((r) => r.source === 'estimated') && all.some((r) => r.source === 'provider_final'), 'sources');
  agree(await reconcile(stack));
}, { timeout: 120000 });

await run();
