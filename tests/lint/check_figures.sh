#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The figures of build/reliability.json have the names that are promised, and
# a goal that is missed fails the run.
set -eu -o pipefail
. tests/lint/lib.sh

need node
node tests/lint/figures.mjs || bad tests/reliability/lib/figures.mjs "see above"
finish "figures"
