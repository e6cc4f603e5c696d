// SPDX-License-Identifier: Apache-2.0
// A small configuration for tests, as items of POST /v1/apply.
import fs from 'node:fs';
import path from 'node:path';

export const providerKey = 'sk-sim-test-0123456789abcdef';

// Prices of both sides; the provider computes with its own code.
const prices = {
  'sim-small': [['input', '0.15'], ['cache_read', '0.075'], ['output', '0.60']],
  'sim-large': [['input', '2.50'], ['cache_read', '1.25'], ['output', '10.00'],
    ['reasoning', '12.345678901']],
  'sim-embed': [['input', '0.02']],
};

function priceLines(model) {
  return prices[model].map(([cls, usd]) => ({ class: cls, usd_per_mtok: usd }));
}

// Writes the provider's models file; knobs: {model: {ttft_ms: ..}}.
export function modelsFile(dir, knobs = {}) {
  const file = path.join(dir, 'models.json');
  const models = Object.keys(prices).map((id) => ({
    id, kind: id === 'sim-embed' ? 'embeddings' : 'chat',
    context_tokens: 128000, max_output_tokens: 4096, dimensions: 64,
    prices: priceLines(id), knobs: knobs[id] ?? {},
  }));
  fs.writeFileSync(file, JSON.stringify({ models }));
  return file;
}

export function item(kind, name, spec = {}) {
  return { kind, name, spec };
}

// Provider, models, one deployment and one route for each model.
export function catalog(providerUrl, deployment = {}) {
  const items = [item('provider', 'sim', {
    dialect: 'openai', base_url: `${providerUrl}/v1`, credential: providerKey,
  })];
  for (const model of Object.keys(prices)) {
    const embed = model === 'sim-embed';
    items.push(item('model', model, {
      context_tokens: 128000,
      ...(embed ? {} : { max_output_tokens: 4096 }),
      capabilities: embed ? ['embeddings'] : ['chat', 'tools', 'json_schema'],
      prices: priceLines(model),
    }));
    items.push(item('deployment', `${model}-1`, {
      model, provider: 'sim', upstream_model: model, region: 'local', ...deployment,
    }));
    items.push(item('route', model, { targets: [{ deployment: `${model}-1` }] }));
  }
  return items;
}

// A tenant with one team, one project and the keys named; budget in USD.
export function tenant(name, keys = ['app'], { budget, mode = 'hard', period = 'month' } = {}) {
  const project = `${name}.team.project`;
  const items = [
    item('tenant', name), item('team', `${name}.team`), item('project', project),
    ...keys.map((k) => (typeof k === 'string'
      ? item('key', `${project}.${k}`) : item('key', `${project}.${k.name}`, k.spec))),
  ];
  if (budget)
    items.push(item('budget', `${name}.main`, { scope: name, limit_usd: budget, mode, period }));
  return items;
}

export function prompt(text = 'Say something kind.', more = {}) {
  return {
    model: 'sim-small', messages: [{ role: 'user', content: text }],
    max_completion_tokens: 64, ...more,
  };
}
