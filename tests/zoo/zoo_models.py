# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The zoo's networks in PyTorch: torchvision's own where it has them, small modules of our own where it has not."""
import functools

import cifar_models
import fleet_models
import head_models
import split_models
import torch
import torchvision
from torch import nn
from torch.nn import functional
from train_fleet_network import add_stages  # in tools/, which fleet_models has put on the path

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def normalise(pixels, statistics):
    """u8 (n, 3, h, w) to what the network was trained on, in the order of operations of the library; values as they are without statistics."""
    if statistics is None:
        return pixels
    mean, deviation = (torch.tensor(s).reshape(1, -1, 1, 1) for s in statistics)
    return (pixels.float() / 255 - mean) / deviation


class CifarResNet(nn.Module):
    """Option-A shortcuts; names as in akamaster/pytorch_resnet_cifar10."""

    def __init__(self, blocks):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        add_stages(self, blocks)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class SameConv(nn.Conv2d):
    """Pads as TensorFlow's SAME: the odd row goes behind."""

    def forward(self, x):
        size, kernel, stride = x.shape[2:], self.kernel_size, self.stride
        total = [max((-(-s // t) - 1) * t + k - s, 0) for s, k, t in zip(size, kernel, stride)]
        x = functional.pad(x, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))
        return super().forward(x)


class TensorFlowBlock(nn.Module):
    def __init__(self, before, channels, expand, stride):
        super().__init__()
        wide = before * expand
        if expand > 1:
            self.expand = SameConv(before, wide, 1)
        self.depthwise = SameConv(wide, wide, 3, stride, groups=wide)
        self.project = SameConv(wide, channels, 1)
        self.adds = stride == 1 and before == channels

    def forward(self, x):
        y = functional.relu6(self.expand(x)) if hasattr(self, "expand") else x
        y = self.project(functional.relu6(self.depthwise(y)))
        return x + y if self.adds else y


class MobileNetV2TensorFlow(nn.Module):
    """Batch norms folded into biases."""

    def __init__(self):
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        before, self.count = 32, 0
        for expand, channels, times, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
            for i in range(times):
                setattr(self, f"block{self.count}", TensorFlowBlock(before, channels, expand, stride if i == 0 else 1))
                before, self.count = channels, self.count + 1
        self.last = SameConv(320, 1280, 1)
        self.classifier = nn.Linear(1280, 1001)

    def forward(self, x):
        x = functional.relu6(self.stem(x))
        for i in range(self.count):
            x = getattr(self, f"block{i}")(x)
        return self.classifier(functional.relu6(self.last(x)).mean((2, 3)))


def tv(name, **options):
    return functools.partial(getattr(torchvision.models, name), weights=None, **options)


INCEPTION = tv("inception_v3", transform_input=True, aux_logits=True, init_weights=False)

# name: (how to make it, statistics of its input, published number of parameters or None, prefixes of weights it does not use)
MODELS = {
    "resnet18": (tv("resnet18"), IMAGENET, 11689512, ()),
    "resnet34": (tv("resnet34"), IMAGENET, 21797672, ()),
    "resnet50": (tv("resnet50"), IMAGENET, 25557032, ()),
    "resnet152": (tv("resnet152"), IMAGENET, 60192808, ()),
    "densenet121": (tv("densenet121"), IMAGENET, 7978856, ()),
    "densenet169": (tv("densenet169"), IMAGENET, 14149480, ()),
    "densenet201": (tv("densenet201"), IMAGENET, 20013928, ()),
    "squeezenet1_1": (tv("squeezenet1_1"), IMAGENET, 1235496, ()),
    "mobilenet_v2": (tv("mobilenet_v2"), IMAGENET, 3504872, ()),
    "mobilenet_v2_035": (tv("mobilenet_v2", width_mult=0.35), IMAGENET, None, ()),
    "mobilenet_v2_140": (tv("mobilenet_v2", width_mult=1.4), IMAGENET, None, ()),
    "mobilenet_v2_tf": (MobileNetV2TensorFlow, HALF, None, ()),
    "mobilenet_v3_large": (tv("mobilenet_v3_large"), IMAGENET, 5483032, ()),
    "mobilenet_v3_small": (tv("mobilenet_v3_small"), IMAGENET, 2542856, ()),
    "mnasnet0_5": (tv("mnasnet0_5"), IMAGENET, 2218512, ()),
    "mnasnet1_3": (tv("mnasnet1_3"), IMAGENET, 6282256, ()),
    "inception_v3": (INCEPTION, IMAGENET, 27161264 - 3326696, ("AuxLogits.",)),
    "inception_v3_plain": (tv("inception_v3", transform_input=False, aux_logits=False, init_weights=False), IMAGENET, 27161264 - 3326696, ()),
    "cifar10_resnet20": (functools.partial(CifarResNet, 3), IMAGENET, 269722, ()),
    "cifar10_resnet32": (functools.partial(CifarResNet, 5), IMAGENET, 464154, ()),
    "cifar10_resnet44": (functools.partial(CifarResNet, 7), IMAGENET, 658586, ()),
    "cifar10_resnet56": (functools.partial(CifarResNet, 9), IMAGENET, 853018, ()),
}
MODELS.update(head_models.MODELS)
MODELS.update(split_models.MODELS)
MODELS.update(fleet_models.MODELS)
MODELS.update(cifar_models.MODELS)
CODED = head_models.CODED
