#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Hostile applications in every dialect: paths, forms and fields that would
// reach another host, model or tenant; secrets that would show up somewhere;
// requests that cost more than what was reserved for them.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { agree, reconcile } from './lib/bill.mjs';
import { dialects, names, stage } from './lib/dialects.mjs';
import { item, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { exchange, statusOf } from './lib/raw.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let at;
let free; // a key without a budget
let tight; // a key with a hard budget of half a dollar

teardown(() => stack.stop());

const usd = (cls, price) => ({ class: cls, usd_per_mtok: price });

test('the stage is set', async () => {
  at = await stage(stack, { more: [
    ...tenant('free', ['k']), ...tenant('tight', ['k'], { budget: '0.50' }),
    ...tenant('rival', ['k']),
    item('model', 'uncapped', { capabilities: ['chat', 'completions', 'images', 'audio', 'responses'],
      prices: [usd('input', '1'), usd('output', '10'), usd('image_out', '40')] }),
    item('deployment', 'uncapped', { model: 'uncapped', provider: 'openai', upstream_model: 'media' }),
    item('route', 'uncapped', { targets: [{ deployment: 'uncapped' }] }),
  ] });
  free = at.secrets['free.team.project.k'];
  tight = at.secrets['tight.team.project.k'];
}, { timeout: 120000 });

const requests = async () => (await stack.provider.stats()).requests;

function post(where, body, { key = free, headers = {}, auth = 'authorization' } = {}) {
  const form = body instanceof FormData || typeof body === 'string';
  return fetch(`${at.agent.url}${where}`, { method: 'POST', body: form ? body : JSON.stringify(body),
    headers: { ...(auth ? { [auth]: auth === 'authorization' ? `Bearer ${key}` : key } : {}),
      ...(form ? {} : { 'content-type': 'application/json' }), ...headers } });
}

const user = [{ role: 'user', content: 'x' }];
const ask = {
  chat: (model, more) => ['/v1/chat/completions', { model, messages: user, max_tokens: 50, ...more }],
  responses: (model, more) => ['/v1/responses', { model, input: 'x', max_output_tokens: 50, ...more }],
  messages: (model, more) => ['/v1/messages', { model, messages: user, max_tokens: 50, ...more }],
  gemini: (model, more) => [`/v1beta/models/${model}:generateContent`,
    { contents: [{ role: 'user', parts: [{ text: 'x' }] }], generationConfig: { maxOutputTokens: 50 }, ...more }],
};

// ---- where requests may go ----

test('paths that would become other paths: none reaches a provider', async () => {
  const before = await requests();
  const gemini = (m) => `/v1beta/models/${m}:generateContent`;
  for (const target of [
    gemini('gemini-chat%2f..%2fother'), gemini('../gemini-chat'), gemini('gemini-chat/../x'), gemini('.'), gemini('..'),
    gemini('gemini-chat:streamGenerateContent'), gemini('gemini-chat%3agenerateContent'), gemini('gemini-chat%00'),
    gemini('gemini-chat%0d%0ax-evil:1'), gemini('gemini-chat;x=1'), gemini('gemini-chat@evil.example'),
    gemini('models/gemini-chat'), gemini('http://evil.example/'), `${gemini('gemini-chat')}/`, `${gemini('gemini-chat')}%3f`,
    '/v1beta/models/gemini-chat:deleteModel', '/v1beta/models/gemini-chat', '/v1beta//models/gemini-chat:generateContent',
    '/v1beta/../v1beta/models/gemini-chat:generateContent', '/V1BETA/models/gemini-chat:generateContent',
    '/openai/deployments/openai-chat%2f../chat/completions', '/openai/deployments/../chat/completions',
    '/openai/deployments/./chat/completions', '/openai/deployments//chat/completions',
    '/openai/deployments/a/b/chat/completions', '/openai/deployments/openai-chat/chat/completions/..',
    '/openai/deployments/openai-chat/chat%2fcompletions', '/openai/v1/../deployments', '/openai//v1/chat/completions',
    '/openai/v1/openai/v1/chat/completions', '/openai/v1/messages', '/openai/v1beta/models/gemini-chat:generateContent',
    '/v1/responses/..', '/v1/responses/%2e%2e/cancel', '/v1/responses/resp_1/../../chat/completions',
    '/v1/responses/resp_1/cancel/x', '/v1/chat/completions;x', '/v1/chat/completions%20', '/v1/messages%3fx',
    `http://127.0.0.1:${stack.provider.port}/v1/chat/completions`, `//127.0.0.1:${stack.provider.port}/v1/chat/completions`,
    '/v1/chat/completions#x', '*',
  ]) {
    const body = JSON.stringify(ask.chat('openai-chat')[1]);
    const got = await exchange(at.agent.ports.data, `POST ${target} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${free}\r\n`
      + `content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
    const status = statusOf(got.text);
    assert([400, 404, 405].includes(status), `${target}: ${status}`);
  }
  equal(await requests(), before, 'requests at the provider');
});

test('no header or field changes the host, the model or the credential', async () => {
  const evil = 'http://127.0.0.1:9/';
  const headers = { 'x-portkey-custom-host': evil, 'x-base-url': evil, 'x-forwarded-host': 'evil.example', forwarded: 'host=evil',
    'x-original-url': '/evil', 'x-http-method-override': 'DELETE', 'openai-organization': 'evil', 'x-goog-user-project': 'evil',
    'x-amz-security-token': 'evil', 'x-amz-date': 'evil', cookie: 'evil=1', 'proxy-authorization': 'Basic evil',
    'xi-api-key': free, 'ocp-apim-subscription-key': free, 'x-goog-api-client': 'evil', 'anthropic-dangerous-direct-browser-access': 'evil' };
  for (const [kind, provider] of [['chat', 'openai'], ['messages', 'anthropic'], ['gemini', 'gemini'], ['responses', 'openai'],
    ['chat', 'bedrock'], ['chat', 'vertex'], ['messages', 'azure']]) {
    const [where, body] = ask[kind](`${provider}-chat`);
    const r = await post(`${where}?api-version=2099-01-01&base_url=${evil}&alt=media&key2=evil`, body, { headers });
    equal(r.status, 200, `${kind} > ${provider}: ${await r.text()}`);
    const { head } = (await stack.provider.last()).at(-1);
    assert(!/evil|127\.0\.0\.1:9\b|2099/.test(head) && !head.includes(free), `it went on:\n${head}`);
  }
  equal((await stack.provider.stats()).forbidden, 0);
});

test('values of headers that go on cannot begin another header', async () => {
  const before = await requests();
  const body = JSON.stringify(ask.messages('anthropic-chat')[1]);
  for (const name of ['anthropic-version', 'anthropic-beta', 'openai-beta', 'content-type']) {
    for (const value of ['a\rx-evil: 1', 'a\nx-evil: 1', 'a\u0000b', 'a\u000bb', 'a\r\n x-evil: 1']) {
      const got = await exchange(at.agent.ports.data, `POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: ${free}\r\n`
        + `${name}: ${value}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      equal(statusOf(got.text), 400, `${name}: ${JSON.stringify(value)}`);
    }
  }
  equal(await requests(), before, 'requests at the provider');
});

test('stored responses: of another tenant, changed, raw, or referred to by their items', async () => {
  const made = await (await post(...ask.responses('openai-chat', { store: true }))).json();
  assert(/^resp_hg/.test(made.id), JSON.stringify(made));
  const rival = at.secrets['rival.team.project.k'];
  const raw = `resp_${made.id.slice(made.id.indexOf('_', 8) + 1)}`;
  const swapped = made.id.slice(0, -1) + (made.id.endsWith('a') ? 'b' : 'a');
  for (const [key, id] of [[rival, made.id], [free, raw], [free, swapped], [free, `${made.id}%2f..`], [free, `${made.id}:x`]]) {
    for (const [method, tail] of [['GET', ''], ['DELETE', ''], ['POST', '/cancel'], ['GET', '/input_items']]) {
      const r = await fetch(`${at.agent.url}/v1/responses/${id}${tail}`, { method, headers: { authorization: `Bearer ${key}` } });
      assert([400, 404].includes(r.status), `${method} ${id}${tail}: ${r.status}`);
    }
    const [where, body] = ask.responses('openai-chat', { previous_response_id: id });
    equal((await post(where, body, { key })).status, 400, `previous_response_id ${id}`);
  }
  const before = await requests();
  for (const input of [[{ type: 'item_reference', id: 'msg_1' }], [{ id: 'msg_1' }], [{ type: null, id: 'msg_1' }],
    [{ role: 'user', content: 'x' }, { '\u0069d': 'msg_1' }]]) {
    const r = await post(...ask.responses('openai-chat', { input }));
    equal(r.status, 400, `${JSON.stringify(input)}: ${await r.text()}`);
  }
  for (const more of [{ background: true }, { conversation: 'conv_1' }, { conversation: { id: 'conv_1' } }])
    equal((await post(...ask.responses('openai-chat', more))).status, 400, JSON.stringify(more));
  equal(await requests(), before, 'requests at the provider');
});

// ---- forms ----

const form = (parts, boundary = 'xYz') => parts.map((p) => `--${boundary}\r\n${p}\r\n`).join('') + `--${boundary}--\r\n`;
const part = (disposition, value) => `Content-Disposition: form-data; ${disposition}\r\n\r\n${value}`;
const sound = part('name="file"; filename="a.mp3"', 'abc');
const model = part('name="model"', 'openai-media');

function upload(body, type = 'multipart/form-data; boundary=xYz', extra = '') {
  return exchange(at.agent.ports.data, `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${free}\r\n`
    + `content-type: ${type}\r\n${extra}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}

test('forms that two readers read differently are refused', async () => {
  equal(statusOf((await upload(form([sound, model]))).text), 200);
  const before = await requests();
  for (const second of [part('name="model"; foo="; name=zzz"', 'chat'), part('name="x"; name="model"', 'chat'),
    part('name="mo\\del"', 'chat'), part('name="x"; name*=UTF-8\'\'model', 'chat'), part('name="model"', 'chat'),
    'Content-Disposition: form-data;\r\n name="model"\r\n\r\nchat', 'X: y\nContent-Disposition: form-data; name="model"\r\n\r\nchat',
    part('name="x"\r\nContent-Disposition: form-data; name="model"', 'chat'),
    part('name="x"; filename="a\\"; name=model; b="', 'chat'), part('name="model"; filename="m"', 'chat')]) {
    const got = await upload(form([sound, model, second]));
    equal(statusOf(got.text), 400, `${second}\n${got.text}`);
  }
  for (const type of ['multipart/form-data; boundary=xYz; boundary=abc', 'multipart/form-data; boundary="xYz;b"',
    'multipart/form-data; boundary=x=z', 'multipart/form-data', 'application/json']) {
    const status = statusOf((await upload(form([sound, model]), type)).text);
    assert(status >= 400 && status < 500, `${type}: ${status}`);
  }
  for (const extra of ['transfer-encoding: chunked\r\n', 'content-encoding: gzip\r\n', 'content-length: 5\r\n'])
    assert(statusOf((await upload(form([sound, model]), undefined, extra)).text) >= 400, extra);
  equal(await requests(), before, 'requests at the provider');
});

test('forms in chunks with Expect: what follows is no request', async () => {
  const body = form([sound, model]);
  const chunks = [...body].map((c) => `1\r\n${c}\r\n`).join('');
  const got = await exchange(at.agent.ports.data, [`POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${free}\r\n`
    + 'content-type: multipart/form-data; boundary=xYz\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n',
    `${chunks}0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`]);
  const heads = got.text.match(/HTTP\/1\.1 \d{3}/g);
  equal(heads, ['HTTP/1.1 100', 'HTTP/1.1 200', 'HTTP/1.1 401'], 'answers');
});

test('an upload has no file that a killed agent could leave behind', async () => {
  const files = () => fs.readdirSync(at.agent.dir, { recursive: true }).map(String).sort();
  const before = files();
  const big = form([part('name="file"; filename="a.mp3"', 'a'.repeat(600000)), model]);
  const head = `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${free}\r\n`
    + `content-type: multipart/form-data; boundary=xYz\r\ncontent-length: ${big.length + 5}\r\n\r\n`;
  const fds = `/proc/${at.agent.proc.pid}/fd`;
  const open = () => fs.readdirSync(fds).filter((fd) => {
    try {
      const link = fs.readlinkSync(path.join(fds, fd));
      return link.endsWith(' (deleted)') && fs.statSync(path.join(fds, fd)).size > 0;
    } catch {
      return false; // closed meanwhile
    }
  });
  equal(open(), [], 'files without a name, before');
  const socket = net.connect(at.agent.ports.data, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(head);
  socket.write(big);
  await until('the upload to be in a file without a name', () => open().length === 1);
  equal(files().filter((f) => !f.includes('journal')), before.filter((f) => !f.includes('journal')), 'files');
  socket.destroy();
  await until('the file to be gone with its client', () => open().length === 0);
});

// ---- what a hard budget must not miss ----

async function refused(kind, model_, more, status, what) {
  const before = await requests();
  const [where, body] = ask[kind](model_, more);
  const r = await post(where, body, { key: tight });
  const text = await r.text();
  equal(r.status, status, `${kind} ${JSON.stringify(more)}: ${text}`);
  if (what)
    assert(text.includes(what), `${what} is not named: ${text}`);
  equal(await requests(), before, 'requests at the provider');
}

test('hard budget: a plain request of each dialect is served', async () => {
  for (const [kind, provider] of [['chat', 'openai'], ['responses', 'openai'], ['messages', 'anthropic'], ['gemini', 'gemini']]) {
    const [where, body] = ask[kind](`${provider}-chat`);
    const r = await post(where, body, { key: tight });
    equal(r.status, 200, await r.text());
  }
});

test('hard budget: context that the provider keeps is reserved for', async () => {
  const [where, body] = ask.responses('openai-chat', { store: true });
  const { id } = await (await post(where, body, { key: tight })).json();
  await refused('responses', 'openai-chat', { previous_response_id: id }, 402);
  await refused('responses', 'openai-chat', { prompt: { id: 'pmpt_1' } }, 402);
  await refused('gemini', 'gemini-chat', { cachedContent: 'cachedContents/1' }, 402);
  await refused('chat', 'openai-chat', { messages: [{ role: 'assistant', content: 'x', audio: { id: 'audio_1' } }, ...user] }, 402);
});

test('hard budget: media of unknown length are reserved for', async () => {
  const pdf = Buffer.from('%PDF-1.4').toString('base64');
  await refused('chat', 'openai-chat', { messages: [{ role: 'user', content: [
    { type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${pdf}` } }] }] }, 402);
  await refused('chat', 'openai-chat', { messages: [{ role: 'user', content: [{ '\u0074ype': 'f\u0069le', file: { file_id: 'f' } }] }] }, 402);
  await refused('messages', 'anthropic-chat', { messages: [{ role: 'user', content: [
    { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: pdf } }] }] }, 402);
  await refused('messages', 'anthropic-chat', { messages: [{ role: 'user', content: [
    { type: 'document', source: { type: 'url', url: 'https://example.com/a.pdf' } }] }] }, 402);
  await refused('gemini', 'gemini-chat', { contents: [{ role: 'user', parts: [
    { fileData: { mimeType: 'video/mp4', fileUri: 'https://example.com/v' } }] }] }, 402);
  await refused('gemini', 'gemini-chat', { contents: [{ role: 'user', parts: [
    { inline_data: { mime_type: 'video/mp4', data: 'AAAA' } }] }] }, 402);
});

