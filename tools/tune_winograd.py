#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Refreshes the cost model by which 3x3 convolutions choose between the direct sum and Winograd's tiles (graph/winograd.hpp).

    tools/tune_winograd.py [--bench build/release/benchmarks/bench_kernels] [--runs 25] [--from FILE...] [--write]

Times the layers of bench_kernels with weights that come from memory (--cold), or reads such JSON files (several: one machine each, all
count alike), fits the constants of `winograd_costs` by least squares of the relative errors, searches from there and from the old ones for those
that lose least against each layer's fastest way, and prints what both choose. The choice is part of a network's arithmetic, the same on
every machine: new constants are a change of the library for all, so --write is for its maintainers, and fingerprints do not change.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import packages

packages.require("numpy")

import numpy

HEADER = "include/splitdsl/graph/winograd.hpp"
NAMES = ("weight_byte", "product_percent", "in_2", "out_2", "in_4", "out_4")


def fail(why):
    print(f"tune_winograd: {why}", file=sys.stderr)
    sys.exit(2)


def constants():
    try:
        with open(HEADER, encoding="utf-8") as file:
            text = file.read()
    except OSError as trouble:
        fail(f"{HEADER}: {trouble.strerror} (run it in the project's root)")
    found = {name: re.search(rf"\b{name} = (\d+)", text) for name in NAMES + ("block",)}
    for name, value in found.items():
        if not value:
            fail(f"{HEADER}: expected {name} = NUMBER in winograd_costs, found none")
    return {name: int(value[1]) for name, value in found.items()}


def write(new):
    with open(HEADER, encoding="utf-8") as file:
        text = file.read()
    for name in NAMES:
        text = re.sub(rf"\b{name} = \d+", f"{name} = {new[name]}", text, count=1)
    with open(HEADER, "w", encoding="utf-8") as file:
        file.write(text)


