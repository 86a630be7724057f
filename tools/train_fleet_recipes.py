# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a phase of train_fleet.py trains: a module each, whose state is the phase's checkpoint and whose `loss` is all that training asks for."""
import numpy
import torch
from torch import nn
from torch.nn import functional
from train_fleet_network import SENT_SIDE, Ensemble, FleetCifarResNet, multiplications
from train_fleet_pictures import QUALITIES
from train_fleet_pooling import Ladder, pool_to, through_steps

WIDTHS = (4, 8, 16, 32)                           # CLIO's: channels of the cut


def cross(logits, labels):
    return functional.cross_entropy(logits, labels)


class Recipe(nn.Module):
    """What a phase trains; the state of this module is its checkpoint. `loss` gets normalised pictures and how far training has come, 0 to 1."""

    encodings = ("",)

    def __init__(self, options, exits="local"):
        super().__init__()
        self.options = options
        self.model = FleetCifarResNet(options.blocks, depth=options.depth, exits=exits)

    def start_from(self, state):
        """The trunk of another phase."""
        own = self.model.state_dict()
        self.model.load_state_dict({**own, **{n: t for n, t in trunk_of(state).items() if n in own}})
        if self.model.has_cloud:
            self.model.cloud = self.model.tail_copy()

    def trained(self):
        return self.parameters()


def trunk_of(state):
    return {n.removeprefix("model."): t for n, t in state.items() if n.startswith(("model.conv1", "model.bn1", "model.layer", "model.linear"))}


class Plain(Recipe):
    def loss(self, x, labels, generator, progress):
        return cross(self.model.trunk(x)[0], labels)


class Whole(Plain):
    encodings = ("", "", *(f"_jpeg{q}" for q in QUALITIES))


class Branches(Recipe):
    def weights(self, progress):
        exits = len(self.model.exit_layers)
        return [0.05 if i < 2 else 0.1 for i in range(exits)], 0.4

    def loss(self, x, labels, generator, progress):
        logits, seen = self.model.trunk(x)
        weights, last = self.weights(progress)
        return last * cross(logits, labels) + sum(w * cross(a, labels) for w, a in zip(weights, self.model.local(seen)))


class ShallowDeep(Branches):
    def weights(self, progress):
        shares = stage_shares(self.model)
        return [0.01 + (shares[layer - 1] - 0.01) * progress for layer in self.model.exit_layers], 1.0


class Fleet(Branches):
    def __init__(self, options):
        super().__init__(options, "both")
        self.ladder = Ladder(SENT_SIDE, options.sizes)

    def at_streams(self, seen):
        """The largest size of what each stream would send, not yet in 8 bits."""
        return [pool_to(seen[k][:, :self.model.depth], SENT_SIDE) for k in range(self.model.streams)]

    def loss(self, x, labels, generator, progress):
        m, ladder = self.model, self.ladder
        logits, seen = m.trunk(x)
        sent = [through_steps(s) for s in self.at_streams(seen)]
        chosen = torch.rand((len(labels), m.streams), generator=generator).argsort(1) < self.options.draws
        fused, truth = [], []
        for k in range(m.streams):
            who = chosen[:, k].nonzero().flatten()
            here = torch.randint(0, len(ladder.sizes), who.shape, generator=generator)
            before = torch.randint(-1, len(ladder.sizes), who.shape, generator=generator)      # -1: nothing of it came
            who = who.to(labels.device)
            fused.append(m.fuse(k, ladder.means(sent[k - 1][who], before) if k else None, ladder.means(sent[k][who], here)))
            truth.append(labels[who])
        answers = m.rest(m.cloud, torch.cat(fused))
        weights, _ = self.weights(progress)
        on_device = sum(w * cross(a, labels) for w, a in zip(weights, m.local(seen)))
        return cross(logits, labels) + cross(answers, torch.cat(truth)) + on_device


class Members(Recipe):
    def __init__(self, options):
        super().__init__(options)
        self.ensemble = Ensemble(self.model)

    def start_from(self, state):
        super().start_from(state)
        self.ensemble = Ensemble(self.model)

    def trained(self):
        return self.ensemble.parameters()

    def loss(self, x, labels, generator, progress):
        return sum(cross(a, labels) for a in self.ensemble(x))


class Partition(Recipe):
    def __init__(self, options):
        super().__init__(options)
        self.ladder = Ladder(SENT_SIDE, options.sizes)
        self.tail = self.model.tail_copy()

    def start_from(self, state):
        super().start_from(state)
        self.tail = self.model.tail_copy()

    def trained(self):
        return self.tail.parameters()

    def train(self, mode=True):
        super().train(mode)
        self.model.eval()                       # the device's part is not trained
        return self

    def at_cut(self, x):
        """What the device has behind the first block of the second stage, and would send in full."""
        with torch.no_grad():
            for stage in self.model.stages()[:self.model.blocks + 2]:
                x = stage(x)
            return through_steps(x)

    def loss(self, x, labels, generator, progress):
        y = self.at_cut(x)
        n, full = len(labels), len(self.ladder.sizes) - 1
        narrow = torch.rand((n,), generator=generator) < 0.5
        size = torch.where(narrow, torch.tensor(full), torch.randint(0, full + 1, (n,), generator=generator))
        width = torch.where(narrow, torch.tensor(WIDTHS)[torch.randint(0, len(WIDTHS), (n,), generator=generator)], torch.tensor(y.shape[1]))
        y = self.ladder.means(y, size) * (torch.arange(y.shape[1]) < width[:, None])[:, :, None, None].to(y)
        return cross(self.model.rest(self.tail, y), labels)


MAKE = {"trunk": Plain, "whole": Whole, "branchynet": Branches, "shallow_deep": ShallowDeep, "fleet": Fleet, "ensemble": Members, "partition": Partition}


def layer_macs(model):
    """(each layer's multiplications, those of each of the device's exits, the last dense layer's)."""
    counts = multiplications(model, lambda: model.local(model.trunk(torch.zeros(2, 3, 32, 32, device=model.linear.weight.device))[1]))
    layers = [counts["conv1"]]
    for stage in (1, 2, 3):
        layers += [sum(c for n, c in counts.items() if n.startswith(f"layer{stage}.{i}.")) for i in range(model.blocks)]
    return layers, [counts[f"exits.{i}"] for i in range(1, len(model.exit_layers) + 1)], counts["linear"]


def stage_shares(model):
    """Of the trunk's multiplications, those up to each layer's end."""
    if not hasattr(model, "shares"):
        mode = model.training
        layers = layer_macs(model.eval())[0]
        model.train(mode)
        model.shares = numpy.cumsum(layers) / sum(layers)
    return model.shares
