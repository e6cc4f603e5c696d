#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// REST against the real headgate-control: what docs/openapi.json says is what
// it does, who may do what, and what survives a kill.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { bin, root, until } from './lib/proc.mjs';
import { Rest } from './lib/rest.mjs';
import { Schemas } from './lib/schema.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, skip, teardown, test } from './lib/tap.mjs';

const stack = new Stack({ allow: [/"code":"unavailable"/] });
const program = path.join(bin, 'headgate-control');
const canaries = ['sk-canary-77aa1', 'hg-canary00-zzqqxxyyvv-0123456789abcdefghijk'];
const roles = ['viewer', 'finance', 'admin', 'owner'];
const as = {};
const seen = [];
let rest;
let schemas;

teardown(() => stack.stop());

// A call that also checks the answer against the description.
async function call(method, pattern, params, body, { role = 'owner', headers = {}, query = '' } = {}) {
  const url = pattern.replace(/\{(\w+)\}/g, (_, k) => encodeURIComponent(params[k])) + query;
  const response = await as[role].raw(method, url, body, headers);
  const text = await response.text();
  const op = schemas.operation(method, pattern);
  const schema = schemas.answer(op, response.status);
  seen.push({ what: `${method} ${url}`, text: text + JSON.stringify([...response.headers]) });
  const json = /json/.test(response.headers.get('content-type') ?? '') && text ? JSON.parse(text) : null;
  if (schema && json) {
    const bad = schemas.check(schema, json);
    assert(bad.length === 0, `${method} ${url} ${response.status}: ${bad.slice(0, 5).join('; ')}`);
  }
  return { status: response.status, json, text, headers: response.headers };
}

async function ok(status, ...args) {
  const got = await call(...args);
  assert(got.status === status, `${args[0]} ${args[1]}: ${got.status} ${got.text}`);
  return got;
}

test('the control plane starts and knows its first token', async () => {
  await stack.startControl();
  rest = stack.rest;
  as.owner = rest;
  equal((await rest.get('/v1/whoami')).role, 'owner');
  equal(fs.statSync(stack.control.tokenFile).mode & 0o777, 0o600, 'mode of the token file');
}, { timeout: 120000 });

test('the description that is served is the one in docs/', async () => {
  const printed = execFileSync(program, ['openapi'], { maxBuffer: 64 << 20 }).toString();
  const served = await (await fetch(`${stack.control.url}/v1/openapi.json`)).text();
  assert(printed === served, 'served and printed differ');
  const file = path.join(root, 'docs/openapi.json');
  assert(fs.readFileSync(file, 'utf8') === printed, 'docs/openapi.json is not current');
  schemas = new Schemas(JSON.parse(printed));
});

test('tokens of each role, by REST and offline', async () => {
  for (const role of roles.slice(0, 3)) {
    const made = (await ok(201, 'POST', '/v1/admin-tokens', {}, { name: `t-${role}`, role })).json;
    as[role] = new Rest(stack.control.url, made.token);
    equal((await as[role].get('/v1/whoami')).role, role);
  }
  seen.length = 0; // the tokens are meant to be seen there
});

test('who may do what: every route, every role', async () => {
  const lines = execFileSync(program, ['routes']).toString().trim().split('\n');
  const documented = Object.values(schemas.doc.paths).flatMap((p) => Object.keys(p)).length;
  equal(lines.length, documented, 'routes and operations');
  for (const line of lines) {
    const [method, pattern, least] = line.split(' ');
    const op = schemas.operation(method, pattern);
    assert(op, `${line} is not described`);
    equal(op['x-headgate-role'], least === '-' ? 'none' : least, line);
    const url = pattern.replace(/\{\w+\}/g, 'nope');
    const body = method === 'GET' ? undefined : {};
    const none = await new Rest(stack.control.url, '').raw(method, url, body);
    await none.text();
    equal(none.status === 401, least !== '-', `${line} without a token: ${none.status}`);
    for (const role of roles) {
      const got = await as[role].raw(method, url, body);
      const text = await got.text();
      const may = least === '-' || roles.indexOf(role) >= roles.indexOf(least);
      assert((got.status !== 403) === may && got.status < 500,
        `${line} as ${role}: ${got.status} ${text}`);
      assert(op.responses[got.status] || got.ok, `${line}: ${got.status} is not described`);
    }
  }
});

