# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trains the drive's networks: the teacher by imitation, then the split driver by head network distillation.

    train_drive.py teacher --data DIR --graphs DIR --work DIR
    train_drive.py distil  --data DIR --graphs DIR --work DIR
    train_drive.py export  --data DIR --graphs DIR --work DIR --weights examples/drive/weights

DIR of data holds train.bin and val.bin (drive_dataset), DIR of graphs driver.json and driver_teacher.json (drive_describe).
Each phase saves a checkpoint every 25 steps under --work and continues from it when started again. docs/drive.md has the
exact commands behind the committed weights.

The loss of imitation is SAGE's L1; that of distillation is SAGE's Eq. 11: the sum of squared differences between what the
teacher's head and the student's head, bottleneck and decoder hand to the tail both share, whose weights stay frozen. In its second half the bottleneck
is quantised to 8 bits as in service, the gradient passing straight through.
"""
import argparse
import json
import math
import os
import pathlib
import sys
import time

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # threads that wait on a busy machine should sleep, not spin

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import packages

packages.require("numpy", "torch")

import numpy
import torch

import safetensors_io
from command_line import run, whole_number
from distillation import feature_distance
from splitdsl_torch import GraphModule, last_op_before, load_graph
from training_steps import claimed, descend, halved, load_checkpoint, load_saved, save_checkpoint, save_whole, take_state

SPEED_UNIT = 10.0  # m/s: the network's speed input is the speed divided by this
TAIL = ("trunk.", "perception.", "speed.", "follow.", "left.", "right.", "straight.")
LATE_BLOCKS = ("trunk.layer1.1", "trunk.layer1.2", "trunk.layer1.3", "trunk.layer2.1", "body.1")
CONTROL_WEIGHTS = (3.0, 1.0, 1.0)  # steer, throttle, brake


class Frames:
    """A file of drive_dataset, mapped rather than read."""

    def __init__(self, path):
        with open(str(path) + ".json", encoding="utf-8") as file:
            try:
                self.count = n = int(json.load(file)["count"])
            except (ValueError, KeyError, TypeError) as problem:
                raise ValueError(f"{path}.json: expected what drive_dataset writes, a count of frames ({type(problem).__name__}: {problem})") from None
        pixels, size = n * 3 * 88 * 200, os.path.getsize(path)
        if n < 1 or size != pixels + 17 * n:
            raise ValueError(f"{path}: expected {pixels + 17 * n} bytes for {n} frames, found {size}")
        self.frames = numpy.memmap(path, numpy.uint8, "r", 0, (n, 3, 88, 200))
        self.speed = numpy.fromfile(path, numpy.float32, n, offset=pixels)
        self.controls = numpy.fromfile(path, numpy.float32, 3 * n, offset=pixels + 4 * n).reshape(n, 3)
        self.command = numpy.fromfile(path, numpy.uint8, n, offset=pixels + 16 * n)

    def batch(self, chosen):
        chosen = numpy.sort(chosen)
        return ({"camera": torch.from_numpy(self.frames[chosen]), "speed": torch.from_numpy(self.speed[chosen, None] / SPEED_UNIT),
                 "command": torch.from_numpy(self.command[chosen, None])}, torch.from_numpy(self.controls[chosen]))


class Joined:
    """Several files as one."""

    def __init__(self, parts):
        self.parts = parts
        self.starts = numpy.cumsum([0] + [p.count for p in parts])
        self.count = int(self.starts[-1])

    def batch(self, chosen):
        pieces = []
        for part, begin, end in zip(self.parts, self.starts, self.starts[1:]):
            inside = chosen[(chosen >= begin) & (chosen < end)] - begin
            if inside.size:
                pieces.append(part.batch(inside))
        inputs = {name: torch.cat([p[0][name] for p in pieces]) for name in pieces[0][0]}
        return inputs, torch.cat([p[1] for p in pieces])


def chosen_samples(count, batch, step, seed):
    """The samples of one step; a function of the step alone, so that a resumed run sees what an unbroken one would."""
    per_epoch = count // batch
    order = numpy.random.default_rng((seed, step // per_epoch)).permutation(count)
    begin = step % per_epoch * batch
    return order[begin:begin + batch]


def learning_rate(step, steps, peak, warm=30):
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def control_loss(answer, wanted):
    return ((answer.flatten(1) - wanted).abs() * torch.tensor(CONTROL_WEIGHTS)).mean()


def late_additions(graph):
    return {op["index"] for op in graph["ops"] if op["kind"] == "add" and op["name"] in LATE_BLOCKS}


def run_phase(options, name, steps, model, trained, loss_of, data, peak, before_step=None):
    """Adam with a warm-up and a cosine, from the phase's checkpoint if there is one."""
    path = pathlib.Path(options.work) / f"{name}.checkpoint"
    optimiser = torch.optim.Adam(trained, lr=peak)
    first, terms = 0, {"steps": steps, "batch": options.batch, "rate": peak, "seed": options.seed, "frames": data.count}
    if saved := load_checkpoint(path, model, optimiser):
        before = saved.get("terms", terms)  # older files name none
        if before != terms:
            raise ValueError(f"{path}: another run's, which differs in {', '.join(k for k in terms if before.get(k) != terms[k])}: name another --work, or remove it")
        first = saved["step"]
        print(f"{name}: continuing at step {first}", flush=True)
    started, sums = time.time(), []
    for step in range(first, steps):
        if before_step:
            before_step(step)
        inputs, wanted = data.batch(chosen_samples(data.count, options.batch, step, options.seed))
        sums.append(descend(optimiser, loss_of(inputs, wanted), learning_rate(step, steps, peak)))
        if (step + 1) % 25 == 0 or step + 1 == steps:
            pace = (time.time() - started) / (step + 1 - first)
            print(f"{name} step {step + 1}/{steps} loss {sum(sums) / len(sums):.4f} {pace:.2f} s/step", flush=True)
            sums = []
            save_checkpoint(path, model, optimiser, step=step + 1, terms=terms)


