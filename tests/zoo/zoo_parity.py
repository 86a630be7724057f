#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Compares every network of the zoo with PyTorch (f32, CPU): outputs, number of parameters, multiplications, and split with whole.

    zoo_parity.py --run PATH/zoo_run                every network that was compiled; exit status 1 on a difference
    zoo_parity.py --run ... resnet50 inception_v3   only these
    zoo_parity.py --run ... --plant 3e-4            adds that much of the output's range to PyTorch's answer: all must differ

Weights come from a seed. The statistics of batch norms are those of random pictures that went through the network layer by layer, so
that activations stay sane in networks of any depth. The bound is 1e-4 of each output's range.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
try:
    import numpy
    import torch
    import torchvision  # noqa: F401
    from torch import nn
except ImportError as problem:
    print(f"SKIPPED: comparing with PyTorch needs python3-torch and python3-torchvision ({problem})")
    sys.exit(0)
import safetensors_io  # noqa: E402
import zoo_models  # noqa: E402
import prior_reference  # noqa: E402

torch.set_num_threads(max(2, torch.get_num_threads()))    # with one thread PyTorch computes 1x1 convolutions ten times slower
BOUND = 1e-4
FRAMES = 2


def pictures(count, height, width, generator):
    """u8 pictures with large and small structures."""
    coarse = torch.rand((count, 3, 4, 4), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    return ((0.7 * smooth + 0.3 * torch.rand((count, 3, height, width), generator=generator)) * 255).to(torch.uint8)


def frames_for(inputs, count, generator):
    """A tensor (count, ...) an input: pictures, commands (u8 vectors below 4) or values in [0, 1)."""
    made = []
    for entry in inputs:
        channels, height, width = entry["shape"]
        if entry["bytes"] == channels * height * width:
            made.append(pictures(count, height, width, generator) if channels == 3 else torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1) % 4)
        else:
            made.append(torch.rand((count, channels, height, width), generator=generator))
    return made


def settle(norm, inputs):
    """Statistics of a few pixels are chance: where a norm sees at most 5 x 5 of a picture, its inputs' size takes their place, at once."""
    x = inputs[0]
    if norm.training and x.shape[2] * x.shape[3] <= 25:
        norm.running_mean.zero_()
        norm.running_var.copy_((x * x).mean((0, 2, 3)) + 1e-3)
        norm.eval()


