#!/usr/bin/env bash
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# The long run: simulated frames with adversarial stage and link times, for each kind of fault. Any covered miss fails it.
#
#   SOAK_FRAMES=1000000   frames for each fault kind
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
    sed -n '5,7s/^# \{0,1\}//p' "$0"
    exit 0
fi
tools/install_dependencies.sh build
tools/build_preset.sh release soak -DSPLITDSL_BUILD_BENCHMARKS=OFF
mkdir -p out/soak
exec build/release/tests/soak --frames "${SOAK_FRAMES:-1000000}" --json out/soak/soak.json
