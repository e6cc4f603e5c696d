#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Whom and what a request is for, as its caller says: budgets that count one
// user or one tag only, over two agents; what is on the usage records, also
// after a crash; hostile values.
import { agree, reconcile, shipped } from './lib/bill.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, rejects, run, teardown, test } from './lib/tap.mjs';
import { form, wav } from './lib/traffic.mjs';

const stack = new Stack();
let agents;
let secrets;

teardown(() => stack.stop());

const only = (name, spec, limit_usd = '0.03') =>
  item('budget', `acme.${name}`, { scope: 'acme', limit_usd, mode: 'hard', period: 'day', ...spec });

test('the stack starts: two agents, budgets by user and tag', async () => {
  await stack.startProvider({ models: modelsFile(stack.dir, { 'sim-large': { ttft_ms: 2 } }), apiKey: providerKey });
  await stack.startControl();
  ({ secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...tenant('acme', ['app'], { budget: '50' }),
    item('provider', 'anthropic', { dialect: 'anthropic', base_url: stack.provider.url, credential: providerKey }),
    item('deployment', 'large-anthropic', {
      model: 'sim-large', provider: 'anthropic', upstream_model: 'sim-large', region: 'local',
    }),
    item('route', 'large-anthropic', { targets: [{ deployment: 'large-anthropic' }] }),
    only('alice', { user: 'alice' }),
    only('search', { tags: { feature: 'search' } }),
    only('both', { user: 'bob', tags: { feature: 'chat', env: 'prod' }, model: 'sim-large' }),
  ]));
  agents = ['agent-1', 'agent-2'].map((name) =>
    stack.agent(name, { args: ['--forward-sim-headers'] }));
  for (const a of agents)
    await a.start();
  await stack.settled();
}, { timeout: 120000 });

async function send(i, { headers = {}, body = {}, messages = false, model = 'sim-large' } = {}) {
  const a = agents[i % 2];
  const ask = prompt('Spend it.', { model, max_completion_tokens: 40, x_sim: { tokens: 40 }, ...body });
  if (!messages) {
    const r = await a.chat(secrets['acme.team.project.app'], ask, headers);
    return { status: r.status, text: await r.text(), id: r.headers.get('x-request-id') };
  }
  const r = await fetch(`${a.url}/v1/messages`, {
    method: 'POST',
    headers: {
      'x-api-key': secrets['acme.team.project.app'], 'content-type': 'application/json',
      'anthropic-version': '2023-06-01', ...headers,
    },
    body: JSON.stringify({ model: 'large-anthropic', max_tokens: 40, messages: ask.messages, x_sim: { tokens: 40 }, ...body }),
  });
  return { status: r.status, text: await r.text() };
}

async function race(n, how) {
  const count = { 200: 0, 402: 0, 429: 0, other: 0 };
  await Promise.all(Array.from({ length: 24 }, async (_, c) => {
    for (let i = 0; i < n; i++) {
      const { status } = await send(c + i, how(c + i));
      count[status in count ? status : 'other'] += 1;
    }
  }));
  return count;
}

async function check(budget, count) {
  agree(await reconcile(stack));
  const s = await stack.rest.get(`/v1/budgets/acme.${budget}/status`);
  const [spent, limit] = [BigInt(s.spent_nanousd), BigInt(s.limit_nanousd)];
  console.log(`# ${budget}: ${JSON.stringify(count)} spent ${spent} of ${limit}`);
  equal(count.other, 0, JSON.stringify(count));
  assert(count[200] > 0 && count[402] > 0, JSON.stringify(count));
  assert(spent <= limit && spent * 100n >= limit * 80n, `spent ${spent} of ${limit}`);
}

