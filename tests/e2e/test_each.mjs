#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// A HARD budget for each user, over two agents: nobody exceeds it, who has
// spent it does not disturb the others, a killed agent loses nothing, a raised
// limit and a new period hold for everybody, and the books agree.
import { execFile } from 'node:child_process';
import path from 'node:path';

import { agree, reconcile } from './lib/bill.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { bin, until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const limit = 10_000_000; // nano-USD: some 25 requests
const users = Array.from({ length: 8 }, (_, i) => `user-${i}@example.com`);
let agents;
let key;
let tagged;
let soft;

teardown(() => stack.stop());

function program(file, args) {
  return new Promise((resolve) => {
    execFile(file, args, { env: process.env }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }));
  });
}

const cli = (...args) => program(path.join(bin, 'headgate'),
  [...args, '--server', stack.control.url, '--token-file', stack.control.tokenFile]);

async function sql(text) {
  const got = await program('psql', ['-qAtX', '-v', 'ON_ERROR_STOP=1', stack.control.conninfo(), '-c', text]);
  equal(got.code, 0, got.stderr);
  return got.stdout.trim();
}

const values = async (name = 'acme.each') =>
  new Map((await stack.rest.all(`/v1/budgets/${name}/values`)).map((v) => [v.value, v]));

const perUser = {
  scope: 'acme', limit_usd: '0.01', mode: 'hard', period: 'month', each: 'user', thresholds: [40, 100],
};

const perCustomer = {
  scope: 'tags', limit_usd: '0.004', mode: 'hard', period: 'day', each: 'tag:customer', max_values: 3,
};

const perSoft = {
  scope: 'soft', limit_usd: '0.002', mode: 'soft', period: 'month', each: 'user', thresholds: [100], max_values: 3,
};

async function send(agent, user, i = 0, { secret = key, headers = {}, ...more } = {}) {
  const r = await agent.chat(secret, prompt('Spend it.', {
    model: 'sim-large', stream: i % 3 === 0, max_completion_tokens: 40, x_sim: { tokens: 5 + (i % 36) },
    // by header, or by the body's field
    ...(i % 2 === 0 && user ? { user } : {}), ...more,
  }), { ...(i % 2 === 1 && user ? { 'x-headgate-user': user } : {}), ...headers });
  const text = await r.text();
  return { status: r.status, text, error: r.status === 200 ? undefined : JSON.parse(text).error };
}

test('two agents and budgets for each user and tag', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir, { 'sim-large': { ttft_ms: 2 } }), apiKey: providerKey,
  });
  await stack.startControl();
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url),
    ...tenant('acme', ['app'], { budget: '5.00' }),
    item('budget', 'acme.each', perUser),
    ...tenant('tags', ['app']),
    item('budget', 'tags.customer', perCustomer),
    ...tenant('soft', ['app']),
    item('budget', 'soft.each', perSoft),
  ]);
  key = secrets['acme.team.project.app'];
  tagged = secrets['tags.team.project.app'];
  soft = secrets['soft.team.project.app'];
  agents = ['agent-1', 'agent-2'].map((name) => stack.agent(name));
  for (const a of agents)
    await a.start();
  await stack.settled();
}, { timeout: 120000 });

test('many requests of several users at once: no user exceeds the limit', async () => {
  const seen = new Map(users.map((u) => [u, { 200: 0, 402: 0, 429: 0 }]));
  await Promise.all(users.flatMap((user) => Array.from({ length: 4 }, async (_, c) => {
    for (let i = 0; i < 14; i++) {
      const { status } = await send(agents[(c + i) % 2], user, c * 7 + i);
      assert(status in seen.get(user), `status ${status}`);
      seen.get(user)[status] += 1;
    }
  })));
  agree(await reconcile(stack));
  const rows = await values();
  equal(rows.size, users.length);
  for (const user of users) {
    const row = rows.get(user);
    assert(seen.get(user)[200] > 10 && seen.get(user)[402] > 0, JSON.stringify([...seen]));
    assert(row.spent_nanousd <= limit, `${user} spent ${row.spent_nanousd}`);
    assert(row.spent_nanousd >= limit * 0.8, `${user} was stopped at ${row.spent_nanousd}`);
    equal(row.limit_nanousd, limit);
  }
  console.log(`# ${JSON.stringify([...seen.values()])}`);
}, { timeout: 120000 });

