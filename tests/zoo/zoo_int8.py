#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""MobileNetV2 on bytes, with published weights on real pictures: calibrated here, then compared.

    zoo_int8.py --run PATH/zoo_run --calibrate PATH/splitdsl-calibrate [--plant]

Its logits must be, bit for bit, those of whole-number arithmetic in numpy (a picture; with SPLITDSL_TEST_FULL=1 three); and its top-1 that of the
network in f32: on at least 195 of 200 pictures, calibrated on half of them (SPLITDSL_TEST_FULL=1, two minutes), or else on at least 14 of 20,
calibrated on six. --plant changes one weight of the arithmetic, to see that the comparison notices.
"""
import argparse
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
try:
    import numpy
    from PIL import Image
except ImportError as problem:
    print(f"SKIPPED: MobileNetV2 on bytes needs python3-numpy and python3-pil ({problem})")
    sys.exit(0)
import data_folder  # noqa: E402
import safetensors_io  # noqa: E402

F32 = numpy.float32


def pictures(archive, count):
    with zipfile.ZipFile(archive) as pack:
        names = sorted(n for n in pack.namelist() if n.endswith(".jpg"))
        found = []
        for name in names[:: len(names) // count][:count]:
            picture = Image.open(io.BytesIO(pack.read(name))).convert("RGB")
            left, top = (picture.size[0] - 224) // 2, (picture.size[1] - 224) // 2
            found.append(numpy.asarray(picture.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1))
    return numpy.stack(found)


def run(program, name, weights, pixels, folder):
    pixels.tofile(folder / "input")
    subprocess.run([program, name, "--weights", str(weights), "--input", str(folder / "input"), "--output", str(folder / "output"), "--threads", "1"], check=True)
    return numpy.fromfile(folder / "output", "<f4").reshape(len(pixels), -1)


def scale_of(low, high):
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    step = (high - low) / 255
    return (F32(step), int(numpy.rint(-low / step))) if 1e-30 < step < 1e30 else (F32(1), 0)


def keeps(q, deep):
    """The bounds on weights, [out][in][tap] (deep: [out][1][9]), by output channel."""
    good = (abs(q) <= 127).all((1, 2))
    if deep:
        rows = q.reshape(len(q), 3, 3)
        pairs = [numpy.clip(sign * rows[:, :2], 0, None).sum(1).max(1) for sign in (1, -1)]
        return good & (abs(q).sum((1, 2)) <= 255) & (pairs[0] <= 128) & (pairs[1] <= 128)
    padded = numpy.pad(q, ((0, 0), (0, -q.shape[1] % 8), (0, 0))).reshape(len(q), -1, 2, 2, 2, q.shape[2])   # eights, halves, lanes, pairs
    for sign in (1, -1):
        good &= (numpy.clip(sign * padded, 0, None).sum((2, 4)) <= 128).all((1, 2, 3))
    return good


def steps_of(w, deep, bias):
    size = abs(w)
    step = size.max((1, 2)) / 127
    if deep:
        rows = w.reshape(len(w), 3, 3)
        step = numpy.maximum(step, size.sum((1, 2)) / 255)
        for sign in (1, -1):
            step = numpy.maximum(step, numpy.clip(sign * rows[:, :2], 0, None).sum(1).max(1) / 128)
    else:
        padded = numpy.pad(w, ((0, 0), (0, -w.shape[1] % 8), (0, 0))).reshape(len(w), -1, 2, 2, 2, w.shape[2])
        for sign in (1, -1):
            step = numpy.maximum(step, numpy.clip(sign * padded, 0, None).sum((2, 4)).max((1, 2, 3)) / 128)
    step = numpy.where(step > 1e-30, step, 1.0)
    while True:
        good = keeps(numpy.rint(w / step[:, None, None]), deep)
        if good.all():
            return numpy.maximum(step, abs(bias) / 2.0**28)
        step = numpy.where(good, step, step * 1.0078125)


def windows(x, stride, pad):
    """(channels, h, w) to (9, channels, oh, ow), TensorFlow's SAME for stride 2; pad: a value for each channel."""
    size = x.shape[1]
    total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
    before, out = total // 2, -(-size // stride)
    framed = numpy.empty((len(x), size + total, size + total))
    framed[:] = pad[:, None, None]
    framed[:, before:before + size, before:before + size] = x
    return numpy.stack([framed[:, i:i + stride * (out - 1) + 1:stride, j:j + stride * (out - 1) + 1:stride] for i in range(3) for j in range(3)])


