#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the secrets of a compose installation, once: the password of the
# database and the master key. Runs as the user of the programs; the group
# lets the database's container read its password.
set -eu -o pipefail

dir=/run/headgate-secrets
umask 077

if [ ! -s "$dir/pgpass" ]; then
	password=$(head -c 32 /dev/urandom | base64 | tr -d '/+=\n')
	printf '%s' "$password" >"$dir/postgres-password"
	chmod 0640 "$dir/postgres-password"
	printf 'postgres:5432:headgate:headgate:%s\n' "$password" \
		>"$dir/pgpass.new"
	mv "$dir/pgpass.new" "$dir/pgpass"
fi
if [ ! -s "$dir/master-key" ]; then
	head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' \
		>"$dir/master-key.new"
	mv "$dir/master-key.new" "$dir/master-key"
fi
