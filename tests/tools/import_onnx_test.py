#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Imports networks that PyTorch exports, compiles the headers, runs them, and compares with PyTorch.

    import_onnx_test.py --compiler g++              the network of odd words below, and two of torchvision's
    import_onnx_test.py --compiler g++ --full       more of torchvision's
    import_onnx_test.py --compiler g++ --plant 3e-4 adds that share of the range to PyTorch's answer: every network must fail

Weights come from a seed, batch-norm statistics from noise. The bound is 1e-4 of the output's range; split at each cut that was asked
for, the result must be the unsplit one bit for bit.
"""
import argparse
import copy
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

try:
    import numpy
    import torch
    import torchvision
except ImportError as problem:
    print(f"SKIPPED: importing what PyTorch exports needs python3-torch and python3-torchvision ({problem})")
    sys.exit(0)
from torch import nn
from torch.nn import functional

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOUND = 1e-4


class OddWords(nn.Module):
    """Everything the zoo's classifiers have not: two inputs, two answers, skips across blocks, and most words."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.25, 0.2, 0.3]).reshape(1, 3, 1, 1))
        self.tall = nn.Conv2d(3, 12, (5, 3), (2, 2), (2, 1))
        self.wide = nn.Conv2d(12, 12, 3, 1, 2, dilation=2, bias=False)
        self.norm = nn.BatchNorm2d(12, eps=1e-3)
        self.deep = nn.Conv2d(24, 16, 3, 2, 1, groups=4, bias=False)
        self.slope = nn.PReLU()
        self.up = nn.ConvTranspose2d(16, 12, 3, 2, 1, output_padding=1)
        self.uneven = nn.Conv2d(12, 16, 3, 2, 0)
        self.gate = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 16))
        self.speed = nn.Sequential(nn.Linear(2, 8), nn.Tanh())
        self.heads = nn.ModuleList([nn.Linear(16 * 4 + 8, 5), nn.Linear(16 * 4 + 8, 3, bias=False)])
        self.mix = nn.Parameter(torch.rand(72, 72) / 8)
        self.shift = nn.Parameter(torch.rand(72))

    def forward(self, image, speed):
        x = functional.leaky_relu(self.tall((image - self.mean) / self.deviation), 0.1)
        y = torch.relu(self.norm(x))
        y = self.wide(y) * 0.5 + 0.25
        skip = functional.interpolate(functional.max_pool2d(y, 3, 2, ceil_mode=True), size=x.shape[2:], mode="nearest")
        z = self.slope(self.deep(torch.cat([skip, y], 1)))
        up = self.up(z) + functional.interpolate(functional.avg_pool2d(x, 2), scale_factor=2, mode="bilinear", align_corners=False)
        up = up + torch.sigmoid(y) * y + skip
        z = z + self.uneven(functional.pad(up, (0, 1, 1, 0)))
        z = z * (functional.relu6(z + 3) / 6)
        z = z + functional.pad(x[:, 2:10, ::2, ::2], (0, 0, 0, 0, 3, 5))
        z = torch.max(z, torch.zeros(1)) - torch.min(torch.relu(-z), torch.full((1,), 6.0))
        z = z - z.amax((2, 3), keepdim=True) * z
        low, high = z.chunk(2, 1)
        z = torch.cat([high, low], 1)
        z = functional.avg_pool2d(z, 3, 2, 1, count_include_pad=False)
        z = z * torch.softmax(self.gate(z.mean((2, 3))), 1)[:, :, None, None]
        z = functional.pad(functional.interpolate(z, size=(7, 5), mode="bilinear", align_corners=True), (1, 0, 0, 2), value=0.5)
        z = functional.adaptive_avg_pool2d(z[:, :, ::3, ::2], (1, 1)) + z[:, :, ::5, ::4][:, :, :2, :2].mean((2, 3), keepdim=True) * 2
        z = torch.cat([z.flatten(1), functional.max_pool2d(functional.pad(z, (0, 1, 0, 2)), (3, 2)).flatten(1), functional.hardtanh(z, 0, 6).flatten(1),
                       functional.hardswish(z).flatten(1), self.speed(speed)], 1)
        z = torch.matmul(z, self.mix) + self.shift
        return [head(z) for head in self.heads]


def networks(full):
    """name -> (module, example inputs, import options, opset)"""
    picture = (3, 224, 224)
    result = {
        "odd_words": (OddWords, [(3, 32, 40), (2,)], ["--cut", "/AveragePool_1_output_0:coarse"], 13),
        "resnet18": (torchvision.models.resnet18, [picture], ["--cut", "/layer2/layer2.1/relu_1/Relu_output_0:uplink", "--cut", "/avgpool/GlobalAveragePool_output_0"], 11),
        "mobilenet_v3_small": (torchvision.models.mobilenet_v3_small, [picture], ["--cut", "/features/features.3/Add_output_0:block3"], 14),
    }
    if full:
        result["squeezenet1_1"] = (torchvision.models.squeezenet1_1, [picture], [], 12)
        result["mobilenet_v2"] = (torchvision.models.mobilenet_v2, [(3, 97, 131)], [], 11)
        result["densenet121"] = (torchvision.models.densenet121, [picture], [], 13)
        result["googlenet"] = (lambda: torchvision.models.googlenet(init_weights=False, aux_logits=False), [picture], [], 11)
        result["efficientnet_b0"] = (torchvision.models.efficientnet_b0, [picture], [], 13)
    return result


