#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Providers behind https: the certificate is verified, by authority and by
// name; nothing is sent to a provider that cannot show one.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';

import { catalog, modelsFile, prompt, providerKey, tenant } from './lib/fixture.mjs';
import { Stack } from './lib/stack.mjs';
import { assert, equal, run, teardown, test } from './lib/tap.mjs';

const stack = new Stack();
const fronts = [];
let trusting;
let key;

teardown(async () => {
  for (const f of fronts)
    f.server.close();
  await stack.stop();
});

function openssl(...args) {
  execFileSync('openssl', args, { cwd: stack.dir, stdio: 'pipe' });
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
async function front(file) {
  const self = { requests: 0, sockets: 0 };
  const read = (name) => fs.readFileSync(path.join(stack.dir, name));
  self.server = https.createServer({ key: read(`${file}.key`), cert: read(`${file}.pem`) },
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

test('the stack starts, with providers behind TLS', async () => {
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '1', '-subj', '/CN=test authority');
  certificate('good', 'DNS:localhost,IP:127.0.0.1');
  certificate('other', 'DNS:elsewhere.example');
  await stack.startProvider({ models: modelsFile(stack.dir), apiKey: providerKey });
  await front('good');
  await front('other');
  await stack.startControl();
  const { secrets } = await stack.apply([
    ...catalog(stack.provider.url), ...tenant('acme', ['app'], { budget: '10' })]);
  key = secrets['acme.team.project.app'];
  trusting = await stack.agent('trusting', {
    args: ['--upstream-ca-file', path.join(stack.dir, 'ca.pem')] }).start();
}, { timeout: 120000 });

// Point the one provider of the catalogue at a URL; the credential is bound
// to its origin and has to come along.
async function point(url) {
  const name = (await stack.rest.get('/v1/providers')).items[0].name;
  await stack.rest.patch(`/v1/providers/${name}`,
    { base_url: `${url}/v1`, credential: providerKey });
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
  const strict = await stack.agent('strict').start();
  await stack.settled();
  equal((await status(strict)).status, 502);
  equal(fronts[0].requests, before, 'requests that reached it');
  equal((await status(trusting)).status, 200);
}, { timeout: 60000 });

await run();
