#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes trained weights as safetensors, matched strictly against a declared network.

    export_weights.py resnet18.pth --out resnet18.safetensors
    export_weights.py checkpoint.pt --key ema --strip-prefix module. --network resnet18.json --out resnet18.safetensors
    export_weights.py --torchvision mobilenet_v2 --seed 7 --out random.safetensors

--network takes what `describe<Net>(format::json)` prints. Then every tensor that is missing, has another shape, or is not part of the
network is listed at once and nothing is written; with PyTorch at hand the file also gets an input and PyTorch's answer, so that
`run_self_test` can check the deployment (--no-selftest leaves them out).

A .pt or .pth file is read without PyTorch and without running anything it says (tools/torch_file.py): only tensors in dictionaries are
taken. --torchvision makes the architecture with random weights and, unless --raw, batch-norm statistics that fit noise; nothing is
downloaded. Page: docs/import.md.
"""
import argparse
import json
import pathlib
import sys

import packages

packages.require("numpy")

import numpy

import entropy_prior
import safetensors_io
import torch_file

MOST_SHOWN = 200
COUNTERS = "num_batches_tracked"
TAKEN = {"<f4", "<f2", "<f8"}
PRIOR = ("entropy_bottleneck._quantized_cdf", "entropy_bottleneck._offset", "entropy_bottleneck._cdf_length")
MEDIANS = "entropy_bottleneck.quantiles"


class ExportError(Exception):
    """What is wrong, in words a user can act on."""


def import_torch(what):
    try:
        import torch
        return torch
    except ImportError as problem:
        raise ExportError(f"{what} needs PyTorch (Debian: python3-torch, for /usr/bin/python3): {problem}") from None


def torchvision_state(name, seed, raw):
    torch = import_torch("--torchvision")
    try:
        import torchvision
    except ImportError as problem:
        raise ExportError(f"--torchvision needs torchvision (Debian: python3-torchvision): {problem}") from None
    makers = {}
    for folder in (torchvision.models, torchvision.models.segmentation, torchvision.models.detection):
        makers.update({n: f for n, f in vars(folder).items() if n.islower() and not n.startswith("_") and callable(f) and not isinstance(f, type)})
    if name not in makers:
        near = sorted(n for n in makers if n[:4] == name[:4])
        raise ExportError(f"torchvision has no network {torch_file.printable(name)}" + (f"; near it: {', '.join(near)}" if near else ""))
    torch.manual_seed(seed)
    options = {"weights": None}
    if name in vars(torchvision.models.segmentation) or name in vars(torchvision.models.detection):
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    try:
        module = makers[name](**options)
    except TypeError:
        raise ExportError(f"torchvision's {name} is no network without weights") from None
    if not raw:
        calibrate(torch, module, 299 if name == "inception_v3" else 224)
    return {n: t.numpy() for n, t in module.state_dict().items()}


def calibrate(torch, module, size):
    """Batch-norm statistics that fit what comes, from one batch of noise: random weights otherwise explode or die out."""
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    if not norms:
        return
    module.train()
    for norm in norms:
        norm.momentum = None
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    try:
        with torch.no_grad():
            module(torch.randn(2, 3, size, size))
    except (ValueError, AssertionError):  # detectors want targets while they train
        raise ExportError("batch-norm statistics cannot be made for this network; take it as it is with --raw") from None
    module.eval()


def read_network(path):
    """The JSON of describe<Net>(): its parameters as name -> shape, and the whole for the self-test."""
    try:
        graph = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        shapes = {p["name"]: tuple(int(n) for n in p["shape"]) for p in graph["parameters"]}
        calibrated_ranges(graph)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        raise ExportError(f"{path} is not what describe<Net>(format::json) prints ({type(problem).__name__}: {problem})") from None
    return graph, shapes


def strip(state, prefix):
    """Names without a prefix. All must have it, or the file is not what was thought."""
    without = [n for n in state if not n.startswith(prefix)]
    if without:
        raise ExportError(f"--strip-prefix {prefix}: {len(without)} of {len(state)} names do not begin with it: " + ", ".join(map(torch_file.printable, without[:5])))
    return {n[len(prefix):]: a for n, a in state.items()}


def prepared(state, as_half):
    """Finite f32 (or f16) arrays, without PyTorch's counters; a learned prior's tables as integers, its medians in f32."""
    result, wrong = {}, []
    for name, array in state.items():
        if name.endswith(COUNTERS):
            continue
        if name.endswith(PRIOR) and array.dtype.kind == "i" and array.dtype.itemsize <= 8:
            result[name] = array.astype(numpy.int32)
            if (result[name] != array).any():
                wrong.append(f"{torch_file.printable(name)} holds integers beyond 32 bits")
            continue
        if array.dtype.str not in TAKEN:
            wrong.append(f"{torch_file.printable(name)} holds {array.dtype}, expected floats")
            continue
        with numpy.errstate(over="ignore"):
            stored = array.astype(numpy.float16 if as_half and not name.endswith(MEDIANS) else numpy.float32)
        if not numpy.isfinite(array).all():
            wrong.append(f"{torch_file.printable(name)} holds a value that is not finite")
        elif not numpy.isfinite(stored).all():
            wrong.append(f"{torch_file.printable(name)} holds values beyond {'half' if as_half else 'single'} precision")
        result[name] = stored
    return result, wrong


def are_prior_rows(name, found, wanted):
    """A prior's rows are as long as the longest of them; a network takes them up to a length."""
    return name.endswith(PRIOR[0]) and len(found) == 2 and found[0] == wanted[0] and 3 <= found[1] <= wanted[1]


