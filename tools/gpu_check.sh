#!/usr/bin/env bash
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# tools/gpu_check.sh pack FOLDER        copies this machine's header-only dependencies to FOLDER
# tools/gpu_check.sh programs FOLDER    builds the test and benchmark programs here (no GPU is needed) and copies them to FOLDER
# tools/gpu_check.sh [OPTION...]        on a machine with a GPU: runs every GPU test and benchmark, in less than 8 minutes
#     --programs FOLDER   what `programs` made; where that does not start, they are built
#     --headers FOLDER    what `pack` copied, to build with
#     --parts LIST        of build,tests,sanitizers,kernels,networks,peers (all of these without it) and thorough, separated by commas; build is
#                         done where a part needs it
#     --seconds N         everything ends by then (470)
#     --out FOLDER        for log, check.json (machine, steps, results, what is unmet) and tables.md (out/gpu)
#
# Where it builds it needs a C++20 compiler and CMake; python3 always. The GPU's libraries are found as docs/gpu.md says. No registry, no oneTBB or libjpeg.
# Results are written after every step: who stops it keeps them. Its status is 1 if any step failed, or a test was skipped.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD
build=$root/build/gpu

if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
    sed -n '5,17s/^# \{0,1\}//p' "$0"
    exit 0
fi
if [ "${1:-}" = pack ]; then
    to=${2:?gpu_check.sh pack FOLDER}
    mkdir -p "$to"
    for name in xtensor xtl xsimd cereal asio asio.hpp catch2 CLI nlohmann; do
        from=
        for place in ${SPLITDSL_HEADERS:-} /usr/include /usr/local/include; do
            if [ -e "$place/$name" ]; then from=$place/$name; break; fi
        done
        if [ -z "$from" ]; then
            echo "gpu_check.sh: $name was not found in ${SPLITDSL_HEADERS:-} /usr/include /usr/local/include" >&2
            exit 1
        fi
        cp -rL "$from" "$to/"
    done
    du -sh "$to"
    exit 0
fi

headers=
configure() {
    local set_here=baseline generator=()
    if [ "$(uname -m)" = x86_64 ]; then set_here=avx2_fma; fi
    if [ "$(uname -m)" = aarch64 ]; then set_here=neon; fi
    command -v ninja > /dev/null 2>&1 && generator=(-G Ninja)
    cmake -S "$root" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG" ${headers:+"-DCMAKE_INCLUDE_PATH=$headers"} \
        -DSPLITDSL_PARALLEL=none -DSPLITDSL_JPEG=OFF -DSPLITDSL_PNG=OFF -DSPLITDSL_BUILD_EXAMPLES=OFF -DSPLITDSL_BUILD_BENCHMARKS=ON -DSPLITDSL_BUILD_TESTS=ON \
        -DSPLITDSL_ZOO_ALL=ON "-DSPLITDSL_INSTRUCTION_SETS=$set_here"
}
# One program that does not compile does not keep the other from it.
compile() {
    local keep_going=-k
    if [ -e "$build/build.ninja" ]; then keep_going=-k0; fi
    cmake --build "$build" --target gpu_tests bench_gpu -j "${JOBS:-$(nproc)}" -- $keep_going
}
export -f configure compile
export root build

if [ "${1:-}" = programs ]; then
    to=${2:?gpu_check.sh programs FOLDER}
    mkdir -p "$to" && configure && compile && cp "$build/tests/gpu_tests" "$build/benchmarks/bench_gpu" "$to/" && strip "$to/gpu_tests" "$to/bench_gpu" || exit 1
    du -sh "$to"
    exit 0
fi

out=out/gpu
programs=
parts=build,tests,sanitizers,kernels,networks,peers
seconds=470
while [ $# -gt 0 ]; do
    case $1 in
    --headers) headers=$(realpath -e "${2:?--headers FOLDER}") || exit 2; shift 2 ;;
    --programs) programs=$(realpath -e "${2:?--programs FOLDER}") || exit 2; shift 2 ;;
    --parts) parts=${2:?--parts LIST}; shift 2 ;;
    --seconds) seconds=${2:?--seconds N}; shift 2 ;;
    --out) out=${2:?--out FOLDER}; shift 2 ;;
    *) echo "gpu_check.sh: unknown option $1 (--help)" >&2; exit 2 ;;
    esac
