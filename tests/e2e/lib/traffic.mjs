// SPDX-License-Identifier: Apache-2.0
// Random but repeatable traffic: every client dialect, as raw HTTP bodies, and
// knobs for the simulator. What it asks for can be carried to every provider.
import http from 'node:http';

// Numbers from a seed (SplitMix32): the same each time.
export class Random {
  constructor(seed) { this.state = seed >>> 0; }

  next() {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  below(n) { return this.next() % n; }
  between(a, b) { return a + this.below(b - a + 1); }
  chance(percent) { return this.below(100) < percent; }
  pick(list) { return list[this.below(list.length)]; }
}

const words = ('the a river field gate water canal stone rain measure farmer share right '
  + 'spring autumn harvest ledger honest turn wheel flow north basin level \u00fcber caf\u00e9 \u6c34').split(' ');

export function sentence(r, n) {
  return Array.from({ length: n }, () => r.pick(words)).join(' ');
}

const schema = {
  type: 'object', required: ['city'],
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
};
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

// What a conversation has, in no dialect.
export function conversation(r) {
  const thinking = r.chance(12);
  return {
    system: r.chance(50) ? sentence(r, r.between(3, 20)) : null,
    turns: Array.from({ length: r.chance(25) ? 3 : 1 }, () => sentence(r, r.between(2, 60))),
    tools: r.chance(20), toolTurn: r.chance(8), image: r.chance(6),
    thinking, cap: thinking ? 8000 : r.between(1, 3) * 40,
    usage: r.chance(50), array: r.chance(30),
  };
}

const callId = 'a1B2c3D4e';

function chatBody(c, model, stream) {
  const messages = c.system ? [{ role: 'system', content: c.system }] : [];
  c.turns.forEach((text, i) => messages.push(i % 2 ? { role: 'assistant', content: text }
    : { role: 'user', content: c.image && i === 0
      ? [{ type: 'text', text }, { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } }] : text }));
  if (c.toolTurn)
    messages.push({ role: 'assistant', content: null, tool_calls: [{ id: callId, type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } }] },
      { role: 'tool', tool_call_id: callId, content: '{"degrees": 4}' });
  return {
    model, messages, max_completion_tokens: c.cap, ...(stream ? { stream } : {}),
    ...(stream && c.usage ? { stream_options: { include_usage: true } } : {}),
    ...(c.tools || c.toolTurn ? { tools: [{ type: 'function', function: { name: 'weather', description: 'Weather', parameters: schema } }] } : {}),
  };
}

function responsesBody(c, model, stream) {
  const input = c.turns.map((text, i) => (i % 2 ? { role: 'assistant', content: text }
    : { role: 'user', content: c.image && i === 0
      ? [{ type: 'input_text', text }, { type: 'input_image', detail: 'auto', image_url: `data:image/png;base64,${png}` }] : text }));
  if (c.toolTurn)
    input.push({ type: 'function_call', call_id: callId, name: 'weather', arguments: '{"city":"Oslo"}' },
      { type: 'function_call_output', call_id: callId, output: '{"degrees": 4}' });
  return {
    model, input, max_output_tokens: c.cap, store: false, ...(stream ? { stream } : {}),
    ...(c.system ? { instructions: c.system } : {}),
    ...(c.tools || c.toolTurn ? { tools: [{ type: 'function', name: 'weather', description: 'Weather', parameters: schema, strict: false }] } : {}),
  };
}

function messagesBody(c, model, stream) {
  const messages = c.turns.map((text, i) => (i % 2 ? { role: 'assistant', content: text }
    : { role: 'user', content: c.image && i === 0
      ? [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } }, { type: 'text', text }] : text }));
  if (c.toolTurn)
    messages.push({ role: 'assistant', content: [{ type: 'tool_use', id: callId, name: 'weather', input: { city: 'Oslo' } }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: callId, content: '{"degrees": 4}' }] });
  return {
    model, messages, max_tokens: c.cap, ...(stream ? { stream } : {}),
    ...(c.system ? { system: c.system } : {}),
    ...(c.thinking && !c.toolTurn ? { thinking: { type: 'enabled', budget_tokens: 2000 } } : {}),
    ...(c.tools || c.toolTurn ? { tools: [{ name: 'weather', description: 'Weather', input_schema: schema }] } : {}),
  };
}

