#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Learns which channels of each stream are most useful, on the training pictures, and puts them first.

    learn_channel_order.py --work out/fleet                             WORK/channel_order.json, of WORK/fleet.pt
    learn_channel_order.py --work out/fleet --phase wide                of WORK/wide.pt (train_fleet_wide.py)
    learn_channel_order.py --work out/fleet --weights FILE              and the network's weights with its streams' channels in that order

The order is found greedily: of the channels not chosen yet the next one is that with which the cloud's loss is least at the largest size, the stream's other
channels being there in the smallest size (--others small, which is what packets of more than a few bytes leave) or absent (--others absent: zeros, as
`dynamic_pool_decoder::rebuild` leaves them), and the stream before complete. `dynamic_pool_encoder` and `dynamic_pool_decoder` send channels in the
order they are given. The weights need no list: their trunk's channels are permuted, so that the order in which they come is the learnt one, and the
network computes what it did but for the order of its sums. Streams of one stage share their channels there, so they share an order, found on all of them.

The JSON has, for each stream, "order", and what the first channels are worth on the held-out pictures (the second half of the test set): "accuracy" and "loss"
with 1, 2, ... of them, in the learnt order ("learnt"), as they come ("as_they_come") and from the end of the learnt order ("reversed"), with the others absent
("absent") and at the smallest size ("small").
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
from train_fleet import RECORDED_AT_ONCE, checkpoint, finished, self_test, take_rounded
from train_fleet_network import folded, normalise
from train_fleet_pictures import load, prepare
from train_fleet_recipes import MAKE
from train_fleet_wide import Wide
from training_steps import halved


class Streams:
    """What a network's streams carry of some pictures, and what the cloud says with a part of it."""

    def __init__(self, recipe, pictures, labels):
        self.model, self.tail, self.labels = recipe.model, folded(recipe.model.cloud), labels
        small, large = [], []
        with torch.inference_mode():
            for first in range(0, len(pictures), RECORDED_AT_ONCE):
                seen = recipe.model.trunk(normalise(pictures[first:first + RECORDED_AT_ONCE]))[1]
                received = [recipe.ladder.received(s) for s in recipe.at_streams(seen)]
                small.append([r[0] for r in received])
                large.append([r[-1] for r in received])
        self.small, self.large = ([torch.cat(parts) for parts in zip(*all_of)] for all_of in (small, large))

    def with_channels(self, stream, channels, others_small=False):
        """(loss, share of right answers) when the stream has these channels at its largest size."""
        here = self.small[stream].clone() if others_small else torch.zeros_like(self.large[stream])
        here[:, channels] = self.large[stream][:, channels]
        loss, right = 0.0, 0
        with torch.inference_mode():
            for first in range(0, len(here), RECORDED_AT_ONCE):
                part = slice(first, first + RECORDED_AT_ONCE)
                before = self.large[stream - 1][part] if stream else None
                logits, truth = self.model.rest(self.tail, self.model.fuse(stream, before, here[part])), self.labels[part]
                loss += float(torch.nn.functional.cross_entropy(logits, truth, reduction="sum"))
                right += int((logits.argmax(1) == truth).sum())
        return loss / len(here), right / len(here)


def greedy(streams, together, others_small):
    """The order for streams that share it: the next channel is that with which the sum of their losses is least."""
    left, order = list(range(streams.large[together[0]].shape[1])), []
    while left:
        losses = {c: sum(streams.with_channels(k, [*order, c], others_small)[0] for k in together) for c in left}
        order.append(min(left, key=lambda c: (losses[c], c)))
        left.remove(order[-1])
    return order


def worth(streams, stream, order):
    """Loss and accuracy of prefixes on held-out pictures."""
    ways, found, known = {"learnt": order, "as_they_come": sorted(order), "reversed": order[::-1]}, {}, {}
    for others in ("small", "absent"):
        for name, channels in ways.items():
            each = []
            for n in range(1, len(channels) + 1):
                key = others, frozenset(channels[:n])
                if key not in known:
                    known[key] = streams.with_channels(stream, channels[:n], others == "small")
                each.append(known[key])
            found.setdefault(others, {})[name] = {"loss": [round(loss, 5) for loss, _ in each], "accuracy": [round(right, 5) for _, right in each]}
    return found


# ---- weights ----------------------------------------------------------------------------------------------------------------------------------------


def stage_orders(model, first, second):
    """Permutations of the three stages' channels that put the streams' in order. The shortcuts hand channel i of a stage to i + a quarter of the next."""
    depth = model.depth
    one, two, three = list(range(16)), list(range(32)), list(range(64))
    one[:depth] = first
    two[:depth] = second
    two[8:8 + depth] = [8 + c for c in first]
    for at, c in enumerate(two):
        three[16 + at] = 16 + c
    return one, two, three


def permuted(state, model, first, second):
    """The weights with the channels of stages 1, 2 and 3 reordered everywhere they are written and read."""
    stages = [torch.tensor(o) for o in stage_orders(model, first, second)]
    state, n = {k: v.clone() for k, v in state.items()}, model.blocks

    def rows(prefix, order):
        for name in (f"{prefix}.weight", f"{prefix}.bias", f"{prefix}.running_mean", f"{prefix}.running_var"):
            if name in state:
                state[name] = state[name][order]

    def columns(name, order, each=1):
        index = (order[:, None] * each + torch.arange(each)).flatten()
        state[name] = state[name][:, index]
    rows("conv1", stages[0]), rows("bn1", stages[0])
    for s in (1, 2, 3):
        for b in range(n):
            block = f"layer{s}.{b}"
            columns(f"{block}.conv1.weight", stages[s - 2] if b == 0 and s > 1 else stages[s - 1])
            for name in ("conv1", "bn1", "conv2", "bn2"):
                rows(f"{block}.{name}", stages[s - 1])
            columns(f"{block}.conv2.weight", stages[s - 1])
    columns("linear.weight", stages[2])
    for i, layer in enumerate(model.exit_layers, 1):
        size = model.exits[str(i)].size
        columns(f"exits.{i}.weight", stages[0 if layer <= 1 + n else 1 if layer <= 1 + 2 * n else 2], size * size)
    for stream in range(1, model.streams + 1):
        orders = [torch.tensor(first if layer <= 1 + n else second) for layer in range(max(1, stream - 1), stream + 1)]
        index = torch.cat([o + model.depth * i for i, o in enumerate(orders)])
        state[f"fusion.{stream}.0.weight"] = state[f"fusion.{stream}.0.weight"][:, index]
    return state


