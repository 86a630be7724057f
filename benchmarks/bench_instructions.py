#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a frame costs besides its kernels, in instructions: counted by valgrind's callgrind, so the same on a busy machine.

    benchmarks/bench_instructions.py [--bench build/release/benchmarks/bench_zoo] [--json FILE] NETWORK...

Counts what runs inside a network's `run` and sums it by who spends it: the kernels (and the C library's memset and memcpy that they
call), and the executor that goes from step to step. Valgrind knows no AVX-512: the counts are of AVX2 or less. Exit status 1 if the
executor's share of a network reaches --most (1 %), 2 if nothing could be counted.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ENTRY = "*execution::engine*::run(*"


def fail(why):
    print(f"bench_instructions: {why}", file=sys.stderr)
    sys.exit(2)


def count(bench, network):
    """Instructions by function of two runs: the one that bench_zoo does not time, and one more."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "callgrind")
        environment = dict(os.environ)
        environment.setdefault("SPLITDSL_ISA", "avx2_fma")
        run = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--toggle-collect={ENTRY}", bench, network, "--threads", "1", "--runs", "1"],
                             capture_output=True, text=True, env=environment)
        if run.returncode != 0:
            fail(f"{bench} {network} under valgrind: exit status {run.returncode}: {run.stderr.strip().splitlines()[-1] if run.stderr.strip() else 'no message'}")
        try:
            text = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", out], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as problem:
            fail(f"callgrind_annotate was expected to read what callgrind counted: {problem}")
    functions = {}
    for line in text.splitlines():
        if found := re.match(r"\s*([0-9,]+) \(\s*[0-9.]+%\)\s+[^:]*:(.*?)(?: \[[^]]*\])?$", line):
            if "PROGRAM TOTALS" not in line:
                functions[found[2]] = functions.get(found[2], 0) + int(found[1].replace(",", ""))
    if not functions:
        fail(f"{network}: callgrind counted nothing inside {ENTRY}")
    return functions


def of_executor(function):
    return "execution::engine" in function or re.search(r"kernel_of<[^>]*>::(tasks|packed)", function) is not None or "one_task::tasks" in function


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("networks", nargs="+", metavar="NETWORK")
    options.add_argument("--bench", default="build/release/benchmarks/bench_zoo")
    options.add_argument("--most", type=float, default=1.0, metavar="PERCENT")
    options.add_argument("--json", metavar="FILE")
    a = options.parse_args()
    for tool in ("valgrind", "callgrind_annotate"):
        if not shutil.which(tool):
            fail(f"{tool} is missing (Debian: valgrind)")
    if not os.access(a.bench, os.X_OK):
        fail(f"{a.bench}: no such program; make build makes it")
    rows, broken = [], False
    print(f"{'network':34s} {'instructions':>14s} {'executor':>12s} {'share':>8s}   counted, of one frame")
    for network in a.networks:
        functions = count(a.bench, network)
        total = sum(functions.values()) / 2
        executor = sum(n for f, n in functions.items() if of_executor(f)) / 2
        share = 100 * executor / total
        broken = broken or share >= a.most
        print(f"{network:34s} {total:14,.0f} {executor:12,.0f} {share:7.2f} %")
        largest = sorted(functions.items(), key=lambda f: -f[1])[:12]
        rows.append({"network": network, "instructions": total, "executor": executor, "share": share / 100, "largest": [{"function": f, "instructions": n / 2} for f, n in largest]})
    if a.json:
        with open(a.json, "w", encoding="utf-8") as file:
            json.dump({"label": "counted", "rows": rows}, file, indent=2)
            file.write("\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
