#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Clients that send what nobody should: bad JSON, smuggling, wrong framing,
// slow and half-sent requests. Each gets a clear answer or a closed
// connection; honest clients beside them notice nothing.
import { agree, reconcile } from './lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { exchange, statusOf } from './lib/raw.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let agent;
let key;

teardown(() => stack.stop());

test('the stack starts', async () => {
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await stack.startControl();
  agent = stack.agent('agent-1');
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...tenant('acme', ['app'], { budget: '100' })]);
  key = secrets['acme.team.project.app'];
  await agent.start();
  await stack.settled();
}, { timeout: 120000 });

async function atProvider() {
  return (await stack.provider.stats()).requests;
}

// The agent still serves, and nothing reached the provider meanwhile.
async function unharmed(before, extra = 0) {
  equal(await atProvider(), before + extra, 'requests at the provider');
  equal((await agent.chat(key, prompt())).status, 200, 'an honest request');
}

const deep = (n) => `${'['.repeat(n)}${']'.repeat(n)}`;
const good = '"model":"sim-small","messages":[{"role":"user","content":"x"}]';

const bodies = {
  'empty body': ['', 400],
  'no JSON': ['hello', 400],
  'cut off': [`{${good}`, 400],
  'trailing bytes': [`{${good}} x`, 400],
  'two documents': [`{${good}}{${good}}`, 400],
  'duplicate key': [`{${good},"model":"sim-large"}`, 400],
  'duplicate key, escaped': [`{${good},"mod\\u0065l":"sim-large"}`, 400],
  'duplicate key, deep': [`{${good},"x":{"a":1,"a":2}}`, 400],
  'an array': [`[{${good}}]`, 400],
  'model is a number': ['{"model":5,"messages":[]}', 400],
  'no model': ['{"messages":[]}', 400],
  'invalid UTF-8': [Buffer.from(`{${good},"x":"\xff\xfe"}`, 'latin1'), 400],
  'lone surrogate': [`{${good},"x":"\\ud800"}`, 400],
  'NUL in a string': [`{${good},"x":"a\u0000b"}`, 400],
  'comment': [`{${good}/* hi */}`, 400],
  'single quotes': [`{'model':'sim-small'}`, 400],
  'NaN': [`{${good},"temperature":NaN}`, 400],
  'leading zero': [`{${good},"n":01}`, 400],
  'byte order mark': [`\ufeff{${good}}`, 400],
  'nested too deeply': [`{${good},"x":${deep(1000)}}`, [400, 413]],
  'stream is a string': [`{${good},"stream":"yes"}`, 400],
  'negative cap': [`{${good},"max_tokens":-1}`, 400],
  'cap beyond int64': [`{${good},"max_tokens":99999999999999999999}`, 400],
};

for (const [name, [body, want]] of Object.entries(bodies)) {
  test(`body: ${name}`, async () => {
    const before = await atProvider();
    const response = await agent.chat(key, body === '' ? undefined : body, {}, { body: body || undefined });
    assert([want].flat().includes(response.status), `status ${response.status}: ${await response.clone().text()}`);
    const { error } = await response.json();
    assert(error.message && error.type && 'param' in error && 'code' in error, JSON.stringify(error));
    await unharmed(before);
  });
}