test('a refusal names the budget and the value to whom it is', async () => {
  const { status, error } = await send(agents[0], users[0], 0, { max_completion_tokens: 4000 });
  equal(status, 402);
  assert(error.message.includes(`acme.each[${users[0]}]`), error.message);
  equal(error.headgate.budget, 'acme.each');
  equal(error.headgate.value, users[0]);
});

test('somebody else is served at once, who names nobody shares one part', async () => {
  const from = Date.now();
  equal((await send(agents[0], 'fresh', 0)).status, 200);
  equal((await send(agents[1], 'fresh', 1)).status, 200);
  equal((await send(agents[0], undefined, 2)).status, 200);
  equal((await send(agents[1], undefined, 2)).status, 200);
  assert(Date.now() - from < 5000, `${Date.now() - from} ms`);
  agree(await reconcile(stack));
  const rows = await values();
  assert(rows.get('fresh').spent_nanousd > 0 && rows.get('').spent_nanousd > 0);
  equal(rows.size, users.length + 2);
});

test('two agents ask for the same new values at once: one cell each', async () => {
  const names = Array.from({ length: 20 }, (_, i) => `both-${i}`);
  const got = await Promise.all(names.flatMap((user) => agents.map((a) => send(a, user, 1))));
  equal(got.filter((r) => r.status !== 200).length, 0, JSON.stringify(got.find((r) => r.status !== 200)));
  equal(await sql("SELECT count(*), count(DISTINCT value), count(DISTINCT cell_uid) FROM budget_value WHERE value LIKE 'both-%'"), '20|20|20');
  agree(await reconcile(stack));
  const rows = await values();
  for (const user of names)
    assert(rows.get(user).spent_nanousd > 0, user);
});

test('kill -9 and restart: bill and cells agree', async () => {
  const open = Array.from({ length: 6 }, (_, i) => agents[0].chat(key, prompt('A long story.', {
    model: 'sim-large', stream: true, max_completion_tokens: 200, user: `killed-${i % 3}`,
    x_sim: { tokens: 150, events: 30, gap_ms: 200 },
  })));
  const answers = await Promise.all(open);
  for (const r of answers)
    equal(r.status, 200);
  await agents[0].proc.kill();
  await Promise.all(answers.map((r) => r.text().catch(() => {})));
  await agents[0].start();
  await stack.settled();
  for (let i = 0; i < 3; i++)
    assert([200, 402].includes((await send(agents[0], `killed-${i}`, 1)).status));
  agree(await reconcile(stack));
  const rows = await values();
  const usage = await stack.rest.all('/v1/usage?tenant=acme');
  for (let i = 0; i < 3; i++) {
    const cost = usage.filter((u) => u.user === `killed-${i}` || u.tags?.user === `killed-${i}`)
      .reduce((sum, u) => sum + Number(u.cost_nanousd), 0);
    assert(cost > 0 && cost <= limit, `cost ${cost}`);
    equal(rows.get(`killed-${i}`).spent_nanousd, cost, `killed-${i}`);
  }
}, { timeout: 90000 });

test('a raised limit holds for every value, an increase for one', async () => {
  await stack.apply([item('budget', 'acme.each', { ...perUser, limit_usd: '0.02' })]);
  await stack.settled();
  for (const user of [users[0], users[1]])
    await until(`${user} to be served again`, async () => (await send(agents[1], user, 1)).status === 200, 10000);
  const got = await cli('budget', 'increase', 'acme.each', '0.5', '--value', users[2],
    '--until', '2100-01-01', '--reason', 'test');
  equal(got.code, 0, got.stderr);
  const rows = await values();
  equal(rows.get(users[0]).limit_nanousd, 2 * limit);
  equal(rows.get(users[2]).limit_nanousd, 2 * limit + 500_000_000);
  const moved = await cli('budget', 'transfer', 'acme.each', 'acme.main', '1', '--reason', 'test');
  assert(moved.code !== 0 && /for each value/.test(moved.stderr), moved.stderr);
  const none = await cli('budget', 'increase', 'acme.each', '1', '--until', '2100-01-01', '--reason', 'test');
  assert(none.code !== 0 && /value is required/.test(none.stderr), none.stderr);
});

