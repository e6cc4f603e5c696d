#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Several control planes over one PostgreSQL: agents talk to two of them, one
// is killed in the middle of the load. Nothing is lost, nothing is there
// twice, no hard budget is exceeded, and the books agree.
import { agree, reconcile } from './lib/bill.mjs';
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { delay, until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const replicas = [];
let agents;
let secrets;

teardown(() => stack.stop());

async function metric(control, name) {
  const text = await (await fetch(`${control.url}/metrics`)).text();
  const line = text.split('\n').find((l) => l.startsWith(`${name} `));
  return Number(line?.split(' ')[1] ?? NaN);
}

test('one store, three control planes, three agents at two of them', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir, { 'sim-large': { ttft_ms: 2 }, 'sim-small': { ttft_ms: 2 } }),
    apiKey: providerKey,
  });
  await stack.startControl({ args: ['--reconcile-interval', '300ms'] });
  replicas.push(await stack.startReplica('replica-1', { args: ['--reconcile-interval', '300ms'] }));
  const own = await stack.startReplica('replica-2', {
    args: ['--advertise', 'tls+tcp://127.0.0.1:1', '--reconcile-interval', '300ms'],
  });
  await own.proc.stop();
  const addresses = (kind) => [replicas[0], own].map((c) => `tls+tcp://127.0.0.1:${c.ports[kind]}`).join(',');
  own.options.args = ['--advertise', addresses('channel'), '--advertise-publish', addresses('publish'),
    '--reconcile-interval', '300ms'];
  replicas.push(await own.start());
  ({ secrets } = await stack.apply([...catalog(stack.provider.url),
    ...tenant('acme', ['app'], { budget: '1000' }), ...tenant('small', ['app'], { budget: '0.05' }),
    ...tenant('rated'), item('limit', 'rated.minute', { scope: 'rated', requests_per_minute: 60 })]));
  agents = ['agent-1', 'agent-2', 'agent-3'].map((name) => stack.agent(name));
  for (const a of agents) {
    a.joinToken = async () => (await own.rest.post('/v1/join-tokens', {
      group: 'default', region: 'local', expires_in: '1h', max_uses: 1,
    })).token;
    await a.start();
  }
  await stack.settled();
}, { timeout: 120000 });

const count = { 200: 0, 402: 0, 429: 0, other: 0 };
let stopping = false;

async function client(i) {
  for (let n = 0; !stopping; n++) {
    const small = (i + n) % 4 === 0;
    const r = await agents[(i + n) % 3].chat(secrets[`${small ? 'small' : 'acme'}.team.project.app`],
      prompt(`request ${n}`, {
        model: small ? 'sim-large' : 'sim-small', stream: n % 2 === 0, max_completion_tokens: 40,
        x_sim: { tokens: 5 + ((i * 7 + n) % 36) },
      }));
    await r.text();
    count[r.status in count ? r.status : 'other'] += 1;
  }
}

// One limit, asked for through every agent as often as it refuses.
const rated = { since: 0, served: 0, refused: 0 };

async function limited(i) {
  for (rated.since ||= Date.now(); !stopping;) {
    const r = await agents[i].chat(secrets['rated.team.project.app'],
      prompt('limited', { max_completion_tokens: 8, x_sim: { tokens: 4 } }));
    await r.text();
    if (r.status === 200)
      rated.served += 1;
    else {
      equal(r.status, 429);
      rated.refused += 1;
      await delay(20);
    }
  }
}

test('a replica is killed in the middle of the load', async () => {
  const clients = [...Array.from({ length: 24 }, (_, i) => client(i)), ...[0, 1, 2].map(limited)];
  await until('both replicas to book usage', async () => {
    const booked = await Promise.all(replicas.map((r) => metric(r, 'headgate_usage_records_total')));
    return booked.every((n) => n > 50);
  }, 60000);
  replicas[0].proc.kill();
  const before = count[200];
  await until('traffic to go on, until the small budget is over',
    () => count[200] > before + 500 && count[402] > 0, 60000);
  stopping = true;
  await Promise.all(clients);
  const seconds = (Date.now() - rated.since) / 1000;
  // One request on credit for each agent.
  assert(rated.refused > 0 && rated.served <= 60 + seconds + 3,
    `${rated.served} of one limit in ${seconds} s`);
}, { timeout: 150000 });

test('lost 0, duplicated 0, no overspend, and the books agree', async () => {
  const result = await reconcile(stack, 60000);
  agree(result);
  equal(count.other, 0, JSON.stringify(count));
  const small = await stack.rest.get('/v1/budgets/small.main/status');
  console.log(`# ${JSON.stringify(count)}, ${result.ledgerRows} records, ${result.corrected} corrected, `
    + `small spent ${small.spent_nanousd} of ${small.limit_nanousd}`);
  assert(BigInt(small.spent_nanousd) <= BigInt(small.limit_nanousd), 'overspent');
  assert(count[402] > 0 && count[200] > 500, JSON.stringify(count));
  const audit = await stack.rest.post('/v1/audit/money', {});
  equal(audit.differences, 0, JSON.stringify(audit.findings.slice(0, 5)));
  assert(audit.usage_rows >= count[200], `${audit.usage_rows} rows`);
}, { timeout: 120000 });

test('replicas share the periodic audit', async () => {
  const at = Date.now();
  const runs = new Set();
  await until('three more runs', async () => {
    const latest = await stack.rest.get('/v1/audit/money');
    if (latest.actor === '' && Date.parse(latest.at) > at)
      runs.add(latest.id);
    equal(latest.differences, 0, JSON.stringify(latest.findings.slice(0, 5)));
    return runs.size >= 3;
  });
  equal(await metric(replicas[1], 'headgate_money_audit_differences'), 0);
});

await run();
