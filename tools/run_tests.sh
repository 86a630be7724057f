#!/usr/bin/env bash
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# tools/run_tests.sh [test|full] [STAGE...]: builds and runs the tests, stage by stage, and ends with everybody's totals.
#
#   test   all but the slowest with g++, a handful with clang 14 and under the sanitizers, half a minute of fuzzing; <= 25 minutes on 2 cores
#   full   all of it with both compilers and under the sanitizers, bare, and AArch64 under qemu; every network of the zoo and cut of classify,
#          every header alone and with more warnings, every GPU test, every instruction set compiled, kernels of a debug build, two minutes for each fuzz target, planted errors in the slow comparisons too
#   STAGE  only these presets: release clang asan-ubsan tsan fuzz bare aarch64
#
# SPLITDSL_DATA names a folder with recorded traces and published weights; tests that need it say so when it is not set.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
mode="test"
case ${1:-test} in
    test | full)
        mode=${1:-test}
        shift $(($# > 0 ? 1 : 0))
        ;;
    -h | --help)
        sed -n '5,12s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
esac
stages=("$@")
if [ ${#stages[@]} -eq 0 ]; then
    stages=(release clang asan-ubsan tsan fuzz)
    [ "$mode" = full ] && stages+=(bare aarch64)
fi

tools/install_dependencies.sh "$mode" || exit 1
[ -z "${SPLITDSL_DATA:-}" ] && [ -d ../shared/data ] && SPLITDSL_DATA=$(cd ../shared/data && pwd) && export SPLITDSL_DATA
[ -z "${SPLITDSL_DATA:-}" ] && echo "SPLITDSL_DATA is not set: tests on recorded traces and published weights will be skipped."
[ "$mode" = full ] && export SPLITDSL_TEST_FULL=1     # tests that sample what they could try exhaustively do not
mkdir -p out
summary=()
failed=0

run_stage() {
    local preset=$1 targets=all options=() log=out/test_$1.log begin=$SECONDS totals status=0
    case $preset in
        release) targets=all_tests,all_examples ;;
        clang | fuzz) command -v clang++ > /dev/null || { summary+=("$preset: left out, clang++ is not installed"); return; } ;;
        aarch64) command -v aarch64-linux-gnu-g++ > /dev/null || { summary+=("aarch64: left out, g++-aarch64-linux-gnu is not installed"); return; } ;;
    esac
    if [ "$mode" = full ] && [[ $preset =~ ^(clang|asan-ubsan|bare)$ ]]; then options=(-DSPLITDSL_TEST_SET=all); fi
    if [ "$mode" = full ] && [ "$preset" = fuzz ]; then options=(-DSPLITDSL_FUZZ_SECONDS=120); fi
    if [ "$preset" = release ]; then
        local all=OFF brief=ON
        [ "$mode" = full ] && all=ON brief=OFF
        options=(-DSPLITDSL_ZOO_ALL=$all -DSPLITDSL_TEST_FULL=$all -DSPLITDSL_TEST_BRIEF=$brief)
    fi
    echo "=== $preset"
    if ! tools/build_preset.sh "$preset" "$targets" "${options[@]}"; then
        summary+=("$preset: DOES NOT BUILD ($((SECONDS - begin)) s)")
        failed=1
        return
    fi
    local built=$((SECONDS - begin))
    if grep -q 'no fuzzing here' "build/$preset/configure.log"; then
        summary+=("$preset: left out, $(grep -o 'it needs .*' "build/$preset/configure.log")")
        return
    fi
    ctest --preset "$preset" "${CTEST_ARGS[@]}" 2>&1 | tee "$log" || status=1
    totals=$(grep -E '^[0-9]+% tests passed' "$log" || echo "no totals: ctest failed")
    [ $status -eq 0 ] || failed=1
    summary+=("$preset: $totals (built in $built s, ran in $((SECONDS - begin - built)) s)")
    local skipped
    skipped=$(grep -cE '\*\*\*Skipped|\(Skipped\)' "$log")
    [ "$skipped" -gt 0 ] && summary+=("$preset: some tests were SKIPPED, see $log")
}

read -r -a CTEST_ARGS <<< "${CTEST_ARGS:-}"
for stage in "${stages[@]}"; do run_stage "$stage"; done

echo
echo "=== totals (${SECONDS} s in all)"
printf '%s\n' "${summary[@]}"
[ "$failed" -eq 0 ] && echo "All stages passed." || echo "Something FAILED."
exit "$failed"