def calibrate(model, run, batches):
    """Random scales and shifts; running statistics of the batches.

    Two thirds of what enters a ReLU are positive: around zero, each layer would enlarge its input's rounding by a fifth, and PyTorch's own
    f32 answer would be off by more than the bound behind 80 layers (InceptionV4).
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        norm.weight *= getattr(norm, "damped", 1.0)
        nn.init.normal_(norm.bias, 0.5, 0.2)
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    hooks = [norm.register_forward_pre_hook(settle) for norm in norms]
    for batch in batches if norms else []:
        run(batch)
    for hook in hooks:
        hook.remove()
    for norm in norms:                              # a channel that hardly varies would be amplified, rounding errors with it
        norm.running_var.clamp_(min=0.1 * float(norm.running_var.mean()))
    model.eval()


def initialise(model):
    """He's deviations: torchvision's own initial values die out or explode in networks without batch norms."""
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(m.weight, mode="fan_in", nonlinearity="relu")
            if m.bias is not None:
                nn.init.normal_(m.bias, 0, 0.05)


def count_macs(model, run, frame, ignored):
    total, hooks = [0], []

    def hook(module, given, output):
        if isinstance(module, nn.ConvTranspose2d):
            total[0] += given[0][0].numel() * module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            return
        inner = module.multiplications_a_value if hasattr(module, "multiplications_a_value") else module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1] if isinstance(module, nn.Conv2d) else module.in_features
        total[0] += output[0].numel() * inner
    for name, module in model.named_modules():
        counts = isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) or hasattr(module, "multiplications_a_value")
        if counts and not (name + ".").startswith(tuple(ignored) or "\0"):
            hooks.append(module.register_forward_hook(hook))
    run(frame)
    for h in hooks:
        h.remove()
    return total[0]


def behind_cut(model, frame, sent, wrong):
    """PyTorch's answer to the payloads that were sent, decoded in Python; they must hold PyTorch's own steps but for values that rounding puts on the next one."""
    prior = prior_reference.Prior.of_state(model.state_dict(), "bottleneck_layer.entropy_bottleneck.")
    answers = []
    for own in model.encode(frame):
        size = int.from_bytes(sent[:4], "little")
        payload, sent = sent[4:4 + size], sent[4 + size:]
        steps, flat = prior_reference.decode(prior, payload, own[0].numel()), own.reshape(own.shape[0], -1).numpy()
        off = numpy.abs(prior.steps(flat) - steps)
        if off.max() > 1 or (off > 0).mean() > 1e-3:
            wrong.append(f"sent: {(off > 0).sum()} of {off.size} steps differ, by {off.max()} at most")
        ideal = prior_reference.ideal_bytes(prior, steps)
        if not ideal <= size <= 1.01 * ideal + 8:
            wrong.append(f"sent: {size} bytes for an ideal of {ideal:.0f}")
        answers.append(model.decode(torch.from_numpy(prior.values(steps)).reshape(own.shape)[None]))
    if sent:
        wrong.append(f"sent: {len(sent)} bytes more than expected")
    return torch.cat(answers)


def compare(entry, program, folder, plant):
    """(largest error in units of the range, what is wrong)."""
    name = entry["name"]
    make, statistics, published, ignored = zoo_models.MODELS[name.removesuffix("_odd")]
    torch.manual_seed(len(name) + sum(map(ord, name)))
    generator = torch.Generator().manual_seed(7)
    model = make().eval()
    initialise(model)

    def run(frame):
        return model(*(zoo_models.normalise(part, statistics) if i == 0 or part.shape[1] == 3 else part for i, part in enumerate(frame)))
    calibrate(model, run, [frames_for(entry["inputs"], 4, generator) for _ in range(2)])
    count = 4 if len(entry["inputs"]) > 1 else FRAMES            # every command
    frames = frames_for(entry["inputs"], count, generator)
    wrong = []
    used = sum(p.numel() for n, p in model.named_parameters() if not n.startswith(tuple(ignored) or "\0"))
    if used != entry["parameters"] or (published and used != published):
        wrong.append(f"{entry['parameters']} parameters; PyTorch {used}, published {published}")
    macs = count_macs(model, run, [f[:1] for f in frames], ignored)
    if macs != entry["macs"]:
        wrong.append(f"{entry['macs']} multiplications; PyTorch {macs}")
    want = run(frames)

    tensors = {key: value.numpy() for key, value in model.state_dict().items()}
    safetensors_io.save(folder / "weights", tensors)
    with open(folder / "input", "wb") as file:
        for i in range(count):
            for part in frames:
                file.write(part[i].numpy().tobytes())
    command = [program, name, "--weights", str(folder / "weights"), "--input", str(folder / "input"), "--output", str(folder / "output"), "--cuts"]
    if name in zoo_models.CODED:
        subprocess.run([*command, "--payloads", str(folder / "sent")], check=True)
        want = behind_cut(model, zoo_models.normalise(frames[0], statistics), (folder / "sent").read_bytes(), wrong)
    else:
        subprocess.run(command, check=True)
    got = torch.from_numpy(numpy.fromfile(folder / "output", "<f4")).reshape(count, -1)
    want = want.reshape(count, -1)
    span = float(want.max() - want.min())
    want[0, 0] += plant * span
    if got.shape != want.shape or not bool(torch.isfinite(got).all()) or not 1e-3 < span < 1e6:
        wrong.append(f"outputs {tuple(got.shape)} for {tuple(want.shape)}, range {span:g}")
        return float("inf"), wrong
    at, error = 0, 0.0
    for part in entry["outputs"]:                   # each against its own range
        size = int(numpy.prod(part["shape"]))
        one, other = want[:, at:at + size].double(), got[:, at:at + size].double()
        error = max(error, float((one - other).abs().max()) / float(one.max() - one.min()))
        at += size
    if not error <= BOUND:
        wrong.append(f"{error:.1e} of the range; at most {BOUND:.0e}")
    return error, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these networks")
    parser.add_argument("--run", required=True, help="the program zoo_run")
    parser.add_argument("--plant", type=float, default=0.0, help="error to plant, in units of an output's range")
    options = parser.parse_args()
    listed = json.loads(subprocess.run([options.run, "--list"], check=True, capture_output=True, text=True).stdout)
    unknown = set(options.names) - {entry["name"] for entry in listed}
    if unknown:
        print(f"zoo_run does not have {', '.join(sorted(unknown))}")
        return 1
    passed = failed = 0
    with torch.no_grad(), tempfile.TemporaryDirectory() as scratch:
        for entry in listed:
            if entry["name"].endswith("_int8"):      # zoo_int8.py
                continue
            if options.names and entry["name"] not in options.names:
                continue
            begin = time.monotonic()
            error, wrong = compare(entry, options.run, pathlib.Path(scratch), options.plant)
            print(f"{'DIFFERS' if wrong else 'same   '} {entry['name']:24s} {error:.1e}  {entry['parameters']:>11,} parameters {entry['macs']:>15,} MACs "
                  f"{len(entry['cuts']):>3} cuts  {time.monotonic() - begin:.1f} s", flush=True)
            for text in wrong:
                print("        " + text)
            failed += bool(wrong)
            passed += not wrong
    print(f"{passed} networks within {BOUND:.0e} of PyTorch {torch.__version__}, {failed} not")
    if options.plant:
        return 0 if failed and not passed else 1
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
