#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/run-suite.sh SUITE TEST...
#
# Runs each TEST (a program or a script) with a temporary folder of its own
# and prints what it printed. Results come from its TAP: `ok`, `not ok`,
# `ok ... # SKIP`; a libcheck program is told to write TAP into a file. A test
# that prints no TAP counts as one result by its exit status (77 = skipped).
# A test that fails without saying so in TAP (crash, leak report, time-out)
# or leaves processes running counts as one more failure.
#
# Environment: RESULTS  folder for the counts (SUITE.counts: "passed failed
#                       skipped") and the output of each test
#              JOBS     tests at a time (1)
#              TEST_TIMEOUT  seconds for one test (300)
set -u -o pipefail

suite=$1
shift
RESULTS=${RESULTS:-build/results}
JOBS=${JOBS:-1}
TEST_TIMEOUT=${TEST_TIMEOUT:-300}
out=$RESULTS/$suite
rm -rf "$out" "$RESULTS/$suite.counts"
mkdir -p "$out"
work=$(mktemp -d "${TMPDIR:-/tmp}/headgate-test.XXXXXX")
# Tests may drop to an unprivileged user; the way to their folder is open.
chmod 0755 "$work"
trap 'rm -rf "$work"' EXIT

export MALLOC_PERTURB_=${MALLOC_PERTURB_:-165}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1:abort_on_error=0:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=0:second_deadlock_stack=1}

# A flat name for the files of one test.
name_of() {
	local n=${1#./}
	n=${n#build/*/}
	echo "${n//\//.}"
}

run_one() {
	local test=$1 name dir rc started
	name=$(name_of "$test")
	dir=$work/$name
	mkdir -p "$dir"
	started=$(date +%s%3N)
	TMPDIR=$dir CK_TAP_LOG_FILE_NAME=$dir/check.tap CK_VERBOSITY=minimal \
		timeout -k 10 "$TEST_TIMEOUT" "$(realpath "$test")" \
		>"$out/$name.out" 2>&1 </dev/null
	rc=$?
	[ -f "$dir/check.tap" ] && cat "$dir/check.tap" >"$out/$name.tap"
	echo "$rc $(($(date +%s%3N) - started))" >"$out/$name.rc"
	end_leftovers "$dir" >"$out/$name.left"
	rm -rf "$dir"
}

# Ends what a test left running (known by its TMPDIR) and names it.
end_leftovers() {
	local environ pid

	while read -r environ; do
		pid=${environ#/proc/}
		pid=${pid%/environ}
		echo "$pid $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
		kill -KILL "$pid" 2>/dev/null
	done < <(grep -lzxF "TMPDIR=$1" /proc/[0-9]*/environ 2>/dev/null)
}

# Prints the result of a finished test and adds it to the counts.
report_one() {
	local test=$1 name rc ms tap p f s
	name=$(name_of "$test")
	read -r rc ms <"$out/$name.rc"
	tap=$out/$name.tap
	[ -f "$tap" ] || tap=$out/$name.out
	read -r p f s < <(awk '
		/^ok / { if (toupper($0) ~ /# *SKIP/) s++; else p++ }
		/^not ok/ { if (toupper($0) ~ /# *TODO/) s++; else f++ }
		END { print p + 0, f + 0, s + 0 }' "$tap")
	if [ $((p + f + s)) = 0 ]; then
		case $rc in
		0)
			if ! grep -q '^1\.\.0' "$tap"; then
				p=1
			elif grep -qi '^1\.\.0.*#.*skip' "$tap"; then
				s=1
			elif [ -z "${CK_RUN_CASE:-}" ]; then
				echo "# $name: no test ran"
				f=1
			fi
			;;
		77) s=1 ;;
		*) f=1 ;;
		esac
	elif [ "$rc" != 0 ] && [ "$rc" != 77 ] && [ "$f" = 0 ]; then
		f=1
	fi
	if [ -s "$out/$name.left" ]; then
		echo "# $name: left processes running:"
		cat "$out/$name.left"
		f=$((f + 1))
	fi
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
	echo "# $name: $p passed, $f failed, $s skipped ($ms ms)"
	if [ "$f" != 0 ]; then
		bad+=("$name")
		[ "$rc" = 124 ] && echo "# $name: timed out ($TEST_TIMEOUT s)"
		echo "# $name: exit status $rc, output:"
		tail -n 200 "$out/$name.out"
		[ "$tap" = "$out/$name.out" ] || grep '^not ok' "$tap"
	elif [ "$n_tests" = 1 ]; then
		cat "$tap"
	fi
}

passed=0
failed=0
skipped=0
bad=()
n_tests=$#
if [ "$JOBS" -gt 1 ]; then
	for test in "$@"; do
		while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do
			wait -n
		done
		run_one "$test" &
	done
	wait
	for test in "$@"; do
		report_one "$test"
	done
else
	for test in "$@"; do
		run_one "$test"
		report_one "$test"
	done
fi

echo "$passed $failed $skipped" >"$RESULTS/$suite.counts"
[ ${#bad[@]} = 0 ] || echo "# $suite: failed: ${bad[*]}"
echo "# $suite: $passed passed, $failed failed, $skipped skipped"
if [ $((passed + failed + skipped)) = 0 ]; then
	[ -z "${CK_RUN_CASE:-}" ] || echo "# no case is named $CK_RUN_CASE"
	[ "$n_tests" = 0 ] || exit 1
fi
[ "$failed" = 0 ]
