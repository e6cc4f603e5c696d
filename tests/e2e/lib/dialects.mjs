// SPDX-License-Identifier: Apache-2.0
// A provider of every dialect, all of them the simulator, with one route to
// each, and a second simulator to compare with that nobody is billed for.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import { item, providerKey, tenant } from './fixture.mjs';
import { Provider } from './stack.mjs';
import { equal } from './tap.mjs';

const aws = { access_key_id: 'AKIDSIMULATED', secret_access_key: 'sim/secret+key', session_token: 'st==' };
const email = 'agent@acme.iam.gserviceaccount.com';

// tells: details that usage of the dialect splits out.
export const dialects = {
  openai: { at: '/v1', tells: ['cached', 'reasoning'] },
  azure: { dialect: 'azure', spec: { api_version: '2024-10-21' }, tells: ['cached', 'reasoning'] },
  azurev1: { dialect: 'azure', tells: ['cached', 'reasoning'] },
  anthropic: { tells: ['cached', 'reasoning'], thinks: 'signed' },
  gemini: { tells: ['cached', 'reasoning'], thinks: 'signed' },
  vertex: { spec: { region: 'europe-west1', project: 'acme' }, tells: ['cached', 'reasoning'], thinks: 'signed' },
  bedrock: { spec: { region: 'us-east-1', credential: aws }, tells: ['cached'], thinks: 'signed' },
  bedrockkey: { dialect: 'bedrock', spec: { region: 'us-east-1', auth: 'bearer', credential: 'bedrock-api-key' },
    tells: ['cached'], thinks: 'signed' },
  mistral: { at: '/mistral', tells: [] },
  cohere: { tells: [], thinks: 'plain' },
  ollama: { tells: [], thinks: 'plain' },
  vllm: { dialect: 'openai', at: '/vllm/v1', tells: ['cached', 'reasoning'], thinks: 'plain' },
  deepseek: { dialect: 'openai', at: '/deepseek/v1', tells: ['reasoning'], thinks: 'plain' },
};
export const names = Object.keys(dialects);

const line = (cls, usd) => ({ class: cls, usd_per_mtok: usd });
const chatPrices = [line('input', '2.50'), line('cache_read', '0.31'), line('cache_write_5m', '3.125'),
  line('cache_write_1h', '5.001'), line('output', '10.00'), line('reasoning', '12.345678901')];
const models = {
  chat: { kind: 'chat', max_output_tokens: 8192, context_tokens: 200000, prices: chatPrices,
    capabilities: ['chat', 'tools', 'json_schema', 'vision', 'documents', 'reasoning', 'responses', 'completions'] },
  embed: { kind: 'embeddings', context_tokens: 8192, dimensions: 64, prices: [line('input', '0.02')],
    capabilities: ['embeddings'] },
  media: { kind: 'chat', max_output_tokens: 8192, context_tokens: 200000,
    prices: [...chatPrices, line('audio_in', '6'), line('audio_out', '12'), line('image_in', '10'),
      line('image_out', '40'), line('audio_seconds', '100'), line('characters', '15'),
      line('images', '40000'), line('search_units', '2000')],
    capabilities: ['chat', 'completions', 'moderations', 'images', 'audio', 'rerank', 'responses'] },
};

function writeModels(dir, key, sims) {
  const list = Object.entries({ ...models, ...sims }).map(([id, { capabilities, ...m }]) => ({ id, ...m }));
  const file = path.join(dir, 'dialects.json');
  fs.writeFileSync(file, JSON.stringify({
    models: list,
    aws: { access_key: aws.access_key_id, secret_key: aws.secret_access_key,
      session_token: aws.session_token, bearer: 'bedrock-api-key', region: 'us-east-1' },
    google: { client_email: email, public_key: key.publicKey },
  }));
  return file;
}

function credential(name, url, key) {
  if (name !== 'vertex')
    return providerKey;
  return { type: 'service_account', project_id: 'acme', client_email: email, private_key_id: 'k1',
    private_key: key.privateKey, token_uri: `${url}/token` };
}

// Items of every provider, model and route: NAME-chat, NAME-embed, NAME-media,
// and NAME-lenient, a route that drops what it cannot carry.
function catalog(url, key) {
  const items = Object.entries(models).map(([id, m]) => item('model', id, {
    context_tokens: m.context_tokens, capabilities: m.capabilities, prices: m.prices,
    ...(m.max_output_tokens ? { max_output_tokens: m.max_output_tokens } : {}),
  }));
  for (const [name, d] of Object.entries(dialects)) {
    items.push(item('provider', name, { dialect: d.dialect ?? name, base_url: `${url}${d.at ?? ''}`,
      credential: credential(name, url, key), ...d.spec }));
    for (const id of Object.keys(models)) {
      items.push(item('deployment', `${name}-${id}`, { model: id, provider: name, upstream_model: id }));
      items.push(item('route', `${name}-${id}`, { targets: [{ deployment: `${name}-${id}` }] }));
    }
    items.push(item('route', `${name}-lenient`, { lenient: true, targets: [{ deployment: `${name}-chat` }] }));
  }
  return items;
}

// The whole stage. `more`: further items, `sims`: further models of the
// simulator. Gives {agent, key, keys, direct}.
export async function stage(stack, { more = [], keys = [], sims = {} } = {}) {
  const key = crypto.generateKeyPairSync('rsa', { modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });
  const file = writeModels(stack.dir, key, sims);
  await stack.startProvider({ models: file, apiKey: providerKey, canaries: ['hg-'] });
  const direct = await new Provider(stack, 'direct', { models: file, apiKey: providerKey }).start();
  await stack.startControl({ args: ['--store-unsafe-fast'] });
  const agent = stack.agent('agent-1', { args: ['--forward-sim-headers'] });
  const { secrets } = await stack.apply([...catalog(stack.provider.url, key),
    ...tenant('acme', ['app', ...keys], { budget: '1000.00' }), ...more]);
  await agent.start();
  await stack.settled();
  return { agent, direct, secrets, key: secrets['acme.team.project.app'] };
}

// x-sim-* fields of knobs.
export function sim(knobs = {}) {
  return Object.fromEntries(Object.entries(knobs).map(([k, v]) => [`x-sim-${k.replaceAll('_', '-')}`, String(v)]));
}

// Steps for the next requests that hold `text` in their body.
export async function scenario(provider, steps) {
  const r = await fetch(`${provider.url}/sim/scenario`, { method: 'POST', body: JSON.stringify(steps) });
  equal(r.status, 200, 'status of the scenario');
  await r.text();
}

// The last request whose body holds `text`, with its body read.
export async function arrived(provider, text) {
  const seen = (await provider.last()).reverse().find((r) => r.body.includes(text));
  return seen && { head: seen.head, body: JSON.parse(seen.body), text: seen.body };
}
