# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Shared by the checks of this folder, which are sourced from the root of the
# project. A check calls `bad FILE[:LINE] TEXT` for each breach and ends with
# `finish`. Files are those that git knows or would add.

n_bad=0

bad() {
	local where=$1
	shift
	echo "$where: $*"
	n_bad=$((n_bad + 1))
}

# Prints the project's files that match the given git patterns.
project_files() {
	local file

	git ls-files -co --exclude-standard -- "$@" | sort -u |
		while read -r file; do
			[ -f "$file" ] && echo "$file"
		done
	return 0
}

# need COMMAND: skip the check when a tool is missing, fail in CI.
need() {
	command -v "$1" >/dev/null && return 0
	echo "$1 is not installed (make deps)"
	if [ -n "${CI:-}" ]; then
		exit 1
	fi
	exit 77
}

finish() {
	if [ "$n_bad" != 0 ]; then
		echo "$n_bad breach(es) of: $1"
		exit 1
	fi
	exit 0
}