test('hard budget: tools that the provider runs need a cap on their calls', async () => {
  await refused('responses', 'openai-chat', { tools: [{ type: 'web_search' }] }, 400, 'max_tool_calls');
  await refused('responses', 'openai-chat', { tools: [{ type: 'code_interpreter', container: { type: 'auto' } }], max_tool_calls: 1 }, 400, 'tools');
  await refused('responses', 'openai-chat', { tools: [{ type: 'web_search' }], max_tool_calls: 5 }, 402);
  await refused('chat', 'openai-chat', { web_search_options: {} }, 400, 'web_search_options');
  await refused('messages', 'anthropic-chat', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 400, 'tools');
  await refused('messages', 'anthropic-chat', { tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 3 }] }, 402);
  await refused('messages', 'anthropic-chat', { mcp_servers: [{ type: 'url', url: 'https://example.com', name: 'x' }] }, 400, 'mcp_servers');
  await refused('gemini', 'gemini-chat', { tools: [{ googleSearch: {} }] }, 400, 'tools');
  await refused('gemini', 'gemini-chat', { tools: [{ google_search: {} }] }, 400, 'tools');
  await refused('gemini', 'gemini-chat', { tools: [{ urlContext: {} }] }, 400, 'tools');
});

test('hard budget: without any cap on the output nothing is served', async () => {
  await refused('chat', 'uncapped', { max_tokens: undefined }, 400, 'max_completion_tokens');
  const before = await requests();
  for (const [where, body] of [
    ['/v1/completions', { prompt: 'x' }], ['/v1/completions', { prompt: 'x', max_completion_tokens: 1 }],
    ['/v1/images/generations', { prompt: 'x' }], ['/v1/images/generations', { prompt: 'x', max_tokens: 1 }],
    ['/v1/audio/speech', { input: 'x', voice: 'alloy', max_tokens: 1 }]]) {
    const r = await post(where, { model: 'uncapped', ...body }, { key: tight });
    equal(r.status, 400, `${where} ${JSON.stringify(body)}: ${await r.text()}`);
  }
  equal(await requests(), before, 'requests at the provider');
});

