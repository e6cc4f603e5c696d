#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes one join token for each agent of a compose installation, once. An
# agent that has enrolled keeps its own identity and ignores its token.
set -eu -o pipefail

control=http://control:7400
token=$(cat /run/headgate-secrets/owner-token)
umask 077

for region in eu us; do
	file=/run/headgate-join/$region
	[ ! -s "$file" ] || continue
	# The token goes in by standard input, not by the command line.
	answer=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
		curl -fsS -K - -H 'Content-Type: application/json' \
			-d "{\"group\":\"default\",\"region\":\"$region\",\"expires_in\":\"1h\",\"max_uses\":1}" \
			"$control/v1/join-tokens")
	join=$(sed -n 's/.*"token"[[:space:]]*:[[:space:]]*"\(hgj1\.[^"]*\)".*/\1/p' <<<"$answer")
	[ -n "$join" ] || {
		echo "setup: no join token in the answer" >&2
		exit 1
	}
	printf '%s\n' "$join" >"$file.new"
	mv "$file.new" "$file"
done
echo "setup: agents may join; the owner token is in the volume 'secrets'"
