#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Compares every word and every test network with PyTorch (f32, CPU), from the graph's JSON and the same weights and frames.

    pytorch_parity.py --dump PATH/parity_dump      runs it and compares; exit status 1 on a difference
    pytorch_parity.py --dump ... --plant 3e-5      adds that much of the output's range to PyTorch's answer: all networks must fail

The bound is 1e-5 of each output's range, for the reference and for the kernels of every instruction set that runs here.

A codec makes steps of what were rounding errors: a value on the edge between two levels may fall to either side. So at each cut the
payload is compared with PyTorch's own, one level apart at most (f16: one unit in the last place), and from there on PyTorch goes on
with *our* decoded values: the parts before and behind each cut are held to 1e-5 on their own. Where the codec reads the network's
input itself, and for the tensors in FOLDER/codec, the levels, scale and zero point must equal BottleFit's formula bit for bit.
A stream has no payload to look into: such a network's kernels get 5e-3 if a level differs (its reference gets 1e-5).
"""
import argparse
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
try:
    import numpy
    import torch
except ImportError as problem:
    print(f"SKIPPED: comparing with PyTorch needs python3-torch and python3-numpy ({problem})")
    sys.exit(0)
import splitdsl_torch  # noqa: E402

BOUND = 1e-5
STREAM_BOUND = 5e-3
LEVELS = {"affine_u8": 255, "affine_u16": 65535}
INTEGERS = {"affine_u8": numpy.dtype("u1"), "affine_u16": numpy.dtype("<u2")}


def floats(path):
    return torch.from_numpy(numpy.fromfile(path, "<f4"))


def affine(x, levels):
    """BottleFit's quantiser, written down again in PyTorch: scale, zero point (truncated), levels. Not for constant tensors."""
    low, high = x.min(), x.max()
    scale = (high - low) / levels
    zero = int(torch.clamp(-low / scale, 0, levels))
    return scale, zero, torch.round(torch.clamp(zero + x / scale, 0, levels))


def unpack(codec, payload):
    """(scale, zero point, levels) of an affine payload."""
    scale = torch.from_numpy(numpy.frombuffer(payload[:4], "<f4").copy())[0]
    zero = int(numpy.frombuffer(payload[4:8], "<i4")[0])
    return scale, zero, torch.from_numpy(numpy.frombuffer(payload[8:], INTEGERS[codec]).astype("f4"))


def decoded(codec, payload):
    """Values of an encoded tensor."""
    if codec in LEVELS:
        scale, zero, levels = unpack(codec, payload)
        return (levels - zero) * scale
    kind = numpy.dtype("<f2" if codec == "f16" else "<f4")
    return torch.from_numpy(numpy.frombuffer(payload, kind).astype("f4"))


def relative(want, got):
    """Largest difference in units of the range of what is wanted; infinite where a value is not finite."""
    want, got = want.flatten().double(), got.flatten().double()
    if want.shape != got.shape:
        return float("inf")
    difference = (want - got).abs()
    if not bool(torch.isfinite(difference).all()):
        return float("inf")
    worst, span = float(difference.max()), float(want.max() - want.min())
    return 0.0 if worst == 0 else worst / span if span > 0 else float("inf")


class Report:
    def __init__(self):
        self.errors, self.flips, self.faults = {}, 0, []

    def see(self, tier, error, bound, what):
        self.errors[tier] = max(self.errors.get(tier, 0.0), error)
        if not error <= bound:
            self.faults.append(f"{what}: {error:.2e} of the range, at most {bound:.0e}")


