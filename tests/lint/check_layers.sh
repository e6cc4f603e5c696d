#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Holds #include lines against the table layers.txt: which of our folders a
# file may use, and which files own a foreign library. A quoted include names
# a header by its path from the root; a .c file is never included.
set -eu -o pipefail
. tests/lint/lib.sh

mapfile -t files < <(project_files '*.c' '*.h')
[ ${#files[@]} != 0 ] || finish layers

breaches=$(awk '
	function matches(path, pattern) {
		if (pattern ~ /\/$/)
			return index(path, pattern) == 1
		if (pattern ~ /\*/) {
			gsub(/\./, "\\.", pattern)
			gsub(/\*/, "[^/]*", pattern)
			return path ~ ("^" pattern "$")
		}
		return path == pattern
	}
	function bad(text) {
		printf "%s:%d: %s\n", FILENAME, FNR, text
	}
	FILENAME == ARGV[1] {
		if ($1 == "allow") {
			sub(/:$/, "", $2)
			for (i = 3; i <= NF; i++)
				allow[$2 "/" $i] = 1
		} else if ($1 == "owner") {
			line = $0
			sub(/^[^:]*: */, "", line)
			sub(/:$/, "", $2)
			owner[$2] = line
		} else if ($1 == "libc") {
			for (i = 2; i <= NF; i++)
				libc[$i] = 1
		}
		next
	}
	/^[ \t]*#[ \t]*include[ \t]*"/ {
		split($0, q, "\"")
		name = q[2]
		split(FILENAME, from, "/")
		n = split(name, to, "/")
		if (name ~ /\.c$/)
			bad("includes the source file " name)
		if (n == 1)
			bad("\"" name "\": name it by its path from the root")
		else if (!((from[1] "/" to[1]) in allow))
			bad(from[1] "/ may not use " to[1] "/ (" name ")")
		else if (name !~ /\.pb-c\.h$/) {
			if ((getline line < name) < 0)
				bad("\"" name "\": no such file")
			close(name)
		}
	}
	/^[ \t]*#[ \t]*include[ \t]*</ {
		name = $0
		sub(/^[^<]*</, "", name)
		sub(/>.*$/, "", name)
		folder = name
		sub(/\/.*$/, "/", folder)
		if ((name in libc) || (folder in libc))
			next
		key = (name in owner) ? name : folder
		if (!(key in owner)) {
			bad("<" name ">: no owner in tests/lint/layers.txt")
			next
		}
		ok = 0
		k = split(owner[key], paths, " ")
		for (i = 1; i <= k; i++)
			if (matches(FILENAME, paths[i]))
				ok = 1
		if (!ok)
			bad("<" name "> belongs to " owner[key])
	}' tests/lint/layers.txt "${files[@]}")

while IFS=: read -r file line text; do
	[ -z "$file" ] || bad "$file:$line" "${text# }"
done <<<"$breaches"
finish "the layers and owners in tests/lint/layers.txt"
