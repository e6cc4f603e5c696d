#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The benchmarks, called by `make bench` with release programs in HG_BIN.
# Prints a table and writes build/bench/results.json. QUICK=1 for short runs.
set -eu -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
export HG_ROOT=${HG_ROOT:-$(cd "$here/../.." && pwd)}
export HG_BIN=${HG_BIN:-$HG_ROOT/build/release/bin}
export PATH=$PATH:/usr/sbin
exec node "$here/bench.mjs"
