#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""clang compiles the kernels for AArch64 without a warning, and its dot product of bytes is sdot of the registers meant.

    neon_by_clang.py CLANG OBJDUMP SOURCE [FLAG...]

The preset aarch64 uses g++; two things are otherwise with clang. Its NEON header has macros where g++'s has functions, and the assembler of
clang 14 does not know sdot without -march, so kernels/simd/bytes.hpp writes the instruction as a number.
"""
import os
import re
import subprocess
import sys
import tempfile


def main():
    clang, objdump, source, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "made.o")
        command = [clang, "--target=aarch64-linux-gnu", "-std=c++20", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", *flags, "-c", source, "-o", made]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{source} does not compile for AArch64 with {clang}:\n" + "\n".join(done.stderr.splitlines()[:20]))
            return 1
        text = subprocess.run([objdump, "-d", "--no-show-raw-insn", made], check=True, capture_output=True, text=True).stdout
    body = text.split("<four_products>:")[-1].split("\n\n")[0]
    weights = re.search(r"ldr\s+q(\d+), \[x0\]", body)
    if not weights or not re.search(rf"sdot\s+v0\.4s, v1\.16b, v{weights[1]}\.16b", body):
        print(f"four_products: `sdot v0.4s, v1.16b` and the register loaded from x0 were expected, found\n{body}")
        return 1
    print(f"{clang}: the kernels compile for AArch64, and the dot product is sdot")
    return 0


if __name__ == "__main__":
    sys.exit(main())