def calibrated_ranges(graph):
    """Names of the ranges that calibration finds behind training: a trained state may lack them, or hold zeros (splitdsl_torch.CalibratedRange)."""
    return {op["name"] + ".range" for op in graph["ops"] if op["kind"] == "quantise" and op.get("calibrated")}


def differences(state, shapes, ignored, later=frozenset()):
    """Every line that keeps a state from being a network's, and the tensors in the network's order; those of `later` may be missing."""
    lines, chosen = [], {}
    for name, shape in shapes.items():
        if name not in state and name in later:
            continue
        if name not in state:
            lines.append(f"{name} {shape} is missing")
        elif tuple(state[name].shape) != shape and not are_prior_rows(name, state[name].shape, shape):
            lines.append(f"{name} should have shape {shape}, found {tuple(state[name].shape)}")
        else:
            chosen[name] = state[name]
    trained = {n[:-len("quantiles")] for n in shapes if n.endswith(MEDIANS)}  # what a prior's tables were computed from is not needed
    for name in state:
        if name not in shapes and not any(name.startswith(i) or name.endswith(i) for i in ignored) and not any(name.startswith(i) for i in trained):
            lines.append(f"{torch_file.printable(name)} {tuple(state[name].shape)} is not part of the network")
    return lines, chosen


def selftest(graph, tensors, seed):
    """An input from a seed and PyTorch's answer for the weights as they are stored."""
    torch = import_torch("the self-test (or leave it out with --no-selftest)")
    import splitdsl_torch
    model = splitdsl_torch.GraphModule(graph).eval()
    model.load_state_dict({n: torch.from_numpy(numpy.array(a, numpy.float32)) for n, a in tensors.items()}, strict=False)
    rng = numpy.random.default_rng(seed)
    commands = {graph["ops"][op["inputs"][0]]["name"]: len(op["inputs"]) - 1 for op in graph["ops"] if op["kind"] == "select"}
    inputs = {}
    for op in graph["ops"]:
        if op["kind"] != "input" or not op["used"] or op["name"] in inputs:
            continue
        channels, height, width = op["shape"]
        size = (height, width, channels) if op.get("layout") == "hwc" else (channels, height, width)
        if op["dtype"] == "u8":
            array = rng.integers(0, commands.get(op["name"], 256), size, numpy.uint8)
        else:
            array = rng.standard_normal(size).astype(numpy.float32)
        inputs[op["name"]] = array
    with torch.no_grad():
        answers = model({n: torch.from_numpy(a)[None] for n, a in inputs.items()})
    found = {f"selftest.input.{n}": a for n, a in inputs.items()}
    for name, answer in answers.items():
        values = answer.flatten().numpy().astype(numpy.float32)
        if not numpy.isfinite(values).all():
            raise ExportError(f"PyTorch's answer {name} for the self-test's input is not finite; these weights are not usable")
        found[f"selftest.output.{name}"] = values
    return found