function geminiBody(c) {
  const contents = c.turns.map((text, i) => ({
    role: i % 2 ? 'model' : 'user',
    parts: [{ text }, ...(c.image && i === 0 ? [{ inlineData: { mimeType: 'image/png', data: png } }] : [])],
  }));
  if (c.toolTurn)
    contents.push({ role: 'model', parts: [{ functionCall: { name: 'weather', args: { city: 'Oslo' } } }] },
      { role: 'user', parts: [{ functionResponse: { name: 'weather', response: { degrees: 4 } } }] });
  return {
    contents, generationConfig: { maxOutputTokens: c.cap },
    ...(c.system ? { systemInstruction: { parts: [{ text: c.system }] } } : {}),
    ...(c.tools || c.toolTurn ? { tools: [{ functionDeclarations: [{ name: 'weather', description: 'Weather', parametersJsonSchema: schema }] }] } : {}),
  };
}

const bearer = (key) => ({ authorization: `Bearer ${key}` });
const anthropic = (key) => ({ 'x-api-key': key, 'anthropic-version': '2023-06-01' });

// How each client dialect asks: {path, headers, body}.
export const clients = {
  chat: (c, model, stream, key) => ({
    path: '/v1/chat/completions', headers: bearer(key), body: chatBody(c, model, stream) }),
  azure: (c, model, stream, key) => ({
    path: `/openai/deployments/${model}/chat/completions?api-version=2024-10-21`,
    headers: { 'api-key': key }, body: chatBody(c, model, stream) }),
  responses: (c, model, stream, key) => ({
    path: '/v1/responses', headers: bearer(key), body: responsesBody(c, model, stream) }),
  messages: (c, model, stream, key) => ({
    path: '/v1/messages', headers: anthropic(key), body: messagesBody(c, model, stream) }),
  gemini: (c, model, stream, key) => ({
    path: `/v1beta/models/${model}:${stream ? `streamGenerateContent${c.array ? '' : '?alt=sse'}` : 'generateContent'}`,
    headers: { 'x-goog-api-key': key }, body: geminiBody(c) }),
};

