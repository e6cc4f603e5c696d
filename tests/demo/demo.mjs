// SPDX-License-Identifier: Apache-2.0
// The demo: an admin declares budgets, agents in two regions enforce them
// while three official SDKs talk through them to four kinds of providers, one
// agent is killed, a key is revoked, and the bill is compared with the
// providers' own.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { sdks } from '../e2e/lib/ask.mjs';
import * as bill from '../e2e/lib/bill.mjs';
import { bin, delay, root, until } from '../e2e/lib/proc.mjs';
import { Stack } from '../e2e/lib/stack.mjs';

const run = promisify(execFile);
const keep = process.env.DEMO_KEEP !== '0';
const out = path.join(root, 'build/demo');
const began = Date.now();
const wanted = 360; // chat requests of the main load
const sum = { requests: 0, streams: 0, refused_budget: 0, refused_rate: 0 };
const bySdk = {};
let stack;

function say(text) {
  console.log(`[${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s] ${text}`);
}

const usd = (nano) => {
  const n = BigInt(nano);
  return `$${n / 1000000000n}.${String(n % 1000000000n).padStart(9, '0')}`;
};

function table(head, rows) {
  const all = [head, ...rows.map((r) => r.map(String))];
  const width = head.map((_, i) => Math.max(...all.map((r) => r[i].length)));
  const line = (r) => `  ${r.map((c, i) => (/^[-$\d]/.test(c) ? c.padStart(width[i]) : c.padEnd(width[i]))).join('  ')}`;
  console.log([line(head), `  ${width.map((w) => '-'.repeat(w)).join('  ')}`, ...all.slice(1).map(line)].join('\n'));
}

// The admin CLI, with a context of its own.
async function cli(...args) {
  const env = { ...process.env, HEADGATE_CONFIG: path.join(out, 'contexts.json') };
  try {
    const { stdout } = await run(path.join(bin, 'headgate'), args, { env, maxBuffer: 1 << 26 });
    return stdout;
  } catch (error) {
    throw new Error(`headgate ${args.join(' ')}: ${error.stderr || error.message}`);
  }
}

const cliJson = async (...args) => JSON.parse(await cli(...args, '-o', 'json'));

// The default ports when all of them are free, else any from the kernel.
async function choosePorts() {
  const all = [7400, 7401, 7402, 7410, 7411, 7412, 7413, 7420];
  const free = await Promise.all(all.map((port) => new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)));
  })));
  return free.every(Boolean) ? all : all.map(() => 0);
}

// PostgreSQL may run as another user, who must be able to reach its folder.
function runFolder() {
  const reachable = (dir) => {
    for (let d = dir; ; d = path.dirname(d)) {
      if (fs.existsSync(d) && (fs.statSync(d).mode & 0o1) === 0)
        return false;
      if (d === path.dirname(d))
        return true;
    }
  };
  const here = path.join(out, 'run');
  fs.rmSync(here, { recursive: true, force: true });
  if (process.getuid() !== 0 || reachable(out))
    return here;
  const elsewhere = fs.mkdtempSync(path.join(os.tmpdir(), 'headgate-demo-'));
  fs.symlinkSync(elsewhere, here);
  return elsewhere;
}

// examples/acme with the address that the simulator really has.
function configFolder(providerUrl) {
  const dir = path.join(out, 'acme');
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { recursive: true });
  const from = path.join(root, 'examples/acme');
  for (const name of fs.readdirSync(from).filter((n) => n.endsWith('.yaml'))) {
    const text = fs.readFileSync(path.join(from, name), 'utf8');
    fs.writeFileSync(path.join(dir, name), text.replaceAll('http://127.0.0.1:7420', providerUrl));
  }
  return dir;
}

function paragraphs() {
  const dir = path.join(root, 'examples/prompts');
  return fs.readdirSync(dir).filter((n) => n.endsWith('.txt')).sort()
    .flatMap((n) => fs.readFileSync(path.join(dir, n), 'utf8').split(/\n\s*\n/))
    .map((p) => p.trim()).filter((p) => p.length > 80);
}

