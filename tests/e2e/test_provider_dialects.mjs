#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The simulator's dialects, each met by the provider's own SDK (or, for
// Bedrock, by its signer and codec): the same prompt gets the same text and
// the same bill in all of them, and what a real provider refuses is refused.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI, { AzureOpenAI } from 'openai';

import { frames, invoke } from './lib/bedrock.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, teardown, test } from './lib/tap.mjs';

const key = 'sk-sim-dialects-0123456789';
const aws = { accessKeyId: 'AKIASIM', secretAccessKey: 'secret/sim+key', sessionToken: 'tok' };
const service = crypto.generateKeyPairSync('rsa', {
  modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const said = 'hello wörld';
const stack = new Stack();
let sim;
let openai;
let anthropic;
let text;

teardown(() => stack.stop());

const gemini = (headers = {}) => new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: sim.url, headers } });

const chat = { model: 'sim-small', messages: [{ role: 'user', content: said }] };

async function lastRow() {
  return (await sim.bill()).at(-1);
}

test('starts', async () => {
  const models = path.join(stack.dir, 'models.json');
  const prices = [['input', '1'], ['output', '2']].map(([cls, usd]) => ({ class: cls, usd_per_mtok: usd }));
  fs.writeFileSync(models, JSON.stringify({
    models: [{ id: 'sim-small', prices }, { id: 'sim-embed', kind: 'embeddings', dimensions: 8 }],
    aws: { access_key: aws.accessKeyId, secret_key: aws.secretAccessKey, session_token: 'tok', region: 'us-east-1' },
    google: { client_email: 'sa@sim.iam', public_key: service.publicKey, token_seconds: 1 },
  }));
  sim = await stack.startProvider({ models, apiKey: key });
  openai = new OpenAI({ apiKey: key, baseURL: `${sim.url}/v1`, maxRetries: 0 });
  anthropic = new Anthropic({ apiKey: key, baseURL: sim.url, maxRetries: 0 });
  text = (await openai.chat.completions.create(chat)).choices[0].message.content;
});

test('anthropic: plain, streamed, tools, thinking that comes back', async () => {
  const ask = { model: 'sim-small', max_tokens: 3000, messages: chat.messages };
  equal((await anthropic.messages.create(ask)).content[0].text, text);
  equal((await anthropic.messages.stream(ask).finalMessage()).content[0].text, text);
  const body = {
    ...ask, thinking: { type: 'enabled', budget_tokens: 1024 },
    tools: [{ name: 'weather', input_schema: schema }],
  };
  const hard = { headers: {
    'x-sim-seed': '4', 'x-sim-tool-calls': '2', 'x-sim-redacted': '1', 'x-sim-split': '1', 'x-sim-framing': 'mixed',
    'x-sim-multiline': '3', 'x-sim-padding': '5', 'x-sim-bom': '1', 'x-sim-ping': '1', 'x-sim-cache-write-1h-tokens': '2',
  } };
  const plain = await anthropic.messages.create(body, hard);
  equal((await anthropic.messages.stream(body, hard).finalMessage()).content, plain.content);
  equal((await lastRow()).tokens.cache_write_1h, 2);
  const results = plain.content.filter((b) => b.type === 'tool_use')
    .map((b) => ({ type: 'tool_result', tool_use_id: b.id, content: 'ok' }));
  const back = { ...body, messages: [...ask.messages, { role: 'assistant', content: plain.content },
    { role: 'user', content: results }] };
  equal((await anthropic.messages.create(back)).stop_reason, 'end_turn');
  for (const spoil of [
    (b) => { b.messages[1].content[0].thinking += ' '; }, (b) => { b.messages[2].content.pop(); },
    (b) => { b.surplus = 1; }, (b) => { delete b.max_tokens; }, (b) => { b.messages[1].content.splice(0, 2); },
  ]) {
    const spoiled = structuredClone(back);
    spoil(spoiled);
    equal((await rejects(anthropic.messages.create(spoiled))).status, 400);
  }
  equal((await rejects(anthropic.messages.create(ask, { headers: { 'x-sim-fault': '529' } }))).status, 529);
});

test('gemini: plain, streamed, array, tools, thoughts that come back', async () => {
  const ask = { model: 'sim-small', contents: said };
  equal((await gemini().models.generateContent(ask)).text, text);
  let whole = '';
  for await (const chunk of await gemini().models.generateContentStream(ask))
    whole += chunk.text ?? '';
  equal(whole, text);
  const array = await (await fetch(`${sim.url}/v1beta/models/sim-small:streamGenerateContent?key=${key}`, {
    method: 'POST', body: JSON.stringify({ contents: [{ parts: [{ text: said }] }] }),
  })).json();
  equal(array.flatMap((r) => r.candidates[0].content.parts.map((p) => p.text)).join(''), text);
  const config = {
    tools: [{ functionDeclarations: [{ name: 'weather', parametersJsonSchema: schema }] }],
    thinkingConfig: { includeThoughts: true, thinkingBudget: 100 },
  };
  const answer = await gemini({ 'x-sim-tool-calls': '2' }).models.generateContent({ ...ask, config });
  const contents = [{ role: 'user', parts: [{ text: said }] }, answer.candidates[0].content, { role: 'user',
    parts: answer.functionCalls.map((f) => ({ functionResponse: { name: f.name, response: { result: 'ok' } } })) }];
  equal((await gemini().models.generateContent({ model: 'sim-small', contents, config })).candidates[0].finishReason, 'STOP');
  contents[1].parts.find((p) => p.thoughtSignature).thoughtSignature = 'AAAA';
  equal((await rejects(gemini().models.generateContent({ model: 'sim-small', contents, config }))).status, 400);
  equal((await gemini({ 'x-sim-safety': '1' }).models.generateContent(ask)).promptFeedback.blockReason, 'SAFETY');
});

