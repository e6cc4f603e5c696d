#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tests/tools/deps.sh [GROUP...]        (default: build test)
#
# Installs what is missing for the groups of packages.txt, by apt as root or
# through sudo, and the locked npm packages of `test`, `lint` and `data`. Says
# what it installs; needs no network and changes nothing when all is there.
# DEPS_NPM=0 leaves npm out.
set -eu -o pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
list=$root/tests/tools/packages.txt
groups=${*:-build test}

say() {
	echo "deps: $*"
}

die() {
	echo "deps: $*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root and no sudo; as root, run: $*"
	fi
}

# A package is there when its command is, or when dpkg says so.
is_present() {
	local package=$1 command=$2

	if [ -n "$command" ] && command -v "$command" >/dev/null; then
		return 0
	fi
	dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
		grep -qx installed
}

missing_packages() {
	local group package command

	while read -r group package command; do
		case " $groups " in
		*" $group "*) is_present "$package" "$command" || echo "$package" ;;
		esac
	done < <(grep -v -e '^#' -e '^$' "$list") | awk '!seen[$0]++'
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
		--no-install-recommends -o DPkg::Lock::Timeout=300 \
		-o Acquire::Retries=3 "$@"
}

# Debian's postgresql package would start a server of its own; ours are
# started by the tests. An existing configuration is left alone.
no_main_cluster() {
	local conf=/etc/postgresql-common/createcluster.conf

	[ -e "$conf" ] || [ -d /etc/postgresql ] && return 0
	say "telling postgresql-common not to create a cluster ($conf)"
	as_root mkdir -p "${conf%/*}"
	echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
}

install_packages() {
	local missing

	mapfile -t missing < <(missing_packages)
	[ ${#missing[@]} != 0 ] || return 0
	command -v apt-get >/dev/null ||
		die "no apt-get here; please install: ${missing[*]}"
	say "installing ${missing[*]}"
	case " ${missing[*]} " in
	*" postgresql-15 "*) no_main_cluster ;;
	esac
	if ! apt_install "${missing[@]}" >"$log" 2>&1; then
		say "refreshing the package lists"
		as_root apt-get update -q >"$log" 2>&1 || {
			tail -n 20 "$log" >&2
			die "apt-get update failed"
		}
		apt_install "${missing[@]}" >"$log" 2>&1 || {
			tail -n 40 "$log" >&2
			die "apt-get install failed"
		}
	fi
	mapfile -t missing < <(missing_packages)
	[ ${#missing[@]} = 0 ] || die "still missing: ${missing[*]}"
}

# Installs node_modules in a folder when its lock changed since last time.
install_npm() {
	local dir=$1 stamp lock

	stamp=$root/$dir/node_modules/.headgate-lock
	lock=$(sha256sum <"$root/$dir/package-lock.json")
	[ "$(cat "$stamp" 2>/dev/null)" = "$lock" ] && return 0
	say "installing the npm packages of $dir"
	(cd "$root/$dir" && npm ci --ignore-scripts --no-progress \
		--loglevel=error) \
		>"$log" 2>&1 || {
		tail -n 40 "$log" >&2
		die "npm ci failed in $dir"
	}
	echo "$lock" >"$stamp"
}

# build/tools/bin/node: the Node.js that came with the locked packages, or
# the machine's own where there is none for this processor.
link_node() {
	local arch node

	case $(uname -m) in
	x86_64) arch=x64 ;;
	aarch64) arch=arm64 ;;
	*) arch=none ;;
	esac
	node=$root/tests/e2e/node_modules/node-linux-$arch/bin/node
	[ -x "$node" ] || node=$(command -v node)
	mkdir -p "$root/build/tools/bin"
	ln -sfn "$node" "$root/build/tools/bin/node"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

install_packages
if [ "${DEPS_NPM:-1}" != 0 ]; then
	case " $groups " in
	*" test "* | *" lint "*)
		install_npm tests/e2e
		link_node
		;;
	esac
	case " $groups " in
	*" lint "*) install_npm tests/lint ;;
	esac
	case " $groups " in
	*" data "*) install_npm agent/tokenizer/data ;;
	esac
fi
