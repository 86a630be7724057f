#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Runs a program as if the processor ended at AVX2, though it has AVX-512 (x86-64 Linux, glibc 2.35 or newer, cc and objdump).

    limit_cpuid.py FOLDER PROGRAM ARGUMENT...     FOLDER keeps what is compiled and found out, for the next time

For libraries without a switch of their own; bench_peers.py --limit avx2 compares by it. A library learns what there is from the instruction
`cpuid`, which no setting of this kernel or of most virtual machines can take away. So limit_cpuid.c, loaded before everything else, replaces
each of a library's `cpuid`s before any of its code runs, and answers with what the processor says, less AVX-512, AVX-VNNI, AVX10 and AMX.
Where they are is read from objdump's disassembly (the two bytes alone also occur inside of other instructions). What a program loads is not
known before it has run: a first run says which objects were not listed yet, they are disassembled, and the program is run again until none
is new. glibc, which asks before everything else, gets its own switch (GLIBC_TUNABLES). Nothing on disk is changed.

What it cannot do: instructions stay executable, so code that asks nobody or asks elsewhere (/proc/cpuinfo) is not held back. Therefore
`wide_registers_used` looks at what the kernel noted: whether a thread of a process was ever switched out with a 512-bit register in use.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().with_name("limit_cpuid.c")
GLIBC = "glibc.cpu.hwcaps=" + ",".join(f"-AVX512{part}" for part in ("F", "VL", "BW", "DQ", "CD"))
MOST_RUNS = 5       # what is loaded next may depend on what is said of the processor


class CannotLimit(Exception):
    """Why not, in one sentence."""


def run(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotLimit(f"{command[0]}: no such program") from None
    if done.returncode != 0:
        raise CannotLimit(f"{' '.join(map(str, command))}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout


def offsets_of(path):
    """Where the instructions `cpuid` of an ELF file are, in its own addresses."""
    found, whole = [], pathlib.Path(path).read_bytes()
    if b"\x0f\xa2" not in whole:
        return found
    with subprocess.Popen(["objdump", "--disassemble", "--no-show-raw-insn", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "LC_ALL": "C"}) as objdump:
        for line in objdump.stdout:
            if "cpuid" in line and (match := re.match(r"\s*([0-9a-f]+):\s+cpuid\s*$", line)):
                found.append(match[1])
    if objdump.returncode != 0:
        raise CannotLimit(f"objdump does not disassemble {path}")
    return found


class Limit:
    """What is known about the objects of limited programs; kept in `folder`."""

    def __init__(self, folder):
        folder = pathlib.Path(folder).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self.object, self.sites, self.unknown = folder / "limit_cpuid.so", folder / "sites", folder / "unknown"
        run(["cc", "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(self.object)])
        # An object that was replaced since is looked through again.
        if self.sites.exists() and any(not os.path.exists(path) or os.path.getmtime(path) > self.sites.stat().st_mtime for path in self.listed()):
            self.sites.unlink()
        self.sites.touch()
        self.unknown.unlink(missing_ok=True)

    def listed(self):
        return [line.split(" ", 1)[1] for line in self.sites.read_text(encoding="utf-8").splitlines()]

    def environment(self):
        """What a limited program's environment has besides."""
        return {"LD_AUDIT": str(self.object), "SPLITDSL_LIMIT_SITES": str(self.sites), "SPLITDSL_LIMIT_UNKNOWN": str(self.unknown), "GLIBC_TUNABLES": GLIBC}

    def learn(self):
        """Lists the objects that the last run loaded unlimited; whether there were any, and it is to be run again."""
        paths = dict.fromkeys(self.unknown.read_text(encoding="utf-8").splitlines()) if self.unknown.exists() else {}
        with self.sites.open("a", encoding="utf-8") as sites:
            for path in paths:
                sites.write(f"{','.join(offsets_of(path)) or '-'} {path}\n")
        self.unknown.unlink(missing_ok=True)
        return bool(paths)


def wide_registers_used(process, since):
    """Whether the kernel saw a thread of it with a 512-bit register in use after `since` (of time.monotonic()); None where it does not say.

    It looks when it takes a processor away from the thread, and notes the time in ticks of at most 10 ms; a program is born with its parent's note.
    """
    used = None
    for file in pathlib.Path(f"/proc/{process}/task").glob("*/arch_status"):
        try:
            text = file.read_text(encoding="ascii")
        except OSError:         # the thread has ended
            continue
        if match := re.search(r"AVX512_elapsed_ms:\s*(-?\d+)", text):
            used = bool(used) or 0 <= int(match[1]) < (time.monotonic() - since) * 1e3 - 10
    return used


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("program", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if not arguments.program:
        parser.error("expected a program")
    try:
        limit = Limit(arguments.folder)
        for _ in range(MOST_RUNS):
            status = subprocess.run(arguments.program, env={**os.environ, **limit.environment()}, check=False).returncode
            if not limit.learn():
                return status
        raise CannotLimit(f"{arguments.program[0]} loads new objects in every run")
    except (CannotLimit, OSError) as problem:
        print(f"limit_cpuid: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
