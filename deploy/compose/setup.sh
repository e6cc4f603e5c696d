#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a new compose installation usable, once: applies the example
# configuration (three tenants; its provider is the simulator) and makes one
# join token for each agent. An agent that has enrolled keeps its own identity
# and ignores its token.
set -eu -o pipefail

control=http://control:7400
example=/usr/local/share/headgate/examples/acme
secrets=/run/headgate-secrets
umask 077

if [ ! -s "$secrets/example-keys.json" ]; then
	work=$(mktemp -d)
	cp "$example"/*.yaml "$work"
	sed -i 's,http://127\.0\.0\.1:7420,http://provider:7420,' "$work"/*.yaml
	HEADGATE_CONFIG=$work/contexts.json headgate apply -f "$work" \
		--server "$control" --token-file "$secrets/owner-token" \
		-m 'the example' -o json >"$secrets/example-keys.json.new"
	mv "$secrets/example-keys.json.new" "$secrets/example-keys.json"
	rm -rf "$work"
fi

for region in eu us; do
	file=/run/headgate-join/$region
	[ ! -s "$file" ] || continue
	# The token goes in by standard input, not by the command line.
	answer=$(printf 'header = "Authorization: Bearer %s"\n' \
		"$(cat "$secrets/owner-token")" |
		curl -fsS -K - -H 'Content-Type: application/json' \
			-d "{\"group\":\"$region\",\"region\":\"$region\",\"expires_in\":\"1h\",\"max_uses\":1}" \
			"$control/v1/join-tokens")
	join=$(sed -n 's/.*"token"[[:space:]]*:[[:space:]]*"\(hgj1\.[^"]*\)".*/\1/p' <<<"$answer")
	[ -n "$join" ] || {
		echo "setup: no join token in the answer" >&2
		exit 1
	}
	printf '%s\n' "$join" >"$file.new"
	mv "$file.new" "$file"
done
echo "setup: agents may join; volume secrets: owner-token, example-keys.json"