# ---- the program ------------------------------------------------------------------------------------------------------------------------------------


def learn(options):
    work, saved = pathlib.Path(options.work), finished_phase(options)
    folder = prepare(options)                    # behind what may be refused: decoding takes minutes
    options.sizes = tuple(saved["options"]["sizes"])
    recipe = (Wide if options.phase == "wide" else MAKE["fleet"])(options)
    take_rounded(checkpoint(options, options.phase), recipe, saved["model"])
    m = recipe.eval().model
    count, labels = options.pictures, load(folder, "train_labels")
    chosen = torch.from_numpy(numpy.sort(numpy.random.default_rng(options.seed).permutation(len(labels))[:count]))
    train = Streams(recipe, load(folder, "train")[chosen], labels[chosen])
    test, truth = load(folder, "test"), load(folder, "test_labels")
    held_out = slice(len(truth) // 2, len(truth) // 2 + (options.held_out or len(truth)))
    test = Streams(recipe, test[held_out], truth[held_out])
    result = {"phase": options.phase, "others": options.others, "pictures": len(chosen), "held_out": len(test.labels), "seed": options.seed, "streams": {}}
    of_stage = [k for k in range(m.streams) if k <= m.blocks], [k for k in range(m.streams) if k > m.blocks]
    if options.weights and m.depth > 8:
        raise SystemExit("learn_channel_order.py: expected streams of at most 8 channels for --weights, for beyond them the stages' channels are tied by shortcuts, "
                         f"found {m.depth}")
    small = options.others == "small"
    shared = [greedy(train, stages, small) for stages in of_stage] if options.weights else None
    for k in range(m.streams):
        order = shared[k > m.blocks] if shared else greedy(train, [k], small)
        found = worth(test, k, order)
        result["streams"][f"layer{k + 1}"] = {"order": order, **found}
        for others, ways in found.items():
            mean = {name: sum(w["accuracy"][:-1]) / max(1, len(order) - 1) for name, w in ways.items()}
            print(f"layer{k + 1} {order}: accuracy with some of the channels, the others {others}, mean: " + ", ".join(f"{name} {100 * a:.2f} %" for name, a in mean.items()), flush=True)
    path = work / ("channel_order.json" if options.phase == "fleet" else f"channel_order_{options.phase}.json")
    if options.weights:
        state = {n.removeprefix("model."): t for n, t in recipe.state_dict().items() if n.startswith("model.")}
        state = permuted(state, m, *shared)
        m.load_state_dict(state)
        write_weights(options, state, self_test(m, load(folder, "test")[:1]))
        result["weights"] = options.weights
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(result, indent=1))
    fresh.replace(path)
    print(path)


def finished_phase(options):
    saved = finished(options, options.phase) if options.phase == "fleet" else finished(argparse.Namespace(**{**vars(options), "depth": options.wide_depth}), "wide")
    options.depth = saved["options"]["depth"]
    options.blocks = saved["options"]["blocks"]
    return saved


def write_weights(options, state, checked_by):
    tensors = {**halved(state), **checked_by}
    safetensors_io.save(options.weights, tensors, {"made_by": "tools/learn_channel_order.py"})
    print(f"{options.weights}: {sum(t.nbytes for t in tensors.values())} bytes of weights")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--work", default="out/fleet", help="folder of everything that is read and written (%(default)s)")
    parser.add_argument("--data", help="folder that holds cifar10/ (SPLITDSL_DATA)")
    parser.add_argument("--synthetic", type=whole_number(0, 1_000_000), default=0, metavar="N", help="N invented pictures instead of CIFAR-10")
    parser.add_argument("--phase", choices=("fleet", "wide"), default="fleet", help="whose streams (%(default)s)")
    parser.add_argument("--others", choices=("small", "absent"), default="small", help="what the cloud has of the channels that have not come (%(default)s)")
    parser.add_argument("--pictures", type=whole_number(1), default=2000, help="training pictures to learn from (%(default)s)")
    parser.add_argument("--held-out", type=whole_number(0), default=0, help="of the test set's second half (all)")
    parser.add_argument("--weights", help="write the weights with the streams' channels in their order: f16, as train_fleet.py export does")
    parser.add_argument("--blocks", type=whole_number(2, 6), default=2)
    parser.add_argument("--depth", type=whole_number(1, 16), default=4, help="channels of the phase fleet's streams (%(default)s)")
    parser.add_argument("--wide-depth", type=whole_number(1, 16), default=16, help="of the phase wide's (%(default)s)")
    parser.add_argument("--draws", type=int, default=2, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=whole_number(1, 1024), default=1)
    parser.add_argument("--seed", type=whole_number(0), default=1)
    options = parser.parse_args()
    options.sizes = (3, 4, 5, 6, 7, 8)
    torch.set_num_threads(options.threads)
    learn(options)


if __name__ == "__main__":
    run(main)
