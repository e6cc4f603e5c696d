// SPDX-License-Identifier: Apache-2.0
// Network namespaces with two cables each: `ctl` towards the control plane,
// on which faults happen, and `dat` towards clients and provider, which stays
// whole. Needs root, ip, tc and nft; why() says what is missing.
import { spawnSync } from 'node:child_process';

export const CONTROL = '10.213.255.1';
export const PROVIDER = '10.214.255.1';

function sh(program, ...args) {
  const r = spawnSync(program, args, { encoding: 'utf8' });
  if (r.error || r.status !== 0)
    throw new Error(`${program} ${args.join(' ')}: ${r.error?.message ?? r.stderr}`);
  return r.stdout;
}

const ip = (line) => sh('ip', ...line.split(' '));

// Why namespaces cannot be used here; '' when they can.
export function why() {
  if (process.getuid() !== 0)
    return 'not root';
  const name = `hgtry${process.pid}`;
  try {
    ip(`netns add ${name}`);
    sh('ip', 'netns', 'exec', name, 'nft', 'add table inet t');
    sh('ip', 'netns', 'exec', name, 'tc', 'qdisc', 'show');
    return '';
  } catch (e) {
    return e.message.trim();
  } finally {
    spawnSync('ip', ['netns', 'del', name]);
  }
}

export class Net {
  constructor() {
    this.spaces = [];
  }

  open() {
    for (const a of [CONTROL, PROVIDER])
      ip(`addr add ${a}/32 dev lo`);
  }

  // Namespace number i (from 1).
  add(i) {
    const s = new Space(i);
    this.spaces.push(s);
    s.open();
    return s;
  }

  close() {
    for (const s of this.spaces)
      s.close();
    for (const a of [CONTROL, PROVIDER])
      spawnSync('ip', ['addr', 'del', `${a}/32`, 'dev', 'lo']);
  }
}

class Space {
  constructor(i) {
    this.name = `hgrel-${process.pid}-${i}`;
    this.address = `10.214.${i}.2`;
    this.i = i;
    this.outer = { ctl: `hgc${process.pid % 100000}x${i}`, dat: `hgd${process.pid % 100000}x${i}` };
  }

  open() {
    const n = this.name;
    ip(`netns add ${n}`);
    ip(`-n ${n} link set lo up`);
    for (const [cable, net, far] of [['ctl', 213, CONTROL], ['dat', 214, PROVIDER]]) {
      ip(`link add ${this.outer[cable]} type veth peer name ${cable} netns ${n}`);
      ip(`addr add 10.${net}.${this.i}.1/30 dev ${this.outer[cable]}`);
      ip(`link set ${this.outer[cable]} up`);
      ip(`-n ${n} addr add 10.${net}.${this.i}.2/30 dev ${cable}`);
      ip(`-n ${n} link set ${cable} up`);
      ip(`-n ${n} route add ${far} via 10.${net}.${this.i}.1`);
    }
    this.nft('add table inet f');
    this.nft('add chain inet f up { type filter hook output priority 0 ; }');
    this.nft('add chain inet f down { type filter hook input priority 0 ; }');
  }

  nft(rule) { return sh('ip', 'netns', 'exec', this.name, 'nft', rule); }

  up(rule) { this.nft(`add rule inet f up oifname ctl ${rule}`); }
  down(rule) { this.nft(`add rule inet f down iifname ctl ${rule}`); }
  both(rule) { this.up(rule); this.down(rule); }

  // 'rate' as tc says it; both directions.
  slow(rate) {
    const tbf = ['root', 'tbf', 'rate', rate, 'burst', '5kb', 'latency', '2s'];
    sh('ip', 'netns', 'exec', this.name, 'tc', 'qdisc', 'replace', 'dev', 'ctl', ...tbf);
    sh('tc', 'qdisc', 'replace', 'dev', this.outer.ctl, ...tbf);
  }

  heal() {
    this.nft('flush chain inet f up');
    this.nft('flush chain inet f down');
    spawnSync('ip', ['netns', 'exec', this.name, 'tc', 'qdisc', 'del', 'dev', 'ctl', 'root']);
    spawnSync('tc', ['qdisc', 'del', 'dev', this.outer.ctl, 'root']);
  }

  close() {
    for (const cable of ['ctl', 'dat'])
      spawnSync('ip', ['link', 'del', this.outer[cable]]);
    spawnSync('ip', ['netns', 'del', this.name]);
  }
}
