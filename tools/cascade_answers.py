#!/usr/bin/python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Makes a file of recorded answers for a cascade out of what `classify` wrote with a small and with a big network on the same pictures.

    classify --model SMALL --weights ... --top CLASSES --quiet --json small.json PICTURES
    classify --model BIG --weights ... --top CLASSES --quiet --json big.json PICTURES
    cascade_answers.py small.json big.json answers.safetensors              the pictures' folders are their labels: 3/0042.jpg
    cascade_answers.py small.json big.json answers.safetensors --labels labels.csv --column class_index

The file is what splitdsl-sim reads ([answers] file): labels, GROUP.local (the small network, on the device) and GROUP.offload (the big one), logits in F16.
"""
import argparse
import csv
import json
import pathlib

import bounded_file
import command_line
import packages

packages.require("numpy")

import numpy  # noqa: E402
import safetensors_io  # noqa: E402

MOST_BYTES = 2 << 30


def read_results(path):
    """A dict of pictures: each a dict of classes with logits."""
    try:
        content = bounded_file.read_bounded(path, MOST_BYTES)
    except OSError as problem:
        raise ValueError(f"{path}: {problem.strerror or problem}") from None
    try:
        results = json.loads(content)["results"]
        return {r["file"]: {t["class"]: float(t["logit"]) for t in r["top"] if t["class"] >= 0} for r in results if "top" in r}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as problem:
        raise ValueError(f"{path}: expected what classify --json writes, found something else ({type(problem).__name__})") from None


def labels_of(pictures, table, column):
    """The class of each picture, from a CSV table with a column `file` or from the names of the folders."""
    if table:
        with open(table, encoding="utf-8", newline="") as file:
            rows = {row.get("file"): row.get(column) for row in csv.DictReader(file)}
        found = {p: rows.get(p) for p in pictures}
        expected = f"a number in the column {column} of {table}"
    else:
        found = {p: p.split("/")[0] if "/" in p else None for p in pictures}
        expected = "a folder named by a number"
    for picture, text in found.items():
        if not (text or "").isdecimal() or int(text) > 65535:
            raise ValueError(f"{picture}: expected {expected}, found {text or 'none'}")
    return {p: int(text) for p, text in found.items()}


def logits_of(path, results, pictures, classes):
    """(pictures, classes) in F16. Of a network with a background among its outputs one class may be missing: it was the least likely one."""
    all_rows = numpy.empty((len(pictures), classes), numpy.float16)
    for i, picture in enumerate(pictures):
        row = results[picture]
        missing = [c for c in range(classes) if c not in row]
        if len(missing) > 1 or any(c >= classes for c in row):
            raise ValueError(f"{path}: {picture}: expected the logits of {classes} classes (--top {classes}), found {len(row)}")
        least = min(row.values())
        with numpy.errstate(over="ignore"):     # said below, by name
            all_rows[i] = [row.get(c, least) for c in range(classes)]
    if not numpy.isfinite(all_rows).all():
        raise ValueError(f"{path}: expected logits that F16 holds, found larger ones")
    return all_rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small")
    parser.add_argument("big")
    parser.add_argument("answers")
    parser.add_argument("--labels", help="a CSV table with a column `file`; without it the pictures' folders are their classes")
    parser.add_argument("--column", default="class_index", help="of the table (class_index)")
    parser.add_argument("--group", default="cascade", help="how the answers are called in the file (cascade)")
    parser.add_argument("--each", type=command_line.whole_number(1, 1_000_000), help="so many pictures of each class, the first ones; all of them without it")
    options = parser.parse_args()
    if {pathlib.Path(p).resolve() for p in (options.small, options.big, options.labels or options.big)} & {pathlib.Path(options.answers).resolve()}:
        raise ValueError(f"{options.answers}: expected a file of its own, found one of those that are read")
    small, big = read_results(options.small), read_results(options.big)
    pictures = sorted(set(small) & set(big))
    if not pictures:
        raise ValueError(f"{options.small}, {options.big}: expected pictures that both name, found none")
    labels = labels_of(pictures, options.labels, options.column)
    if options.each:
        seen = {}
        for p in pictures:
            seen.setdefault(labels[p], []).append(p)
        chosen = {p for of_class in seen.values() for p in of_class[:options.each]}
        pictures = [p for p in pictures if p in chosen]
    # A table's order and a folder's are by class: a scenario holds back the first pictures for validation, so every part gets all classes.
    turn, order = {}, {}
    for p in pictures:
        order[p] = turn[labels[p]] = turn.get(labels[p], 0) + 1
    pictures.sort(key=lambda p: (order[p], labels[p]))
    classes = max(max(max(row) for row in small.values()), max(max(row) for row in big.values()), max(labels.values())) + 1
    local, offload = logits_of(options.small, small, pictures, classes), logits_of(options.big, big, pictures, classes)
    wide = max(labels.values()) > 255
    safetensors_io.save(options.answers, {"labels": numpy.array([labels[p] for p in pictures], numpy.int32 if wide else numpy.uint8),
                                          f"{options.group}.local": local[:, None, :], f"{options.group}.offload": offload[:, None, :]},
                        {"made by": "tools/cascade_answers.py from classify's logits"})
    print(f"{len(pictures)} pictures of {len(set(labels[p] for p in pictures))} classes: {options.answers}")


if __name__ == "__main__":
    command_line.run(main)
