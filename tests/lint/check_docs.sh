#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Generated documents are current, and links between documents lead somewhere.
set -eu -o pipefail
. tests/lint/lib.sh

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bash tests/tools/gen-docs.sh "$tmp" || bad docs "cannot be generated"
for file in "$tmp"/*; do
	[ -e "$file" ] || continue
	doc=docs/${file##*/}
	if [ ! -f "$doc" ]; then
		bad "$doc" "is missing (make docs)"
	elif ! diff -u "$doc" "$file" >"$tmp.diff"; then
		head -n 40 "$tmp.diff"
		bad "$doc" "is not current (make docs)"
	fi
	rm -f "$tmp.diff"
done

while read -r file; do
	while read -r link; do
		target=${link%%#*}
		[ -z "$target" ] && continue
		[ -e "$(dirname "$file")/$target" ] ||
			bad "$file" "link to $target leads nowhere"
	done < <(grep -oE '\]\([^)[:space:]]+\)' "$file" |
		sed -E 's/^\]\(//; s/\)$//' |
		grep -vE '^(https?:|mailto:|#)')
done < <(project_files '*.md')
finish "documents"