def calibrate(model, data, batches, batch, seed, only=None):
    """Batch-norm statistics as plain averages over fixed batches, with the final weights."""
    norms = [m for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d) and (only is None or n.startswith(only))]
    model.eval()
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
        m.train()
    with torch.no_grad():
        for step in range(batches):
            model(data.batch(chosen_samples(data.count, batch, step, seed + 1))[0])
    model.eval()


def validate(model, data, batch=50):
    """Mean absolute error of steer, throttle, brake, and of steer by command."""
    model.eval()
    errors, commands = [], []
    with torch.no_grad():
        for begin in range(0, data.count, batch):
            inputs, wanted = data.batch(numpy.arange(begin, min(begin + batch, data.count)))
            errors.append((model(inputs)["output"].flatten(1) - wanted).abs())
            commands.append(inputs["command"].flatten())
    errors, commands = torch.cat(errors), torch.cat(commands)
    overall = errors.mean(0)
    return {"steer": float(overall[0]), "throttle": float(overall[1]), "brake": float(overall[2]),
            "steer_by_command": [round(float(errors[commands == c, 0].mean()), 4) for c in range(4)]}


def open_data(options):
    folder = pathlib.Path(options.data)
    parts = [Frames(f) for f in sorted(folder.glob("train*.bin"))]
    if not parts:
        raise ValueError(f"--data {folder}: expected train*.bin of drive_dataset, found none")
    train = Joined(parts)
    if options.phase != "export" and options.batch > train.count:
        raise ValueError(f"expected a --batch of at most the {train.count} frames of train*.bin, found {options.batch}")
    return train, Frames(folder / "val.bin")


def graphs(options):
    folder = pathlib.Path(options.graphs)
    return load_graph(folder / "driver_teacher.json"), load_graph(folder / "driver.json")


def train_teacher(options):
    graph, _ = graphs(options)
    train, val = open_data(options)
    torch.manual_seed(options.seed)
    model = GraphModule(graph)
    # The later residual blocks begin as identities: the network learns shallow first, which costs half, then with all its depth.
    for op in graph["ops"]:
        if op["index"] in late_additions(graph):
            model.places[op["inputs"][0]].weight.data.zero_()

    def loss_of(inputs, wanted):
        return control_loss(model(inputs)["output"], wanted)

    model.train()
    model.without = late_additions(graph)
    run_phase(options, "teacher-shallow", options.shallow_steps, model, model.parameters(), loss_of, train, options.rate)
    print("shallow:", validate(model, val), flush=True)
    model.train()
    model.without = set()
    run_phase(options, "teacher-deep", options.deep_steps, model, model.parameters(), loss_of, train, options.rate * 0.4)
    calibrate(model, train, options.calibration, options.batch, options.seed)
    save_whole(pathlib.Path(options.work) / "teacher.pt", model.state_dict())
    print("teacher:", validate(model, val), flush=True)


def load_state(model, path):
    take_state(path, model, load_saved(path))
    model.eval()
    return model