def convert(options):
    if (options.state is None) == (options.torchvision is None):
        raise ExportError("give either a file or --torchvision NAME")
    if not 0 <= options.seed < 2 ** 64:
        raise ExportError(f"--seed {options.seed}: expected 0 to 2^64 - 1")
    if options.torchvision:
        state = torchvision_state(options.torchvision, options.seed, options.raw)
    else:
        state = torch_file.read_state(options.state, options.key)
    if options.strip_prefix:
        state = strip(state, options.strip_prefix)
    try:
        state = entropy_prior.completed(state)
    except entropy_prior.PriorError as problem:
        raise ExportError(str(problem)) from None
    lacking = []
    metadata = {"made_by": "tools/export_weights.py"}
    if not options.network:
        tensors, wrong = prepared(state, options.half)
    else:
        graph, shapes = read_network(options.network)
        later = calibrated_ranges(graph)
        state = {n: a for n, a in state.items() if n not in later or a.any()}
        lacking = sorted(later - state.keys())
        state = {n: a for n, a in state.items() if n in shapes or not any(n.startswith(i) or n.endswith(i) for i in options.ignore)}
        tensors, wrong = prepared(state, options.half)
        lines, tensors = differences({**tensors, **{n: a for n, a in state.items() if not n.endswith(COUNTERS) and n not in tensors}}, shapes, options.ignore, later)
        wrong = lines + wrong
        metadata.update({"network": graph.get("network", ""), "fingerprint": graph.get("fingerprint", "")})
    if wrong:
        more = [] if len(wrong) <= MOST_SHOWN else [f"... and {len(wrong) - MOST_SHOWN} more"]
        raise ExportError(f"{len(wrong)} difference{'s' if len(wrong) > 1 else ''}, nothing was written:\n  " + "\n  ".join(wrong[:MOST_SHOWN] + more))
    if not tensors:
        raise ExportError("there are no tensors to write")
    extra = {}
    if options.network and not options.no_selftest and not lacking:  # without its range the deployment's answer is not known yet
        try:
            extra = selftest(graph, tensors, options.seed)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError) as problem:  # a JSON that was changed by hand
            raise ExportError(f"{options.network}: expected a network that PyTorch can run for the self-test, found one that ends in {type(problem).__name__}: {torch_file.printable(problem)}") from None
    out = pathlib.Path(options.out)
    safetensors_io.save(out, {**tensors, **extra}, metadata)
    count = sum(a.size for a in tensors.values())
    print(f"{out}: {len(tensors)} tensors, {count} values" + (f", self-test with {len(extra)} tensors" if extra else ""))
    if lacking:
        print(f"{', '.join(lacking)} to be found by calibrate_codecs or splitdsl-calibrate before the network is deployed (docs/int8.md); no self-test until then")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", nargs="?", metavar="FILE.pt", help="what torch.save(model.state_dict(), FILE) wrote, or a checkpoint that holds one")
    parser.add_argument("--torchvision", metavar="NAME", help="instead of a file: torchvision's architecture of that name with random weights")
    parser.add_argument("--seed", type=int, default=1, help="of random weights and of the self-test's input")
    parser.add_argument("--raw", action="store_true", help="with --torchvision: leave batch-norm statistics at 0 and 1")
    parser.add_argument("--key", help="where the state_dict stands in a checkpoint")
    parser.add_argument("--strip-prefix", metavar="TEXT", help="take this from the front of every name")
    parser.add_argument("--network", metavar="JSON", help="what describe<Net>(format::json) prints: match names and shapes against it")
    parser.add_argument("--ignore", metavar="TEXT", action="append", default=[], help="names that begin or end so may be there beside the network's")
    parser.add_argument("--half", action="store_true", help="store F16")
    parser.add_argument("--no-selftest", action="store_true", help="write no self-test tensors")
    parser.add_argument("--out", metavar="FILE.safetensors", required=True)
    options = parser.parse_args(arguments)
    try:
        convert(options)
    except (ExportError, torch_file.TorchFileError, OSError, MemoryError) as problem:
        why = f"{torch_file.printable(problem.filename)}: {problem.strerror}" if isinstance(problem, OSError) and problem.filename else str(problem) or "out of memory"
        print(f"export_weights.py: {torch_file.printable(options.state or options.torchvision or '')}: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