def compare_codec(report, codec, want, payload, exact, tier, what):
    """Our encoded tensor against PyTorch's tensor before the codec."""
    want = want.flatten()
    ours = decoded(codec, payload)
    if codec == "f32":
        report.see(tier, relative(want, ours), BOUND, what)
        return ours
    if codec == "f16":
        theirs = want.half().float()
        step = torch.maximum(want.abs(), torch.tensor(2.0 ** -14)) * 2.0 ** -10
    else:
        scale, zero, levels = affine(want, LEVELS[codec])
        our_scale, our_zero, our_levels = unpack(codec, payload)
        if abs(float(our_scale / scale) - 1) > BOUND or abs(our_zero - zero) > 1:
            report.faults.append(f"{what}: scale {float(our_scale):g}, zero point {our_zero}; PyTorch {float(scale):g}, {zero}")
        if exact and (our_scale != scale or our_zero != zero or not torch.equal(our_levels, levels)):
            report.faults.append(f"{what}: not bit for bit what PyTorch's formula gives")
        theirs, step = (levels - zero) * scale, scale
    flipped = int((ours != theirs).sum()) if exact else int(((ours - theirs).abs() > step * 0.5).sum())
    report.flips += flipped
    if exact and flipped:
        report.faults.append(f"{what}: {flipped} values differ from PyTorch's")
    if bool(((ours - theirs).abs() > step * 1.01).any()):
        report.faults.append(f"{what}: values differ from PyTorch's by more than one level")
    return ours


