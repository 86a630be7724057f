#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Wrong options and files end the drive's tools and the small ones with a sentence that names them: no traceback.

    command_line_test.py     needs numpy and PyTorch
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
try:
    import numpy  # noqa: F401
    import torch  # noqa: F401
    import torchvision  # noqa: F401
except ImportError as problem:
    print(f"SKIPPED: the drive's tools need python3-numpy, python3-torch and python3-torchvision ({problem})")
    sys.exit(0)
GRAPH = {"ops": [], "parameters": []}
OP = {"inputs": [], "shape": [3, 1, 1], "used": True}
DRIVER = {"network": "small", "fingerprint": "0x1", "outputs": [{"name": "output", "op": 3}], "parameters": [{"name": "trunk.weight", "shape": [3, 3]}, {"name": "trunk.bias", "shape": [3]}],
          "ops": [{**OP, "index": 0, "kind": "input", "name": "camera", "shape": [3, 88, 200], "dtype": "u8", "layout": "chw"},
                  {**OP, "index": 1, "kind": "normalise", "name": "", "inputs": [0], "shape": [3, 88, 200], "mean": [0.5] * 3, "std": [0.25] * 3},
                  {**OP, "index": 2, "kind": "global_pool", "name": "", "inputs": [1]}, {**OP, "index": 3, "kind": "dense", "name": "trunk", "inputs": [2], "out": 3, "bias": True}]}
BYTES = 3 * 88 * 200 + 17  # of a frame, with its speed, controls and command


def cases(folder):
    graphs, data = folder / "graphs", folder / "data"
    for made in (graphs, data, folder / "work", folder / "broken", folder / "short", folder / "uncounted", folder / "deep", folder / "one", folder / "small"):
        made.mkdir()
    for name in ("driver_teacher", "driver"):
        (graphs / f"{name}.json").write_text(json.dumps(GRAPH))
    for name in ("driver_teacher", "driver"):
        (folder / "small" / f"{name}.json").write_text(json.dumps(DRIVER))
    (folder / "broken" / "driver_teacher.json").write_text("[]")
    (folder / "deep" / "driver_teacher.json").write_text("[" * 100_000)
    (folder / "short" / "train.bin").write_bytes(bytes(BYTES))
    (folder / "short" / "train.bin.json").write_text('{"count": 2}')
    for name in ("train", "val"):
        (folder / "one" / f"{name}.bin").write_bytes(bytes(BYTES))
        (folder / "one" / f"{name}.bin.json").write_text('{"count": 1}')
    (folder / "uncounted" / "train.bin").write_bytes(bytes(BYTES))
    (folder / "uncounted" / "train.bin.json").write_text('{"count": "many"}')

    def train(graphs, data):
        return ["train_drive.py", "teacher", "--graphs", graphs, "--data", data, "--work", folder / "work"]

    def evaluate(*more):
        return ["evaluate_drive.py", "--graphs", graphs, "--drivers", "driver", "--seeds", 1, "--frames", 1, *more]

    yield train(folder / "none", data), 1, "driver_teacher.json: No such file or directory"
    yield train(folder / "broken", data), 1, "expected what describe<Net>(format::json) prints, found something else"
    yield train(folder / "deep", data), 1, "expected what describe<Net>(format::json) prints, found something else"
    yield train(graphs, data), 1, "expected train*.bin of drive_dataset, found none"
    yield train(graphs, folder / "short"), 1, f"expected {2 * BYTES} bytes for 2 frames, found {BYTES}"
    yield train(graphs, folder / "uncounted"), 1, "expected what drive_dataset writes, a count of frames"
    yield [*train(graphs, data), "--batch", 0], 2, "--batch: expected a whole number from 1 to 2147483647, found 0"
    yield train(graphs, folder / "one"), 1, "expected a --batch of at most the 1 frames of train*.bin, found 64"
    once = [*train(folder / "small", folder / "one"), "--batch", 1, "--shallow-steps", 1, "--deep-steps", 1, "--calibration", 1]
    yield once, 0, "teacher-deep step 1/1"
    yield once, 0, "teacher-deep: continuing at step 1"
    yield [*once, "--rate", 0.5], 1, "teacher-shallow.checkpoint: another run's, which differs in rate: name another --work"
    yield evaluate("--seeds", 0), 2, "--seeds: expected a whole number from 1 to 2147483647, found 0"
    yield evaluate("--frames", "many"), 2, "--frames: expected a whole number from 1 to 2147483647, found many"
    yield evaluate("--drivers", "nobody"), 2, "invalid choice: 'nobody'"
    yield evaluate("--weights", folder / "none"), 1, "driver.safetensors: No such file or directory"
    yield ["imagenet_labels.py", "/dev/full"], 1, "/dev/full: No space left on device"
    yield ["imagenet_labels.py", folder / "none" / "labels"], 1, "labels: No such file or directory"
    yield ["imagenet_labels.py", "--help"], 0, "imagenet_labels.py FILE"
    yield ["tune_winograd.py"], 2, "winograd.hpp: No such file or directory (run it in the project's root)"


def main():
    faults = count = 0
    with tempfile.TemporaryDirectory() as temporary:
        for arguments, status, part in cases(pathlib.Path(temporary)):
            tool, *rest = map(str, arguments)
            ran = subprocess.run([sys.executable, ROOT / "tools" / tool, *rest], capture_output=True, text=True, timeout=120, check=False, cwd=temporary)
            said, count = ran.stdout + ran.stderr, count + 1
            if ran.returncode != status or part not in said or "Traceback" in said:
                faults += 1
                print(f"FAULT: {tool} {' '.join(rest)}: expected status {status} and \"{part}\", found {ran.returncode}: {said[-800:]}")
    print(f"{count} wrong commands, {faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