done
for part in ${parts//,/ }; do
    case $part in
    build | tests | sanitizers | kernels | networks | peers | thorough) ;;
    *) echo "gpu_check.sh: --parts: build, tests, sanitizers, kernels, networks, peers or thorough was expected, found $part" >&2; exit 2 ;;
    esac
done
case $seconds in
'' | *[!0-9]*) echo "gpu_check.sh: --seconds: a whole number was expected, found $seconds" >&2; exit 2 ;;
esac
export headers
mkdir -p "$out" "$build" || exit 1
out=$(realpath "$out")
: > "$out/log"
work=$build/results
rm -rf "$work"
mkdir -p "$work"
: > "$work/steps"
end=$((SECONDS + seconds))
failed=0

has() { [[ ,$parts, == *,$1,* ]]; }
left() { echo $((end - SECONDS)); }
record() {
    echo "    status $2 after $3 s" | tee -a "$out/log"
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> "$work/steps"
    [ "$2" -ne 0 ] && failed=1
    python3 "$root/tools/gpu_report.py" collect "$work" "$out" || failed=1
}
# step NAME SECONDS COMMAND...: at most that long, and never beyond the end. What failed shows its last lines.
step() {
    local name=$1 limit=$2 begun=$SECONDS status=124 from
    shift 2
    [ "$(left)" -lt "$limit" ] && limit=$(left)
    echo "=== $name" | tee -a "$out/log"
    from=$(($(wc -c < "$out/log") + 1))
    if [ "$limit" -lt 1 ]; then
        echo "no time is left" >> "$out/log"
    else
        timeout -k 5 "$limit" "$@" >> "$out/log" 2>&1
        status=$?
    fi
    [ $status -eq 0 ] && tail -c "+$from" "$out/log" | grep -aq SKIPPED && status=77
    [ $status -ne 0 ] && tail -c "+$from" "$out/log" | tail -n 8
    record "$name" $status $((SECONDS - begun))
    return $status
}

# Libraries that came as Python wheels.
wheels=$(python3 - << 'PYTHON'
import importlib.util
import pathlib
places = []
for name in ("nvidia.cudnn", "nvidia.cuda_nvrtc", "nvidia.cu13", "nvidia.cu12"):
    try:
        found = importlib.util.find_spec(name)
    except ImportError:
        continue
    for place in found.submodule_search_locations if found else ():
        if (pathlib.Path(place) / "lib").is_dir():
            places.append(str(pathlib.Path(place) / "lib"))
print(":".join(places))
PYTHON
)
export SPLITDSL_CUDA_FOLDERS=${SPLITDSL_CUDA_FOLDERS:-}${SPLITDSL_CUDA_FOLDERS:+:}$wheels
export SPLITDSL_CACHE=$build/code
echo "libraries: $SPLITDSL_CUDA_FOLDERS" >> "$out/log"

tests=$build/tests/gpu_tests
bench=$build/benchmarks/bench_gpu
if [ -n "$programs" ]; then
    chmod +x "$programs/gpu_tests" "$programs/bench_gpu" 2> /dev/null
    if step "programs made elsewhere start" 30 bash -c '"$0" --list && "$1" --help > /dev/null' "$programs/bench_gpu" "$programs/gpu_tests"; then
        tests=$programs/gpu_tests
        bench=$programs/bench_gpu
    fi
fi
if [ "$tests" != "$programs/gpu_tests" ] && { has build || [ ! -x "$tests" ] || [ ! -x "$bench" ]; }; then
    failed=0
    step configure 60 bash -c configure && step build 300 bash -c compile
fi

# All in one process; if that fails, each in one of its own, the longest last: a fault on the device ends the context, and with it whatever comes after.
live="GPU: on this*,GPU: a small network*"
cases_of() {            # Catch2 2 names them by the first option (its status is their number), Catch2 3 by the second
    local option names
    for option in --list-test-names-only "--list-tests --verbosity quiet"; do
        # shellcheck disable=SC2086
        names=$("$tests" "$1" $option 2> /dev/null | sed -n 's/^ *\(GPU: .*\)/\1/p')
        [ -n "$names" ] && break
    done
    awk '/every word/ { last = last $0 "\n"; next } NF; END { printf "%s", last }' <<< "$names"
}
# A test that hangs leaves half of the time to what comes behind the tests.
kept=0
if has kernels || has networks || has peers; then kept=$((seconds / 2)); fi
up_to() {
    local rest=$(($(left) - kept))
    [ "$rest" -gt "$1" ] && rest=$1
    [ "$rest" -lt 0 ] && rest=0
    echo "$rest"
}
if has tests && [ ! -x "$tests" ]; then
    step "tests: there is no gpu_tests" 1 false
