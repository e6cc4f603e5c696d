// SPDX-License-Identifier: Apache-2.0
// Bytes over a socket, for what no HTTP client would send.
import net from 'node:net';

// Sends the parts one after the other and collects what comes back until the
// peer closes, `enough(text)` is true, or ms passed.
export function exchange(port, parts, { ms = 5000, enough = () => false, half = false } = {}) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    let closed = false;
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, closed, answers: (text.match(/HTTP\/1\.[01] \d{3} /g) ?? []).length });
    };
    const timer = setTimeout(finish, ms);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (enough(text))
        finish();
    });
    socket.on('close', () => { closed = true; finish(); });
    socket.on('error', (error) => {
      if (['ECONNRESET', 'EPIPE'].includes(error.code))
        return;
      clearTimeout(timer);
      reject(error);
    });
    socket.on('connect', async () => {
      for (const part of [parts].flat())
        await new Promise((done) => socket.write(part, done));
      if (half)
        socket.end();
    });
  });
}

export function statusOf(text) {
  const m = /^HTTP\/1\.[01] (\d{3})/.exec(text);
  return m ? Number(m[1]) : 0;
}
