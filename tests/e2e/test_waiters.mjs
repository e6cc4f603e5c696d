#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Requests that wait for rights on a hard budget are served with what another
// one gives back, at whichever worker, without a word of the control plane.
import { agree, reconcile } from './lib/bill.mjs';
import { catalog, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { until } from './lib/proc.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
let agent;
let key;

teardown(() => stack.stop());

test('the stack starts: one agent with three workers', async () => {
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await stack.startControl();
  // 0.15 and 0.6 USD a million tokens: 8,000 of output are 0.0048 USD.
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...tenant('acme', ['app'], { budget: '0.005' })]);
  key = secrets['acme.team.project.app'];
  agent = stack.agent('agent-1', { workers: 3 });
  await agent.start();
  await stack.settled();
}, { timeout: 60000 });

const ask = (cap, knobs, more) => agent.chat(key, prompt('wait', { max_completion_tokens: cap, x_sim: { tokens: 5, ...knobs }, ...more }));
const lease = async () => (await agent.status()).leases.find((l) => l.budget === 'acme.main' && !l.superseded);

test('what one gives back is for those who wait', async () => {
  const large = ask(8000, { ttft_ms: 400 });
  await until('the large one to be in flight', async () => (await lease())?.in_use > 0);
  stack.control.proc.signal('SIGSTOP');
  try {
    const small = Array.from({ length: 6 }, () => ask(1000));
    await until('the others to wait', async () => { // or to come too late for it
      const l = await lease();
      return l.waiting > 0 || l.settled > 0;
    });
    for (const r of await Promise.all([large, ...small])) {
      const text = await r.text();
      equal([r.status, r.headers.get('x-headgate-max-output-tokens')], [200, null], text);
    }
  } finally {
    stack.control.proc.signal('SIGCONT');
  }
  agree(await reconcile(stack));
  const status = await stack.rest.get('/v1/budgets/acme.main/status');
  assert(status.spent_nanousd > 0 && status.spent_nanousd <= status.limit_nanousd);
}, { timeout: 60000 });

const whole = { response_format: { type: 'json_object' } }; // is not made smaller

test('who finds no rights is told why', async () => {
  const large = ask(7500, { ttft_ms: 8000 });
  await until('the large one to be in flight', async () => (await lease())?.in_use > 0);
  stack.control.proc.signal('SIGSTOP');
  try {
    const r = await ask(7500, {}, whole);
    const text = await r.text();
    equal(r.status, 429, text);
    assert(/holds too little of budget acme\.main and its control plane does not answer: 0\.0/.test(text), text);
  } finally {
    stack.control.proc.signal('SIGCONT');
  }
  let r;
  await until('the control plane to be heard, and the rest to be in use', async () => {
    r = await ask(7500, {}, whole);
    const text = await r.text();
    equal(r.status, 429, text);
    return /rest of budget acme\.main is in use by requests in flight: 0\.0/.test(text);
  });
  const told = await (await fetch(`${agent.statusUrl}/v1/explain/${r.headers.get('x-request-id')}`)).json();
  assert(told.waited_us > 1e6 && told.waited_us <= told.duration_us, `waited for ${told.waited_us} us`);
  equal((await large).status, 200, await (await large).text());
}, { timeout: 60000 });

await run();
