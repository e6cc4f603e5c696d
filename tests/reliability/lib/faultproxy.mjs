// SPDX-License-Identifier: Apache-2.0
// A TCP proxy that misbehaves on command, for the channel between agents and
// control plane. Modes: pass, delay (ms), blackhole (bytes vanish, connections
// stay), reset (connections are torn down, new ones too), corrupt (a byte of
// each piece is flipped), truncate (a piece is cut and the connection ends),
// slow (bytes a second). one-way faults name a direction: 'up' is towards the
// target.
import net from 'node:net';

export class FaultProxy {
  constructor() {
    this.mode = { name: 'pass' };
    this.pairs = new Set();
    this.target = 0;
    this.faults = 0; // pieces and connections that a fault hit
  }

  async listen() {
    this.server = net.createServer({ pauseOnConnect: false }, (c) => this.accept(c));
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.port = this.server.address().port;
    return this;
  }

  accept(client) {
    if (this.mode.name === 'reset' || this.target === 0) {
      this.faults += 1;
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    const server = net.connect(this.target, '127.0.0.1');
    const pair = { client, server };
    const end = () => {
      this.pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    this.pairs.add(pair);
    for (const s of [client, server]) {
      s.setNoDelay(true);
      s.on('error', end);
      s.on('close', end);
    }
    client.on('data', (d) => this.piece(d, client, server, 'up'));
    server.on('data', (d) => this.piece(d, server, client, 'down'));
  }

  piece(data, from, to, direction) {
    const m = this.mode;
    if (m.name === 'pass' || (m.direction && m.direction !== direction)) {
      to.write(data);
      return;
    }
    this.faults += 1;
    if (m.name === 'delay') {
      setTimeout(() => to.destroyed || to.write(data), m.ms);
    } else if (m.name === 'corrupt') {
      const bad = Buffer.from(data);
      bad[Math.floor(bad.length / 2)] ^= 0x20;
      to.write(bad);
    } else if (m.name === 'truncate') {
      to.write(data.subarray(0, Math.floor(data.length / 2)));
      to.end();
      from.destroy();
    } else if (m.name === 'slow') {
      from.pause();
      to.write(data);
      setTimeout(() => from.resume(), (data.length / m.bytes) * 1000);
    }
    // blackhole, reset: the piece is gone
  }

  set(mode) {
    this.mode = mode;
    if (mode.name === 'reset') {
      for (const { client, server } of this.pairs) {
        this.faults += 1;
        client.resetAndDestroy();
        server.resetAndDestroy();
      }
    }
    if (mode.name === 'pass') {
      // What a fault left half-dead does not come back by itself.
      for (const { client, server } of this.pairs) {
        client.resume();
        server.resume();
      }
    }
  }

  close() {
    this.set({ name: 'reset' });
    return new Promise((resolve) => this.server.close(resolve));
  }
}