def measure(bench, runs):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "layers.json")
        try:
            subprocess.run([bench, "--cold", "--no-peer", "--runs", str(runs), "--json", out], check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            fail(f"{bench}: {error}; make build makes it")
        return read(out)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        rows = report["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{path}: expected what bench_kernels --cold --json writes, found {error!r}")
    if not report.get("cold"):
        fail(f"{path}: expected timings with --cold, found those of weights that stay in a cache")
    layers = {}
    for row in rows:
        few_outputs = row["out"] <= 4 and row["in"] % 16 == 0  # always direct, by a kernel that the model does not describe
        if row["kernel"] == 3 and row["stride"] == 1 and row["groups"] == 1 and not few_outputs:
            layers.setdefault(row["layer"], {"of": row, "ms": {}})["ms"][{"direct": 0, "F(2x2)": 2, "F(4x4)": 4}.get(row["way"], row["way"])] = row["least_ms"]
    layers = [layer for layer in layers.values() if {0, 2, 4} <= set(layer["ms"])]
    if len(layers) < len(NAMES):
        fail(f"{path}: expected at least {len(NAMES)} layers of 3x3 and stride 1, found {len(layers)}")
    return layers


def terms(layer, tile, block):
    """Multiplications (of a direct sum), then what each constant is multiplied by: cost = first + sum of constant * term."""
    row = layer["of"]
    whole = lambda n: (n + block - 1) // block * block
    outs, high, wide = whole(row["out"]), row["height"], row["width"]
    if tile == 0:
        pairs = row["in"] * outs
        return 9 * pairs * high * wide, {"weight_byte": 36 * pairs}
    ins, positions = whole(row["in"]), (tile + 2) ** 2
    pairs = ins * outs
    tiles = -(-high // tile) * -(-wide // tile)
    return 0, {"weight_byte": 4 * positions * pairs, "product_percent": tiles * positions * pairs / 100, f"in_{tile}": tiles * ins, f"out_{tile}": tiles * outs}


def cost(layer, tile, c):
    first, of = terms(layer, tile, c["block"])
    return first + sum(c[name] * factor for name, factor in of.items())


def choice(layer, c):
    best, least = 0, cost(layer, 0, c)
    for tile in (2, 4):
        if tile == 4 and layer["of"]["in"] > 1024:
            continue
        if cost(layer, tile, c) < 0.95 * least:
            best, least = tile, cost(layer, tile, c)
    return best


def fit(machines, block):
    """Least squares of measured / modelled - 1; each machine has its own time of one multiplication, found with the rest."""
    old = constants()
    rates = [numpy.median([layer["ms"][0] / cost(layer, 0, old) for layer in layers]) for layers in machines]
    values = numpy.array([float(old[name]) for name in NAMES])
    for _ in range(50):
        rows, wanted = [], []
        for layers, rate in zip(machines, rates):
            for layer in layers:
                for tile in (0, 2, 4):
                    first, of = terms(layer, tile, block)
                    ms = layer["ms"][tile]
                    rows.append([of.get(name, 0) * rate / ms for name in NAMES])
                    wanted.append(1 - first * rate / ms)
        a, b = numpy.array(rows), numpy.array(wanted)
        free = list(range(len(NAMES)))
        while free: # constants below nothing are none
            solved = numpy.linalg.lstsq(a[:, free], b, rcond=None)[0]
            if (solved >= 0).all():
                break
            free.pop(int(solved.argmin()))
        values = numpy.zeros(len(NAMES))
        values[free] = solved
        new = dict(zip(NAMES, values), block=block)
        rates = [float(numpy.median([layer["ms"][0] / cost(layer, 0, new) for layer in layers])) for layers in machines]
    return {**{name: round(float(v)) for name, v in zip(NAMES, values)}, "block": block}


def loss(machines, c):
    """Mean over the layers of what the choices take above the fastest way."""
    all_layers = [layer for layers in machines for layer in layers]
    return sum(layer["ms"][choice(layer, c)] / min(ms for tile, ms in layer["ms"].items() if tile != 4 or layer["of"]["in"] <= 1024) - 1 for layer in all_layers) / len(all_layers)


def search(machines, starts, tries=4000):
    random = numpy.random.default_rng(1)
    best = min(starts, key=lambda c: loss(machines, c))
    least = loss(machines, best)
    for _ in range(tries):
        some = {name: max(1, round(best[name] * float(numpy.exp(random.normal(0, 0.25))))) if random.random() < 0.4 else best[name] for name in NAMES}
        some["block"] = best["block"]
        if (here := loss(machines, some)) < least - 1e-4: # not for noise
            best, least = some, here
    return best


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--bench", default="build/release/benchmarks/bench_kernels")
    options.add_argument("--runs", type=int, default=25)
    options.add_argument("--from", dest="files", nargs="+", metavar="FILE", help="JSON of bench_kernels --cold instead of timing here")
    options.add_argument("--write", action="store_true", help=f"put the new constants into {HEADER}")
    a = options.parse_args()
    old = constants()
    machines = [read(f) for f in a.files] if a.files else [measure(a.bench, a.runs)]
    new = search(machines, [old, fit(machines, old["block"])])
    print(f"{'layer':24s} {'direct ms':>10s} {'F(2x2)':>10s} {'F(4x4)':>10s}   fastest  old  new    (measured, weights from memory)")
    for layers in machines:
        for layer in layers:
            ms = layer["ms"]
            fastest = min((t for t in (0, 2, 4) if t != 4 or layer["of"]["in"] <= 1024), key=lambda t: ms[t])
            chosen = {"old": choice(layer, old), "new": choice(layer, new)}
            print(f"{layer['of']['layer']:24s} {ms[0]:10.4f} {ms[2]:10.4f} {ms[4]:10.4f}   {fastest:7d} {chosen['old']:4d} {chosen['new']:4d}")
    for which, c in (("old", old), ("new", new)):
        print(f"{which}: {', '.join(f'{name} = {c[name]}' for name in NAMES)}; {100 * loss(machines, c):.1f} % slower than the fastest way, mean over the layers")
    if a.write:
        write(new)
        print(f"{HEADER} written; run the error budget's tests and compare whole networks (bench_peers.py) before keeping it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