const order = ['provider', 'model', 'deployment', 'route', 'tenant', 'team', 'project', 'key', 'budget', 'limit'];
const changes = {
  provider: { headers: { 'x-e2e': '1' } }, model: { context_tokens: 5 },
  deployment: { region: 'x' }, route: { owned_by: 'x' },
  budget: { limit_usd: '7' }, limit: { concurrency: 9 },
};
const title = (kind) => kind[0].toUpperCase() + kind.slice(1);

test('every kind: create, read, list, replace, change, lost update', async () => {
  for (const kind of order) {
    const plural = `/v1/${kind}s`;
    const body = schemas.example({ $ref: `#/components/schemas/${title(kind)}Create` });
    if (kind === 'key')
      body.value = canaries[1];
    if (kind === 'provider')
      body.credential = canaries[0];
    const made = await ok(201, 'POST', plural, {}, body);
    equal(made.headers.get('location'), `${plural}/${body.name}`);
    const one = { name: body.name };
    const read = await ok(200, 'GET', `${plural}/{name}`, one);
    equal(read.json, made.json, kind);
    await ok(409, 'POST', plural, {}, body);
    const list = await ok(200, 'GET', plural, {}, undefined, { role: 'viewer' });
    equal(list.json.items, [read.json], `${kind} list`);
    const put = await ok(200, 'PUT', `${plural}/{name}`, one, read.json,
      { headers: { 'if-match': read.headers.get('etag') } });
    equal(put.json, read.json, 'written as it was read: no new version');
    const patched = await ok(200, 'PATCH', `${plural}/{name}`, one, changes[kind] ?? { display_name: 'Changed' },
      { headers: { 'content-type': 'application/merge-patch+json' } });
    assert(patched.json.version > read.json.version, `${kind}: no new version`);
    await ok(412, 'DELETE', `${plural}/{name}`, one, undefined,
      { headers: { 'if-match': read.headers.get('etag') } });
  }
});

test('what is in use is not deleted', async () => {
  for (const kind of ['tenant', 'team', 'provider', 'model', 'deployment', 'route']) {
    const { json } = await ok(200, 'GET', `/v1/${kind}s`, {});
    const got = await ok(409, 'DELETE', `/v1/${kind}s/{name}`, { name: json.items[0].name });
    assert(/is in use by/.test(got.json.detail), got.json.detail);
  }
});

test('apply: dry run, all or nothing, the same again, prune', async () => {
  const items = [{ kind: 'tenant', name: 'beta' }, { kind: 'team', name: 'beta.x' }];
  const dry = await ok(200, 'POST', '/v1/apply', {}, { dry_run: true, items });
  equal([dry.json.version, dry.json.changes.length], [0, 2]);
  await ok(404, 'GET', '/v1/tenants/{name}', { name: 'beta' });
  const bad = await ok(400, 'POST', '/v1/apply', {},
    { items: [...items, { kind: 'key', name: 'beta.x.y.z', spec: { colour: 'red' } }] });
  equal(bad.json.errors[0].field, '/items/2/spec/colour');
  const done = await ok(200, 'POST', '/v1/apply', {}, { message: 'beta', items });
  assert(done.json.version > 0, 'no version');
  const again = await ok(200, 'POST', '/v1/apply', {}, { items });
  equal([again.json.version, again.json.unchanged], [0, 2]);
  const pruned = await ok(200, 'POST', '/v1/apply', {},
    { prune: true, items: [{ kind: 'tenant', name: 'beta' }, { kind: 'team', name: 'beta.y' }] });
  equal(pruned.json.changes.map((c) => `${c.op} ${c.name}`).sort(), ['create beta.y', 'delete beta.x']);
  const back = await ok(200, 'POST', '/v1/versions/{version}/rollback', { version: done.json.version }, {});
  equal(back.json.changes.map((c) => `${c.op} ${c.name}`).sort(), ['create beta.x', 'delete beta.y']);
  const diff = await ok(200, 'GET', '/v1/versions/{version}/diff', { version: back.json.version },
    undefined, { query: `?from=${done.json.version}` });
  equal(diff.json.changes, []);
  await ok(200, 'GET', '/v1/versions/{version}', { version: back.json.version });
  await ok(200, 'GET', '/v1/versions/{version}/rollout', { version: back.json.version });
});