def calibrated(make, shapes, seed=1):
    """A module with random weights whose batch norms fit their inputs, so that activations stay sane."""
    torch.manual_seed(seed)
    module = make().train()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
        if isinstance(part, (nn.Dropout, torchvision.ops.StochasticDepth)):
            part.p = 0
    with torch.no_grad():
        module(*[torch.randn(2, *shape) for shape in shapes])
    return module.eval()


def here():
    """Compiler options for what this processor can do."""
    try:
        flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    return ["-mavx2", "-mfma"] if " avx2" in flags and " fma" in flags else []


def call(command, what, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{what} ended with {done.returncode}:\n" + "\n".join((done.stdout + done.stderr).splitlines()[:12]))
    return done.stdout


def round_trip(name, make, shapes, extra, opset, options, folder):
    module = calibrated(make, shapes)
    torch.manual_seed(2)
    inputs = [torch.randn(1, *shape) for shape in shapes]
    with torch.no_grad():
        answers = copy.deepcopy(module)(*inputs)
    answers = [a.flatten().numpy() for a in (answers if isinstance(answers, (list, tuple)) else [answers])]
    onnx = folder / f"{name}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, tuple(inputs), str(onnx), opset_version=opset, **({"input_names": ["image", "speed"], "output_names": ["steer", "lane"]} if len(inputs) > 1 else {}))
    call([sys.executable, ROOT / "tools" / "import_onnx.py", onnx, "--out", folder, *extra], "the import")
    source = folder / f"run_{name}.cpp"
    source.write_text((ROOT / "tests" / "tools" / "run_imported.cpp.in").read_text(encoding="utf-8").replace("NETWORK", name), encoding="utf-8")
    program = folder / f"run_{name}"
    call([options.compiler, "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", *here(), f"-I{ROOT}", f"-I{ROOT / 'include'}", f"-I{folder}", source, "-o", program],
         "compiling the header", timeout=800)
    files = []
    for i, tensor in enumerate(inputs):
        files.append(folder / f"{name}.{i}")
        files[-1].write_bytes(tensor.numpy().tobytes())
    cuts = call([program, folder / f"{name}.safetensors", folder / "answer", *files], "the network", env={**os.environ, "SPLITDSL_ISA": ""})
    asked = extra.count("--cut")
    if cuts.count("cut ") != asked:
        raise AssertionError(f"{asked} cuts were asked for, found: {cuts}")
    got = numpy.fromfile(folder / "answer", "<f4")
    if len(got) != sum(len(a) for a in answers):
        raise AssertionError(f"{len(got)} values, PyTorch gives {[len(a) for a in answers]}")
    worst, at = 0.0, 0
    for answer in answers:
        wanted = answer.astype(numpy.float64)
        span = wanted.max() - wanted.min()
        wanted[len(wanted) // 2] += options.plant * span
        if not numpy.isfinite(wanted).all() or span < 1e-3:
            raise AssertionError(f"PyTorch's answer makes no sense: range {span}")
        worst = max(worst, float(numpy.abs(got[at:at + len(answer)] - wanted).max() / span))
        at += len(answer)
    return worst, (folder / f"{name}.hpp").read_text(encoding="ascii")


def readable(name, header):
    """What must be found in a header, or it is right but not as a person would write it."""
    wanted = {
        "resnet18": [r'named\("layer1", repeat<2>', r"residual\(", r'named\("downsample"', r'cut\("uplink"\)', r'named\("fc", dense\(1000\)\)'],
        "mobilenet_v3_small": [r"multiply\(identity\(\),", r"hard_swish\(\)", r"repeat<2>", r'cut\("block3"\)', r'named\("classifier"'],
        "odd_words": [r"normalise\(", r"\btap\(", r"\bfrom\(", r"fan_out\(", r"input\(\"speed\", f32, values\{2\}\)", r"slice_channels\(", r"subsample\(", r"leaky_relu\("],
        "densenet121": [r'concat\(identity\(\), named\("denselayer2",'],
    }
    return [w for w in wanted.get(name, []) if not re.search(w, header)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--plant", type=float, default=0.0)
    parser.add_argument("--keep", type=pathlib.Path, help="leave all files in this folder")
    options = parser.parse_args()
    torch.set_num_threads(2)
    failed, chosen = 0, networks(options.full or bool(options.names))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name, (make, shapes, extra, opset) in chosen.items():
            if options.names and name not in options.names:
                continue
            try:
                error, header = round_trip(name, make, shapes, extra, opset, options, folder)
                lacking = readable(name, header)
                fine = error <= BOUND and not lacking
                print(f"{name}: {error:.2e} of the range (at most {BOUND:.0e}), {header.count(chr(10))} lines" + (f"; lacking {lacking}" if lacking else ""), flush=True)
            except (AssertionError, subprocess.TimeoutExpired) as problem:
                fine = False
                print(f"{name}: {problem}", flush=True)
            failed += fine if options.plant else not fine
    print("a planted error was not found" if options.plant and failed else f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
