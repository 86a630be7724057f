#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Takes the convolutions' inner loops on AArch64 apart: how many instructions they take beyond those they cannot do without.

    inner_loops.py COMPILER OBJDUMP SOURCE [FLAG...]

No AArch64 machine measures these kernels here; a loop that spills its sums shows in its instructions (it had 1.8 times as many as
multiply-adds once). Exit status 1 if a loop exceeds MOST times the ideal, or is not found.
"""
import os
import re
import subprocess
import sys
import tempfile

MOST = 1.3
LANES = 4
STEP = 4  # two pointers, a comparison, a branch
FORMS = ("anywhere", "in_row", "in_row_1x1", "in_row_second")  # of a tile, as conv_tile.hpp numbers them


def loops(text):
    """(function, instructions) of every loop without a branch inside."""
    functions, name = {}, None
    for line in text.splitlines():
        if found := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            name = functions.setdefault(found[1], [])
        elif (found := re.match(r"\s+([0-9a-f]+):\s+(\S+)\s*(.*)", line)) and name is not None:
            name.append((int(found[1], 16), found[2], found[3]))
    for function, code in functions.items():
        place = {address: i for i, (address, _, _) in enumerate(code)}
        for i, (address, what, operands) in enumerate(code):
            target = re.search(r"(?:^|, )([0-9a-f]+) <", operands) if what.startswith(("b.", "cb")) else None
            begin = place.get(int(target[1], 16), i) if target else i
            body = [w for _, w, _ in code[begin : i + 1]]
            if begin < i and not any(w == "b" or w.startswith(("b.", "cb", "tb")) for w in body[:-1]):
                yield function, body


def named_form(function):
    """A demangled name with its tile's form in words, whichever way the demangler writes it."""
    return re.sub(r"(conv_tile<\d+, \d+), \([^)]*tile_form\)(\d)>", lambda found: f"{found[1]}, {FORMS[int(found[2])]}>", function)


def ideal(function):
    """(multiply-adds, instructions) of a channel block at one tap; of one tap for a depthwise layer."""
    if found := re.search(r"conv_tile<(\d+), (\d+),", function):
        outs, pixels = int(found[1]), int(found[2])
        return LANES * outs * pixels, LANES * outs * pixels + (LANES * outs + 1) // 2 + pixels + STEP
    return None


def main():
    compiler, objdump, source, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "made.o")
        subprocess.run([compiler, "-std=c++20", "-O2", "-ffp-contract=off", *flags, "-c", source, "-o", made], check=True)
        text = subprocess.run([objdump, "-dC", "--no-show-raw-insn", made], check=True, capture_output=True, text=True).stdout
    wanted = tuple(f"conv_tile<{tile}, {form}>" for tile in ("4, 5", "2, 8", "1, 8") for form in FORMS) + ("conv_tile<2, 6, anywhere>",)
    seen, broken = dict.fromkeys(wanted, 0), False
    for function, body in loops(text):
        tile = next((w for w in wanted if w in named_form(function)), None)
        multiply_adds = sum(w.startswith("fml") for w in body)
        if tile is None or multiply_adds != ideal(function)[0]:
            continue
        seen[tile] += 1
        ratio = len(body) / ideal(function)[1]
        broken = broken or ratio > MOST
        print(f"{tile}: {len(body)} instructions, {multiply_adds} of them multiply-adds, ideal {ideal(function)[1]}: {ratio:.2f}")
    for tile, n in seen.items():
        if n == 0:
            print(f"{tile}: expected a loop of {ideal(tile)[0]} multiply-adds, found none")
            broken = True
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
