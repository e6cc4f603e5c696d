// SPDX-License-Identifier: Apache-2.0
// A client of Bedrock's runtime by its maker's own signer and codec.
import { Sha256 } from '@aws-crypto/sha256-js';
import { EventStreamCodec } from '@smithy/eventstream-codec';
import { SignatureV4 } from '@smithy/signature-v4';
import { fromUtf8, toUtf8 } from '@smithy/util-utf8';

const codec = new EventStreamCodec(toUtf8, fromUtf8);

// POST /model/MODEL/ACTION, signed; a fetch Response.
export async function invoke(base, model, action, body, credentials, headers = {}) {
  const url = new URL(`${base}/model/${encodeURIComponent(model)}/${action}`);
  const text = JSON.stringify(body);
  const signer = new SignatureV4({ credentials, region: 'us-east-1', service: 'bedrock', sha256: Sha256 });
  const signed = await signer.sign({ method: 'POST', protocol: 'http:', hostname: url.hostname, path: url.pathname,
    headers: { host: url.host, 'content-type': 'application/json', ...headers }, body: text });
  delete signed.headers.host;
  return fetch(url, { method: 'POST', headers: signed.headers, body: text });
}

// Frames as [kind, JSON]: kind is the event's or the exception's type. Throws
// where a checksum is wrong or bytes are missing.
export function frames(bytes) {
  const events = [];
  for (let at = 0; at < bytes.length;) {
    const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
    if (length > bytes.length - at)
      throw new Error(`a frame of ${length} bytes, ${bytes.length - at} are there`);
    const { headers, body } = codec.decode(bytes.subarray(at, at + length));
    const kind = (headers[':event-type'] ?? headers[':exception-type']).value;
    events.push([kind, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))]);
    at += length;
  }
  return events;
}

// The events of the model's own format within InvokeModel's chunks.
export function chunks(bytes) {
  return frames(bytes).map(([kind, e]) => (kind === 'chunk'
    ? JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(e.bytes, 'base64'))) : { kind, ...e }));
}
