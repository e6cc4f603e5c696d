#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// One OpenAI client, a provider of every dialect behind it: paths, credentials
// and signatures are taken by each, also when they are renewed or replaced.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { catalog, item, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const aws = { access_key_id: 'AKIDSIMULATED', secret_access_key: 'sim/secret+key', session_token: 'st==' };
const email = 'agent@acme.iam.gserviceaccount.com';
let agent;
let key;

teardown(() => stack.stop());

function account(file) {
  const openssl = (...args) => execFileSync('openssl', args, { cwd: stack.dir, stdio: 'pipe' });
  if (!fs.existsSync(path.join(stack.dir, `${file}.key`))) {
    openssl('genrsa', '-out', `${file}.key`, '2048');
    openssl('rsa', '-in', `${file}.key`, '-pubout', '-out', `${file}.pub`);
  }
  return JSON.stringify({ type: 'service_account', project_id: 'acme',
    client_email: email, private_key_id: 'k1',
    private_key: fs.readFileSync(path.join(stack.dir, `${file}.key`), 'utf8'),
    token_uri: `${stack.provider?.url ?? 'http://127.0.0.1:1'}/token` }, null, 2);
}

function providers(url) {
  return {
    openai: { base_url: `${url}/v1`, credential: providerKey },
    classic: { dialect: 'azure', base_url: url, credential: providerKey, api_version: '2024-10-21' },
    azure: { base_url: `${url}/openai`, credential: providerKey },
    azurebearer: { dialect: 'azure', base_url: url, credential: providerKey, auth: 'bearer' },
    anthropic: { base_url: url, credential: providerKey },
    gemini: { base_url: url, credential: providerKey },
    vertex: { base_url: url, region: 'europe-west1', project: 'acme', credential: account('google') },
    bedrock: { base_url: url, region: 'us-east-1', credential: aws },
    bedrockbearer: { dialect: 'bedrock', base_url: url, region: 'us-east-1', auth: 'bearer', credential: 'bedrock-api-key' },
    mistral: { base_url: url, credential: providerKey },
    cohere: { base_url: url, credential: providerKey },
    ollama: { base_url: url, credential: providerKey },
  };
}
const names = ['openai', 'classic', 'azure', 'azurebearer', 'anthropic', 'gemini', 'vertex',
  'bedrock', 'bedrockbearer', 'mistral', 'cohere', 'ollama'];

test('the stack starts with a provider of each dialect', async () => {
  account('google');
  const models = modelsFile(stack.dir);
  fs.writeFileSync(models, JSON.stringify({ ...JSON.parse(fs.readFileSync(models)),
    aws: { access_key: aws.access_key_id, secret_key: aws.secret_access_key,
      session_token: aws.session_token, bearer: 'bedrock-api-key', region: 'us-east-1' },
    google: { client_email: email,
      public_key: fs.readFileSync(path.join(stack.dir, 'google.pub'), 'utf8') } }));
  await stack.startProvider({ models, apiKey: providerKey });
  await stack.startControl();
  const items = Object.entries(providers(stack.provider.url)).flatMap(([name, spec]) => [
    item('provider', `at-${name}`, { dialect: name, ...spec }),
    item('deployment', `by-${name}`, { model: 'sim-small', provider: `at-${name}`, upstream_model: 'sim-small' }),
    item('route', `via-${name}`, { targets: [{ deployment: `by-${name}` }] })]);
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...items, ...tenant('acme', ['app'], { budget: '10' })]);
  key = secrets['acme.team.project.app'];
  agent = await stack.agent('one').start();
}, { timeout: 120000 });

for (const name of names) {
  test(`${name}: plain and streamed`, async () => {
    const more = { model: `via-${name}`, max_completion_tokens: undefined, max_tokens: 64 };
    const plain = await agent.chat(key, { ...prompt(), ...more });
    const body = await plain.text();
    equal(plain.status, 200, body);
    const answer = JSON.parse(body);
    assert(answer.choices[0].message.content.length > 0, 'no text');
    assert(answer.usage.completion_tokens > 0, 'no usage');
    const stream = await agent.client(key).chat.completions.create({
      ...prompt(), ...more, stream: true });
    let text = '';
    for await (const event of stream)
      text += event.choices[0]?.delta?.content ?? '';
    assert(text.length > 0, 'the stream is empty');
  }, { timeout: 30000 });
}

test('a wrong secret is refused by the provider and told without it', async () => {
  await stack.rest.patch('/v1/providers/at-bedrock', {
    credential: { ...aws, secret_access_key: 'sim/canary' } });
  await stack.rest.patch('/v1/providers/at-vertex', { credential: account('stranger') });
  await stack.settled();
  for (const name of ['bedrock', 'vertex']) {
    const r = await agent.chat(key, { ...prompt(), model: `via-${name}` });
    const body = await r.text();
    assert(r.status >= 400, `${name}: ${r.status}`);
    assert(!body.includes('canary') && !body.includes('PRIVATE'), body);
  }
  await stack.rest.patch('/v1/providers/at-bedrock', { credential: aws });
  await stack.settled();
  const r = await agent.chat(key, { ...prompt(), model: 'via-bedrock' });
  equal(r.status, 200, await r.text());
}, { timeout: 60000 });

await run();
