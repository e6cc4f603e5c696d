#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/openapi.json passes the lint of @redocly/cli (rules: redocly.yaml).
set -eu -o pipefail
. tests/lint/lib.sh

[ -f docs/openapi.json ] || {
	echo "no docs/openapi.json"
	exit 77
}
cli=tests/lint/node_modules/@redocly/cli/bin/cli.js
node=build/tools/bin/node
if [ ! -f "$cli" ] || [ ! -x "$node" ]; then
	need redocly
fi
HOME=$(mktemp -d)
export HOME REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true CI=true
trap 'rm -rf "$HOME"' EXIT
"$node" "$cli" lint --config tests/lint/redocly.yaml docs/openapi.json ||
	n_bad=1
finish "docs/openapi.json"