test('vertex: tokens for signed assertions, until they expire', async () => {
  const part = (v) => Buffer.from(JSON.stringify(v)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ iss: 'sa@sim.iam', aud: `${sim.url}/token`,
    scope: 'https://www.googleapis.com/auth/cloud-platform', iat: now, exp: now + 3600 })}`;
  const token = async (privateKey) => (await fetch(`${sim.url}/token`, { method: 'POST', body: new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: `${signed}.${crypto.sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`,
  }) })).json();
  const other = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  equal((await token(other.privateKey)).error, 'invalid_grant');
  const { access_token: bearer } = await token(service.privateKey);
  const call = async () => (await fetch(
    `${sim.url}/v1/projects/p/locations/us-central1/publishers/google/models/sim-small:generateContent`, {
      method: 'POST', headers: { authorization: `Bearer ${bearer}` },
      body: JSON.stringify({ contents: [{ role: 'user', parts: [{ text: said }] }] }),
    })).status;
  equal(await call(), 200);
  equal((await lastRow()).dialect, 'vertex');
  const until = Date.now() + 5000;
  let status = 200;
  while (status === 200 && Date.now() < until)
    status = await call();
  equal(status, 401);
});

function bedrock(action, body, credentials = aws) {
  return invoke(sim.url, 'sim-small', action, body, credentials);
}

test('bedrock: signed requests, frames with checksums', async () => {
  const ask = { messages: [{ role: 'user', content: [{ text: said }] }] };
  const plain = await (await bedrock('converse', ask)).json();
  equal(plain.output.message.content[0].text, text);
  const bytes = new Uint8Array(await (await bedrock('converse-stream', ask)).arrayBuffer());
  const events = frames(bytes);
  equal(events.map(([, e]) => e.delta?.text ?? '').join(''), text);
  equal(events.at(-1)[0], 'metadata');
  equal(events.at(-1)[1].usage, plain.usage);
  const refused = await bedrock('converse', ask, { ...aws, secretAccessKey: 'other' });
  equal(refused.status, 403);
  assert(refused.headers.get('x-amzn-errortype').startsWith('InvalidSignatureException'));
  equal((await bedrock('converse', { ...ask, surplus: 1 })).status, 400);
});

test('responses: plain, streamed, stored, in several turns', async () => {
  const first = await openai.responses.create({ model: 'sim-small', input: said });
  equal(first.output_text, text);
  equal((await openai.responses.stream({ model: 'sim-small', input: said }).finalResponse()).output_text, text);
  equal((await openai.responses.retrieve(first.id)).output_text, text);
  const tools = [{ type: 'function', name: 'weather', parameters: schema, strict: true }];
  const called = await openai.responses.create({ model: 'sim-small', input: said, tools, reasoning: { effort: 'low' } });
  const input = called.output.filter((i) => i.type === 'function_call')
    .map((i) => ({ type: 'function_call_output', call_id: i.call_id, output: 'ok' }));
  assert((await openai.responses.create({ model: 'sim-small', tools, previous_response_id: called.id, input })).output_text);
  equal((await rejects(openai.responses.create({ model: 'sim-small', tools, input }))).status, 400);
  await openai.responses.delete(first.id);
  equal((await rejects(openai.responses.retrieve(first.id))).status, 404);
});

test('azure: filter frames, a filtered prompt is billed', async () => {
  const azure = new AzureOpenAI({ apiKey: key, endpoint: sim.url, apiVersion: '2024-10-21', deployment: 'sim-small', maxRetries: 0 });
  let whole = '';
  let notes = 0;
  for await (const chunk of await azure.chat.completions.create({ ...chat, stream: true })) {
    whole += chunk.choices[0]?.delta?.content ?? '';
    notes += chunk.choices.length > 0 && !chunk.choices[0].delta;
  }
  equal(whole, text);
  assert(notes > 0);
  const filtered = await rejects(azure.chat.completions.create(chat, { headers: { 'x-sim-fault': 'content-filter' } }));
  equal(filtered.code, 'content_filter');
  const row = await lastRow();
  equal([row.status, row.dialect, row.tokens.output ?? 0], [400, 'azure', 0]);
  assert(row.tokens.input > 0);
});

test('cohere, ollama, mistral', async () => {
  const post = async (where, body) => fetch(sim.url + where, {
    method: 'POST', headers: { authorization: `Bearer ${key}` }, body: JSON.stringify(body) });
  equal((await (await post('/v2/chat', chat)).json()).message.content[0].text, text);
  const lines = (await (await post('/api/chat', chat)).text()).trim().split('\n').map((l) => JSON.parse(l));
  equal(lines.map((l) => l.message.content).join(''), text);
  equal(lines.at(-1).done, true);
  equal((await post('/mistral/v1/chat/completions', { ...chat, seed: 1 })).status, 422);
  equal((await (await post('/v2/rerank', { model: 'sim-small', query: 'q', documents: ['a', 'b'] })).json())
    .meta.billed_units.search_units, 1);
});

test('embeddings: the same vectors in every dialect and form, billed', async () => {
  const texts = [said, 'another text'];
  const bearer = { authorization: `Bearer ${key}` };
  const post = async (where, body, headers = bearer) => {
    const r = await fetch(sim.url + where, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: r.status, body: await r.json() };
  };
  const want = (await openai.embeddings.create({ model: 'sim-embed', input: texts, encoding_format: 'float' }))
    .data.map((d) => d.embedding);
  const cohere = { model: 'sim-embed', texts, input_type: 'search_query' };
  const many = (await post('/v2/embed', { ...cohere, embedding_types: ['float', 'int8', 'ubinary', 'base64'] })).body;
  equal(many.embeddings.float, want);
  equal(many.texts, texts);
  equal([...new Float32Array(new Uint8Array(Buffer.from(many.embeddings.base64[0], 'base64')).buffer)], want[0].map(Math.fround));
  equal(many.embeddings.ubinary[0], [parseInt(want[0].map((v) => (v > 0 ? 1 : 0)).join(''), 2)]);
  equal(many.embeddings.int8[1], want[1].map((v) => Math.trunc(Math.round(v * 100000) * 127 / 10000)));
  equal((await lastRow()).tokens.input, many.meta.billed_units.input_tokens);
  equal((await post('/v2/embed', { ...cohere, output_dimension: 4 })).body.embeddings.float, want.map((v) => v.slice(0, 4)));
  for (const wrong of [{ input_type: undefined }, { input_type: 'x' }, { embedding_types: ['half'] }, { texts: [] },
    { texts: Array.from({ length: 97 }, () => 'x') }, { output_dimension: 9 }, { truncate: 'x' }, { surplus: 1 },
    { inputs: [] }])
    equal((await post('/v2/embed', { ...cohere, ...wrong })).status, 400, JSON.stringify(wrong));
  const ollama = (await post('/api/embed', { model: 'sim-embed', input: texts })).body;
  equal(ollama.embeddings, want);
  const row = await lastRow();
  equal([row.dialect, row.op, row.tokens.input], ['ollama', 'embeddings', ollama.prompt_eval_count]);
  equal((await post('/api/embed', { model: 'sim-embed', input: texts, dimensions: 2 })).body.embeddings,
    want.map((v) => v.slice(0, 2)));
  equal((await post('/api/embed', { model: 'nobody', input: said })).body, { error: "model 'nobody' not found" });
  equal((await post('/api/embed', { model: 'sim-embed', input: [1] })).body, { error: 'invalid input type' });
  equal((await gemini().models.embedContent({ model: 'sim-embed', contents: texts })).embeddings.map((e) => e.values), want);
  equal((await lastRow()).op, 'embeddings');
  const batch = (model) => post(`/v1beta/models/sim-embed:batchEmbedContents?key=${key}`,
    { requests: texts.map((text) => ({ model, content: { parts: [{ text }] } })) }, {});
  equal((await batch('models/sim-embed')).body.embeddings.map((e) => e.values), want);
  for (const model of [undefined, 'sim-embed', 'models/other'])
    equal((await batch(model)).status, 400, `model ${model}`);
});

test('the bill is the same in every dialect', async () => {
  const rows = (await sim.bill()).filter((r) => r.tokens.output > 0 && r.tokens.input === 10);
  const dialects = new Set(rows.map((r) => r.dialect));
  for (const one of ['openai', 'azure', 'anthropic', 'gemini', 'vertex', 'bedrock', 'cohere', 'ollama'])
    assert(dialects.has(one), `no row of ${one}`);
  equal(new Set(rows.map((r) => `${r.tokens.output} ${r.cost_nanousd}`)).size, 1);
});

test('assertions and scenarios', async () => {
  equal((await rejects(openai.chat.completions.create(chat, { headers: { 'x-sim-forbid': 'header:authorization' } }))).status, 599);
  equal((await rejects(openai.chat.completions.create(chat, { headers: { 'x-sim-require': 'body:nothing' } }))).status, 599);
  const { forbidden, missing } = await sim.stats();
  equal([forbidden, missing], [1, 1]);
  await fetch(`${sim.url}/sim/scenario`, { method: 'POST', body: JSON.stringify([
    { match: { model: 'sim-small' }, times: 2, knobs: { fault: '429' } }, { knobs: { tokens: 3 } }]) });
  for (let i = 0; i < 2; i++)
    equal((await rejects(openai.chat.completions.create(chat))).status, 429);
  equal((await openai.chat.completions.create(chat)).usage.completion_tokens, 3);
});

await run();
