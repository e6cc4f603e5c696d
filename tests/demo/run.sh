#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The demo, called by `make demo`: the whole loop on the real parts. Leaves
# everything running (tests/demo/down.sh stops it); DEMO_KEEP=0 stops at once.
# Environment: HG_BIN (programs), HG_ROOT (repository), DEMO_KEEP.
set -eu -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
export HG_ROOT=${HG_ROOT:-$(cd "$here/../.." && pwd)}
export HG_BIN=${HG_BIN:-$HG_ROOT/build/dev/bin}

for program in headgate-control headgate-agent headgate headgate-provider; do
	if [ ! -x "$HG_BIN/$program" ]; then
		echo "demo: $HG_BIN/$program is missing; run: make" >&2
		exit 1
	fi
done
bash "$here/down.sh"
exec node "$here/demo.mjs"
