# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""FLEET's MobileNetV3 for 32 x 32 pictures in PyTorch, as include/splitdsl/zoo/fleet.hpp declares fleet_mobilenet_v3; same names of weights. Needs torchvision.

Layer 1 is the stem, layer k the inverted residual features.(k - 1); layers 3 and 14 keep the size (FLEET, section 4.1). Streams leave behind the first eight
layers, 8 x 8 values but for the last one's 4 x 4; the cloud goes on from the seventh layer. The device's exits stand behind layers 1 to 3, 5, 8, 11 and 13.
It has the members of train_fleet_network.FleetCifarResNet that training and recording use.
"""
import copy

import packages
import torch
from torch import nn
from torch.nn import functional
from train_fleet_network import SENT_SIDE, Exit

EXITS = {1: (16, 4), 2: (16, 4), 3: (24, 4), 5: (40, 4), 8: (80, 2), 11: (80, 2), 13: (112, 2)}      # layer: channels behind it, size of its exit
MEMBERS = (4, 8)                                  # the ensemble's first networks: so many layers


class FleetMobileNetV3(nn.Module):
    layer_count, streams, blocks, cut, widths = 13, 8, 0, 5, (4, 8, 16, 40)
    sides = (SENT_SIDE,) * 7 + (SENT_SIDE // 2,)

    def __init__(self, classes=10, depth=4, exits="both"):
        super().__init__()
        packages.require("torchvision")
        import torchvision
        whole = torchvision.models.mobilenet_v3_large(weights=None, num_classes=classes, dropout=0.0)    # what a resumed run draws may not depend on its past
        for i in (2, 13):
            whole.features[i].block[1][0].stride = (1, 1)
        self.classes, self.depth = classes, depth
        self.features, self.classifier = whole.features, whole.classifier
        self.exit_layers = tuple(EXITS) if exits != "cloud" else ()
        if self.exit_layers:
            self.exits = nn.ModuleDict({str(i): Exit(*EXITS[layer], classes) for i, layer in enumerate(self.exit_layers, 1)})
        self.has_cloud = exits != "local"
        if self.has_cloud:
            self.fusion = nn.ModuleDict({str(i): nn.Sequential(nn.Conv2d(depth * min(i, 2), 40, 3, 1, 1, bias=False), nn.BatchNorm2d(40)) for i in range(1, self.streams + 1)})
            self.cloud = self.tail_copy()

    def tail_copy(self, behind=6):
        """What runs behind a layer, with weights of its own."""
        tail = nn.Module()
        tail.features, tail.classifier = copy.deepcopy(self.features), copy.deepcopy(self.classifier)
        for i in range(behind):
            tail.features[i] = nn.Identity()
        return tail

    def cut_tail(self):
        return self.tail_copy(self.cut)

    def stages(self):
        """The layers as functions, in order; the fourteenth is all that follows."""
        return [*self.features[:self.layer_count], self.features[self.layer_count:]]

    def trunk(self, x):
        """(logits, what each layer gives)."""
        seen = []
        for stage in self.stages():
            x = stage(x)
            seen.append(x)
        return self.classifier(x.mean((2, 3))), seen

    def local(self, seen):
        """Logits of the device's exits."""
        return [self.exits[str(i)](seen[layer - 1]) for i, layer in enumerate(self.exit_layers, 1)]

    def fuse(self, stream, before, here):
        """Eq. 7 of the streams `stream` - 1 and `stream` (from 0), smaller ones made as large as the first."""
        parts = [p if p.shape[2] == SENT_SIDE else functional.interpolate(p, (SENT_SIDE, SENT_SIDE), mode="bilinear", align_corners=False) for p in (before, here) if p is not None]
        return functional.hardswish(self.fusion[str(stream + 1)](torch.cat(parts, 1)))

    @staticmethod
    def rest(tail, x):
        return tail.classifier(tail.features(x).mean((2, 3)))

    def ensemble(self):
        return Prefixes(self)

    def layer_counts(self, counts):
        """Multiplications of each layer from those of each module, and the name of the last dense layer."""
        def of(first, last):
            return sum(c for n, c in counts.items() if n.startswith("features.") and first <= int(n.split(".")[1]) < last)
        return [of(k, k + 1) for k in range(self.layer_count)] + [of(self.layer_count, len(self.features)) + counts["classifier.0"]], "classifier.3"

    def forward(self, x):
        """All answers side by side, the streams at their largest size as floats: what the library's network computes."""
        logits, seen = self.trunk(x)
        answers, sent = [logits], []
        local = dict(zip(self.exit_layers, self.local(seen)))
        for layer in range(1, self.layer_count + 1):
            answers += [local[layer]] if layer in local else []
            if self.has_cloud and layer <= self.streams:
                sent.append(functional.avg_pool2d(seen[layer - 1][:, :self.depth], seen[layer - 1].shape[2] // self.sides[layer - 1]))
                answers.append(self.rest(self.cloud, self.fuse(layer - 1, sent[-2] if layer > 1 else None, sent[-1])))
        return torch.cat([torch.softmax(a, 1) for a in answers], 1)


class Prefixes(nn.Module):
    """The ensemble's first members: so many layers of the network, the mean of what they give, one dense layer."""

    def __init__(self, whole):
        super().__init__()
        self.members = nn.ModuleList()
        for layers in MEMBERS:
            first = nn.Module()
            first.features = copy.deepcopy(whole.features[:layers])
            first.linear = nn.Linear(first.features[-1].out_channels, whole.classes)
            self.members.append(first)

    def forward(self, x):
        return [m.linear(m.features(x).mean((2, 3))) for m in self.members]
