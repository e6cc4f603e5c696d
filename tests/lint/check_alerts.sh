#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The alerting rules name metrics that exist, and each alert is explained in
# docs/OPERATIONS.md; with promtool at hand they are checked by it, too.
set -eu -o pipefail
. tests/lint/lib.sh

rules=deploy/prometheus/alerts.yml
known=$(sed -n 's/^| `\(headgate_[a-z_]*\)` .*/\1/p' docs/METRICS.md)
[ -n "$known" ] || bad docs/METRICS.md "lists no metric"
n=0
while read -r metric; do
	n=$((n + 1))
	grep -qx "$metric" <<<"$known" || bad "$rules" "no metric $metric"
done < <(grep -oE '\bheadgate_[a-z_]+' "$rules" | sort -u)
[ "$n" -gt 0 ] || bad "$rules" "names no metric"

while read -r alert; do
	grep -q "\`$alert\`" docs/OPERATIONS.md ||
		bad docs/OPERATIONS.md "does not explain $alert"
done < <(sed -n 's/^ *- alert: //p' "$rules")
if command -v promtool >/dev/null; then
	promtool check rules "$rules" >/dev/null ||
		bad "$rules" "promtool refuses it"
fi
finish "alerting rules"
