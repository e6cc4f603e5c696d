#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The suite `sim`: seeds that found bugs once (tests/regress), SIM_SEEDS fresh
# ones on all processors (it fails when SIM_SECONDS are not enough for them),
# and each planted bug until it is caught. The last line is JSON; it is also
# left in RESULTS/sim.json.
#
# A failing seed is replayed with everything that happens by
#   headgate-sim --seed N --trace
set -u -o pipefail

unset MALLOC_PERTURB_ # most of the time would go into it
# 217 s of processor time, 325 s on two processors that others use as well.
# Less than TEST_TIMEOUT (mk/tests.mk), so that it is told how far it came.
seeds=${SIM_SEEDS:-20000}
seconds=${SIM_SECONDS:-600}
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
