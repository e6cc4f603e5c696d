#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Shell scripts pass shellcheck, tests may be executed; JavaScript parses; JSON
# and YAML parse.
set -eu -o pipefail
. tests/lint/lib.sh

need shellcheck
mapfile -t scripts < <(
	project_files '*.sh'
	while read -r file; do
		case $file in
		*.sh) continue ;;
		esac
		head -n 1 "$file" | grep -aqE '^#!.*[/ ](ba)?sh( |$)' &&
			echo "$file"
	done < <(project_files .ci tests mk examples docs)
)
[ ${#scripts[@]} = 0 ] || shellcheck -x -S warning "${scripts[@]}" ||
	n_bad=$((n_bad + 1))

# The runner executes the tests as they are.
while read -r file; do
	[ -x "$file" ] || bad "$file" "may not be executed (chmod +x)"
done < <(project_files 'tests/*/test_*.mjs' 'tests/*/test_*.sh' \
	'tests/*/check_*.sh')

node=build/tools/bin/node
[ -x "$node" ] || node=$(command -v node || true)
if [ -n "$node" ]; then
	while read -r file; do
		"$node" --check "$file" || bad "$file" "does not parse"
	done < <(project_files '*.mjs' 'tests/*.js')
fi

while read -r file; do
	python3 -c 'import json, sys; json.load(open(sys.argv[1]))' \
		"$file" >/dev/null 2>&1 || bad "$file" "is not JSON"
done < <(project_files '*.json' ':!tests/fuzz/corpus' ':!tests/unit')
while read -r file; do
	out=$(python3 -c 'import sys, yaml; list(yaml.safe_load_all(open(sys.argv[1])))' \
		"$file" 2>&1) || bad "$file" "is not YAML: ${out##*$'\n'}"
done < <(project_files '*.yaml' '*.yml' .clang-format .clang-tidy \
	':!tests/fuzz/corpus' ':!tests/unit' ':!tests/e2e')
finish "scripts"
