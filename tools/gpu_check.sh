#!/usr/bin/env bash
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# tools/gpu_check.sh pack FOLDER                        header-only dependencies of this machine into FOLDER
# tools/gpu_check.sh [--headers FOLDER] [--out FOLDER]  on a machine with a GPU: builds, runs every GPU test and benchmark
#
# Needs a C++20 compiler, CMake and python3; the GPU's libraries are found as docs/gpu.md says. No registry, no oneTBB or libjpeg.
# Writes OUT/log, OUT/check.json (each step's status and seconds) and OUT/bench*.json, and takes less than 8 minutes.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD

if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
    sed -n '5,9s/^# \{0,1\}//p' "$0"
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
out=out/gpu
while [ $# -gt 0 ]; do
    case $1 in
    --headers) headers=$(realpath -e "${2:?--headers FOLDER}") || exit 2; shift 2 ;;
    --out) out=${2:?--out FOLDER}; shift 2 ;;
    *) echo "gpu_check.sh: unknown option $1 (--help)" >&2; exit 2 ;;
    esac
done
mkdir -p "$out"
out=$(realpath "$out")
: > "$out/log"
steps=$out/steps
: > "$steps"
end=$((SECONDS + 470))

# step NAME SECONDS COMMAND...: at most that long, and never beyond the end.
step() {
    local name=$1 limit=$2 begun=$SECONDS status
    shift 2
    [ $((end - SECONDS)) -lt "$limit" ] && limit=$((end - SECONDS))
    echo "=== $name" | tee -a "$out/log"
    if [ "$limit" -lt 1 ]; then
        status=124
    else
        timeout "$limit" "$@" >> "$out/log" 2>&1
        status=$?
    fi
    echo "    status $status after $((SECONDS - begun)) s" | tee -a "$out/log"
    printf '%s\t%s\t%s\n' "$name" "$status" "$((SECONDS - begun))" >> "$steps"
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
export SPLITDSL_CACHE=$out/code

set_here=baseline
if [ "$(uname -m)" = x86_64 ]; then set_here=avx2_fma; fi
if [ "$(uname -m)" = aarch64 ]; then set_here=neon; fi
build=$root/build/gpu
generator=()
command -v ninja > /dev/null 2>&1 && generator=(-G Ninja)
step configure 120 cmake -S "$root" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG" ${headers:+"-DCMAKE_INCLUDE_PATH=$headers"} \
    -DSPLITDSL_PARALLEL=none -DSPLITDSL_JPEG=OFF -DSPLITDSL_PNG=OFF -DSPLITDSL_BUILD_EXAMPLES=OFF -DSPLITDSL_BUILD_BENCHMARKS=ON -DSPLITDSL_BUILD_TESTS=ON \
    -DSPLITDSL_ZOO_ALL=ON "-DSPLITDSL_INSTRUCTION_SETS=$set_here"
failed=0
step build 200 cmake --build "$build" --target gpu_tests bench_gpu -j "$(nproc)" || failed=1
if [ -x "$build/tests/gpu_tests" ]; then
    step "tests on the device" 110 "$build/tests/gpu_tests" "GPU: on this*,GPU: a small network*" || failed=1
    grep -a "SKIPPED" "$out/log" && failed=1
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2> /dev/null)
    if [ -n "$sanitizer" ]; then
        step memcheck 45 "$sanitizer" --tool memcheck --error-exitcode 9 "$build/tests/gpu_tests" "GPU: a small network*,GPU: on this machine's own device tiles*" || failed=1
        step racecheck 45 "$sanitizer" --tool racecheck --error-exitcode 9 "$build/tests/gpu_tests" "GPU: a small network*,GPU: on this machine's own device tiles*" || failed=1
    else
        echo "=== memcheck and racecheck left out: compute-sanitizer was not found" | tee -a "$out/log"
    fi
fi
if [ -x "$build/benchmarks/bench_gpu" ]; then
    nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2> /dev/null)
    if [ -n "$nvcc" ]; then
        "$build/benchmarks/bench_gpu" --source > "$out/kernels.cu"
        step "nvcc" 30 "$nvcc" -std=c++17 -arch=native --cubin "$out/kernels.cu" -o "$out/kernels.cubin" || failed=1
    else
        echo "=== nvcc was not found; NVRTC alone compiled the kernels" | tee -a "$out/log"
    fi
    step "benchmark: codecs" 20 "$build/benchmarks/bench_gpu" --codecs --json "$out/bench_codecs.json" || failed=1
    step "benchmark: bytes, layers" 20 "$build/benchmarks/bench_gpu" --bytes --json "$out/bench_bytes.json" || failed=1
    for batch in 1 8 32; do
        step "benchmark: bytes, $batch together" 25 "$build/benchmarks/bench_gpu" mobilenet_v2_int8 resnet50_int8 --batch "$batch" --runs 100 --json "$out/bench_int8_$batch.json" || failed=1
    done
    step "benchmark: ours, f32" 60 "$build/benchmarks/bench_gpu" --precision f32 --runs 50 --json "$out/bench_f32.json" || failed=1
    left=$((end - SECONDS - 40))          # a row that was begun is finished
    [ "$left" -lt 10 ] && left=10
    step "benchmark: peers" 300 python3 "$root/benchmarks/bench_gpu.py" --program "$build/benchmarks/bench_gpu" --seconds "$left" --json "$out/bench.json" || failed=1
fi
python3 - "$steps" "$out/check.json" << 'PYTHON'
import json
import pathlib
import sys
rows = [line.split("\t") for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]
pathlib.Path(sys.argv[2]).write_text(json.dumps({"steps": [{"name": n, "status": int(s), "seconds": int(t)} for n, s, t in rows]}, indent=1))
PYTHON
rm -f "$steps"
cat "$out/check.json"
exit $failed
