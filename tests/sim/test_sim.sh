#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The suite `sim`: seeds that found bugs once (tests/regress), as many fresh
# ones as SIM_SEEDS and SIM_SECONDS allow, and each planted bug until it is
# caught. The last line is JSON; it is also left in RESULTS/sim.json.
#
# A failing seed is replayed with everything that happens by
#   headgate-sim --seed N --trace
set -u -o pipefail

unset MALLOC_PERTURB_ # most of the time would go into it
# What fits into a test run; SIM_SEEDS and SIM_SECONDS for more.
seeds=${SIM_SEEDS:-20000}
seconds=${SIM_SECONDS:-120}
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${HG_BIN:-$root/build/dev/bin}

"$bin/headgate-sim" --regress "$root/tests/regress" --seeds "$seeds" \
	--seconds "$seconds" >"${TMPDIR:-/tmp}/sim.out"
rc=$?
cat "${TMPDIR:-/tmp}/sim.out"
if [ -n "${RESULTS:-}" ]; then
	case $RESULTS in /*) ;; *) RESULTS=$root/$RESULTS ;; esac
	mkdir -p "$RESULTS"
	tail -n 1 "${TMPDIR:-/tmp}/sim.out" >"$RESULTS/sim.json"
fi
exit $rc