elif has tests && ! step "tests on the device" "$(up_to 150)" "$tests" "$live" -d yes; then
    mapfile -t cases < <(cases_of "$live")
    for case in "${cases[@]}"; do
        if [ "$(up_to 120)" -lt 1 ]; then
            step "tests: the others by themselves" 0 false
            break
        fi
        step "$case" "$(up_to 120)" "$tests" "${case//,/\\,}" -d yes
    done
fi

# Of our own kernels alone: with cuDNN's a check takes minutes to begin, and reports what that asks of the driver in vain.
small="GPU: a small network*,GPU: on this machine's own device tiles*,GPU: on this machine's own device the codec*"
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2> /dev/null || ls /usr/local/cuda/compute-sanitizer/compute-sanitizer 2> /dev/null)
sanitize() {
    step "$1" "$2" env SPLITDSL_TEST_OWN_KERNELS=1 "$sanitizer" --tool "$3" --error-exitcode 9 --launch-timeout 60 --print-limit 20 "$tests" "$4" -d yes
}
if has sanitizers || has thorough; then
    if [ -z "$sanitizer" ]; then
        echo "=== compute-sanitizer was not found: no check of memory and races" | tee -a "$out/log"
    elif [ ! -x "$tests" ]; then
        step "sanitizers: there is no gpu_tests" 1 false
    fi
fi
if has sanitizers && [ -n "$sanitizer" ] && [ -x "$tests" ]; then
    sanitize memcheck 50 memcheck "$small"
    sanitize racecheck 50 racecheck "$small"
    sanitize synccheck 20 synccheck "$small"
fi

if has kernels || has networks || has peers; then
    [ -x "$bench" ] || step "benchmarks: there is no bench_gpu" 1 false
fi
if has kernels && [ -x "$bench" ]; then
    step "benchmark: codecs" 30 "$bench" --codecs --json "$work/codecs.json"
    step "benchmark: bytes, layers" 30 "$bench" --bytes --json "$work/bytes.json"
    nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2> /dev/null)
    if [ -n "$nvcc" ]; then
        "$bench" --source > "$work/kernels.cu"
        step "nvcc" 60 "$nvcc" -std=c++17 -arch=native --cubin -Xptxas -v "$work/kernels.cu" -o "$work/kernels.cubin"
    else
        echo "=== nvcc was not found; NVRTC alone compiled the kernels" | tee -a "$out/log"
    fi
fi
if has networks && [ -x "$bench" ]; then
    for batch in 1 8 32; do
        step "benchmark: bytes, $batch together" 30 "$bench" mobilenet_v2_int8 resnet50_int8 --batch "$batch" --runs 100 --json "$work/int8_$batch.json"
    done
    step "benchmark: ours, f32" 60 "$bench" --precision f32 --runs 50 --choose 4 --json "$work/f32.json"
fi
if has peers && [ -x "$bench" ]; then
    rows=$(($(left) - 40))          # a row that was begun is finished
    [ "$rows" -lt 10 ] && rows=10
    step "benchmark: peers" "$(left)" python3 -u "$root/benchmarks/bench_gpu.py" --program "$bench" --seconds "$rows" --json "$work/peers.json"
fi
if has thorough && [ -n "$sanitizer" ] && [ -x "$tests" ]; then
    words="GPU: on this machine's own device every word*"
    sanitize "memcheck, every word" 180 memcheck "$words"
    sanitize "racecheck, every word" 180 racecheck "$words"
    step "memcheck, with cuDNN" 180 "$sanitizer" --tool memcheck --error-exitcode 9 --launch-timeout 60 --print-limit 20 --report-api-errors no "$tests" "$small" -d yes
fi

cat "$out/tables.md"
exit $failed
