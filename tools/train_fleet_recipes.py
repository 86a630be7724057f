# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a phase of train_fleet.py trains: a module each, whose state is the phase's checkpoint and whose `loss` is all that training asks for."""
import numpy
import torch
from torch import nn
from torch.nn import functional
from train_fleet_mobilenet import FleetMobileNetV3
from train_fleet_network import SENT_SIDE, FleetCifarResNet, multiplications
from train_fleet_pictures import QUALITIES
from train_fleet_pooling import Ladder, pool_to, through_steps

NETWORKS = ("resnet", "mobilenet_v3_cifar")


def cross(logits, labels):
    return functional.cross_entropy(logits, labels)


def make_network(options, exits):
    if getattr(options, "network", "resnet") == "mobilenet_v3_cifar":
        return FleetMobileNetV3(depth=options.depth, exits=exits)
    return FleetCifarResNet(options.blocks, depth=options.depth, exits=exits)


class Recipe(nn.Module):
    """What a phase trains; the state of this module is its checkpoint. `loss` gets normalised pictures and how far training has come, 0 to 1."""

    encodings = ("",)

    def __init__(self, options, exits="local"):
        super().__init__()
        self.options = options
        self.model = make_network(options, exits)

    def start_from(self, state):
        """The trunk of another phase."""
        start_with(self.model, trunk_of(state), ("fusion", "cloud", "exits"))
        if self.model.has_cloud:
            self.model.cloud = self.model.tail_copy()

    def trained(self):
        return self.parameters()


def start_with(model, state, own_parts):
    """Brings the tensors of another phase, all that is not below `own_parts`."""
    own = model.state_dict()
    wrong = sorted(n for n, t in own.items() if not n.startswith(own_parts) and (n not in state or state[n].shape != t.shape))
    if wrong:
        raise ValueError(f"expected a phase of this network to start from, found one without {wrong[0]} of its shape")
    model.load_state_dict({**own, **{n: t for n, t in state.items() if n in own and not n.startswith(own_parts)}})


def trunk_of(state):
    return {n.removeprefix("model."): t for n, t in state.items() if n.startswith("model.") and not n.startswith(("model.fusion", "model.cloud", "model.exits"))}


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
        self.ladders = [self.ladder if side == SENT_SIDE else Ladder(side, [s for s in options.sizes if s <= side]) for side in self.model.sides]

    def at_streams(self, seen):
        """The largest size of what each stream would send, not yet in 8 bits."""
        return [pool_to(seen[k][:, :self.model.depth], self.model.sides[k]) for k in range(self.model.streams)]

    def loss(self, x, labels, generator, progress):
        m, ladders = self.model, self.ladders
        logits, seen = m.trunk(x)
        sent = [through_steps(s) for s in self.at_streams(seen)]
        chosen = torch.rand((len(labels), m.streams), generator=generator).argsort(1) < self.options.draws
        fused, truth = [], []
        for k in range(m.streams):
            who = chosen[:, k].nonzero().flatten()
            if len(who) == 0:                    # a stream that no picture of a small batch drew
                continue
            here = torch.randint(0, len(ladders[k].sizes), who.shape, generator=generator)
            before = torch.randint(-1, len(ladders[max(k - 1, 0)].sizes), who.shape, generator=generator)      # -1: nothing of it came
            who = who.to(labels.device)
            fused.append(m.fuse(k, ladders[k - 1].means(sent[k - 1][who], before) if k else None, ladders[k].means(sent[k][who], here)))
            truth.append(labels[who])
        answers = m.rest(m.cloud, torch.cat(fused))
        weights, _ = self.weights(progress)
        on_device = sum(w * cross(a, labels) for w, a in zip(weights, m.local(seen)))
        return cross(logits, labels) + cross(answers, torch.cat(truth)) + on_device


class Members(Recipe):
    def __init__(self, options):
        super().__init__(options)
        self.ensemble = self.model.ensemble()

    def start_from(self, state):
        super().start_from(state)
        self.ensemble = self.model.ensemble()

    def trained(self):
        return self.ensemble.parameters()

    def loss(self, x, labels, generator, progress):
        return sum(cross(a, labels) for a in self.ensemble(x))


class Partition(Recipe):
    def __init__(self, options):
        super().__init__(options)
        self.ladder = Ladder(SENT_SIDE, options.sizes)
        self.tail = self.model.cut_tail()

    def start_from(self, state):
        super().start_from(state)
        self.tail = self.model.cut_tail()

    def trained(self):
        return self.tail.parameters()

    def train(self, mode=True):
        super().train(mode)
        self.model.eval()                       # the device's part is not trained
        return self

    def at_cut(self, x):
        """What the device has at the cut, and would send in full."""
        with torch.no_grad():
            for stage in self.model.stages()[:self.model.cut]:
                x = stage(x)
            return through_steps(x)

    def loss(self, x, labels, generator, progress):
        y = self.at_cut(x)
        n, full = len(labels), len(self.ladder.sizes) - 1
        narrow = torch.rand((n,), generator=generator) < 0.5
        size = torch.where(narrow, torch.tensor(full), torch.randint(0, full + 1, (n,), generator=generator))
        width = torch.where(narrow, torch.tensor(self.model.widths)[torch.randint(0, len(self.model.widths), (n,), generator=generator)], torch.tensor(y.shape[1]))
        y = self.ladder.means(y, size) * (torch.arange(y.shape[1]) < width[:, None])[:, :, None, None].to(y)
        return cross(self.model.rest(self.tail, y), labels)


MAKE = {"trunk": Plain, "whole": Whole, "branchynet": Branches, "shallow_deep": ShallowDeep, "fleet": Fleet, "ensemble": Members, "partition": Partition}


def layer_macs(model):
    """(each layer's multiplications, those of each of the device's exits, the last dense layer's)."""
    device = next(model.parameters()).device
    counts = multiplications(model, lambda: model.local(model.trunk(torch.zeros(2, 3, 32, 32, device=device))[1]))
    layers, last = model.layer_counts(counts)
    return layers, [counts[f"exits.{i}"] for i in range(1, len(model.exit_layers) + 1)], counts[last]


def cloud_macs(model):
    """The cloud's multiplications for an answer to each stream, fusion included."""
    device, all_of = next(model.parameters()).device, []
    for k in range(model.streams):
        def answer(k=k):
            before, here = (torch.zeros(1, model.depth, side, side, device=device) for side in (model.sides[max(k - 1, 0)], model.sides[k]))
            model.rest(model.cloud, model.fuse(k, before if k else None, here))
        all_of.append(sum(multiplications(model, answer).values()))
    return all_of


def member_macs(recipe):
    """Multiplications of each of the ensemble's first networks."""
    device = next(recipe.parameters()).device
    counts = multiplications(recipe.ensemble, lambda: recipe.ensemble(torch.zeros(2, 3, 32, 32, device=device)))
    return [sum(c for n, c in counts.items() if n.startswith(f"members.{i}.")) for i in range(len(recipe.ensemble.members))]


def stage_shares(model):
    """Of the trunk's multiplications, those up to each layer's end."""
    if not hasattr(model, "shares"):
        mode = model.training
        layers = layer_macs(model.eval())[0]
        model.train(mode)
        model.shares = numpy.cumsum(layers) / sum(layers)
    return model.shares
