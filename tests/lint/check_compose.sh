#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# docker-compose.yml is valid (no engine is needed to see that), each service
# that is built names a stage of the Dockerfile, none is left unhardened, and the
# options on command lines exist in the programs.
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
import os
import re
import subprocess
import yaml

bin = os.environ.get("HG_BIN", "build/dev/bin")


def known_options(program):
    path = os.path.join(bin, program)
    if not os.path.exists(path):
        return None
    text = subprocess.run([path, "--help"], capture_output=True, text=True,
                          check=True).stdout
    return set(re.findall(r"--[a-z-]+", text)) | {
        o + "-file" for o in re.findall(r"(--[a-z-]+) TOKEN", text)}


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
    target = s.get("build", {}).get("target")
    options = target and "entrypoint" not in s and known_options(
        "headgate-" + target)
    for word in options and s["command"] or []:
        if word.startswith("--") and word.split("=")[0] not in options:
            print(f"{name}: headgate-{target} has no {word.split('=')[0]}")
    for port in s.get("ports", []):
        if not str(port).startswith(("127.0.0.1:", "${")):
            print(f"{name}: port {port} is open to the world")
PY
)
while read -r line; do
	[ -z "$line" ] || bad docker-compose.yml "$line"
done <<<"$out"
finish "docker-compose.yml"