test('hard budget: many choices, dear tiers and rerankers are reserved for at their worst', async () => {
  await refused('chat', 'openai-chat', { n: 128, max_tokens: 8192 }, 402);
  await refused('chat', 'openai-chat', { n: 129 }, 400, 'n');
  const [where_, body_] = ask.gemini('gemini-chat', { generationConfig: { candidateCount: 8, maxOutputTokens: 8000 } });
  const lowered = await post(where_, body_, { key: tight }); // to what is left, for each choice
  if (lowered.status !== 402) {
    const cap = Number(lowered.headers.get('x-headgate-max-output-tokens'));
    assert(cap > 0 && cap * 8 * 12.345678901e-6 < 0.5, `cap ${cap}`);
    equal(JSON.parse((await stack.provider.last()).at(-1).body).generationConfig.maxOutputTokens, cap);
  }
  const before = await requests();
  for (const [where, body] of [
    ['/v1/completions', { model: 'openai-chat', prompt: Array(200).fill('x'), max_tokens: 4000 }],
    ['/v1/completions', { model: 'openai-chat', prompt: Array(200).fill([1, 2]), max_tokens: 4000 }],
    ['/v1/rerank', { model: 'openai-media', query: 'q'.repeat(3000), documents: Array(200).fill('d') }],
    ['/v1/rerank', { model: 'cohere-media', query: 'q', documents: Array(100).fill('d'.repeat(1000)) }],
    ['/v1/images/generations', { model: 'openai-media', prompt: 'x', n: 100 }],
    ['/v1/audio/speech', { model: 'openai-media', input: 'x'.repeat(40000), voice: 'alloy' }],
    ['/v1/embeddings', { model: 'openai-embed', input: Array(2000000).fill(1) }]]) {
    const r = await post(where, body, { key: tight });
    equal(r.status, 402, `${where}: ${(await r.text()).slice(0, 300)}`);
  }
  equal(await requests(), before, 'requests at the provider');
  const tokens = await post('/v1/completions', { model: 'openai-chat', prompt: Array(200).fill(1), max_tokens: 100 }, { key: tight });
  assert(tokens.status !== 402, `one prompt of tokens: ${await tokens.text()}`);
});