// Multipart by hand.
export function form(fields, file) {
  const mark = 'headgate-test-boundary';
  const parts = Object.entries(fields).map(([name, value]) =>
    `--${mark}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
  parts.push(`--${mark}\r\ncontent-disposition: form-data; name="${file.name}"; filename="${file.filename}"\r\n`
    + `content-type: ${file.type}\r\n\r\n`);
  return {
    type: `multipart/form-data; boundary=${mark}`,
    body: Buffer.concat([Buffer.from(parts.join('')), file.data, Buffer.from(`\r\n--${mark}--\r\n`)]),
  };
}

// A second of silence.
export function wav(seconds) {
  const data = Buffer.alloc(44 + 16000 * seconds);
  data.write('RIFF', 0);
  data.writeUInt32LE(data.length - 8, 4);
  data.write('WAVEfmt ', 8);
  data.writeUInt32LE(16, 16);
  data.writeUInt16LE(1, 20);
  data.writeUInt16LE(1, 22);
  data.writeUInt32LE(8000, 24);
  data.writeUInt32LE(16000, 28);
  data.writeUInt16LE(2, 32);
  data.writeUInt16LE(16, 34);
  data.write('data', 36);
  data.writeUInt32LE(data.length - 44, 40);
  return data;
}

// What is not a conversation; `model` is a route. {op, path, body or form}
export const others = {
  embeddings: (r, model) => ({
    path: '/v1/embeddings',
    body: { model, input: r.chance(20) ? [[1, 2, 3], [4, 5]] : Array.from({ length: r.between(1, 3) }, () => sentence(r, r.between(1, 30))),
      dimensions: 8, ...(r.chance(50) ? { encoding_format: 'base64' } : {}) } }),
  embed_content: (r, model) => ({
    path: `/v1beta/models/${model}:embedContent`, google: true,
    body: { content: { parts: [{ text: sentence(r, r.between(1, 30)) }] } } }),
  completions: (r, model, stream) => ({
    path: '/v1/completions',
    body: { model, prompt: sentence(r, r.between(1, 40)), max_tokens: 60, ...(stream ? { stream } : {}) } }),
  moderations: (r, model) => ({ path: '/v1/moderations', body: { model, input: sentence(r, 9) } }),
  images: (r, model) => ({
    path: '/v1/images/generations', body: { model, prompt: sentence(r, 9), n: r.between(1, 3), size: '1024x1024' } }),
  image_edits: (r, model) => ({
    path: '/v1/images/edits',
    form: form({ model, prompt: sentence(r, 7), n: r.between(1, 2) },
      { name: 'image', filename: 'a.png', type: 'image/png', data: Buffer.from(png, 'base64') }) }),
  transcriptions: (r, model, stream) => ({
    path: '/v1/audio/transcriptions',
    form: form({ model, ...(stream ? { stream: 'true' } : {}) },
      { name: 'file', filename: 'a.wav', type: 'audio/wav', data: wav(r.between(1, 4)) }) }),
  translations: (r, model) => ({
    path: '/v1/audio/translations',
    form: form({ model }, { name: 'file', filename: 'a.wav', type: 'audio/wav', data: wav(r.between(1, 4)) }) }),
  speech: (r, model) => ({
    path: '/v1/audio/speech', body: { model, voice: 'alloy', input: sentence(r, r.between(2, 40)) } }),
  rerank: (r, model) => ({
    path: '/v1/rerank', body: { model, query: sentence(r, 4), documents: Array.from({ length: r.between(1, 120) }, () => sentence(r, 5)), top_n: 2 } }),
  count_tokens: (r, model) => ({
    path: '/v1/messages/count_tokens', anthropic: true,
    body: { model, messages: [{ role: 'user', content: sentence(r, 9) }] } }),
  gemini_count_tokens: (r, model) => ({
    path: `/v1beta/models/${model}:countTokens`, google: true,
    body: { contents: [{ role: 'user', parts: [{ text: sentence(r, 9) }] }] } }),
};

const pool = new http.Agent({ keepAlive: true, maxSockets: 256 });

// Sends and reads to the end, or leaves: after `leave.chunks` pieces of the
// answer, or after `leave.ms`. {status, headers, size, head, left}
export function send(url, { path, headers, body, form: f }, leave = {}) {
  const data = f ? f.body : Buffer.from(JSON.stringify(body));
  const { hostname, port } = url;
  return new Promise((resolve) => {
    const got = { status: 0, headers: {}, size: 0, head: '', left: false };
    let timer;
    let over = false;
    const done = (how) => {
      if (over)
        return;
      over = true;
      clearTimeout(timer);
      got.how = how;
      resolve(got);
    };
    const req = http.request({
      agent: pool, method: 'POST', hostname, port, path,
      headers: { ...headers, 'content-type': f ? f.type : 'application/json', 'content-length': data.length },
    }, (res) => {
      let chunks = 0;
      got.status = res.statusCode;
      got.headers = res.headers;
      res.on('data', (piece) => {
        got.size += piece.length;
        if (got.head.length < 600)
          got.head += piece.toString('latin1', 0, 600);
        chunks += 1;
        if (chunks === leave.chunks) {
          got.left = true;
          req.destroy();
          done('left');
        }
      });
      res.on('end', () => done('end'));
      res.on('error', () => done('cut'));
      res.on('close', () => done('cut'));
    });
    req.on('error', (error) => {
      got.error = error.message;
      done('error');
    });
    if (leave.ms !== undefined) {
      timer = setTimeout(() => {
        got.left = true;
        req.destroy();
        done('left');
      }, leave.ms);
    }
    req.end(data);
  });
}
