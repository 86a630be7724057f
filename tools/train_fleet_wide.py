#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Trains streams of more channels for a device's network that stays as it is, and records their logits beside those of train_fleet.py.

    train_fleet_wide.py train                             WORK/wide.pt: fusion and the cloud's layers, from WORK/shallow_deep.pt
    train_fleet_wide.py record                            WORK/answers_wide.safetensors: WORK/answers.safetensors and the group wide
    train_fleet_wide.py export --weights FILE             the weights in half precision, for examples/visual_wake

The device's part is Shallow-Deep's, exits included, and is not trained: without a link it answers exactly as that baseline does. Options are those of
train_fleet.py, but for --depth (16 channels a stream) and --sizes (3,4,6,8); training cannot be resumed.
"""
import argparse
import math
import os
import pathlib
import sys
import time

os.environ.setdefault("GOMP_SPINCOUNT", "0")

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import packages

packages.require("numpy", "torch")

import numpy
import torch

import safetensors_io
from command_line import at_least_zero, run, whole_number
from train_fleet import accuracy, checkpoint, cloud_answers, finished, over, rate_at, sizes, take_rounded, write_streams, write_weights
from train_fleet_network import folded, normalise
from train_fleet_pictures import load, moved, prepare
from train_fleet_recipes import Fleet, cross, start_with
from train_fleet_pooling import through_steps
from training_steps import claimed, descend, save_whole


class Wide(Fleet):
    def start_from(self, state):
        """The device's whole part of another phase."""
        start_with(self.model, {n.removeprefix("model."): t for n, t in state.items()}, ("fusion", "cloud"))
        self.model.cloud = self.model.tail_copy()

    def trained(self):
        return [*self.model.fusion.parameters(), *self.model.cloud.parameters()]

    def train(self, mode=True):
        super().train(False)
        self.model.fusion.train(mode)
        self.model.cloud.train(mode)
        return self

    def at_device(self, x):
        """What the streams send, as 8 bits say it."""
        with torch.no_grad():
            seen = []
            for stage in self.model.stages()[:self.model.streams]:
                x = stage(x)
                seen.append(x)
            return [through_steps(s) for s in self.at_streams(seen)]

    def loss(self, x, labels, generator, progress):
        m, ladder = self.model, self.ladder
        sent, sizes = self.at_device(x), len(self.ladder.sizes)
        chosen = torch.rand((len(labels), m.streams), generator=generator).argsort(1) < self.options.draws
        fused, truth = [], []
        for k in range(m.streams):
            who = chosen[:, k].nonzero().flatten()
            if len(who) == 0:                    # a stream that no picture of a small batch drew
                continue
            # A link that carries the next layer's stream has mostly carried the one before: every second pair is the largest of both.
            whole = torch.rand(who.shape, generator=generator) < 0.5
            here = torch.where(whole, sizes - 1, torch.randint(0, sizes, who.shape, generator=generator))
            before = torch.where(whole, sizes - 1, torch.randint(-1, sizes, who.shape, generator=generator))
            fused.append(m.fuse(k, ladder.means(sent[k - 1][who], before) if k else None, ladder.means(sent[k][who], here)))
            truth.append(labels[who])
        return cross(m.rest(m.cloud, torch.cat(fused)), torch.cat(truth))


