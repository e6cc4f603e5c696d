#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Stops what `make demo` left running. Each line of build/demo/pids is
# "name pid starttime"; a process is ours only when its start time agrees.
set -eu -o pipefail

root=${HG_ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
pids=$root/build/demo/pids
[ -f "$pids" ] || exit 0

# Start time of a process in clock ticks since boot; empty when it is gone.
started() {
	[ -r "/proc/$1/stat" ] || return 0
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20 || true
}

# Is the process there and not a zombie that nobody has waited for?
alive() {
	[ "$(started "$1")" = "$2" ] &&
		! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

stopped=0
while read -r name pid start; do
	alive "$pid" "$start" || continue
	kill -TERM "$pid" 2>/dev/null || continue
	stopped=$((stopped + 1))
	for _ in $(seq 300); do
		alive "$pid" "$start" || break
		sleep 0.1
	done
	if alive "$pid" "$start"; then
		echo "down: $name ($pid) did not end in 30 s, killed" >&2
		kill -KILL "$pid" 2>/dev/null || true
	fi
done <"$pids"
rm -f "$pids"
[ "$stopped" = 0 ] || echo "down: stopped $stopped processes"