test('10 writers at once: a version each, no gap', async () => {
  const before = (await rest.get('/v1/versions?limit=1')).items[0].version;
  const got = await Promise.all(Array.from({ length: 50 }, (_, i) =>
    rest.post('/v1/tenants', { name: `w${i}` })));
  equal(got.map((g) => g.version).sort((a, b) => a - b),
    Array.from({ length: 50 }, (_, i) => before + 1 + i));
  const all = await rest.all('/v1/tenants?prefix=w', 7);
  equal(all.length, 50);
});

test('every readable resource is as described', async () => {
  const names = { name: 'acme.monthly', version: '1', id: '00000000-0000-7000-8000-000000000000' };
  for (const [pattern, methods] of Object.entries(schemas.doc.paths)) {
    if (methods.get)
      await call('GET', pattern, names, undefined, { query: /chargeback/.test(pattern) ? '?month=2026-01' : '' });
  }
  const csv = await as.finance.raw('GET', '/v1/reports/chargeback?month=2026-01&group_by=tenant,model&format=csv');
  equal(csv.headers.get('content-type'), 'text/csv; charset=utf-8');
  equal((await csv.text()).split(',').slice(0, 3), ['tenant', 'model', 'requests']);
  await ok(400, 'GET', '/v1/reports/chargeback', {}, undefined, { query: '?month=2026-13' });
  await ok(400, 'GET', '/v1/reports/chargeback', {}, undefined, { query: '?month=2026-01&group_by=mood' });
});

test('join tokens', async () => {
  const got = await call('POST', '/v1/join-tokens', {}, { group: 'eu', expires_in: '30m', max_uses: 2 });
  if (got.status === 400 && got.json.code === 'unsupported')
    skip('this build has no agent channel');
  equal(got.status, 201, got.text);
  assert(/^hgj1\./.test(got.json.token), 'form of the token');
  const list = await ok(200, 'GET', '/v1/join-tokens', {});
  assert(!JSON.stringify(list.json).includes(got.json.token), 'the list shows a token');
  await ok(204, 'DELETE', '/v1/join-tokens/{id}', { id: got.json.id });
  await ok(400, 'POST', '/v1/join-tokens', {}, { expires_in: 'soon' });
});

test('an idempotency key holds across kill -9', async () => {
  const headers = { 'idempotency-key': 'e2e-1' };
  const name = 'acme.research.chat.idem';
  const first = await ok(201, 'POST', '/v1/keys', {}, { name }, { headers });
  await stack.control.proc.kill();
  stack.control.ports = { channel: 0, publish: 0, ...stack.control.ports };
  await stack.control.start();
  const second = await ok(201, 'POST', '/v1/keys', {}, { name }, { headers });
  equal(second.json.secret, first.json.secret);
  equal(second.headers.get('idempotent-replayed'), 'true');
  await ok(409, 'POST', '/v1/keys', {}, { name: `${name}2` }, { headers });
}, { timeout: 120000 });

test('PostgreSQL dies: livez stays, readyz tells, requests come back', async () => {
  const pid = stack.control.postmaster();
  if (!pid)
    skip('no postmaster.pid found');
  process.kill(pid, 'SIGQUIT');
  await until('readyz to fail', async () => {
    const live = await fetch(`${stack.control.url}/livez`);
    assert(live.ok, 'livez failed');
    return (await fetch(`${stack.control.url}/readyz`)).status === 503;
  }, 20000, 5).catch(() => {});
  await until('readyz to recover', async () => (await fetch(`${stack.control.url}/readyz`)).ok, 60000);
  equal((await rest.get('/v1/tenants/acme')).name, 'acme');
}, { timeout: 120000 });

test('metrics', async () => {
  const text = await (await fetch(`${stack.control.url}/metrics`)).text();
  assert(/^headgate_rest_requests_total\{operation="createTenant",status="201"\} \d+$/m.test(text) ||
    /operation="getTenant"/.test(text), text.slice(0, 500));
  assert(/^headgate_build_info\{program="headgate-control"\} 1$/m.test(text), 'build info');
  seen.push({ what: 'metrics', text });
});

test('no secret is in an answer, in the log or in the audit', async () => {
  seen.push({ what: 'audit', text: JSON.stringify(await rest.all('/v1/audit', 500)) });
  seen.push({ what: 'log', text: stack.control.proc.log() });
  for (const { what, text } of seen)
    for (const canary of [...canaries, stack.control.token])
      assert(!text.includes(canary), `${what} holds ${canary}: ${text.slice(0, 300)}`);
  assert(seen.length > 100, `only ${seen.length} answers looked at`);
});

await run();
