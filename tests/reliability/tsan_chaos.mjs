// SPDX-License-Identifier: Apache-2.0
// Child of suite_tsan.mjs: delivery chaos with the programs of HG_BIN. The last
// line of output is JSON.
import { run } from './suite_chaos.mjs';

let figures;
let failure;
try {
  figures = await run({ soak: false, log: (text) => console.log(text) });
} catch (e) {
  failure = String(e.stack ?? e);
}
console.log(JSON.stringify({ figures, failure }));
process.exit(failure ? 1 : 0);
