# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""FLEET's networks with exits in PyTorch, around torchvision's MobileNetV3, ResNet-34 and InceptionV3; rows for zoo_models.MODELS.

Each gives its answers side by side: the trunk's own first, then the exits as they stand behind the layers, a baseline's before FLEET's.
"""
import copy
import functools
import pathlib
import sys

import torch
import torchvision
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from train_fleet_network import FleetCifarResNet  # noqa: E402

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
DEPTH = 4
# side, classes, largest size that is sent
PICTURES = {"imagenet": (224, 100, 28), "tiny": (64, 200, 16), "cifar": (32, 100, 8)}


def send(x, largest):
    """The first channels, averaged by the smallest power of two that leaves at most `largest`."""
    k = 1
    while x.shape[2] // k > largest:
        k *= 2
    return functional.avg_pool2d(x[:, :DEPTH], k)


class Fleet(nn.Module):
    """`steps` are the trunk's layers, `rest` what follows in the cloud from `fused` channels on; `pooled` the baseline's exits: (layer, channels, size)."""

    def add_exits(self, kind, fused, act, streams, pooled, whole, unused):
        self.kind, self.act, self.streams = kind, act, streams
        self.side, self.classes, self.largest = PICTURES[kind]
        self.local = {layer: (number, size) for number, (layer, _, size) in enumerate(pooled, 1)}
        self.exits = nn.ModuleDict({str(i): nn.Linear(channels * size * size, self.classes) for i, (_, channels, size) in enumerate(pooled, 1)})
        self.fusion = nn.ModuleDict({str(i): nn.Sequential(nn.Conv2d(DEPTH * min(i, 2), fused, 3, 1, 1, bias=False), nn.BatchNorm2d(fused)) for i in range(1, streams + 1)})
        self.cloud = copy.deepcopy(whole)
        unused(self.cloud)

    def forward(self, x):
        answers, sent = [], []
        for layer, step in enumerate(self.steps(), 1):
            x = step(x)
            if layer in self.local:
                number, size = self.local[layer]
                stride = x.shape[2] // size
                y = functional.avg_pool2d(x, x.shape[2] - (size - 1) * stride, stride)
                answers.append(self.exits[str(number)](y.flatten(1)))
            if layer <= self.streams:
                sent.append(send(x, self.largest))
                common = sent[0].shape[2:]
                y = torch.cat([functional.interpolate(s, common, mode="bilinear", align_corners=False) if s.shape[2:] != common else s for s in sent[-2:]], 1)
                answers.append(self.rest(self.act(self.fusion[str(layer)](y))))
        return torch.cat([torch.softmax(a, 1) for a in [self.answer(x), *answers]], 1)


class FleetMobileNetV3(Fleet):
    def __init__(self, kind):
        super().__init__()
        whole = torchvision.models.mobilenet_v3_large(weights=None, num_classes=PICTURES[kind][1])
        for i in {"imagenet": (), "tiny": (4,), "cifar": (2, 13)}[kind]:
            whole.features[i].block[1][0].stride = (1, 1)
        self.features, self.classifier = whole.features, whole.classifier

        def unused(cloud):
            for i in range(6):
                cloud.features[i] = nn.Identity()
        pooled = [(1, 16, 4), (2, 16, 4), (3, 24, 4), (5, 40, 4), (8, 80, 2), (11, 80, 2), (13, 112, 2)]
        self.add_exits(kind, 40, functional.hardswish, 8, pooled, whole, unused)

    def steps(self):
        return self.features[:13]

    def answer(self, x):
        return self.classifier(self.features[13:](x).mean((2, 3)))

    def rest(self, x):
        return self.cloud.classifier(self.cloud.features(x).mean((2, 3)))


class FleetResNet34(Fleet):
    def __init__(self, kind):
        super().__init__()
        whole = torchvision.models.resnet34(weights=None, num_classes=PICTURES[kind][1])
        if kind != "imagenet":
            whole.maxpool = nn.Identity()
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "fc"):
            setattr(self, name, getattr(whole, name))

        def unused(cloud):
            cloud.conv1, cloud.bn1, cloud.maxpool, cloud.layer1, cloud.layer2[0] = (nn.Identity() for _ in range(5))
        self.add_exits(kind, 128, torch.relu, 5, [(1, 64, 4), (4, 64, 4), (6, 128, 2), (7, 256, 2)], whole, unused)

    def steps(self):
        return [lambda x: self.maxpool(self.relu(self.bn1(self.conv1(x)))), *self.layer1, self.layer2[0], self.layer2[1:], self.layer3]

    def answer(self, x):
        return self.fc(self.layer4(x).mean((2, 3)))

    def rest(self, x):
        c = self.cloud
        return c.fc(c.layer4(c.layer3(c.layer2(x))).mean((2, 3)))


class FleetInceptionV3(Fleet):
    FIRST = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2")
    MIXED = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c")

    def __init__(self, kind):
        super().__init__()
        whole = torchvision.models.inception_v3(weights=None, aux_logits=False, transform_input=False, init_weights=False, num_classes=PICTURES[kind][1])
        if kind == "cifar":
            whole.maxpool1 = nn.Identity()
        if kind != "imagenet":
            whole.maxpool2 = nn.Identity()
        for name in (*self.FIRST, *self.MIXED, "fc"):
            setattr(self, name, getattr(whole, name))

        def unused(cloud):
            for name in self.FIRST:
                setattr(cloud, name, nn.Identity())
        self.add_exits(kind, 192, torch.relu, 5, [(3, 64, 4), (5, 192, 4), (6, 288, 2), (7, 768, 2)], whole, unused)

    @staticmethod
    def chain(of, names):
        return nn.Sequential(*(getattr(of, name) for name in names))

    def steps(self):
        a, b, c, first_pool, d, e, second_pool = (getattr(self, name) for name in self.FIRST)
        return [a, b, nn.Sequential(c, first_pool), d, nn.Sequential(e, second_pool), self.chain(self, self.MIXED[:3]), self.chain(self, self.MIXED[3:8])]

    def answer(self, x):
        return self.fc(self.chain(self, self.MIXED[8:])(x).mean((2, 3)))

    def rest(self, x):
        return self.cloud.fc(self.chain(self.cloud, self.MIXED)(x).mean((2, 3)))


MODELS = {}
for family, make, statistics in (("fleet_mobilenet_v3", FleetMobileNetV3, IMAGENET), ("fleet_resnet34", FleetResNet34, IMAGENET), ("fleet_inception_v3", FleetInceptionV3, HALF)):
    for kind in PICTURES:
        MODELS[family if kind == "imagenet" else f"{family}_{kind}"] = (functools.partial(make, kind), statistics, None, ())
MODELS["fleet_cifar_resnet14"] = (functools.partial(FleetCifarResNet, 2), IMAGENET, None, ())
