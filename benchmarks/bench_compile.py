#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the library costs the compiler: seconds, memory and template specialisations of the files in benchmarks/compile_cost.

A file's opening comments say how to compile it and what is promised about it:

    // title: the quick-start file
    // flags: -O0
    // limit: 8 s              or `0.5 s above empty`, or `60 s, 1500 MB`

--zoo measures each network of the zoo alone instead, from the sources that a build with -DSPLITDSL_ZOO_ALL=ON writes, for AVX2 with g++ -O2:

    cmake --preset release -DSPLITDSL_ZOO_ALL=ON
    bench_compile.py --zoo build/release/cmake/examples/zoo/pipelines --runs 1

Seconds are processor seconds (user and system) of the whole compiler, minimum over the runs; memory is the largest resident set of
any of its processes. Specialisations are g++'s own count (-fstats), or clang's InstantiateClass and InstantiateFunction events
(-ftime-trace): unlike seconds they do not depend on the machine, but they do on compiler and standard library versions.
"""
import argparse
import collections
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
CASES = ROOT / "benchmarks" / "compile_cost"
ZOO_FLAGS = "-O2 -DNDEBUG -mavx2 -mfma -ffp-contract=off -DSPLITDSL_PIPELINE_ISA=avx2_fma"
Cost = collections.namedtuple("Cost", "seconds megabytes")


def comment(text, word):
    match = re.search(rf"^// {word}: (.+)$", text, re.M)
    return match.group(1).strip() if match else ""


def command_for(compiler, source, flags, output):
    mode = [] if "-fsyntax-only" in flags else ["-c", "-o", str(output)]
    return [compiler, "-std=c++20", f"-I{ROOT / 'include'}", f"-I{ROOT}", *flags, *mode, str(source)]


def zoo_limit(network):
    """Two networks of hundreds of layers may take twice as long as a classifier."""
    return "180 s, 3000 MB" if network.startswith("faster_rcnn") or "resnest269e" in network else "90 s, 2000 MB"


def run_once(command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    messages = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError("\n".join(messages.splitlines()[:8]))
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def measure(command, runs):
    costs = [run_once(command) for _ in range(runs)]
    return Cost(min(cost.seconds for cost in costs), max(cost.megabytes for cost in costs))


def is_clang(compiler):
    return "clang" in subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout


def specialisations(compiler, source, flags, folder):
    """Counted in a run of its own: counting slows the compiler down."""
    if is_clang(compiler):
        output = folder / "traced.o"
        flags = [flag for flag in flags if flag != "-fsyntax-only"]
        subprocess.run([*command_for(compiler, source, flags, output), "-ftime-trace", "-ftime-trace-granularity=0"],
                       check=True, capture_output=True)
        events = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))["traceEvents"]
        return sum(event["name"] in ("InstantiateClass", "InstantiateFunction") for event in events)
    done = subprocess.run([*command_for(compiler, source, [*flags, "-fstats"], folder / "counted.o")], check=True, capture_output=True, text=True)
    return sum(int(count) for count in re.findall(r"^(?:decl|type)_specializations: size \d+, (\d+) elements", done.stderr, re.M))


def over_limit(limit, cost, empty):
    seconds = re.search(r"([\d.]+) s\b", limit)
    megabytes = re.search(r"([\d.]+) MB", limit)
    spent = cost.seconds - (empty.seconds if "above empty" in limit else 0)
    return bool(seconds and spent > float(seconds.group(1)) or megabytes and cost.megabytes > float(megabytes.group(1)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only files whose name contains one of these")
    parser.add_argument("--zoo", metavar="FOLDER", type=pathlib.Path, help="the zoo's networks, whose sources lie there")
    parser.add_argument("--compilers", default="g++,clang++-14", help="separated by commas; missing ones are left out")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--check", action="store_true", help="fail when a promised limit is exceeded")
    arguments = parser.parse_args()

    compilers = [name for name in arguments.compilers.split(",") if shutil.which(name)]
    if arguments.zoo:
        compilers = [name for name in compilers if not is_clang(name)]
    files = [path for path in sorted((arguments.zoo or CASES).glob("*.cpp")) if not arguments.words or any(word in path.stem for word in arguments.words)]
    if not compilers or not files:
        print("no compiler or no file to measure")
        return 1
    rows, failed, exceeded = [], 0, 0
    print(f"{'file':<40}{'compiler':<13}{'seconds':>8}{'- empty':>9}{'MB':>7}{'specialisations':>17}  limit")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        empty_file = folder / "empty.cpp"
        empty_file.write_text("", encoding="utf-8")
        for compiler in compilers:
            empty = measure(command_for(compiler, empty_file, ["-O0"], folder / "empty.o"), max(arguments.runs, 3))
            for path in files:
                text = path.read_text(encoding="utf-8")
                flags, limit = comment(text, "flags").split(), comment(text, "limit")
                if arguments.zoo:
                    flags, limit = ZOO_FLAGS.split(), zoo_limit(path.stem)
                try:
                    cost = measure(command_for(compiler, path, flags, folder / "out.o"), arguments.runs)
                    count = 0 if arguments.zoo else specialisations(compiler, path, flags, folder)
                except (RuntimeError, subprocess.CalledProcessError) as problem:
                    failed += 1
                    print(f"{path.stem:<40}{compiler:<13} does not compile: {problem}")
                    continue
                over = bool(limit) and over_limit(limit, cost, empty)
                exceeded += over
                print(f"{path.stem:<40}{compiler:<13}{cost.seconds:>8.2f}{cost.seconds - empty.seconds:>9.2f}{cost.megabytes:>7.0f}{count:>17}"
                      f"  {limit}{'  EXCEEDED' if over else ''}")
                rows.append({"file": path.stem, "title": comment(text, "title"), "flags": flags, "compiler": compiler,
                             "seconds": round(cost.seconds, 3), "seconds_above_empty": round(cost.seconds - empty.seconds, 3),
                             "max_rss_mb": round(cost.megabytes, 1), "specialisations": count, "limit": limit, "within_limit": not over,
                             "label": "measured"})
    if arguments.json:
        host = {"processor": platform.processor() or platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
        pathlib.Path(arguments.json).write_text(json.dumps({"host": host, "runs": arguments.runs, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    return 1 if failed or (arguments.check and exceeded) else 0


if __name__ == "__main__":
    sys.exit(main())
