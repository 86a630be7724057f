#!/usr/bin/env bash
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# tools/run_benchmarks.sh [NAME...]: builds the benchmarks and runs them one after the other; JSON goes to out/bench.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
    sed -n '5s/^# \{0,1\}//p' "$0"
    exit 0
fi
for name in "$@"; do
    case $name in
    bench_compile | bench_onnxruntime) continue ;;
    bench_*) if [ -d "benchmarks/$name" ] || [ -f "benchmarks/$name.cpp" ]; then continue; fi ;;
    esac
    echo "run_benchmarks.sh: expected a benchmark that this runs, found $name" >&2
    exit 2
done
tools/install_dependencies.sh test || exit 1
tools/build_preset.sh release all_benchmarks || exit 1
mkdir -p out/bench
failed=0
names=("$@")
chosen() { [ ${#names[@]} -eq 0 ] || printf '%s\n' "${names[@]}" | grep -qx -- "$1"; }
for program in build/release/benchmarks/bench_*; do
    name=$(basename "$program")
    if [ ! -f "$program" ] || [ ! -x "$program" ] || ! chosen "$name"; then continue; fi
    if [ "$name" = bench_gpu ] && [ ${#names[@]} -eq 0 ] && ! PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null | grep 'libcuda\.so\.1' >/dev/null; then
        echo "SKIPPED: bench_gpu needs a GPU, and no driver for one was found (libcuda.so.1); tools/run_benchmarks.sh bench_gpu runs it all the same"
        continue
    fi
    echo "=== $name"
    "$program" --json "out/bench/$name.json" || failed=1
done
if chosen bench_compile; then
    echo "=== bench_compile"
    python3 benchmarks/bench_compile.py --json out/bench/bench_compile.json || failed=1
fi
if chosen bench_onnxruntime; then
    echo "=== bench_onnxruntime"
    python3 benchmarks/bench_onnxruntime.py --json out/bench/bench_onnxruntime.json || failed=1
fi
exit $failed
