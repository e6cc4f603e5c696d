#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make reliability: the fault suites, one after the other, CI size unless
# SOAK=1. T=race,chaos narrows. Figures go to build/reliability.json.
set -eu
root=${HG_ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
export HG_ROOT=$root HG_BIN=${HG_BIN:-$root/build/dev/bin}
exec node "$root/tests/reliability/run.mjs"