class Bytes:
    """The network in whole numbers. Sums are below 2^53, so that floats of 64 bits hold them exactly."""

    def __init__(self, tensors):
        self.tensors, self.ranges, self.shifts = tensors, tensors["int8.ranges"], tensors["int8.shifts"]

    def layer(self, name, x, scale, zero, stride=1, relu=True, addend=None, picture=False):
        weight, bias = self.tensors[f"{name}.weight"].astype(float), self.tensors[f"{name}.bias"].astype(float)
        outs, deep = len(weight), weight.shape[1] == 1
        bias = bias + self.shifts[self.shift:self.shift + outs].astype(float)
        w = weight.reshape(outs, weight.shape[1], -1) * float(scale)
        step = steps_of(w, deep, bias)
        q = numpy.rint(w / step[:, None, None])
        zeros = numpy.full(len(x), float(zero))
        sums_of_zeros = (q.sum((1, 2)) * float(zero))
        if q.shape[2] == 1:
            sums = numpy.tensordot(q[:, :, 0], x, 1)
        else:
            taps = windows(x, stride, numpy.rint(zeros) if picture else zeros)
            sums = (q[:, 0].T[:, :, None, None] * taps).sum(0) if deep else numpy.tensordot(q.transpose(0, 2, 1).reshape(outs, -1), taps.reshape(-1, *taps.shape[2:]), 1)
        sums += numpy.rint(bias / step - sums_of_zeros)[:, None, None]
        out, to = scale_of(*self.ranges[self.number])
        factor = (step / float(out)).astype(F32)
        v = sums.astype(F32) * factor[:, None, None]
        if addend is not None:
            y, its, of = addend
            v = v + (y - of).astype(F32) * F32(float(its) / float(out))
        v = numpy.clip(numpy.rint(v) + to, 0, 255)
        if relu:
            v = numpy.clip(v, to, min(255, numpy.rint(6 / float(out)) + to))
        self.number += 1
        self.shift += outs
        return v, out, to

    def logits(self, pixels):
        self.number = self.shift = 0
        x, scale, zero = self.layer("stem", pixels.astype(float), F32(1 / (255 * 0.5)), F32(127.5), 2, picture=True)
        before = 32
        for i, (channels, stride) in enumerate(((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1), (96, 1), (96, 1), (96, 1), (160, 2), (160, 1), (160, 1), (320, 1))):
            entered = (x, scale, zero)
            if i > 0:
                x, scale, zero = self.layer(f"block{i}.expand", x, scale, zero)
            x, scale, zero = self.layer(f"block{i}.depthwise", x, scale, zero, stride)
            x, scale, zero = self.layer(f"block{i}.project", x, scale, zero, relu=False, addend=entered if stride == 1 and channels == before else None)
            before = channels
        x, scale, zero = self.layer("last", x, scale, zero)
        out, to = scale_of(*self.ranges[self.number])
        v = (x - zero).sum((1, 2)).astype(F32) * F32(float(scale) / (float(out) * 7 * 7))
        x = numpy.clip(numpy.rint(v) + to, 0, 255)
        weight, bias = self.tensors["classifier.weight"].astype(float), self.tensors["classifier.bias"].astype(float)
        w = weight.reshape(len(weight), -1, 1) * float(out)
        step = steps_of(w, False, bias)
        q = numpy.rint(w / step[:, None, None])[:, :, 0]
        sums = q @ x + numpy.rint(bias / step - q.sum(1) * to)
        return sums.astype(F32) * step.astype(F32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="the program zoo_run")
    parser.add_argument("--calibrate", required=True, help="the program splitdsl-calibrate")
    parser.add_argument("--plant", action="store_true")
    options = parser.parse_args()
    published, archive = data_folder.find("weights/mobilenet_v2_tf.safetensors", "imagenet_samples_200.zip")
    full = os.environ.get("SPLITDSL_TEST_FULL", "") not in ("", "0") and not options.plant
    count, wanted, exact = (200, 195, 3) if full else (20, 14, 1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        weights = folder / "int8.safetensors"
        subprocess.run([options.calibrate, "--model", "mobilenet_v2_tf", "--weights", str(published), "--out", str(weights),
                        *(["--every", "2"] if full else ["--every", "33", "--shift-pictures", "2"]), str(archive)], check=True, stdout=subprocess.DEVNULL)
        pixels = pictures(archive, count)
        got = run(options.run, "mobilenet_v2_tf_int8", weights, pixels, folder)
        tensors, _ = safetensors_io.load(weights)
        if options.plant:
            tensors["block5.project.weight"] = -tensors["block5.project.weight"]
        arithmetic = Bytes(tensors)
        same = sum(bool((arithmetic.logits(pixels[i * len(pixels) // exact]) == got[i * len(pixels) // exact]).all()) for i in range(exact))
        floats = run(options.run, "mobilenet_v2_tf", weights, pixels, folder)      # the same file: f32 leaves the ranges alone
    agree = int((got.argmax(1) == floats.argmax(1)).sum())
    error = float(numpy.sqrt(((got - floats) ** 2).mean()) / (floats.max() - floats.min()))
    print(f"whole-number arithmetic gives the same bits on {same} of {exact} pictures; top-1 as in f32 on {agree} of {count}, "
          f"logits off by {error:.4f} of the range (root of the mean square)")
    return 0 if same == exact and agree >= wanted else 1


if __name__ == "__main__":
    sys.exit(main())
