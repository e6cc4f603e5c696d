#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Limits that agents keep together: two agents, one limit; what is admitted in
// all stays within rate x time + burst, all of it can be used through either,
// and an agent that lost the control plane goes on within its part.
import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { delay, until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let agents;
let secrets;

teardown(() => stack.stop());

test('the stack starts: two agents, limits of the fleet and of an agent', async () => {
  await stack.startProvider({
    models: modelsFile(stack.dir, { 'sim-small': { ttft_ms: 2 } }), apiKey: providerKey,
  });
  await stack.startControl();
  const limit = (t, spec) => item('limit', `${t}.limit`, { scope: t, ...spec });
  ({ secrets } = await stack.apply([
    ...catalog(stack.provider.url),
    ...['minute', 'burst', 'alone', 'each', 'places', 'tokens', 'cut'].flatMap((t) => tenant(t)),
    limit('minute', { requests_per_minute: 60 }),
    limit('burst', { requests_per_minute: 600, requests_burst: 10 }),
    limit('alone', { requests_per_minute: 40 }),
    limit('each', { requests_per_minute: 20, across: 'agent' }),
    limit('places', { concurrency: 4 }),
    limit('tokens', { tokens_per_minute: 3000 }),
    limit('cut', { requests_per_minute: 600 }),
  ]));
  agents = [stack.agent('agent-1'), stack.agent('agent-2')];
  for (const a of agents)
    await a.start();
  await stack.settled();
}, { timeout: 120000 });

const key = (t) => secrets[`${t}.team.project.app`];

async function once(agent, t, more = {}) {
  const r = await agent.chat(key(t), prompt('Hello.', {
    max_completion_tokens: 8, x_sim: { tokens: 4 }, ...more }));
  await r.text();
  assert(r.status === 200 || r.status === 429, `status ${r.status}`);
  return r;
}

// Both agents are asked as fast as they answer; returns how many got through.
async function press(t, ms, clients = 2) {
  const end = Date.now() + ms;
  const got = [0, 0];
  let refused = 0;
  await Promise.all(agents.flatMap((a, i) => Array.from({ length: clients }, async () => {
    while (Date.now() < end) {
      const r = await once(a, t);
      got[i] += r.status === 200 ? 1 : 0;
      refused += r.status === 429 ? 1 : 0;
      if (r.status === 429) {
        assert(Number(r.headers.get('retry-after-ms')) > 0, 'no time to come back');
        await delay(10);
      }
    }
  })));
  return { got, sum: got[0] + got[1], refused };
}

test('60 a minute over two agents: never more than the bound, and all of it', async () => {
  const start = Date.now();
  const { sum, got, refused } = await press('minute', 12000);
  const seconds = (Date.now() - start) / 1000;
  assert(refused > 0, 'nothing was refused');
  // one request on credit for each agent
  assert(sum <= 60 + seconds + 2, `${sum} in ${seconds} s (${got})`);
  assert(sum >= 60 + 8, `${sum} of 72 were used (${got})`);
  assert(got[0] > 0 && got[1] > 0, `one agent got nothing (${got})`);
}, { timeout: 60000 });

test('a burst smaller than a minute bounds what comes at once', async () => {
  const start = Date.now();
  const { sum } = await press('burst', 5000, 4);
  const seconds = (Date.now() - start) / 1000;
  assert(sum <= 10 * seconds + 10 + 2, `${sum} in ${seconds} s`);
  assert(sum >= 10 * 4, `${sum} in ${seconds} s`);
}, { timeout: 60000 });

test('through one agent alone all of a limit is to be had', async () => {
  const r = await Promise.all(Array.from({ length: 60 }, () => once(agents[0], 'alone')));
  const ok = r.filter((x) => x.status === 200);
  assert(ok.length >= 40 && ok.length <= 43, `${ok.length} of 40`);
  const last = r.find((x) => x.status === 429);
  equal(last.headers.get('x-ratelimit-limit-requests'), '40');
  equal(last.headers.get('x-ratelimit-remaining-requests'), '0');
});

test('across: agent leaves each agent the whole limit', async () => {
  let ok = 0;
  for (const a of agents) {
    const r = await Promise.all(Array.from({ length: 30 }, () => once(a, 'each')));
    ok += r.filter((x) => x.status === 200).length;
  }
  assert(ok >= 40 && ok <= 44, `${ok} of twice 20`);
});

test('places are divided too and come back', async () => {
  let now = 0;
  let most = 0;
  const end = Date.now() + 6000;
  const done = [0, 0];
  await Promise.all(agents.flatMap((a, i) => Array.from({ length: 4 }, async () => {
    while (Date.now() < end) {
      const r = await a.chat(key('places'), prompt('Hello.', {
        stream: true, max_completion_tokens: 8, x_sim: { tokens: 4, events: 4, gap_ms: 20 } }));
      if (r.status === 200) {
        now += 1;
        most = Math.max(most, now);
        await r.text();
        now -= 1;
        done[i] += 1;
      } else {
        await r.text();
        await delay(20);
      }
    }
  })));
  // The client hears of an end a moment later than the agent counts it.
  assert(most <= 4 + 2, `${most} at once`);
  assert(done[0] > 3 && done[1] > 3, `${done}`);
  await until('places to come back', async () =>
    (await Promise.all([0, 1].map(() => once(agents[0], 'places')))).every((r) => r.status === 200),
  10000);
}, { timeout: 60000 });

test('tokens: what was asked for counts, what was used is corrected', async () => {
  // 3000 tokens: one asks for 2000 and uses a few; a second fits only then.
  const r = [];
  for (let i = 0; i < 4; i++)
    r.push(await once(agents[i % 2], 'tokens', { max_completion_tokens: 900 }));
  equal(r.map((x) => x.status).join(), '200,200,200,200');
  const left = Number(r[3].headers.get('x-ratelimit-remaining-tokens'));
  assert(left > 0 && left <= 3000, `left ${left}`);
  equal(r[3].headers.get('x-ratelimit-limit-tokens'), '3000');
});

test('without the control plane an agent keeps to its part', async () => {
  await press('cut', 4000);
  await stack.control.proc.kill();
  await until('the shares to end', async () => {
    await press('cut', 200);
    const all = await Promise.all(agents.map((a) => a.status()));
    return all.every((s) => s.limits.find((l) => l.limit === 'cut.limit').without_contact);
  }, 20000);
  const start = Date.now();
  const { sum, got } = await press('cut', 6000, 4);
  const seconds = (Date.now() - start) / 1000;
  // The parts are no more than the whole, and so are the bursts.
  assert(sum <= 10 * seconds + 600 + 2, `${sum} in ${seconds} s (${got})`);
  assert(got[0] > 10 && got[1] > 10, `${got}`);
}, { timeout: 60000 });

await run();