async function start() {
  fs.mkdirSync(out, { recursive: true });
  fs.rmSync(path.join(out, 'contexts.json'), { force: true });
  const [rest, channel, publish, data1, status1, data2, status2, sim] = await choosePorts();
  stack = new Stack({ dir: runFolder(), detached: true });
  await stack.startProvider({
    models: path.join(root, 'tests/demo/models.json'), port: sim,
    apiKey: 'sk-simulator-0123456789abcdef', canaries: ['hg-'],
  });
  say(`provider simulator       ${stack.provider.url}`);
  await stack.startControl({ ports: { rest, channel, publish } });
  say(`control plane, Postgres  ${stack.control.url}`);
  await cli('login', stack.control.url, '--token-file', stack.control.tokenFile);

  const dir = configFolder(stack.provider.url);
  const plan = (await cli('apply', '-f', dir, '--dry-run')).trim().split('\n');
  say(`headgate apply --dry-run: ${plan.at(-1)}`);
  const applied = await cliJson('apply', '-f', dir, '-m', 'the first configuration');
  const keys = Object.fromEntries(applied.created_secrets.map((s) => [s.name, s.secret]));
  say(`headgate apply: config version ${applied.version}, ${applied.changes.length} items, ${Object.keys(keys).length} keys`);

  for (const [region, data, status] of [['eu', data1, status1], ['us', data2, status2]]) {
    const agent = stack.agent(`agent-${region}`, { ports: { data, status } });
    agent.joinToken = async () => (await cliJson('agent', 'token', '--group', region,
      '--region', region, '--expires', '1h', '--max-uses', '1')).token;
    await agent.start();
    say(`agent in region ${region}       ${agent.url}`);
  }
  await stack.settled();
  return keys;
}

// One chat request with an official SDK. Returns its status (0: no answer).
async function chat(agent, key, model, text, stream, { retries = 4, cap = 96, sdk = 0 } = {}) {
  const [name, ask] = sdks[sdk];
  sum.requests += 1;
  sum.streams += stream ? 1 : 0;
  bySdk[name] = (bySdk[name] ?? 0) + 1;
  try {
    if (await ask(agent, key, model, text, stream, { retries, cap }) === 0)
      throw new Error('an empty answer');
    return 200;
  } catch (error) {
    if (error.status === 402)
      sum.refused_budget += 1;
    else if (error.status === 429)
      sum.refused_rate += 1;
    return error.status ?? 0;
  }
}

// The main load; in its middle the agent in the US is killed.
async function mainLoad(keys, texts) {
  const users = [
    [keys['acme.research.chat.app'], ['gpt-4o', 'claude-sonnet', 'gemini-flash', 'nova-pro']],
    [keys['acme.support.helpdesk.app'], ['gpt-4o-mini']],
    [keys['globex.trading.analyst.app'], ['claude-sonnet', 'gpt-4o', 'nova-pro', 'gemini-flash']],
    [keys['acme.research.chat.laptop'], ['gpt-4o-mini', 'gemini-flash', 'claude-sonnet']],
  ];
  const statuses = {};
  let next = 0;
  let done = 0;
  const client = async () => {
    while (next < wanted) {
      const i = next++;
      const [key, models] = users[i % users.length];
      const round = Math.floor(i / users.length);
      const model = models[Math.floor(round / sdks.length) % models.length];
      const agent = stack.agents[Math.floor(i / users.length) % 2];
      const status = await chat(agent, key, model, texts[i % texts.length], Math.floor(i / 8) % 2 === 0,
        { sdk: round % sdks.length });
      statuses[status] = (statuses[status] ?? 0) + 1;
      done += 1;
      if (done % 120 === 0)
        say(`  ${done} of ${wanted} chat requests`);
    }
  };
  const clients = Array.from({ length: 16 }, client);
  const killer = (async () => {
    await until('a third of the load', () => done > wanted / 3, 60000, 5);
    const [, us] = stack.agents;
    const { active } = await stack.provider.stats();
    await us.proc.kill();
    const killed = Date.now();
    say(`agent-us killed (SIGKILL) with ${active} requests under way`);
    await us.start();
    say(`agent-us is back after ${Date.now() - killed} ms`);
  })();
  await Promise.all([...clients, killer]);
  for (const region of [0, 1]) {
    const embedder = stack.agents[region].client(keys['acme.research.search.indexer'], { maxRetries: 4 });
    for (let i = 0; i < 10; i++)
      await embedder.embeddings.create({ model: 'text-embedding-3-small', input: texts.slice(i, i + 4) });
  }
  say(`${Object.entries(bySdk).map(([name, n]) => `${n} with ${name}`).join(', ')}`);
  say(`main load: ${JSON.stringify(statuses)} by status (0: cut off when the agent was killed)`);
}

