#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A function has at most 80 lines, a file at most 800.
set -eu -o pipefail
. tests/lint/lib.sh

need ctags
max_function=${MAX_FUNCTION:-80}
max_file=${MAX_FILE:-800}

mapfile -t files < <(project_files '*.c' '*.h')
if [ ${#files[@]} != 0 ]; then
	while read -r file line end name; do
		case $end in
		*[!0-9]* | '') continue ;;
		esac
		n=$((end - line + 1))
		[ "$n" -le "$max_function" ] ||
			bad "$file:$line" "$name() has $n lines, over $max_function"
	done < <(ctags -x --languages=C --langmap=C:.c.h --kinds-C=f \
		--fields=+ne --_xformat='%F %n %{end} %N' "${files[@]}")
fi
while read -r file; do
	n=$(wc -l <"$file")
	[ "$n" -le "$max_file" ] || bad "$file" "$n lines, over $max_file"
done < <(project_files '*.c' '*.h' '*.sh' '*.mjs' '*.ts' '*.tsx' '*.mk')
finish "sizes"
