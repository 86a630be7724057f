#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""benchmarks/limit_cpuid.py limits what a program and its libraries learn of the processor, from their first instruction on, and nothing else.

    limit_cpuid_test.py
"""
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "benchmarks"))
import limit_cpuid

# A library that asks while it is loaded, and has the bytes of `cpuid` inside of another instruction; for the program's own question, the bytes of its `cpuid` too.
LIBRARY = r"""
#include <cpuid.h>
unsigned answers[9];
__attribute__((constructor)) static void ask(void) {
    unsigned a, b, c, d;
    for (unsigned leaf = 0; leaf < 2; ++leaf) {
        __cpuid_count(7, leaf, a, b, c, d);
        answers[4 * leaf] = a, answers[4 * leaf + 1] = b, answers[4 * leaf + 2] = c, answers[4 * leaf + 3] = d;
    }
    __asm__ volatile("movl $0x00a20f00, %0" : "=r"(answers[8]));
}
"""
PROGRAM = r"""
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
extern const unsigned char question[];
int main(int count, char** arguments) {
    if (count > 2) __builtin_trap();
    unsigned a = 0, b, c, d;
    __asm__ volatile(".globl question\nquestion: cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    void* const library = dlopen(arguments[1], RTLD_NOW);
    const unsigned* const answers = library ? dlsym(library, "answers") : NULL;
    if (!answers) return 3;
    printf("%02x%02x", question[0], question[1]);
    for (int i = 0; i < 9; ++i) printf(" %x", answers[i]);
    putchar('\n');
}
"""
# Answers every byte of its input; from a 'w' on it has a 512-bit register in use.
WIDE = r"""
#include <unistd.h>
int main(void) {
    char way;
    while (read(0, &way, 1) == 1) {
        if (way == 'w') __asm__ volatile("vpternlogd $255, %zmm20, %zmm20, %zmm20");
        if (write(1, "d", 1) != 1) return 1;
    }
}
"""
# What leaf 7 may say up to AVX2: EBX without AVX-512 F, DQ, IFMA, PF, ER, CD, BW, VL; and so on (Intel's manual, volume 2, CPUID).
MASKS = [0xFFFFFFFF, ~(1 << 16 | 1 << 17 | 1 << 21 | 7 << 26 | 3 << 30), ~(1 << 1 | 1 << 6 | 1 << 11 | 1 << 12 | 1 << 14), ~(1 << 2 | 1 << 3 | 1 << 8 | 7 << 22 | 1 << 25),
         ~(1 << 4 | 1 << 5 | 1 << 21 | 1 << 23), 0xFFFFFFFF, 0xFFFFFFFF, ~(1 << 4 | 1 << 5 | 1 << 8 | 1 << 10 | 1 << 19)]
FAULTS = []


def expect(holds, what):
    if not holds:
        FAULTS.append(what)
        print(f"FAULT: {what}")


def compiled(folder, name, text, *options):
    source = folder / f"{name}.c"
    source.write_text(text, encoding="utf-8")
    subprocess.run(["cc", "-O1", *options, str(source), "-o", str(folder / name)], check=True)
    return str(folder / name)


def limited(limit, command):
    """The last run's process, and how many runs there were."""
    for runs in range(1, 5):
        done = subprocess.run(command, env={**os.environ, **limit.environment()}, capture_output=True, text=True, check=False)
        if not limit.learn():
            return done, runs
    raise AssertionError("new objects in every run")


def check_answers(folder):
    library, program = compiled(folder, "asks.so", LIBRARY, "-shared", "-fPIC"), compiled(folder, "program", PROGRAM)
    plain = subprocess.run([program, library], capture_output=True, text=True, check=True).stdout.split()
    limit = limit_cpuid.Limit(folder / "limit")
    done, runs = limited(limit, [program, library])
    got = done.stdout.split()
    expect(runs == 2, f"the second run is limited: there were {runs}")
    expect(done.returncode == 0 and len(got) == 10, f"a limited program runs: exit status {done.returncode}, {done.stdout!r}, {done.stderr!r}")
    expect((plain[0], got[0]) == ("0fa2", "0f0b"), f"the program's own cpuid is replaced: {plain[0]} became {got[0]}")
    expect(plain[9] == got[9] == "a20f00", f"a constant with the same bytes is not: {got[9]}")
    for i, mask in enumerate(MASKS):
        expect(int(got[1 + i], 16) == int(plain[1 + i], 16) & mask, f"leaf 7.{i // 4}, register {i % 4}: {plain[1 + i]} became {got[1 + i]}")
    expect(int(got[2], 16) & 1 << 16 == 0, "no AVX-512 while a library is loaded")
    done, runs = limited(limit_cpuid.Limit(folder / "limit"), [program, library, "trap"])
    expect((runs, done.returncode) == (1, -signal.SIGILL), f"a ud2 of the program's own is deadly in the first run of a known program: {runs}, {done.returncode}")
    os.utime(library, (time.time() + 5, time.time() + 5))
    expect(limited(limit_cpuid.Limit(folder / "limit"), [program, library])[1] == 2, "a library that was replaced is looked through again")


def check_wide(folder):
    """The kernel's note, where there is one; looks until it says so, because it is a tick old."""
    if not os.path.exists("/proc/self/arch_status"):
        print("SKIPPED in part: no /proc/self/arch_status")
        return
    process = subprocess.Popen([compiled(folder, "wide", WIDE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "GLIBC_TUNABLES": limit_cpuid.GLIBC})

    def seen(way, most):
        since = time.monotonic()
        for _ in range(most):
            process.stdin.write(way)
            process.stdin.flush()
            process.stdout.read(1)
            if limit_cpuid.wide_registers_used(process.pid, since):
                return True
        return False
    expect(not seen(b"-", 3000), "no 512-bit register in use, none seen")
    expect(seen(b"w", 30000), "a 512-bit register in use is seen")
    process.stdin.close()
    process.wait()


def main():
    missing = [program for program in ("cc", "objdump") if not shutil.which(program)]
    if missing or platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc" or tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 35):
        print("SKIPPED: limiting needs cc, objdump, x86-64 Linux and glibc 2.35" + "".join(f"; no {program} here" for program in missing))
        return 0
    with tempfile.TemporaryDirectory() as name:
        check_answers(pathlib.Path(name))
        flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
        if re.search(r"\bavx512f\b", flags):
            check_wide(pathlib.Path(name))
        else:
            print("SKIPPED in part: no AVX-512 here")
    print(f"{len(FAULTS)} faults")
    return len(FAULTS) > 0


if __name__ == "__main__":
    sys.exit(main())