test('what each is for cannot be changed, nor be without a limit', async () => {
  for (const [change, why] of [[{ each: 'tag:team' }, /cannot be changed/], [{ each: 'nobody' }, /must be user or tag/],
    [{ period: 'unlimited', limit_usd: undefined, thresholds: undefined }, /must not be unlimited/], [{ user: 'alice' }, /only one value/]]) {
    const e = await stack.apply([item('budget', 'acme.each', { ...perUser, ...change })]).then(() => undefined, (x) => x);
    assert(e && why.test(JSON.stringify(e.body ?? e.message ?? e)), `${JSON.stringify(change)}: ${e}`);
  }
});

const ask = (customer) => send(agents[0], undefined, 2, {
  secret: tagged, headers: { 'x-headgate-tags': `customer=${customer}` },
});

test('a budget counts no more values than it may, and says so', async () => {
  for (const customer of ['a', 'b', 'c'])
    equal((await ask(customer)).status, 200);
  const { status, error } = await ask('d');
  equal(status, 429);
  assert(/max_values/.test(error.message), error.message);
  equal((await ask('a')).status, 200, 'known ones go on');
  const { items } = await stack.rest.get('/v1/budgets/tags.customer/events');
  equal(items.filter((e) => e.kind === 'values').length, 1);
  equal((await values('tags.customer')).size, 3);
});

test('who was not seen for long makes room, and needs a place to come back', async () => {
  await stack.apply([item('budget', 'tags.customer', { ...perCustomer, max_values: 4 })]);
  // somebody who spent what he spent a hundred days ago
  await sql(`WITH v AS (INSERT INTO budget_value (cell_uid, budget_uid, value, created_at, taken_at)
      SELECT nextval('item_uid_seq'), uid, 'gone', now() - interval '100 days', now() - interval '100 days'
      FROM config_item WHERE kind = 9 AND name = 'tags.customer' RETURNING cell_uid)
    INSERT INTO item_name (uid, kind, name) SELECT cell_uid, 9, 'tags.customer[gone]' FROM v;
    UPDATE budget_each SET n = 4, swept_ns = 0
      WHERE budget_uid = (SELECT uid FROM config_item WHERE kind = 9 AND name = 'tags.customer')`);
  await until('his place', async () => (await ask('d')).status === 200, 30000);
  const rows = await values('tags.customer');
  equal(rows.size, 5);
  assert(rows.get('gone').retired_at !== null && rows.get('d').retired_at === null, JSON.stringify([...rows]));
  assert(rows.get('d').last_used !== null && rows.get('gone').last_used === null, JSON.stringify([...rows]));
  const { values: counted, retired_values: retired } = await stack.rest.get('/v1/budgets/tags.customer/status');
  equal(`${counted} ${retired}`, '4 1');
  const { status, error } = await ask('gone');
  equal(status, 429);
  assert(/max_values/.test(error.message), error.message);
  const list = await cli('budget', 'values', 'tags.customer');
  equal(list.code, 0, list.stderr);
  assert(/retired/i.test(list.stdout.split('\n')[0]), list.stdout);
  await stack.apply([item('budget', 'tags.customer', { ...perCustomer, max_values: 5 })]);
  await until('him to be served', async () => (await ask('gone')).status === 200, 10000);
  equal((await values('tags.customer')).get('gone').retired_at, null);
}, { timeout: 60000 });