def distil(options):
    teacher_graph, graph = graphs(options)
    train, val = open_data(options)
    torch.manual_seed(options.seed)
    teacher = load_state(GraphModule(teacher_graph), pathlib.Path(options.work) / "teacher.pt")
    model = GraphModule(graph)
    known = {n: t for n, t in teacher.state_dict().items() if n.startswith(TAIL + ("stem.",))}
    model.load_state_dict(known, strict=False)
    for parameter in list(teacher.parameters()) + [p for n, p in model.named_parameters() if n.startswith(TAIL)]:
        parameter.requires_grad_(False)
    handed_over, taught = last_op_before(graph, "trunk."), last_op_before(teacher_graph, "trunk.")
    trained = [p for p in model.parameters() if p.requires_grad]

    def loss_of(inputs, wanted):
        with torch.no_grad():
            target = teacher.run(inputs, [taught])[0]
        answer = model.run(inputs, [handed_over])[0]
        return feature_distance([answer], [target]) / 1000

    def before_step(step):
        model.quantise = step >= options.distil_steps // 2

    model.train()
    run_phase(options, "distil", options.distil_steps, model, trained, loss_of, train, options.rate, before_step)
    model.quantise = True
    calibrate(model, train, options.calibration, options.batch, options.seed, ("stem", "squeeze", "encode", "decode"))
    save_whole(pathlib.Path(options.work) / "driver.pt", model.state_dict())
    print("driver:", validate(model, val), flush=True)


def selftest(model, data, frames, with_input):
    """Inputs from the validation set and the answers of the stored (rounded) weights, one frame a time."""
    model.eval()
    tensors = {}
    inputs, _ = data.batch(numpy.asarray(frames))
    with torch.no_grad():
        answers = [model({k: v[i:i + 1] for k, v in inputs.items()})["output"].flatten().numpy() for i in range(len(frames))]
    if with_input:
        tensors.update({f"selftest.input.{name}": value.numpy() for name, value in inputs.items()})
    tensors["selftest.output.output"] = numpy.stack(answers).astype(numpy.float32)
    return tensors


def export(options):
    teacher_graph, graph = graphs(options)
    _, val = open_data(options)
    folder = pathlib.Path(options.weights)
    folder.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(options.work)
    # A left turn comes first, so that even one frame tells whether the select took the right branch.
    absent = sorted({0, 1, 2, 3} - set(val.command.tolist()))
    if absent:
        raise ValueError(f"--data {options.data}: expected frames of each command in val.bin, found none of {', '.join(map(str, absent))}")
    frames = [int(numpy.flatnonzero(val.command == c)[0]) for c in (1, 2, 3, 0)][:options.selftest_frames]
    about = {"made_by": "tools/train_drive.py", "seed": options.seed}
    for name, network, keep in (("driver", graph, None), ("driver_teacher", teacher_graph, TAIL)):
        model = load_state(GraphModule(network), work / ("driver.pt" if name == "driver" else "teacher.pt"))
        state = halved(model.state_dict())
        model.load_state_dict({n: torch.from_numpy(a.astype(numpy.float32)) for n, a in state.items()}, strict=False)
        print(name, "as stored:", validate(model, val), flush=True)
        # The teacher's tail and its self-test input are the driver's, bit for bit, and so are not stored twice.
        tensors = {n: a for n, a in state.items() if keep is None or not n.startswith(keep)}
        tensors.update(selftest(model, val, frames, with_input=keep is None))
        path = folder / f"{name}.safetensors"
        safetensors_io.save(path, tensors, {**about, "network": network["network"], "fingerprint": network["fingerprint"],
                                            **({"tail_from": "driver.safetensors"} if keep else {})})
        print(f"{path}: {path.stat().st_size} bytes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("phase", choices=["teacher", "distil", "export"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--graphs", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--weights", default="examples/drive/weights")
    parser.add_argument("--threads", type=whole_number(1), default=2)
    parser.add_argument("--seed", type=whole_number(0), default=1)
    parser.add_argument("--batch", type=whole_number(1), default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--shallow-steps", type=whole_number(1), default=600)
    parser.add_argument("--deep-steps", type=whole_number(1), default=200)
    parser.add_argument("--distil-steps", type=whole_number(2), default=500)
    parser.add_argument("--calibration", type=whole_number(1), default=24, help="batches for the batch-norm statistics")
    parser.add_argument("--selftest-frames", type=whole_number(1), default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with claimed(pathlib.Path(options.work) / options.phase):
        {"teacher": train_teacher, "distil": distil, "export": export}[options.phase](options)


if __name__ == "__main__":
    run(main)
