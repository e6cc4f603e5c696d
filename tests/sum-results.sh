#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/sum-results.sh [FOLDER]
#
# Prints the sum of the counts that the suites left in FOLDER as one line,
# "N passed, N failed, N skipped".
set -u

cat "${1:-build/results}"/*.counts 2>/dev/null | awk '
	{ p += $1; f += $2; s += $3 }
	END { printf "%d passed, %d failed, %d skipped\n", p, f, s }'