test('a soft budget for each user blocks nobody and tells who is over', async () => {
  const cost = async () => {
    const of = new Map();
    for (const u of await stack.rest.all('/v1/usage?tenant=soft'))
      of.set(u.tags?.user ?? '', (of.get(u.tags?.user ?? '') ?? 0) + Number(u.cost_nanousd));
    return of;
  };
  // one after the other: who comes fourth has no place
  for (const [user, n] of [['loud', 20], ['quiet', 1], [undefined, 1], ['fourth', 2]]) {
    for (let i = 0; i < n; i++)
      equal((await send(agents[i % 2], user, i, { secret: soft })).status, 200, user);
    agree(await reconcile(stack));
  }
  // its last words are nobody's but its user's
  const open = await agents[0].chat(soft, prompt('A long story.', {
    model: 'sim-large', stream: true, max_completion_tokens: 200, user: 'loud', x_sim: { tokens: 150, events: 30, gap_ms: 200 },
  }));
  equal(open.status, 200);
  await agents[0].proc.kill();
  await open.text().catch(() => {});
  await agents[0].start();
  await stack.settled();
  agree(await reconcile(stack));
  const spent = await cost();
  const rows = await values('soft.each');
  equal([...rows.keys()].sort().join(), ',loud,quiet');
  for (const user of rows.keys())
    equal(rows.get(user).spent_nanousd, spent.get(user), `${user}: ${JSON.stringify([...spent])}`);
  assert(spent.get('fourth') > 0 && rows.get('loud').spent_nanousd > 2_000_000, JSON.stringify([...spent]));
  await until('the events', async () => {
    const { items } = await stack.rest.get('/v1/budgets/soft.each/events');
    return items.some((e) => e.kind === 'threshold' && e.value === 'loud') && items.some((e) => e.kind === 'values');
  }, 30000);
  const { items } = await stack.rest.get('/v1/budgets/soft.each/events');
  assert(!items.some((e) => e.value === 'quiet'), JSON.stringify(items));
  // hard from here on, with what was spent until now
  await stack.apply([item('budget', 'soft.each', { ...perSoft, mode: 'hard' })]);
  await stack.settled();
  await until('it to be refused', async () => (await send(agents[1], 'loud', 0, { secret: soft })).status === 402, 10000);
  equal((await send(agents[1], 'quiet', 0, { secret: soft })).status, 200);
  equal((await send(agents[1], 'fourth', 0, { secret: soft })).status, 429);
  await stack.apply([item('budget', 'soft.each', perSoft)]);
  await stack.settled();
  await until('it to be served', async () => (await send(agents[1], 'loud', 0, { secret: soft })).status === 200, 10000);
  agree(await reconcile(stack));
  const again = await values('soft.each');
  for (const [user, sum] of await cost())
    if (user !== 'fourth')
      equal(again.get(user).spent_nanousd, sum, user);
}, { timeout: 90000 });

test('a new period begins for every value', async () => {
  const before = await values();
  await sql(`UPDATE budget_period SET period_end = hg_ns(now()) - 31000000000 WHERE state = 'open'
    AND budget_uid IN (SELECT cell_uid FROM budget_value WHERE value = '${users[3]}')`);
  const had = before.get(users[3]).spent_nanousd;
  const periods = async () => (await stack.rest.get(`/v1/budgets/acme.each/periods?value=${users[3]}`)).items;
  await until('it to be closed', async () => (await periods())[0].state === 'closed', 40000);
  equal((await send(agents[0], users[3], 1)).status, 200);
  agree(await reconcile(stack));
  const after = await values();
  const items = await periods();
  equal(items.length, 2);
  equal(items[0].spent_nanousd, after.get(users[3]).spent_nanousd);
  equal(items[1].spent_nanousd, had);
  equal(after.get(users[4]).spent_nanousd, before.get(users[4]).spent_nanousd);
}, { timeout: 60000 });

test('events name the value, the command lists them, the audit agrees', async () => {
  await until('thresholds of the users', async () => {
    const { items } = await stack.rest.get('/v1/budgets/acme.each/events?limit=1000');
    return users.slice(4).every((u) => items.some((e) => e.value === u && e.kind === 'threshold' && e.percent === 40));
  }, 30000);
  const list = await cli('budget', 'values', 'acme.each', '--all');
  equal(list.code, 0, list.stderr);
  assert(list.stdout.includes(users[5]), list.stdout);
  const one = await cli('budget', 'status', 'acme.each', '--value', users[5], '-o', 'json');
  equal(JSON.parse(one.stdout).value, users[5]);
  const all = JSON.parse((await cli('budget', 'status', 'acme.each', '-o', 'json')).stdout);
  equal(all.each, 'user');
  equal(all.values, (await values()).size);
  const audit = await stack.rest.post('/v1/audit/money', {});
  equal(audit.differences, 0, JSON.stringify(audit.findings.slice(0, 5)));
  for (const a of agents)
    assert(await a.metric('headgate_budget_values') > 0);
}, { timeout: 60000 });

await run();
