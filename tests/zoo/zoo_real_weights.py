#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Published weights on real pictures, decoded here so that both sides see the same pixels.

    zoo_real_weights.py --run PATH/zoo_run          CIFAR ResNets on the test set; SqueezeNet and MobileNetV2 on 200 ImageNet pictures

The folder SPLITDSL_DATA (default ../shared/data) has the weights, the pictures and the recorded answers. Limits: accuracies within 0.05
points of the recorded ones; top-1 as recorded on at least 199 of 200 pictures, logits within 1e-3 of PyTorch's range.
"""
import argparse
import csv
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
try:
    import numpy
    import torch
    import torchvision  # noqa: F401
    from PIL import Image
except ImportError as problem:
    print(f"SKIPPED: published weights need python3-torch, python3-torchvision and python3-pil ({problem})")
    sys.exit(0)
import data_folder  # noqa: E402
import safetensors_io  # noqa: E402
import zoo_models  # noqa: E402

DATA = data_folder.FOLDER
CIFAR = {"cifar10_resnet20": 81.03, "cifar10_resnet56": 83.20}
PICTURES = ("squeezenet1_1", "mobilenet_v2_tf")


def planar(picture):
    return numpy.asarray(picture.convert("RGB")).transpose(2, 0, 1)


def run(program, name, pixels, folder):
    pixels.tofile(folder / "input")
    begin = time.monotonic()
    subprocess.run([program, name, "--weights", str(DATA / "weights" / f"{name}.safetensors"), "--input", str(folder / "input"), "--output", str(folder / "output"),
                    "--threads", str(min(os.cpu_count() or 1, 16))], check=True)
    seconds = time.monotonic() - begin
    return numpy.fromfile(folder / "output", "<f4").reshape(len(pixels), -1), seconds


def cifar(program, name, wanted, folder, pixels, classes):
    got, seconds = run(program, name, pixels, folder)
    accuracy = 100 * float((got.argmax(1) == classes).mean())
    fine = abs(accuracy - wanted) <= 0.05
    print(f"{'same   ' if fine else 'DIFFERS'} {name}: {accuracy:.2f} % of {len(pixels)} pictures, recorded {wanted:.2f} %  ({seconds:.1f} s)", flush=True)
    return fine


def centre(picture):
    width, height = picture.size
    left, top = (width - 224) // 2, (height - 224) // 2
    return picture.crop((left, top, left + 224, top + 224))


def imagenet(program, name, folder, pixels, rows):
    got, seconds = run(program, name, pixels, folder)
    background = 1 if got.shape[1] == 1001 else 0
    top = got.argmax(1)
    agree = int((top - background == numpy.array([int(row[f"{name}_top1"]) for row in rows])).sum())
    make, statistics, _, _ = zoo_models.MODELS[name]
    model = make().eval()
    state, _ = safetensors_io.load(DATA / "weights" / f"{name}.safetensors")
    model.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in state.items()})
    with torch.no_grad():
        want = torch.cat([model(zoo_models.normalise(torch.from_numpy(part), statistics)) for part in numpy.array_split(pixels, 10)]).numpy()
    error = float(abs(want - got).max() / (want.max() - want.min()))
    fine = agree >= 199 and error <= 1e-3 and bool((want.argmax(1) == top).all())
    print(f"{'same   ' if fine else 'DIFFERS'} {name}: top-1 as recorded on {agree} of {len(rows)} pictures, as PyTorch's here on {int((want.argmax(1) == top).sum())}; "
          f"logits within {error:.1e} of the range  ({seconds:.1f} s)", flush=True)
    return fine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="the program zoo_run")
    options = parser.parse_args()
    archive, table, cifar_archive, *_ = data_folder.find("imagenet_samples_200.zip", "imagenet_samples_200.csv", "cifar10/test.zip",
                                                         *(f"weights/{name}.safetensors" for name in (*PICTURES, *CIFAR)))
    passed = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        with zipfile.ZipFile(archive) as pack, open(table, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
            names = {pathlib.PurePath(n).name: n for n in pack.namelist()}
            missing = [row["file"] for row in rows if row["file"] not in names]
            if missing:
                print(f"{table.name}: expected pictures of {archive.name}, found {len(missing)} others ({missing[0]})")
                return 1
            pixels = numpy.stack([planar(centre(Image.open(io.BytesIO(pack.read(names[row["file"]]))))) for row in rows])
        for name in PICTURES:
            passed.append(imagenet(options.run, name, folder, pixels, rows))
        with zipfile.ZipFile(cifar_archive) as pack:
            files = sorted(n for n in pack.namelist() if n.endswith(".jpg"))
            classes = numpy.array([int(pathlib.PurePath(n).parts[-2]) for n in files])
            pixels = numpy.stack([planar(Image.open(io.BytesIO(pack.read(n)))) for n in files])
        for name, wanted in CIFAR.items():
            passed.append(cifar(options.run, name, wanted, folder, pixels, classes))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
