# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The folder SPLITDSL_DATA (published weights, recorded answers, pictures), and files like its own: looked at before a program starts to read them.

A test is skipped where a file is absent and fails where one is damaged; a tool ends. Each says in a sentence what was expected and what was found.
"""
import csv
import json
import os
import pathlib
import sys
import zipfile
import zlib

from packages import program

FOLDER = pathlib.Path(os.environ.get("SPLITDSL_DATA") or pathlib.Path(__file__).resolve().parents[2] / "shared" / "data")
PICTURES = {"imagenet_samples_200.zip": 200, "cifar10/test.zip": 10_000}
COLUMNS = {"imagenet_samples_200.csv": ("file", "squeezenet1_1_top1", "squeezenet1_1_logit", "mobilenet_v2_tf_top1", "mobilenet_v2_tf_logit")}


def fault_of_archive(path, pictures):
    """What is wrong with a ZIP archive of at least so many JPEG pictures, every byte of it read; None if nothing is."""
    expected = f"expected a ZIP archive of at least {pictures} JPEG pictures in {path}, found"
    try:
        with zipfile.ZipFile(path) as pack:
            count = sum(name.lower().endswith(".jpg") for name in pack.namelist())
            if count < pictures:
                return f"{expected} {count}"
            damaged = pack.testzip()
            return f"{expected} a damaged entry {damaged}" if damaged else None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as problem:
        return f"{expected} something else ({problem})"


def fault_of_table(path, columns):
    """What is wrong with a CSV file that should have these columns; None if nothing is."""
    expected = f"expected a table with the columns {', '.join(columns)} in {path}, found"
    try:
        with open(path, encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        return f"{expected} something else ({problem})"
    missing = [name for name in columns if name not in (table.fieldnames or ())]
    if missing:
        return f"{expected} no {', '.join(missing)}"
    short = next((i for i, row in enumerate(rows) if any(row[name] is None for name in columns)), None)
    return f"{expected} {len(rows)} rows" if not rows else f"{expected} too few values in row {short + 1}" if short is not None else None


def fault_of_weights(path):
    """What is wrong with a safetensors file: a header that cannot be, or tensors that do not fill the rest. None if nothing is."""
    expected = f"expected a safetensors file in {path}, found"
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            there = path.stat().st_size - 8
            if not 0 < size <= there:
                return f"{expected} {there + 8} bytes that begin with no header's length"
            tensors = json.loads(file.read(size))
        end = max(tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__")
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as problem:
        return f"{expected} something else ({problem})"
    return f"{expected} {there - size} bytes of tensors where the header has {end}" if there - size != end else None


def fault_of(name):
    path = FOLDER / name
    if name in COLUMNS:
        return fault_of_table(path, COLUMNS[name])
    return fault_of_weights(path) if path.suffix == ".safetensors" else fault_of_archive(path, PICTURES.get(name, 1))


def find(*names):
    """For a test: the paths of these files of the folder. Ends the program, skipped or failed, if one of them is absent or damaged."""
    faults = [fault for name in names if (FOLDER / name).exists() and (fault := fault_of(name))]
    if faults:
        print("\n".join(f"{program()}: {fault}" for fault in faults))
        sys.exit(1)
    absent = [name for name in names if not (FOLDER / name).exists()]
    if absent:
        print(f"SKIPPED: expected {', '.join(absent)} in {FOLDER}, found no such {'file' if FOLDER.is_dir() else 'folder'}; SPLITDSL_DATA names the folder")
        sys.exit(0)
    return [FOLDER / name for name in names]


def require_pictures(archive, pictures=1, otherwise="name another one"):
    """For a tool: ends it with a sentence if a ZIP archive is absent or has not so many whole JPEG pictures. `otherwise`: what to do then."""
    archive = pathlib.Path(archive)
    fault = fault_of_archive(archive, pictures) if archive.is_file() else f"expected {archive}, found no such file"
    if fault:
        raise SystemExit(f"{program()}: {fault}: {otherwise}")