test('body: larger than allowed is 413, told early', async () => {
  const before = await atProvider();
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${key}\r\n`
    + 'content-type: application/json\r\ncontent-length: 1073741824\r\n\r\n{"model":';
  const got = await exchange(agent.ports.data, head, { enough: (t) => t.includes('\r\n\r\n') });
  equal(statusOf(got.text), 413);
  await unharmed(before);
});

const body = `{${good}}`;
const auth = () => `authorization: Bearer ${key}\r\ncontent-type: application/json\r\n`;
const post = (headers, content = body) =>
  `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n${auth()}${headers}\r\n${content}`;
const len = `content-length: ${body.length}\r\n`;
const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
const smuggled = 'GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n';

const refused = {
  'CL and TE together': () => post(`${len}transfer-encoding: chunked\r\n`, chunked + smuggled),
  'TE and CL together, other order': () => post(`transfer-encoding: chunked\r\n${len}`, chunked),
  'two lengths': () => post(`${len}content-length: 5\r\n`),
  'two equal lengths': () => post(`${len}${len}`),
  'length list': () => post(`content-length: ${body.length}, ${body.length}\r\n`),
  'length with sign': () => post(`content-length: +${body.length}\r\n`),
  'length in hex': () => post(`content-length: 0x${body.length.toString(16)}\r\n`),
  'length beyond int64': () => post('content-length: 99999999999999999999999\r\n'),
  'negative length': () => post('content-length: -5\r\n'),
  'other transfer coding': () => post('transfer-encoding: gzip, chunked\r\n', chunked),
  'obfuscated transfer coding': () => post('transfer-encoding: xchunked\r\n', chunked),
  'transfer coding with a tab': () => post('transfer-encoding:\tidentity\r\n', chunked),
  'space before colon': () => post(`content-length : ${body.length}\r\n`),
  'folded header': () => post(`x-a: 1\r\n 2\r\n${len}`),
  'folded framing header': () => post('transfer-encoding:\r\n chunked\r\n', chunked),
  'NUL in a header value': () => post(`x-a: 1\u00002\r\n${len}`),
  'bare CR in a header value': () => post(`x-a: 1\r2\r\n${len}`),
  'bare LF ends a header': () => post(`x-a: 1\nx-b: 2\r\n${len}`),
  'empty header name': () => post(`: 1\r\n${len}`),
  'header name that is no token': () => post(`x a: 1\r\n${len}`),
  'chunk extension with bare LF': () => post('transfer-encoding: chunked\r\n', `5;a\nb\r\n12345\r\n0\r\n\r\n`),
  'chunk without CRLF behind it': () => post('transfer-encoding: chunked\r\n', `2\r\n{}0\r\n\r\n`),
  'two hosts': () => `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nhost: b\r\n${auth()}${len}\r\n${body}`,
  'chunk size overflow': () => post('transfer-encoding: chunked\r\n', `ffffffffffffffff1\r\n${body}\r\n0\r\n\r\n`),
  'bad chunk size': () => post('transfer-encoding: chunked\r\n', `zz\r\n${body}\r\n0\r\n\r\n`),
  'HTTP/2 preface': () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'no version': () => 'GET /v1/models\r\n\r\n',
};

for (const [name, make] of Object.entries(refused)) {
  test(`framing: ${name}: one refusal, connection closed, nothing forwarded`, async () => {
    const before = await atProvider();
    const got = await exchange(agent.ports.data, make() + smuggled, { ms: 3000 });
    const status = statusOf(got.text);
    assert(status === 0 || (status >= 400 && status < 600), `status ${status}`);
    const heads = got.text.match(/HTTP\/1\.[01] \d{3} [^\r]*/g) ?? [];
    assert(heads.length <= 1, `${[...heads]}: a request was smuggled\n${got.text.slice(0, 1500)}`);
    assert(got.closed, 'the connection stays open');
    await unharmed(before);
  });
}

test('framing: chunked alone, pipelined requests and 1-byte writes are served', async () => {
  const before = await atProvider();
  const one = await exchange(agent.ports.data, post('transfer-encoding: chunked\r\n', chunked),
    { enough: (t) => t.includes('"usage"') });
  equal(statusOf(one.text), 200);
  const two = await exchange(agent.ports.data, post(len) + post(`${len}connection: close\r\n`));
  equal(two.answers, 2, 'answers to two pipelined requests');
  const bytes = [...post(`${len}connection: close\r\n`)];
  const slow = await exchange(agent.ports.data, bytes);
  equal(statusOf(slow.text), 200);
  await unharmed(before, 4);
});

test('framing: a huge header and very many headers are refused', async () => {
  const before = await atProvider();
  for (const junk of [`x-a: ${'a'.repeat(200000)}\r\n`, 'x-a: b\r\n'.repeat(20000)]) {
    const got = await exchange(agent.ports.data, post(len + junk), { ms: 5000 });
    const status = statusOf(got.text);
    assert(status === 0 || (status >= 400 && status < 500), `status ${status}`);
  }
  await unharmed(before);
});

test('clients that stop in the middle of a request hold up nobody', async () => {
  const before = await atProvider();
  const halves = [];
  for (let i = 0; i < 200; i++) {
    const text = post(len);
    halves.push(exchange(agent.ports.data, text.slice(0, 1 + (i * 37) % (text.length - 1)), { ms: 1500 }));
  }
  const started = Date.now();
  equal((await agent.chat(key, prompt())).status, 200);
  assert(Date.now() - started < 1000, `an honest request took ${Date.now() - started} ms`);
  await Promise.all(halves);
  await unharmed(before, 1);
});

test('paths and methods that do not exist', async () => {
  for (const [method, path, want] of [['GET', '/v1/chat/completions', [404, 405]],
    ['POST', '/v1/nope', [404]], ['GET', '/', [404]], ['DELETE', '/v1/models', [404, 405]],
    ['POST', '/v1/../v1/chat/completions', [404]], ['POST', '/v1//chat/completions', [404]],
    ['POST', '/v1/chat/completions%2f..', [404]], ['GET', 'http://example.com/v1/models', [400, 404]]]) {
    const got = await exchange(agent.ports.data,
      `${method} ${path} HTTP/1.1\r\nhost: a\r\n${auth()}connection: close\r\ncontent-length: 0\r\n\r\n`);
    const status = statusOf(got.text);
    assert(want.includes(status), `${method} ${path}: ${status}`);
  }
});

test('the bill is right after all that', async () => {
  agree(await reconcile(stack));
});

await run();
