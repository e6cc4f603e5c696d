#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Providers behind https: the certificate is verified, by authority and by
// name; nothing is sent to a provider that cannot show one. Private
// authorities, client certificates and proxies of single providers; proxies of
// the environment count for nothing.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';

import { catalog, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const fronts = [];
const proxies = [];
const environment = {};
let trusting;
let strict;
let key;

teardown(async () => {
  for (const f of [...fronts, ...proxies])
    f.server.close();
  await stack.stop();
});

function openssl(...args) {
  execFileSync('openssl', args, { cwd: stack.dir, stdio: 'pipe' });
}

function read(name) {
  return fs.readFileSync(path.join(stack.dir, name), 'utf8');
}

function authority(file, name) {
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-keyout', `${file}.key`, '-out', `${file}.pem`, '-days', '1', '-subj', `/CN=${name}`);
}

// A certificate for `name`, by the authority of this test.
function certificate(file, name) {
  fs.writeFileSync(path.join(stack.dir, `${file}.ext`), `subjectAltName=${name}\n`);
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-keyout', `${file}.key`, '-out', `${file}.csr`, '-subj', '/CN=provider');
  openssl('x509', '-req', '-in', `${file}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key',
    '-CAcreateserial', '-days', '1', '-extfile', `${file}.ext`, '-out', `${file}.pem`);
}

// TLS in front of the simulator; counts what reaches it.
async function front(file, more = {}) {
  const self = { requests: 0, sockets: 0 };
  self.server = https.createServer({ key: read(`${file}.key`), cert: read(`${file}.pem`), ...more },
    (req, res) => {
      self.requests += 1;
      const up = http.request(`${stack.provider.url}${req.url}`,
        { method: req.method, headers: req.headers }, (answer) => {
          res.writeHead(answer.statusCode, answer.headers);
          answer.pipe(res);
        });
      res.on('close', () => up.destroy());
      up.on('error', () => res.destroy());
      req.pipe(up);
    });
  self.server.on('secureConnection', () => { self.sockets += 1; });
  await new Promise((done) => self.server.listen(0, '127.0.0.1', done));
  self.port = self.server.address().port;
  fronts.push(self);
  return self;
}

// A proxy; answers what it is told instead when `status` is set.
async function proxy() {
  const self = { connects: [], plain: [], status: 0 };
  self.server = http.createServer((req, res) => {
    self.plain.push(req.url);
    const up = http.request(req.url, { method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    });
    up.on('error', () => res.destroy());
    req.pipe(up);
  });
  self.server.on('connect', (req, socket, head) => {
    self.connects.push({ to: req.url, headers: req.headers });
    socket.on('error', () => {});
    if (self.status) {
      socket.end(`HTTP/1.1 ${self.status} No\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const [host, port] = req.url.split(':');
    const up = net.connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      up.write(head);
      socket.pipe(up).pipe(socket);
    });
    up.on('error', () => socket.destroy());
    socket.on('close', () => up.destroy());
  });
  await new Promise((done) => self.server.listen(0, '127.0.0.1', done));
  self.url = `http://127.0.0.1:${self.server.address().port}`;
  proxies.push(self);
  return self;
}

test('the stack starts, with providers behind TLS', async () => {
  authority('ca', 'test authority');
  authority('stranger', 'another authority');
  certificate('good', 'DNS:localhost,IP:127.0.0.1');
  certificate('other', 'DNS:elsewhere.example');
  certificate('client', 'DNS:agent.example');
  const trap = await proxy();
  for (const name of ['http_proxy', 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'])
    environment[name] = trap.url;
  environment.no_proxy = '*';
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await front('good');
  await front('other');
  await front('good', { requestCert: true, rejectUnauthorized: true, ca: read('ca.pem') });
  await stack.startControl();
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...tenant('acme', ['app'], { budget: '10' })]);
  key = secrets['acme.team.project.app'];
  trusting = await stack.agent('trusting', {
    args: ['--upstream-ca-file', path.join(stack.dir, 'ca.pem')] }).start();
}, { timeout: 120000 });

// Point the one provider of the catalogue at a URL; the credential is bound
// to its origin and has to come along.
async function point(url, more = {}) {
  const name = (await stack.rest.get('/v1/providers')).items[0].name;
  await stack.rest.patch(`/v1/providers/${name}`, {
    base_url: `${url}/v1`, credential: providerKey, ca_pem: null, client_cert_pem: null,
    proxy_url: null, ...more });
  await stack.settled();
}

async function status(agent) {
  const r = await agent.chat(key, prompt());
  const body = await r.text();
  return { status: r.status, body };
}

