#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The checks are checked: breaches planted in a small tree of its own must be
# found, a clean tree must pass, the test runner must count right, and text
# that is embedded into C must come out as it went in.
set -eu -o pipefail
. tests/lint/lib.sh

root=$PWD
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# expect CHECK TEXT: the check must fail and its output hold the text.
expect() {
	local out

	if out=$(bash "tests/lint/check_$1.sh" 2>&1); then
		bad "check_$1.sh" "passes on: $2"
	elif ! grep -qF -e "$2" <<<"$out"; then
		bad "check_$1.sh" "does not say: $2"
	fi
}

plant() {
	local file=$1

	mkdir -p "$(dirname "$file")"
	cat >"$file"
}

cd "$tmp"
git init -q .
mkdir -p tests common
cp -r "$root/tests/lint" tests/lint
rm -rf tests/lint/node_modules
cp "$root/common/banned.h" common/
for check in layers sizes text; do
	bash "tests/lint/check_$check.sh" >"$tmp/out" 2>&1 ||
		bad "check_$check.sh" "fails on a clean tree: $(head -n 3 "$tmp/out")"
done

mkdir -p deploy/prometheus docs
echo '| `headgate_a_total` | counter |' >docs/METRICS.md
echo '| `Known` | look |' >docs/OPERATIONS.md
plant deploy/prometheus/alerts.yml <<'EOT'
      - alert: Unknown
        expr: headgate_a_total > headgate_b_total
EOT
expect alerts 'no metric headgate_b_total'
expect alerts 'does not explain Unknown'
rm -rf deploy docs

plant agent/x.c <<'EOT'
#include <libpq-fe.h>
#include <foo/bar.h>
#include "controlplane/x.h"
#include "err.h"
#include "common/nope.h"
#include "common/banned.c"
EOT
printf 'int x; \nconst char *s = "/ho%s/joe";\n' me >>agent/x.c
expect layers 'agent/x.c:1: <libpq-fe.h> belongs to controlplane/store/'
expect layers 'agent/x.c:2: <foo/bar.h>: no owner'
expect layers 'agent/x.c:3: agent/ may not use controlplane/'
expect layers 'agent/x.c:4: "err.h": name it by its path'
expect layers 'agent/x.c:5: "common/nope.h": no such file'
expect layers 'agent/x.c:6: includes the source file'
expect text 'agent/x.c:1: no SPDX-License-Identifier line'
expect text 'agent/x.c:7: space at the end'
expect text 'agent/x.c:8: a path of one machine'
{
	printf 'void\nlong_one(void)\n{\n'
	for _ in $(seq 80); do printf '\t;\n'; done
	echo '}'
} | plant common/long.c
expect sizes 'common/long.c:2: long_one() has 83 lines'
seq 801 | plant common/tall.h
expect sizes 'common/tall.h: 801 lines'

# The runner: 2 passed, 3 failed (one says so, one exits 3, one leaves a
# process), 1 skipped.
plant t/tap <<'EOT'
#!/bin/sh
printf 'ok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP not here\n'
EOT
plant t/status <<'EOT'
#!/bin/sh
exit 3
EOT
plant t/leaves <<'EOT'
#!/bin/sh
sleep 60 &
echo 'ok 1 - a'
EOT
chmod +x t/*
RESULTS=$tmp/r bash "$root/tests/run-suite.sh" s t/tap t/status t/leaves \
	>"$tmp/out" 2>&1 && bad run-suite.sh "passes on failures"
[ "$(cat "$tmp/r/s.counts")" = '2 3 1' ] ||
	bad run-suite.sh "counts $(cat "$tmp/r/s.counts"), not 2 3 1"

# Embedding.
printf 'a "b" \\n \\ ??/ %%d\t\047\r\n\n-- end\n' >"$tmp/0007_odd.sql"
printf -- '-- x\n' >"$tmp/0012_next_one.sql"
{
	sh "$root/mk/embed-schema.sh" "$tmp/0007_odd.sql" "$tmp/0012_next_one.sql"
	cat <<'EOT'
#include <stdio.h>
int main(void)
{
	const struct migration *m = schema_migrations;
	fwrite(m[0].sql, 1, m[0].len, stdout);
	return !(n_schema_migrations == 2 && m[0].version == 7 &&
	    m[1].version == 12 && m[1].name[4] == '_');
}
EOT
} >"$tmp/e.c"
if gcc -w -I"$root" -o "$tmp/e" "$tmp/e.c" && "$tmp/e" >"$tmp/e.out"; then
	cmp -s "$tmp/e.out" "$tmp/0007_odd.sql" ||
		bad mk/embed-schema.sh "changes the text"
else
	bad mk/embed-schema.sh "wrong table"
fi
sh "$root/mk/embed-schema.sh" "$tmp/0012_next_one.sql" "$tmp/0007_odd.sql" \
	>/dev/null 2>&1 && bad mk/embed-schema.sh "takes numbers out of order"
finish "checks that work"