async function hardBudget(keys, texts) {
  const key = keys['initech.tps.reports.app'];
  let ok = 0;
  const clients = Array.from({ length: 8 }, async (_, c) => {
    for (let i = 0; i < 15; i++) {
      const status = await chat(stack.agents[(c + i) % 2], key, 'gpt-4o',
        texts[(c * 15 + i) % texts.length], i % 2 === 0, { cap: 64, sdk: (c + i) % sdks.length });
      ok += status === 200 ? 1 : 0;
    }
  });
  await Promise.all(clients);
  say(`initech: ${ok} requests served, ${sum.refused_budget} refused by its HARD budget (402)`);
}

async function rateLimit(keys, texts) {
  const key = keys['globex.trading.analyst.burst'];
  await Promise.all(Array.from({ length: 40 }, (_, i) =>
    chat(stack.agents[0], key, 'gpt-4o-mini', texts[i % texts.length], false, { retries: 0 })));
  say(`globex: a burst of 40 requests, ${sum.refused_rate} refused by its rate limit (429)`);
}

// Revoke a key; time until each agent refuses it.
async function revoke(keys) {
  const name = 'acme.research.chat.laptop';
  const status = async (agent) => {
    const r = await fetch(`${agent.url}/v1/models`, { headers: { authorization: `Bearer ${keys[name]}` } });
    await r.text();
    return r.status;
  };
  for (const agent of stack.agents) {
    if (await status(agent) !== 200)
      throw new Error(`the key is refused on ${agent.name} before it was revoked`);
  }
  const before = Date.now();
  const revoked = cli('key', 'revoke', name);
  const times = await Promise.all(stack.agents.map(async (agent) => {
    await until(`${agent.name} to refuse the key`, async () => await status(agent) === 401, 10000, 2);
    return Date.now() - before;
  }));
  await revoked;
  say(`key ${name} revoked: refused after ${stack.agents.map((a, i) => `${times[i]} ms by ${a.name}`).join(', ')}`);
  return times;
}

async function correct() {
  await bill.shipped(stack, 30000);
  const oracle = await stack.provider.bill();
  const items = bill.corrections(oracle, await bill.ledger(stack.rest));
  if (items.length > 0) {
    const file = path.join(out, 'provider-bill.json');
    fs.writeFileSync(file, JSON.stringify({ items }, null, 1));
    const said = await cli('usage', 'correct', file, '--reason', 'after the crash of agent-us');
    say(`estimates of the crash: ${items.length}; headgate usage correct: ${said.trim()}`);
  } else {
    say('the crash left no estimates behind');
  }
  return bill.compare(oracle, await bill.ledger(stack.rest));
}

async function printBill(result) {
  const month = new Date().toISOString().slice(0, 7);
  console.log(`\nheadgate report chargeback --month ${month} --by tenant,project,model\n`);
  console.log(await cli('report', 'chargeback', '--month', month, '--by', 'tenant,project,model'));
  const report = await stack.rest.get(`/v1/reports/chargeback?month=${month}&group_by=tenant`);
  const perTenant = report.rows.map((r) => [r.tenant, String(r.requests), usd(r.cost_nanousd)]);
  perTenant.push(['all, by Headgate', String(report.totals.requests), usd(report.totals.cost_nanousd)]);
  perTenant.push(['all, by the provider', String(result.oracleRows), usd(result.oracleCost)]);
  table(['bill', 'requests', 'cost'], perTenant);
  console.log('');
  if (BigInt(report.totals.cost_nanousd) !== result.oracleCost)
    throw new Error('the report is not the provider\'s bill');
}

async function summarise(result, version) {
  const status = await stack.rest.get('/v1/budgets/initech.monthly/status');
  const ledgerMap = await bill.ledger(stack.rest);
  const billed = [...ledgerMap.values()].filter((e) => Object.values(e.tokens).some((n) => n !== 0));
  return {
    ...sum,
    ledger_rows: billed.length,
    oracle_rows: result.oracleRows,
    lost: result.lost.length,
    duplicated: result.duplicated.length,
    oracle_cost_nanousd: Number(result.oracleCost),
    ledger_cost_nanousd: Number(result.ledgerCost),
    budget_limit_nanousd: Number(status.limit_nanousd),
    budget_spent_nanousd: Number(status.spent_nanousd),
    agents: 2,
    config_version: version,
    by_sdk: bySdk,
    oracle_rows_by_provider: (await stack.provider.bill()).reduce((all, row) =>
      ({ ...all, [row.dialect]: (all[row.dialect] ?? 0) + 1 }), {}),
  };
}

