// SPDX-License-Identifier: Apache-2.0
// A small seeded generator (mulberry32), so that a schedule can be repeated.
export class Random {
  constructor(seed) {
    this.seed = seed;
    this.s = seed >>> 0;
  }

  next() {
    this.s = (this.s + 0x6d2b79f5) >>> 0;
    let t = this.s;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  below(n) { return Math.floor(this.next() * n); }
  between(a, b) { return a + this.below(b - a + 1); }
  pick(list) { return list[this.below(list.length)]; }
  chance(p) { return this.next() < p; }
}
