#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/fuzz/run.sh SECONDS TARGET...
#
# Runs each libFuzzer TARGET for SECONDS on a copy of its corpus. What it finds
# stays in build/fuzz/found/<target>/; put the input into
# tests/fuzz/corpus/<target>/ when the bug is fixed.
set -u -o pipefail

seconds=$1
shift
status=0
for target in "$@"; do
	name=${target##*/}
	corpus=build/fuzz/corpus/$name
	found=build/fuzz/found/$name
	mkdir -p "$corpus" "$found"
	args=("$corpus")
	[ -d "tests/fuzz/corpus/$name" ] && args+=("tests/fuzz/corpus/$name")
	[ -f "tests/fuzz/$name.dict" ] && args+=("-dict=tests/fuzz/$name.dict")
	echo "## $name: $seconds s"
	"$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
		-max_len="${FUZZ_MAX_LEN:-65536}" -print_final_stats=1 \
		-artifact_prefix="$found/" "${args[@]}" \
		>"build/fuzz/$name.log" 2>&1
	rc=$?
	if [ $rc != 0 ]; then
		tail -n 60 "build/fuzz/$name.log"
		echo "not ok - $name (input in $found)"
		status=1
	else
		grep -E 'stat::number_of_executed_units|stat::average' \
			"build/fuzz/$name.log"
		echo "ok - $name"
	fi
done
exit $status
