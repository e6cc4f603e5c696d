// SPDX-License-Identifier: Apache-2.0
// Every n-th file call of journal, boot epoch, disk key and configuration
// cache fails in every way, then the process is killed, or the power goes:
// nothing that was promised may be missing. A failed fsync must poison its
// segment: nobody writes to it or syncs it again.
import { torture } from './lib/torture.mjs';

export const title = 'I/O faults: every n-th file call fails in ten ways';

export async function run({ soak, log }) {
  const seeds = Number(process.env.SEEDS ?? (soak ? 500 : 4));
  const first = Number(process.env.SEED ?? 1);
  const sum = { io_faults: 0 };
  for (let seed = first; seed < first + seeds; seed++) {
    const got = await torture(['faults', '--seed', seed], log);
    sum.io_faults += got.io_faults;
    if (got.failures > 0)
      throw Object.assign(new Error(`${got.failures} broken promises, seed ${seed}`),
        { figures: sum });
  }
  log(`${sum.io_faults} faults over ${seeds} runs`);
  return sum;
}
