#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# C files are as clang-format 14 (Debian 12) writes them.
set -eu -o pipefail
. tests/lint/lib.sh

tool=${CLANG_FORMAT:-clang-format}
need "$tool"
case $("$tool" --version) in
*' 14.'*) ;;
*)
	echo "this is not clang-format 14, whose output differs; skipped"
	exit 77
	;;
esac
# A batch that differs fails, with a line for each place; so does one that
# cannot be read, with lines of another form.
out=$(mktemp)
trap 'rm -f "$out"' EXIT
project_files '*.c' '*.h' |
	xargs -P "$(nproc)" -n 25 "$tool" --dry-run -Werror 2>"$out" ||
	[ -s "$out" ] || bad "$tool" "failed without a word"
while read -r n file; do
	bad "$file" "$n places differ (make format)"
done < <(sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: error: code should be .*/\1/p' \
	"$out" | sort | uniq -c)
[ ! -s "$out" ] || [ "$n_bad" != 0 ] || bad "$tool" "$(head -n 3 "$out")"
finish "formatting"
