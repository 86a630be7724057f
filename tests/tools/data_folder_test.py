#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What reads the folder SPLITDSL_DATA says in one sentence which file is absent (a test is skipped) or damaged (it fails), and leaves no traceback.

    data_folder_test.py
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import data_folder  # noqa: E402

CLASSIFY = ["tests/integration/classify.py", "--program", "no/such/program", "agreement"]
PUBLISHED = ["tests/zoo/zoo_real_weights.py", "--run", "no/such/program"]
INT8 = ["tests/zoo/zoo_int8.py", "--run", "no/such/program", "--calibrate", "no/such/program"]
TRAIN = ["tools/train_fleet.py", "train", "--recipe", "trunk"]
FEATURES = ["benchmarks/dynamic_pool_features.py"]
WEIGHTS = ("squeezenet1_1", "mobilenet_v2_tf", "cifar10_resnet20", "cifar10_resnet56")
faults, without_packages = 0, set()


def check(holds, what):
    global faults
    if not holds:
        faults += 1
        print(f"FAULT: {what}")


def pack(path, count):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as out:
        for i in range(count):
            out.writestr(f"{i % 10}/{i:04}.jpg", b"no picture, but nobody looks that far")


def fill(folder):
    """All files as they should be, as far as they are looked at before they are read."""
    for name, count in data_folder.PICTURES.items():
        pack(folder / name, count)
    for i in range(1, 6):
        pack(folder / f"cifar10/train_{i}.zip", 1)
    for name, columns in data_folder.COLUMNS.items():
        (folder / name).write_text(",".join(columns) + "\n" + ",".join("0" for _ in columns) + "\n", encoding="utf-8")
    (folder / "weights").mkdir()
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    for name in WEIGHTS:
        (folder / "weights" / f"{name}.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


def says(words, folder, status, *parts):
    """A program ends with this status and one line that has these parts."""
    with tempfile.TemporaryDirectory() as work:
        extra = {"tools/train_fleet.py": ["--work", work], "benchmarks/dynamic_pool_features.py": [work]}.get(words[0], [])
        ran = subprocess.run([sys.executable, ROOT / words[0], *words[1:], *extra], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
                             env={**os.environ, "SPLITDSL_DATA": str(folder)})
    said = ran.stdout + ran.stderr
    if any(text in said for text in ("need python3-", "needs python3-", "expected numpy")):   # without PyTorch it says that first: packages_test.py
        without_packages.add(words[0])
        return
    check(ran.returncode == status and said.count("\n") == 1 and all(part in said for part in parts), f"{words[0]}, expected {parts}: status {ran.returncode}, {said[-600:]!r}")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for words in (CLASSIFY, PUBLISHED, INT8):
            says(words, folder / "nowhere", 0, "SKIPPED: expected ", "imagenet_samples_200.zip", "nowhere, found no such folder")
        says(TRAIN, folder / "nowhere", 1, "train_fleet.py: expected ", "train_1.zip, found no such file", "--data or SPLITDSL_DATA")
        says(FEATURES, folder / "nowhere", 1, "dynamic_pool_features.py: expected ", "test.zip, found no such file")

        fill(folder)
        data_folder.FOLDER = folder
        for file in (*data_folder.PICTURES, *data_folder.COLUMNS, *(f"weights/{name}.safetensors" for name in WEIGHTS)):
            check(data_folder.fault_of(file) is None, f"{file} is as it should be, found {data_folder.fault_of(file)}")
        archive = folder / "imagenet_samples_200.zip"
        whole = archive.read_bytes()
        archive.unlink()
        for words in (CLASSIFY, PUBLISHED, INT8):
            says(words, folder, 0, f"SKIPPED: expected imagenet_samples_200.zip in {folder}, found no such file")
        flipped = bytearray(whole)
        flipped[whole.index(b"nobody")] ^= 1
        for damaged, found in ((b"no archive at all", "found something else (File is not a zip file)"), (b"", "found something else"), (whole[:len(whole) * 2 // 3], "found something else"),
                               (bytes(flipped), "found a damaged entry 0/0000.jpg")):
            archive.write_bytes(damaged)
            says(CLASSIFY, folder, 1, f"classify.py: expected a ZIP archive of at least 200 JPEG pictures in {archive}, {found}")
        pack(archive, 199)
        for words in (CLASSIFY, INT8):
            says(words, folder, 1, f"at least 200 JPEG pictures in {archive}, found 199")
        archive.write_bytes(whole)

        table = folder / "imagenet_samples_200.csv"
        for damaged, found in ((b"file,squeezenet1_1_top1\n", "found no squeezenet1_1_logit"), (b"\xff\xfe\x00", "found something else"), (table.read_bytes() + b"0\n", "found too few values in row 2"),
                               (table.read_bytes().splitlines(True)[0], "found 0 rows")):
            table.write_bytes(damaged)
            says(CLASSIFY, folder, 1, f"in {table}, {found}")
            table.write_text(",".join(data_folder.COLUMNS[table.name]) + "\n0,0,0,0,0\n", encoding="utf-8")
        says(PUBLISHED, folder, 1, "expected pictures of imagenet_samples_200.zip, found 1 others (0)")

        weights = folder / "weights" / "mobilenet_v2_tf.safetensors"
        good = weights.read_bytes()
        for damaged, found in ((good[:-1], "found 3 bytes of tensors where the header has 4"), (good[:20], "no header's length"), (b"", "no header's length"), (b"\2\0\0\0\0\0\0\0[]", "found something else")):
            weights.write_bytes(damaged)
            says(CLASSIFY, folder, 1, f"expected a safetensors file in {weights}, ", found)
        says(INT8, folder, 1, f"expected a safetensors file in {weights}, ")
        weights.write_bytes(good)

        (folder / "cifar10" / "train_2.zip").write_bytes(b"no archive")
        says(TRAIN, folder, 1, "train_fleet.py: expected a ZIP archive of at least 1 JPEG pictures in ", "train_2.zip, found something else", "--data or SPLITDSL_DATA")
        (folder / "cifar10" / "test.zip").write_bytes(b"no archive")
        says(PUBLISHED, folder, 1, "zoo_real_weights.py: expected a ZIP archive of at least 10000 JPEG pictures", "test.zip, found something else")
        says(FEATURES, folder, 1, "dynamic_pool_features.py: expected a ZIP archive", "test.zip, found something else")
    if without_packages:
        print(f"not looked at, for want of their packages: {', '.join(sorted(without_packages))}")
    print(f"{faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