def compare_network(folder, plant):
    graph = splitdsl_torch.load_graph(folder / "graph.json")
    model = splitdsl_torch.GraphModule(graph).eval()
    values, at, state = floats(folder / "parameters.f32"), 0, {}
    for entry in graph["parameters"]:
        count = int(numpy.prod(entry["shape"]))
        state[entry["name"]] = values[at:at + count].reshape(entry["shape"])
        at += count
    assert at == len(values)
    lacking = model.load_state_dict(state, strict=False)
    assert not lacking.unexpected_keys and all(k.endswith("num_batches_tracked") for k in lacking.missing_keys), lacking
    ops, report = graph["ops"], Report()
    streams = any(op["kind"] == "quantise" and op["stream"] for op in ops)
    for first in sorted(folder.glob("*.output.reference")):
        which = first.name.split(".")[0]
        inputs = {}
        for op in ops:
            if op["kind"] != "input" or not (folder / f"{which}.input.{op['name']}").exists():
                continue
            raw = numpy.fromfile(folder / f"{which}.input.{op['name']}", "u1" if op["dtype"] == "u8" else "<f4")
            channels, height, width = op["shape"]
            shape = (height, width, channels) if op["layout"] == "hwc" else (channels, height, width)
            inputs[op["name"]] = torch.from_numpy(raw).reshape(1, *shape)
        for path in sorted(folder.glob(f"{which}.output.*")):
            tier, what = path.name.split(".")[2], f"{path.name}"
            given = {}
            if tier == "reference":
                for op in ops:
                    kept = folder / f"{which}.decoded.reference.{op['index']}"
                    if not kept.exists():
                        continue
                    before = model.run(inputs, [op["inputs"][0]], given=given)[0]
                    ours = floats(kept)
                    theirs = splitdsl_torch.CODECS[op["codec"]](before).flatten()
                    step = (before.max() - before.min()) / LEVELS.get(op["codec"], 1000)
                    if bool(((ours - theirs).abs() > step * 1.01).any()):
                        report.faults.append(f"{what}, op {op['index']}: values behind the codec differ by more than one level")
                    given[op["index"]] = ours.reshape(1, *op["shape"])
            else:
                for cut in graph["cuts"]:
                    payload = (folder / f"{which}.payload.{tier}.{cut['name']}").read_bytes()
                    start = 0
                    assert len(payload) == cut["payload_bytes"]
                    crossing = []
                    for item in cut["items"]:
                        crossing.append((item, payload[start:start + item["bytes"]]))
                        start += item["bytes"]
                    for item, part in sorted(crossing, key=lambda c: c[0]["op"]):
                        if item["input"]:
                            continue
                        op = ops[item["op"]]
                        codec = op["codec"] if op["kind"] == "quantise" else "f32"
                        source = op["inputs"][0] if op["kind"] == "quantise" else op["index"]
                        before = model.run(inputs, [source], given=given)[0]
                        exact = ops[source]["kind"] == "input"
                        ours = compare_codec(report, codec, before, part, exact, tier, f"{what}, cut {cut['name']}, op {item['op']}")
                        if op["kind"] == "quantise":
                            given[op["index"]] = ours.reshape(1, *op["shape"])
            want = model.run(inputs, [o["op"] for o in graph["outputs"]], given=given)
            got, start = floats(path), 0
            for output, tensor in zip(graph["outputs"], want):
                theirs = tensor.flatten()
                if plant:
                    theirs = theirs + plant * (theirs.max() - theirs.min()) * (torch.arange(len(theirs)) == len(theirs) // 2)
                part = got[start:start + len(theirs)]
                start += len(theirs)
                bound = STREAM_BOUND if streams and tier != "reference" else BOUND
                report.see(tier, relative(theirs, part), bound, f"{what}, output {output['name']}")
            assert start == len(got), f"{what} holds {len(got)} values, expected {start}"
    return report


def compare_codecs(folder):
    """The codec's bytes against PyTorch's formula, bit for bit. Returns (tensors, what differs)."""
    faults, count = [], 0
    for path in sorted(folder.glob("*.values"), key=lambda p: int(p.stem)):
        x = floats(path)
        count += 1
        for codec, levels in LEVELS.items():
            payload = (folder / f"{path.stem}.{codec}").read_bytes()
            ours = unpack(codec, payload)
            back = floats(folder / f"{path.stem}.{codec}.decoded")
            if (x.max() - x.min()) / levels >= torch.finfo(torch.float32).tiny:
                scale, zero, want = affine(x, levels)
                if ours[0] != scale or ours[1] != zero or not torch.equal(ours[2], want):
                    faults.append(f"tensor {path.stem}, {codec}: bytes differ from PyTorch's formula")
                if not torch.equal(back, (want - zero) * scale):
                    faults.append(f"tensor {path.stem}, {codec}: decoded values differ")
            elif not torch.equal(back, torch.where(x.abs() >= torch.finfo(torch.float32).tiny, x, torch.zeros_like(x))) and x.min() == x.max():
                faults.append(f"tensor {path.stem}, {codec}: a constant is not kept")
            if not torch.equal(splitdsl_torch.affine_quantise(x[None], levels)[0], back) and x.abs().max() >= torch.finfo(torch.float32).tiny:
                faults.append(f"tensor {path.stem}, {codec}: the training tool's quantiser gives other values")
        half = numpy.frombuffer((folder / f"{path.stem}.f16").read_bytes(), "<u2")
        if not numpy.array_equal(half, x.half().numpy().view("<u2")):
            faults.append(f"tensor {path.stem}, f16: bytes differ from PyTorch's")
    return count, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", required=True, help="the program parity_dump")
    parser.add_argument("--keep", help="write the files here and leave them (default: a temporary folder)")
    parser.add_argument("--plant", type=float, default=0.0, help="error to plant, in units of an output's range")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        import subprocess
        root = pathlib.Path(options.keep or scratch)
        subprocess.run([options.dump, str(root)], check=True)
        failed = passed = 0
        torch.manual_seed(0)
        with torch.no_grad():
            for folder in sorted((root / "networks").iterdir()):
                report = compare_network(folder, options.plant)
                errors = "  ".join(f"{tier} {error:.1e}" for tier, error in sorted(report.errors.items()))
                flips = f"  ({report.flips} codec values one level apart)" if report.flips else ""
                print(f"{'DIFFERS ' if report.faults else 'same    '}{folder.name:28s} {errors}{flips}")
                for fault in report.faults[:3] if not options.plant else []:
                    print(f"         {fault}")
                failed += bool(report.faults)
                passed += not report.faults
            tensors, faults = compare_codecs(root / "codec")
        print(f"{'DIFFERS ' if faults else 'same    '}codecs on {tensors} tensors, bit for bit")
        for fault in faults[:5]:
            print(f"         {fault}")
    print(f"{passed} networks within {BOUND:.0e} of PyTorch {torch.__version__}, {failed} not")
    if options.plant:
        return 0 if failed and not passed else 1
    return 1 if failed or faults or not passed or not tensors else 0


if __name__ == "__main__":
    sys.exit(main())
