#!/usr/bin/env bash
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Builds and runs the main example: a car whose network is split over a bad link. Writes out/demo/report.{html,json}.
#
#   DRIVE_FRAMES=1200   frames a policy drives (10 a second; default: the program's own)
#   TRACE=file.csv      a recorded uplink (time_s,up_kbps) instead of the generated one
#   DRIVE_ARGS="..."    anything else the program understands (build/release/examples/drive --help)
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
    sed -n '5,9s/^# \{0,1\}//p' "$0"
    exit 0
fi

tools/install_dependencies.sh build
tools/build_preset.sh release drive -DSPLITDSL_BUILD_TESTS=OFF -DSPLITDSL_BUILD_BENCHMARKS=OFF
arguments=(--out out/demo)
[ -n "${DRIVE_FRAMES:-}" ] && arguments+=(--frames "$DRIVE_FRAMES")
[ -n "${TRACE:-}" ] && arguments+=(--trace "$TRACE")
mkdir -p out/demo
# shellcheck disable=SC2086  # DRIVE_ARGS is a list of words on purpose
exec build/release/examples/drive "${arguments[@]}" ${DRIVE_ARGS:-}
