# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Drives networks in closed loop on unseen seeds and measures how far they stray from the lane's centre.

    evaluate_drive.py --graphs DIR [--weights examples/drive/weights] [--seeds 12] [--frames 600] [--delay 0] [--json FILE]

Compares the expert, the teacher and the driver (8-bit bottleneck) on the same roads. `--delay 1` applies each answer one frame
late, as a car does that waits for its deadline. A car that leaves the road is counted and put back on its lane.
"""
import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("GOMP_SPINCOUNT", "0")

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import packages

packages.require("numpy", "torch")

import numpy
import torch

import safetensors_io
from command_line import run, whole_number
from drive_world import FRAME_SHAPE, World
from splitdsl_torch import GraphModule, load_graph
from train_drive import SPEED_UNIT


def stored_network(graphs, weights, name):
    """A network with its committed weights; what the teacher's file leaves out is the driver's."""
    model = GraphModule(load_graph(pathlib.Path(graphs) / f"{name}.json"))
    files = ["driver.safetensors"] + ([f"{name}.safetensors"] if name != "driver" else [])
    state = {}
    for file in files:
        state.update(safetensors_io.load(pathlib.Path(weights) / file)[0])
    wanted = {p["name"]: tuple(p["shape"]) for p in model.graph["parameters"]}
    wrong = sorted(n for n, shape in wanted.items() if n not in state or state[n].shape != shape)
    if wrong:
        raise ValueError(f"{name}: weights are missing or of another shape: {', '.join(wrong[:5])}")
    model.load_state_dict({n: torch.from_numpy(state[n].astype(numpy.float32)) for n in wanted}, strict=False)
    model.eval()
    return model


def answers(model, worlds, frames):
    """The network's controls for every world's current frame; None stands for the expert."""
    if model is None:
        return numpy.stack([w.expert() for w in worlds])
    for world, frame in zip(worlds, frames):
        world.render(frame)
    inputs = {"camera": torch.from_numpy(frames),
              "speed": torch.tensor([[w.speed / SPEED_UNIT] for w in worlds], dtype=torch.float32),
              "command": torch.tensor([[w.command] for w in worlds], dtype=torch.uint8)}
    with torch.no_grad():
        return model(inputs)["output"].flatten(1).numpy()


def drive(model, seeds, frames, delay):
    worlds = [World(seed) for seed in seeds]
    pictures = numpy.empty((len(worlds),) + FRAME_SHAPE, numpy.uint8)
    deviation, off_road = numpy.zeros((frames, len(worlds))), numpy.zeros(len(worlds), int)
    waiting = [numpy.tile(numpy.float32([0, 0.3, 0]), (len(worlds), 1))] * delay
    for frame in range(frames):
        waiting.append(answers(model, worlds, pictures))
        controls = waiting.pop(0)
        for i, world in enumerate(worlds):
            world.step(*controls[i])
            deviation[frame, i] = abs(world.deviation)
            if world.off_road:
                off_road[i] += 1
                world.recover()
    return {"mean_m": float(deviation.mean()), "max_m": float(deviation.max()), "p95_m": float(numpy.percentile(deviation, 95)),
            "off_road": int(off_road.sum()), "metres": float(sum(w.along for w in worlds)),
            "mean_by_seed_m": [round(float(d), 3) for d in deviation.mean(0)],
            "max_by_seed_m": [round(float(d), 3) for d in deviation.max(0)], "off_road_by_seed": off_road.tolist()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--graphs", required=True)
    parser.add_argument("--weights", default="examples/drive/weights")
    parser.add_argument("--drivers", nargs="+", choices=["expert", "driver_teacher", "driver"], default=["expert", "driver_teacher", "driver"])
    parser.add_argument("--first-seed", type=whole_number(0), default=1)
    parser.add_argument("--seeds", type=whole_number(1), default=12)
    parser.add_argument("--frames", type=whole_number(1), default=600)
    parser.add_argument("--delay", type=whole_number(0), default=0)
    parser.add_argument("--threads", type=whole_number(1), default=2)
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    report = {"seeds": [seeds[0], seeds[-1]], "frames": options.frames, "delay_frames": options.delay, "drivers": {}}
    for name in options.drivers:
        model = None if name == "expert" else stored_network(options.graphs, options.weights, name)
        report["drivers"][name] = result = drive(model, seeds, options.frames, options.delay)
        print(f"{name:15} mean {result['mean_m']:.3f} m, p95 {result['p95_m']:.3f}, max {result['max_m']:.3f}, "
              f"off road {result['off_road']}, by seed {result['mean_by_seed_m']}, max {result['max_by_seed_m']}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
