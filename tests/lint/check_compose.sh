#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docker-compose.yml is valid (no engine is needed to see that), each service
# that is built names a stage of the Dockerfile, and none is left unhardened.
set -eu -o pipefail
. tests/lint/lib.sh

[ -f docker-compose.yml ] || {
	echo "no docker-compose.yml"
	exit 77
}
export HEADGATE_POSTGRES_PASSWORD=${HEADGATE_POSTGRES_PASSWORD:-lint}
if command -v docker-compose >/dev/null; then
	docker-compose -f docker-compose.yml config -q ||
		bad docker-compose.yml "docker-compose config refuses it"
elif docker compose version >/dev/null 2>&1; then
	docker compose -f docker-compose.yml config -q ||
		bad docker-compose.yml "docker compose config refuses it"
else
	need docker-compose
fi

out=$(python3 - <<'PY'
import re
import yaml

services = yaml.safe_load(open("docker-compose.yml"))["services"]
stages = set(re.findall(r"(?im)^FROM\s+\S+\s+AS\s+(\S+)",
                        open("Dockerfile").read()))
for name, s in services.items():
    if "build" in s and s["build"].get("target") not in stages:
        print(f"{name}: no such stage in the Dockerfile")
    if s.get("privileged"):
        print(f"{name}: is privileged")
    if "no-new-privileges:true" not in s.get("security_opt", []):
        print(f"{name}: lacks no-new-privileges")
    if s.get("cap_drop") != ["ALL"]:
        print(f"{name}: keeps capabilities")
    if not s.get("read_only"):
        print(f"{name}: its root file system is writable")
    for port in s.get("ports", []):
        if not str(port).startswith(("127.0.0.1:", "${")):
            print(f"{name}: port {port} is open to the world")
PY
)
while read -r line; do
	[ -z "$line" ] || bad docker-compose.yml "$line"
done <<<"$out"
finish "docker-compose.yml"