for (const host of ['localhost', '127.0.0.1']) {
  test(`https://${host}: plain and streamed, connections are kept`, async () => {
    const before = fronts[0].sockets;
    await point(`https://${host}:${fronts[0].port}`);
    for (let i = 0; i < 6; i++)
      equal((await status(trusting)).status, 200);
    const stream = await trusting.client(key).chat.completions.create({
      ...prompt(), stream: true });
    let text = '';
    for await (const event of stream)
      text += event.choices[0]?.delta?.content ?? '';
    assert(text.length > 0, 'the stream is empty');
    const opened = fronts[0].sockets - before;
    assert(opened <= 4, `${opened} TLS connections for 7 requests`);
  }, { timeout: 30000 });
}

test('a certificate for another name is refused before anything is sent', async () => {
  await point(`https://localhost:${fronts[1].port}`);
  const answer = await status(trusting);
  equal(answer.status, 502);
  assert(!answer.body.includes(providerKey), 'the credential is in the answer');
  equal(fronts[1].requests, 0, 'requests that reached it');
}, { timeout: 30000 });

test('an unknown authority is refused by an agent with the system\'s', async () => {
  const before = fronts[0].requests;
  await point(`https://localhost:${fronts[0].port}`);
  strict = await stack.agent('strict', { env: environment }).start();
  await stack.settled();
  equal((await status(strict)).status, 502);
  equal(fronts[0].requests, before, 'requests that reached it');
  equal((await status(trusting)).status, 200);
}, { timeout: 60000 });

test('an authority of the provider is trusted for it, and no other is', async () => {
  const url = `https://localhost:${fronts[0].port}`;
  await point(url, { ca_pem: read('ca.pem') });
  equal((await status(strict)).status, 200);
  const before = fronts[0].requests;
  await point(url, { ca_pem: read('stranger.pem') });
  equal((await status(strict)).status, 502);
  equal((await status(trusting)).status, 502);
  equal(fronts[0].requests, before, 'requests that reached it');
  await point(url, { ca_pem: read('stranger.pem') + read('ca.pem') });
  equal((await status(strict)).status, 200);
}, { timeout: 60000 });

test('client certificates are shown where they belong', async () => {
  const url = `https://localhost:${fronts[2].port}`;
  const pair = { client_cert_pem: read('client.pem'), client_key: read('client.key') };
  await point(url, { ca_pem: read('ca.pem') });
  equal((await status(strict)).status, 502);
  equal(fronts[2].requests, 0, 'requests without a certificate');
  await point(url, { ca_pem: read('ca.pem'), ...pair });
  for (let i = 0; i < 4; i++)
    equal((await status(strict)).status, 200);
  assert(fronts[2].sockets <= 2, `${fronts[2].sockets} connections for 4 requests`);
  // Neither is the key shown, nor is it lost when something else changes.
  const shown = (await stack.rest.get('/v1/providers')).items[0];
  assert(!JSON.stringify(shown).includes('PRIVATE KEY'), 'the key is shown');
  assert(shown.client_key_version > 0, 'its version is shown');
  await stack.rest.patch(`/v1/providers/${shown.name}`, { max_connections: 3 });
  await stack.settled();
  equal((await status(strict)).status, 200);
}, { timeout: 60000 });

test('the way leads through the proxy of the provider, and only there', async () => {
  const way = await proxy();
  const url = `https://localhost:${fronts[0].port}`;
  await point(url, { ca_pem: read('ca.pem'), proxy_url: way.url });
  equal((await status(strict)).status, 200);
  const stream = await strict.client(key).chat.completions.create({ ...prompt(), stream: true });
  let text = '';
  for await (const event of stream)
    text += event.choices[0]?.delta?.content ?? '';
  assert(text.length > 0, 'the stream is empty');
  assert(way.connects.length >= 1, 'the proxy was not asked');
  for (const c of way.connects) {
    equal(c.to, `localhost:${fronts[0].port}`);
    assert(!JSON.stringify(c.headers).includes(providerKey), 'the proxy saw the credential');
  }
  way.status = 407;
  await point(url, { ca_pem: read('ca.pem') + read('stranger.pem'), proxy_url: way.url });
  const refused = await status(strict);
  equal(refused.status, 502);
  way.status = 0;
  // Plain http goes to the proxy as well, also to numeric addresses.
  await point(stack.provider.url, { proxy_url: way.url });
  equal((await status(strict)).status, 200);
  equal(way.plain.length, 1, 'requests through the proxy');
  equal(proxies[0].connects.length + proxies[0].plain.length, 0,
    'requests to the proxy of the environment');
}, { timeout: 60000 });

await run();
