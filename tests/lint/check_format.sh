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
while read -r file; do
	n=$("$tool" "$file" | diff "$file" - | grep -c '^[<>]' || true)
	[ "$n" = 0 ] || bad "$file" "$n lines differ (make format)"
done < <(project_files '*.c' '*.h')
finish "formatting"
