#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Each header compiles alone and has an include guard made from its path.
set -eu -o pipefail
. tests/lint/lib.sh

while read -r header; do
	guard=$(echo "$header" | tr 'a-z/.-' 'A-Z___')
	grep -q "^#ifndef $guard\$" "$header" ||
		bad "$header" "the include guard is not $guard"
done < <(project_files '*.h')

make --no-print-directory -k ${B:+B="$B"} headers || n_bad=$((n_bad + 1))
finish "headers compile alone"