def train(options):
    folder = prepare(options)
    torch.manual_seed(options.seed)
    recipe = Wide(options)
    recipe.start_from(finished(argparse.Namespace(**{**vars(options), "depth": options.start_depth}), options.start)["model"])
    recipe = recipe.to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(recipe.trained(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    pictures, labels = load(folder, "train"), load(folder, "train_labels")
    an_epoch = len(labels) // options.batch
    if an_epoch == 0:
        raise ValueError(f"expected a --batch of at most the {len(labels)} pictures, found {options.batch}")
    steps, budget = options.epochs * an_epoch, 60 * options.minutes if options.minutes else math.inf
    began, sums, step, recipe = time.monotonic(), [], 0, recipe.train()
    while step < steps:
        progress = max(step / steps, (time.monotonic() - began) / budget)
        if progress >= 1:
            break
        order = numpy.random.default_rng((options.seed, step // an_epoch)).permutation(len(labels))
        chosen = torch.from_numpy(numpy.sort(order[step % an_epoch * options.batch:(step % an_epoch + 1) * options.batch]))
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
        loss = recipe.loss(normalise(moved(pictures[chosen], generator)), labels[chosen], generator, progress)
        sums.append(descend(optimiser, loss, rate_at(progress, options.rate)))
        step += 1
        if step % 50 == 0:
            print(f"wide step {step}/{steps} loss {sum(sums[-50:]) / 50:.4f} {time.monotonic() - began:.0f} s", flush=True)
    about = {"seed": options.seed, "batch": options.batch, "rate": options.rate, "epochs": options.epochs, "minutes": options.minutes, "blocks": options.blocks,
             "depth": options.depth, "sizes": list(options.sizes), "draws": options.draws, "start": options.start}
    save_whole(checkpoint(options, "wide"),
               {"model": recipe.state_dict(), "step": step, "seconds": time.monotonic() - began, "finished": True, "epoch": step // an_epoch, "options": about})
    print(f"wide: {step} of {steps} steps, {time.monotonic() - began:.0f} s", flush=True)


def record(options):
    folder, work, saved = prepare(options), pathlib.Path(options.work), finished(options, "wide")
    options.sizes = tuple(saved["options"]["sizes"])
    recipe = Wide(options)
    take_rounded(checkpoint(options, "wide"), recipe, saved["model"])
    m = recipe.eval().model.to(memory_format=torch.channels_last)
    tail = folded(m.cloud)

    def everything(x):
        logits, seen = m.trunk(x)
        return logits, torch.stack(m.local(seen), 1), cloud_answers(recipe, tail, recipe.at_streams(seen))

    tensors, about = safetensors_io.load(work / "answers.safetensors")
    pictures = load(folder, "test")[:len(tensors["labels"])]
    write_streams(work, m, pictures[:500], torch.device("cpu"))
    answers = dict(zip(("trunk", "local", "cloud"), over(pictures, torch.device("cpu"), everything)))
    safetensors_io.save(work / "answers_wide.safetensors", {**tensors, **{f"wide.{n}": a for n, a in answers.items()}}, about)
    for n, a in answers.items():
        print(f"wide.{n}: {accuracy(a[len(a) // 2:], tensors['labels'][len(a) // 2:]).tolist()}")


def export(options):
    folder, saved = prepare(options), finished(options, "wide")
    options.sizes = tuple(saved["options"]["sizes"])
    recipe = Wide(options)
    take_rounded(checkpoint(options, "wide"), recipe, saved["model"])
    write_weights(pathlib.Path(options.weights), recipe.eval().model, saved, folder, "tools/train_fleet_wide.py", f"fleet_cifar_resnet<{options.blocks}>")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("verb", choices=("train", "record", "export"))
    parser.add_argument("--work", default="out/fleet", help="folder of everything that is read and written (%(default)s)")
    parser.add_argument("--data", help="folder that holds cifar10/ (SPLITDSL_DATA)")
    parser.add_argument("--synthetic", type=whole_number(0, 1_000_000), default=0, metavar="N", help="N invented pictures instead of CIFAR-10")
    parser.add_argument("--blocks", type=whole_number(2, 6), default=2)
    parser.add_argument("--depth", type=whole_number(1, 16), default=16, help="channels of a stream (%(default)s)")
    parser.add_argument("--sizes", type=sizes, default=(3, 4, 6, 8), help="of a stream, growing to 8 (3,4,6,8)")
    parser.add_argument("--threads", type=whole_number(1, 1024), default=2)
    parser.add_argument("--epochs", type=whole_number(0, 10_000), default=3)
    parser.add_argument("--minutes", type=at_least_zero, default=0, help="end in this time at the latest")
    parser.add_argument("--batch", type=whole_number(1), default=128)
    parser.add_argument("--rate", type=at_least_zero, default=0.05, help="the learning rate's peak (%(default)s)")
    parser.add_argument("--draws", type=whole_number(1), default=2, help="streams that each picture is sent on (%(default)s)")
    parser.add_argument("--start", default="shallow_deep", help="the phase whose device's part is taken (%(default)s)")
    parser.add_argument("--start-depth", type=whole_number(1, 16), default=4, help="the --depth it was trained with (%(default)s)")
    parser.add_argument("--seed", type=whole_number(0), default=1)
    parser.add_argument("--weights", default="out/fleet/fleet_cifar_resnet14_wide.safetensors", help="export: the file to write (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.verb != "train":
        return {"record": record, "export": export}[options.verb](options)
    with claimed(checkpoint(options, "wide")):
        train(options)


if __name__ == "__main__":
    run(main)
