# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""CIFAR-10 from its archives of JPEG files, decoded once into WORK/pictures, or invented pictures that can be learnt in a few steps."""
import io
import json
import os
import pathlib
import zipfile

import data_folder
import numpy
import packages
import torch

QUALITIES = (25, 75)                              # of the inputs' encodings


def decoded(archive):
    """(pictures (n, 3, 32, 32) u8, labels) in the order of names."""
    packages.require("PIL")
    from PIL import Image
    with zipfile.ZipFile(archive) as z:
        names = sorted(n for n in z.namelist() if n.lower().endswith(".jpg"))
        pictures = [numpy.asarray(Image.open(io.BytesIO(z.read(n))).convert("RGB")).transpose(2, 0, 1) for n in names]
    return numpy.stack(pictures), numpy.array([int(n.split("/")[-2]) for n in names], numpy.int64)


def as_jpeg(pictures, quality):
    """(the pictures encoded and decoded again, mean bytes of a file)."""
    packages.require("PIL")
    from PIL import Image
    again, size = numpy.empty_like(pictures), 0
    for i, picture in enumerate(pictures):
        file = io.BytesIO()
        Image.fromarray(picture.transpose(1, 2, 0)).save(file, "JPEG", quality=quality, optimize=True)
        size += file.tell()
        again[i] = numpy.asarray(Image.open(file).convert("RGB")).transpose(2, 0, 1)
    return again, size / len(pictures)


def invented(count, seed):
    """Ten patterns under noise: something that can be learnt in a few steps."""
    draw = numpy.random.default_rng(seed)
    patterns = numpy.random.default_rng(0).integers(0, 256, (10, 3, 4, 4)).repeat(8, 2).repeat(8, 3)
    labels = draw.integers(0, 10, count)
    noise = draw.integers(0, 256, (count, 3, 32, 32))
    return ((patterns[labels] + noise) // 2).astype(numpy.uint8), labels.astype(numpy.int64)


def prepare(options, qualities=QUALITIES, subfolder="pictures"):
    """The folder of pictures, made on first use; refused if it holds others than those asked for. The test set is put into an order drawn once, so that its first half holds every class."""
    folder = pathlib.Path(options.work) / subfolder
    if (folder / "about.json").exists():
        try:
            there = json.loads((folder / "about.json").read_text(encoding="utf-8"))["invented"]
        except (ValueError, KeyError, TypeError, RecursionError) as problem:
            raise ValueError(f"{folder / 'about.json'}: expected what an earlier run wrote, found something else ({type(problem).__name__}): remove {folder} or name another --work") from None
        if there != options.synthetic:
            def words(n):
                return f"{n} invented pictures (--synthetic {n})" if n else "those of CIFAR-10"
            raise SystemExit(f"{packages.program()}: expected {folder} to hold {words(options.synthetic)}, found {words(there)}: name another --work")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        if options.synthetic:
            sets = {"train": invented(options.synthetic, 1), "test": invented(options.synthetic, 2)}
        else:
            source = pathlib.Path(options.data or os.environ.get("SPLITDSL_DATA") or "")
            archives = [source / "cifar10" / f"train_{i}.zip" for i in range(1, 6)], [source / "cifar10" / "test.zip"]
            for archive in sum(archives, []):
                data_folder.require_pictures(archive, otherwise="name the folder that holds cifar10/ by --data or SPLITDSL_DATA")
            sets = {}
            for name, files in zip(("train", "test"), archives):
                parts = [decoded(f) for f in files]
                sets[name] = numpy.concatenate([p for p, _ in parts]), numpy.concatenate([n for _, n in parts])
        order = numpy.random.default_rng(2023).permutation(len(sets["test"][1]))
        sets["test"] = sets["test"][0][order], sets["test"][1][order]
        about = {"invented": options.synthetic, "order_of_test": "numpy.random.default_rng(2023).permutation of the names in order"}
        for name, (pictures, labels) in sets.items():
            numpy.save(folder / f"{name}.npy", pictures)
            numpy.save(folder / f"{name}_labels.npy", labels)
            for quality in qualities:
                again, size = as_jpeg(pictures, quality)
                numpy.save(folder / f"{name}_jpeg{quality}.npy", again)
                about[f"{name}_jpeg{quality}_mean_bytes"] = size
        (folder / "about.json").write_text(json.dumps(about, indent=1))
    return folder


def load(folder, name):
    return torch.from_numpy(numpy.load(folder / f"{name}.npy"))


def moved(pictures, generator, reach=2):
    """Each picture shifted by up to `reach` pixels, its edge mirrored, and half of them turned left to right; channels last."""
    n, side = pictures.shape[0], pictures.shape[2]
    shift = torch.randint(-reach, reach + 1, (2, n, 1), generator=generator)
    at = (torch.arange(side) + shift).abs()
    at = torch.where(at >= side, 2 * side - 2 - at, at)
    flips = torch.rand((n, 1), generator=generator) < 0.5
    rows, columns = at[0], torch.where(flips, at[1].flip(1), at[1])
    return pictures[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
