#!/usr/bin/env bash
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# tools/build_preset.sh PRESET [TARGETS] [-DNAME=VALUE...]: configures and builds, with Ninja where it is installed.
# TARGETS: names separated by commas; without, everything.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ] || [ "$1" = -h ] || [ "$1" = --help ]; then
    sed -n '5,6s/^# \{0,1\}//p' "$0"
    cmake --list-presets
    exit 0
fi
preset=$1
targets=${2:-all}
shift $(($# > 1 ? 2 : 1))

# A build folder keeps the generator it was made with.
if [ ! -e "build/$preset/CMakeCache.txt" ] && [ -z "${CMAKE_GENERATOR:-}" ] && command -v ninja > /dev/null 2>&1; then
    export CMAKE_GENERATOR=Ninja
fi
log=build/$preset/configure.log
mkdir -p "build/$preset"
if ! cmake --preset "$preset" "$@" > "$log" 2>&1; then
    cat "$log"
    exit 1
fi
grep -h '^-- splitdsl' "$log" || true
IFS=, read -r -a names <<< "$targets"
cmake --build "build/$preset" --parallel "${BUILD_JOBS:-$(nproc)}" --target "${names[@]}"