// ---- secrets ----

test('secrets of clients and providers show up nowhere', async () => {
  const seeded = 'hg-seeded-c4n4ry-';
  const texts = [];
  const headers = ['authorization', 'api-key', 'x-api-key', 'x-goog-api-key'];
  const kinds = Object.keys(ask);
  let n = 0;
  for (const kind of kinds) {
    const [where, body] = ask[kind](kind === 'gemini' ? 'gemini-chat' : 'openai-chat');
    for (const auth of headers) {
      const r = await post(where, body, { auth, key: `${seeded}${n++}` });
      equal(r.status, 401, `${kind} by ${auth}`);
      texts.push(await r.text());
    }
    const wrong = await post(`${where}?key=${seeded}${n++}`, body, { auth: null });
    equal(wrong.status, 401, `${kind} by ?key=`);
    texts.push(await wrong.text());
    const bad = await post(`${where}?key=${free}`, '{', { auth: null, headers: { 'content-type': 'application/json' } });
    equal(bad.status, 400);
    texts.push(await bad.text());
    const right = await post(`${where}?key=${free}`, body, { auth: null });
    equal(right.status, 200, `${kind} by ?key=`);
    const id = right.headers.get('x-request-id') ?? right.headers.get('request-id');
    texts.push(JSON.stringify([...right.headers]));
    texts.push(await right.text());
    if (id)
      texts.push(await (await fetch(`${at.agent.statusUrl}/v1/explain/${id}`)).text());
    for (const name of names) {
      for (const fault of ['401', '403', '400', 'redirect', 'error-event=1', 'reset-before-bytes']) {
        const [w, b] = ask[kind](`${name}-chat`);
        const r = await post(w, b, { headers: { 'x-sim-fault': fault } });
        texts.push(JSON.stringify([...r.headers]), await r.text().catch(String));
      }
    }
  }
  texts.push(await (await fetch(`${at.agent.statusUrl}/metrics`)).text());
  texts.push(JSON.stringify(await stack.rest.all('/v1/usage').catch(() => [])));
  for (const kind of ['providers', 'keys', 'deployments'])
    texts.push(JSON.stringify(await stack.rest.get(`/v1/${kind}?limit=100`).catch(() => '')));
  for (const file of fs.readdirSync(stack.dir).filter((f) => f.endsWith('.log') && !f.startsWith('provider') && !f.startsWith('direct')))
    texts.push(fs.readFileSync(path.join(stack.dir, file), 'latin1'));
  for (const file of fs.readdirSync(at.agent.dir, { recursive: true, withFileTypes: true })) {
    if (file.isFile())
      texts.push(fs.readFileSync(path.join(file.parentPath ?? file.path, file.name), 'latin1'));
  }
  const heads = (await stack.provider.last()).map((r) => `${r.head}${r.body}`).join('\n');
  const secrets = { 'a seeded key': seeded, 'a key': free, 'a tight key': tight, 'the credential': providerKey,
    'the AWS secret': 'sim/secret+key', 'the session token': '"st=="', 'the bearer key': 'bedrock-api-key',
    'the private key': 'BEGIN PRIVATE KEY' };
  for (const [what, secret] of Object.entries(secrets)) {
    for (const text of texts)
      assert(!text.includes(secret), `${what} shows up: ${text.slice(Math.max(0, text.indexOf(secret) - 200), text.indexOf(secret) + 80)}`);
  }
  for (const secret of [seeded, free, tight, 'sim/secret+key', 'BEGIN PRIVATE KEY'])
    assert(!heads.includes(secret), `${secret} went to a provider`);
  equal((await stack.provider.stats()).forbidden, 0);
});

test('the agent is alive and the bill is right after all that', async () => {
  await until('the last answers to end', async () => (await stack.provider.stats()).active === 0);
  agree(await reconcile(stack));
  assert(Object.keys(dialects).length === names.length);
}, { timeout: 60000 });

await run();
