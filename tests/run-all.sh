#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/run-all.sh [SUITE...]
#
# What `make test` does: installs what is missing, builds, and runs every
# suite, each whatever became of the one before. Suites: unit, replay, sim,
# asan, e2e, demo. The last line is the sum, "N passed, N failed, N skipped".
set -u -o pipefail

cd "$(dirname "$0")/.." || exit 1
suites=${*:-unit replay sim asan e2e demo}
results=${RESULTS:-build/results}
jobs=$(nproc 2>/dev/null || echo 2)
mkdir -p "$results"
# An outer make's flags and job server are not ours.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES T C B MODE

bash tests/tools/deps.sh build data test || exit 1

# suite NAME COUNTS COMMAND...: run it; one that leaves no counts (it did not
# build) is one failure.
suite() {
	local name=$1 counts=$results/$2.counts started=$SECONDS

	shift 2
	rm -f "$counts"
	echo "## $name"
	"$@"
	local rc=$?
	if [ ! -f "$counts" ]; then
		echo "# $name did not run to its end (exit status $rc)"
		echo "0 1 0" >"$counts"
	fi
	echo "## $name took $((SECONDS - started)) s"
	return $rc
}

# The demo is one test; its exit status is the result.
run_demo() {
	if [ -z "$(make -s demo-script)" ]; then
		echo "0 0 1" >"$results/demo.counts"
	elif DEMO_KEEP=0 make --no-print-directory demo; then
		echo "1 0 0" >"$results/demo.counts"
	else
		echo "0 1 0" >"$results/demo.counts"
		return 1
	fi
}

run() {
	make --no-print-directory -j "$jobs" RESULTS="$results" "$@"
}

status=0
for name in $suites; do
	case $name in
	unit)
		run tokenizers
		suite unit unit-dev run -k check
		;;
	replay) suite replay replay-dev run replay ;;
	sim) suite sim sim run sim ;;
	asan)
		run MODE=asan B=build/asan tokenizers
		suite asan unit-asan run MODE=asan B=build/asan -k check ||
			status=1
		suite asan-replay replay-asan run MODE=asan B=build/asan replay
		;;
	e2e) suite e2e e2e run e2e ;;
	demo) suite demo demo run_demo ;;
	*)
		echo "run-all: no suite $name" >&2
		exit 2
		;;
	esac || status=1
done

bash tests/sum-results.sh "$results"
exit $status