test('alice ends at her budget, named in four ways; others go on', async () => {
  const ways = [
    { headers: { 'x-headgate-user': 'alice' } },
    { body: { user: 'alice' } },
    { body: { user: 'alice', stream: true } },
    { messages: true, body: { metadata: { user_id: 'alice' } } },
  ];
  await check('alice', await race(8, (i) => ways[i % 4]));
  for (const how of ways)
    equal((await send(0, how)).status, 402, JSON.stringify(how));
  const escaped = await fetch(`${agents[0].url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secrets['acme.team.project.app']}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...prompt('Spend it.', { model: 'sim-large' }), user: 'alice' }).replace('alice', '\\u0061lice'),
  });
  equal(escaped.status, 402, await escaped.text());
  for (const [user, status] of [['alice', 402], ['al', 200], ['\\u0061lice', 200]]) {
    const f = form({ user, model: 'sim-large' }, { name: 'file', filename: 'a.wav', type: 'audio/wav', data: wav(6) });
    const r = await fetch(`${agents[0].url}/v1/audio/transcriptions`, { method: 'POST', body: f.body,
      headers: { authorization: `Bearer ${secrets['acme.team.project.app']}`, 'content-type': f.type } });
    equal(r.status, status, `form of ${user}: ${await r.text()}`);
  }
  equal((await send(0, { body: { user: 'alice' }, headers: { 'x-headgate-user': 'carol' } })).status, 200,
    'the header has the say');
  equal((await send(1, { headers: { 'x-headgate-user': 'alice2' } })).status, 200);
  equal((await send(1)).status, 200, 'nobody in particular');
}, { timeout: 120000 });

test('a tag ends at its budget, in any company', async () => {
  const ways = ['feature=search', 'env=prod, feature=search', 'feature=search,a=1,b=2'];
  await check('search', await race(8, (i) => ({ headers: { 'x-headgate-tags': ways[i % 3] } })));
  equal((await send(0, { headers: { 'x-headgate-tags': 'feature=searching' } })).status, 200);
}, { timeout: 120000 });

test('user, two tags and a model together', async () => {
  const headers = { 'x-headgate-user': 'bob', 'x-headgate-tags': 'feature=chat,env=prod' };
  await check('both', await race(8, () => ({ headers })));
  equal((await send(0, { headers, model: 'sim-small' })).status, 200, 'another model');
  equal((await send(0, { headers: { ...headers, 'x-headgate-tags': 'feature=chat' } })).status, 200);
  equal((await send(0, { headers: { ...headers, 'x-headgate-user': 'bo' } })).status, 200);
}, { timeout: 120000 });

test('usage records carry user and tags, the provider sees neither header', async () => {
  const headers = {
    'x-headgate-tags': 'feature=mail,team=7',
    'x-headgate-user': Buffer.from('dora \u00e9').toString('latin1'),
  };
  for (const what of ['headgate-user', 'headgate-tags', 'feature=mail', 'dora']) {
    const r = await agents[0].chat(secrets['acme.team.project.app'], prompt('Hello.'), { ...headers, 'x-sim-forbid': what });
    equal(r.status, 200, await r.text());
  }
  equal((await stack.provider.stats()).forbidden, 0);
  await shipped(stack);
  const rows = (await stack.rest.get('/v1/usage?tag=team%3D7')).items;
  equal(rows.length, 4);
  equal(JSON.stringify(rows[0].tags), JSON.stringify({ feature: 'mail', team: '7', user: 'dora \u00e9' }));
  equal((await stack.rest.get(`/v1/usage?user=${encodeURIComponent('dora \u00e9')}`)).items.length, 4);
  equal((await stack.rest.get('/v1/usage?user=dora')).items.length, 0);
  await rejects(stack.rest.get('/v1/usage?tag=team'), (e) =>
    assert(/name=value/.test(JSON.stringify(e.body ?? e.message)), e.message));
});

test('hostile values: refused in a header, one and the same user in a body', async () => {
  const bad = [
    { 'x-headgate-user': 'u'.repeat(129) }, { 'x-headgate-tags': 'a' }, { 'x-headgate-tags': 'A=b' },
    { 'x-headgate-tags': 'user=alice' }, { 'x-headgate-tags': `a=${'b'.repeat(65)}` },
    { 'x-headgate-tags': 'a=b,a=c' }, { 'x-headgate-tags': Array.from({ length: 9 }, (_, i) => `t${i}=v`).join(',') },
    { 'x-headgate-user': '\xff\xfe' },
  ];
  for (const headers of bad) {
    const { status, text } = await send(0, { headers });
    equal(status, 400, JSON.stringify(headers));
    assert(/x-headgate-(user|tags)/.test(JSON.parse(text).error.message), text);
  }
  const long = 'x'.repeat(5000);
  equal((await send(0, { body: { user: long } })).status, 200);
  equal((await send(1, { body: { user: 'a\nb\u0000' } })).status, 200);
  await shipped(stack);
  const users = (await stack.rest.get('/v1/usage?limit=2')).items.map((u) => u.tags.user);
  assert(users.every((u) => /^sha256:[0-9a-f]{64}$/.test(u)) && users[0] !== users[1], users.join(' '));
  await rejects(stack.apply([only('bad', { user: 'a\nb' })]), (e) =>
    assert(/control characters/.test(JSON.stringify(e.body ?? e.message)), e.message));
  await rejects(stack.apply([only('bad', { tags: { user: 'x' } })]), (e) =>
    assert(/name of a tag/.test(JSON.stringify(e.body ?? e.message)), e.message));
  await rejects(stack.apply([only('bad', { tags: {} })]), (e) =>
    assert(/1 to 8 members/.test(JSON.stringify(e.body ?? e.message)), e.message));
});

test('a crash: what was in flight is charged to the same budgets, with its tags', async () => {
  const headers = { 'x-headgate-user': 'erin', 'x-headgate-tags': 'feature=slow' };
  await stack.apply([only('erin', { user: 'erin' }, '5'), only('slow', { tags: { feature: 'slow' } }, '5')]);
  await stack.settled();
  const [agent] = agents;
  const calls = Array.from({ length: 5 }, () => agent.chat(secrets['acme.team.project.app'],
    prompt('Slow.', { model: 'sim-large', x_sim: { tokens: 20, ttft_ms: 60000 } }), headers).catch(() => null));
  await until('the provider to have them', async () =>
    (await agent.metric('headgate_upstream_in_flight')) >= 5);
  await agent.proc.kill();
  await Promise.all(calls);
  await agent.start();
  await shipped(stack);
  const rows = await stack.rest.all('/v1/usage?user=erin');
  equal(rows.length, 5);
  let cost = 0n;
  for (const u of rows) {
    equal(u.source, 'crash_estimated');
    equal(u.tags.feature, 'slow');
    cost += BigInt(u.cost_nanousd);
  }
  for (const name of ['erin', 'slow'])
    equal((await stack.rest.get(`/v1/budgets/acme.${name}/status`)).spent_nanousd, Number(cost), name);
}, { timeout: 120000 });

await run();
