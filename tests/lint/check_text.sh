#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Plain rules on text: the licence line, no space at the end of a line, no
# conflict marks, no paths of somebody's machine, no registry host in a lock.
set -eu -o pipefail
. tests/lint/lib.sh

while read -r file; do
	head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
		bad "$file:1" "no SPDX-License-Identifier line"
done < <(project_files '*.c' '*.h' '*.sh' '*.mk' '*.mjs' '*.sql' '*.proto' \
	'*.ts' '*.tsx' Makefile '*Dockerfile*' .ci/run)

# search PATTERN TEXT GIT-PATTERN...
search() {
	local pattern=$1 text=$2 files

	shift 2
	mapfile -t files < <(project_files "$@")
	[ ${#files[@]} != 0 ] || return 0
	while IFS=: read -r file line _; do
		bad "$file:$line" "$text"
	done < <(grep -InE -e "$pattern" /dev/null "${files[@]}")
}

source=('*.c' '*.h' '*.sh' '*.mk' '*.mjs' '*.sql' '*.proto' '*.ts' '*.tsx'
	'*.yaml' '*.yml' '*.md' '*.txt' Makefile .ci/run ':!tests/fuzz/corpus'
	':!examples/*.txt' ':!LICENSE')
search '[[:space:]]+$' 'space at the end of the line' "${source[@]}"
search '^(<<<<<<<|>>>>>>>) ' 'conflict mark' "${source[@]}"
# The brackets keep these lines from matching themselves.
search '(^|[^a-zA-Z0-9_.])/(work|home|Users)/[a-z]+' \
	'a path of one machine' "${source[@]}" ':!docs/OPERATIONS.md'
search '"resolve[d]":|registry\.npm[j]s|deb\.debia[n]\.org' \
	'the host of a registry' '*package-lock.json' '*.npmrc' \
	'*.sh' '*.mk' '*.md' '*.yml' '*Dockerfile*'
while read -r file; do
	n=$(wc -c <"$file")
	[ "$n" -le 1500000 ] || bad "$file" "$n bytes, over 1500000"
done < <(project_files)
finish "text"