async function check(s, result) {
  const stats = await stack.provider.stats();
  const wrong = [];
  const must = (ok, text) => ok || wrong.push(text);
  must(s.requests >= 300, `only ${s.requests} requests`);
  must(s.streams * 3 >= s.requests, `only ${s.streams} streams`);
  must(Object.keys(s.by_sdk).length === 3, `SDKs: ${JSON.stringify(s.by_sdk)}`);
  must(Object.values(s.oracle_rows_by_provider).filter((n) => n >= 20).length >= 4,
    `providers: ${JSON.stringify(s.oracle_rows_by_provider)}`);
  must(s.refused_budget > 0, 'no budget refusal');
  must(s.refused_rate > 0, 'no rate refusal');
  must(s.lost === 0, `lost: ${result.lost.slice(0, 3)}`);
  must(s.duplicated === 0, `duplicated: ${result.duplicated.slice(0, 3)}`);
  must(result.phantom.length === 0, `billed but unknown to the provider: ${result.phantom.length}`);
  must(s.oracle_cost_nanousd === s.ledger_cost_nanousd, 'the costs differ');
  must(s.ledger_rows === s.oracle_rows, `${s.ledger_rows} ledger rows, ${s.oracle_rows} of the provider`);
  must(s.budget_spent_nanousd <= s.budget_limit_nanousd, 'the HARD budget was overspent');
  must(stats.forbidden === 0, `client keys reached the provider: ${stats.forbidden_sample}`);
  if (wrong.length > 0)
    throw new Error(wrong.join('; '));
}

function starttime(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

function leaveRunning(keys) {
  const order = [...stack.agents.map((a) => a.proc), stack.control.proc, stack.provider.proc];
  fs.writeFileSync(path.join(out, 'pids'),
    order.map((p) => `${p.name} ${p.pid} ${starttime(p.pid)}\n`).join(''));
  for (const p of order)
    p.release();
  const [eu, us] = stack.agents;
  const key = 'acme.research.chat.app';
  fs.writeFileSync(path.join(out, 'keys.json'), JSON.stringify(keys, null, 1), { mode: 0o600 });
  const relative = (file) => path.relative(process.cwd(), file) || '.';
  console.log(`Everything is left running (stop it with: make down)

  control plane   ${stack.control.url}/v1     owner token in ${relative(stack.control.tokenFile)}
  agent eu        ${eu.url}/v1     status ${eu.statusUrl}
  agent us        ${us.url}/v1     status ${us.statusUrl}
  provider        ${stack.provider.url}     its bill: /sim/bill
  keys            ${relative(path.join(out, 'keys.json'))}

Next, for example:

  export HEADGATE_CONFIG=${relative(path.join(out, 'contexts.json'))} PATH=${relative(bin)}:$PATH
  headgate agent list
  headgate budget status initech.monthly
  headgate version list
  curl -s ${eu.url}/v1/chat/completions -H "authorization: Bearer $(jq -r '."${key}"' ${relative(path.join(out, 'keys.json'))})" \\
    -H 'content-type: application/json' -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'
`);
}

try {
  const keys = await start();
  const texts = paragraphs();
  say(`${texts.length} prompts of real prose; three official SDKs talk to both agents`);
  await mainLoad(keys, texts);
  await hardBudget(keys, texts);
  await rateLimit(keys, texts);
  await revoke(keys);
  const version = await stack.settled();
  const result = await correct();
  await printBill(result);
  const summary = await summarise(result, version);
  fs.writeFileSync(path.join(out, 'summary.json'), `${JSON.stringify(summary, null, 1)}\n`);
  console.log(`build/demo/summary.json: ${JSON.stringify(summary)}\n`);
  await check(summary, result);
  if (keep)
    leaveRunning(keys);
  else
    await stack.stop();
  say(`done, in ${((Date.now() - began) / 1000).toFixed(0)} s`);
  console.log('demo: ok');
  process.exit(0);
} catch (error) {
  console.error(`demo: failed: ${error.stack ?? error}`);
  if (stack)
    console.error(`demo: logs are in ${stack.dir}`);
  await delay(0);
  process.exit(1);
}
