# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""InceptionV4, keyword spotting, conditional imitation learning and the versions with bottlenecks in PyTorch; rows for zoo_models.MODELS."""
import functools
from collections import OrderedDict

import torch
import torchvision
from torch import nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
TO_ONE = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Unit(nn.Module):
    def __init__(self, before, channels, kernel, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(before, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


def units(before, *steps):
    """A Sequential of units; a step is (channels, kernel, stride) with the padding that keeps the size, or "smooth"."""
    made = []
    for step in steps:
        if step == "smooth":
            made.append(nn.AvgPool2d(3, 1, 1, count_include_pad=False))
            continue
        channels, kernel, stride, padding = (*step, *(None, None, 1, None)[len(step):])
        kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        if padding is None:
            padding = tuple(k // 2 for k in kernel) if stride == 1 else 0
        made.append(Unit(before, channels, kernel, stride, padding))
        before = channels
    return nn.Sequential(*made)


class Branches(nn.Module):
    """Branches by name, side by side."""

    def __init__(self, **branches):
        super().__init__()
        self.order = list(branches)
        for name, branch in branches.items():
            setattr(self, name, branch)

    def forward(self, x):
        return torch.cat([getattr(self, name)(x) for name in self.order], 1)


class InceptionC(nn.Module):
    def __init__(self):
        super().__init__()
        row, column = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))
        self.branch0 = Unit(1536, 256, 1)
        self.branch1_0, self.branch1_1a, self.branch1_1b = Unit(1536, 384, 1), Unit(384, 256, *row), Unit(384, 256, *column)
        self.branch2_0, self.branch2_1, self.branch2_2 = Unit(1536, 384, 1), Unit(384, 448, *column), Unit(448, 512, *row)
        self.branch2_3a, self.branch2_3b = Unit(512, 256, *row), Unit(512, 256, *column)
        self.branch3 = units(1536, "smooth", (256, 1))

    def forward(self, x):
        y, z = self.branch1_0(x), self.branch2_2(self.branch2_1(self.branch2_0(x)))
        return torch.cat([self.branch0(x), self.branch1_1a(y), self.branch1_1b(y), self.branch2_3a(z), self.branch2_3b(z), self.branch3(x)], 1)


class InceptionV4(nn.Module):
    """Names as in timm."""

    def __init__(self):
        super().__init__()
        row, column, shrink = (1, 7), (7, 1), nn.MaxPool2d(3, 2)
        a = [Branches(branch0=Unit(384, 96, 1), branch1=units(384, (64, 1), (96, 3)), branch2=units(384, (64, 1), (96, 3), (96, 3)),
                      branch3=units(384, "smooth", (96, 1))) for _ in range(4)]
        b = [Branches(branch0=Unit(1024, 384, 1), branch1=units(1024, (192, 1), (224, row), (256, column)),
                      branch2=units(1024, (192, 1), (192, column), (224, row), (224, column), (256, row)), branch3=units(1024, "smooth", (128, 1))) for _ in range(7)]
        self.features = nn.Sequential(
            Unit(3, 32, 3, 2), Unit(32, 32, 3), Unit(32, 64, 3, 1, 1),
            Branches(maxpool=shrink, conv=Unit(64, 96, 3, 2)),
            Branches(branch0=units(160, (64, 1), (96, 3, 1, 0)), branch1=units(160, (64, 1), (64, row), (64, column), (96, 3, 1, 0))),
            Branches(conv=Unit(192, 192, 3, 2), maxpool=shrink), *a,
            Branches(branch0=Unit(384, 384, 3, 2), branch1=units(384, (192, 1), (224, 3), (256, 3, 2)), branch2=shrink), *b,
            Branches(branch0=units(1024, (192, 1), (192, 3, 2)), branch1=units(1024, (256, 1), (256, row), (320, column), (320, 3, 2)), branch2=shrink),
            InceptionC(), InceptionC(), InceptionC())
        self.last_linear = nn.Linear(1536, 1000)

    def forward(self, x):
        return self.last_linear(self.features(x).mean((2, 3)))


class KeywordSpotting(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 64, (20, 8)), nn.Conv2d(64, 64, (10, 4))
        self.lin, self.dnn, self.output = nn.Linear(64 * 71 * 8, 32), nn.Linear(32, 128), nn.Linear(128, 12)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), (1, 3))
        x = self.lin(torch.relu(self.conv2(x)).flatten(1))
        return self.output(torch.relu(self.dnn(x)))


class Layers(nn.Module):
    """CoIL's blocks keep their layers in `layers`."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def dense(*sizes, last=True):
    pairs = list(zip(sizes, sizes[1:]))
    return Layers(*(nn.Sequential(nn.Linear(a, b), *([nn.ReLU()] if last or i + 1 < len(pairs) else [])) for i, (a, b) in enumerate(pairs)))


def stack(before, *steps):
    made = []
    for channels, kernel, stride, padding in steps:
        made.append(nn.Sequential(nn.Conv2d(before, channels, kernel, stride, padding), nn.BatchNorm2d(channels), nn.ReLU()))
        before = channels
    return made


def carla_perception():
    steps = [(32, 5, 2, 0), (32, 3, 1, 0), (64, 3, 2, 0), (64, 3, 1, 0), (128, 3, 2, 0), (128, 3, 1, 0), (256, 3, 1, 0), (256, 3, 1, 0)]
    return nn.Sequential(OrderedDict([("0", Layers(*stack(3, *steps))), ("flatten", nn.Flatten()), ("1", dense(8192, 512, 512))]))


def sage_carla_perception():
    """The first three convolutions give way to an encoder and a decoder; the others keep their numbers."""
    encoder = nn.Sequential(*stack(3, (32, 5, 2, 2), (32, 3, 2, 1)), nn.Sequential(nn.Conv2d(32, 3, 3)))
    decoder = nn.Sequential(*stack(3, (64, 2, 1, 0)))
    steps = [(64, 3, 1, 0), (128, 3, 2, 0), (128, 3, 1, 0), (256, 3, 1, 0), (256, 3, 1, 0)]
    rest = nn.Module()
    rest.layers = nn.Sequential(OrderedDict((str(i), layer) for i, layer in enumerate(stack(64, *steps), 3)))
    rest.forward = rest.layers.forward
    return nn.Sequential(OrderedDict([("encoder", encoder), ("decoder", decoder), ("0", rest), ("flatten", nn.Flatten()), ("1", dense(8192, 512, 512))]))


class Imitation(nn.Module):
    """CoIL's joining of perception and speed, and its branches; all of them run, the command picks one."""

    def __init__(self, perception, features=512):
        super().__init__()
        self.perception, self.measurements = perception(), dense(1, 128, 128)
        self.join = nn.Module()
        self.join.after_process = dense(features + 128, 512)
        self.speed_branch = dense(features, 256, 256, 1, last=False)
        self.branches = nn.Module()
        self.branches.branched_modules = nn.ModuleList(dense(512, 256, 256, 3, last=False) for _ in range(4))

    def forward(self, *frame):
        *pictures, speed, command = frame
        x = torch.cat([self.perception(*pictures), self.measurements(speed.flatten(1))], 1)
        x = self.join.after_process(x)
        answers = torch.stack([b(x) for b in self.branches.branched_modules], 1)
        return answers[torch.arange(len(x)), command.flatten().long()]


class ThreeCameras(nn.Module):
    """A perception for each camera, their features side by side."""

    def __init__(self, perception):
        super().__init__()
        self.left, self.centre, self.right = perception(), perception(), perception()

    def forward(self, left, centre, right):
        return torch.cat([self.left(left), self.centre(centre), self.right(right)], 1)


def small(before, channels, stride=1, padding=0):
    return nn.Conv2d(before, channels, 2, stride, padding, bias=False)


def norm(channels):
    return [nn.BatchNorm2d(channels), nn.ReLU()]


def coded(channels, point, wide, end):
    """Encoder and decoder as in the public code of BottleFit and torchdistill."""
    encoder = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), *norm(64), nn.MaxPool2d(3, 2, 1), *norm(64)]
    encoder += [small(64, channels, 2, 1)] if point == 1 else [small(64, 512, 2, 1), *norm(512), small(512, channels, 2, 1)]
    up = small(channels, wide, 1, 1) if point == 1 else nn.ConvTranspose2d(channels, wide, 2, 2, bias=False)
    both = nn.Module()
    both.encoder = nn.Sequential(*encoder)
    both.decoder = nn.Sequential(*norm(channels), up, *norm(wide), small(wide, wide, 1, 1), *norm(wide), *end(wide))
    both.forward = lambda x: both.decoder(both.encoder(x))
    return both


def bottlefit_resnet(name, channels, point=1, classes=1000):
    whole = getattr(torchvision.models, name)(weights=None, num_classes=classes)
    wide = 128 if name == "resnet34" else 512
    half = coded(channels, point, wide, lambda w: [small(w, w), *norm(w), small(w, w), nn.AvgPool2d(2, 1)])
    return nn.Sequential(OrderedDict([("bottleneck", half), ("layer3", whole.layer3), ("layer4", whole.layer4), ("avgpool", whole.avgpool),
                                      ("flatten", nn.Flatten()), ("fc", whole.fc)]))


def bottlefit_densenet(name, channels, point=1, classes=1000):
    whole = getattr(torchvision.models, name)(weights=None, num_classes=classes)
    half = coded(channels, point, 512, lambda w: [small(w, 256), *norm(256), small(256, 256), *norm(256), small(256, 256), nn.AvgPool2d(2, 2)])
    f = whole.features
    features = nn.Sequential(OrderedDict([("bottleneck", half), ("denseblock3", f.denseblock3), ("transition3", f.transition3), ("denseblock4", f.denseblock4), ("norm5", f.norm5)]))
    return nn.Sequential(OrderedDict([("features", features), ("relu", nn.ReLU()), ("avgpool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()), ("classifier", whole.classifier)]))


def of(make, *arguments, **options):
    return functools.partial(make, *arguments, **options)


def driver(perception):
    return (of(Imitation, perception), IMAGENET, None, ("speed_branch.",))


def three(perception, statistics=IMAGENET):
    return (of(Imitation, of(ThreeCameras, perception), 3 * 512), statistics, None, ("speed_branch.",))


def tv512(name):
    return of(getattr(torchvision.models, name), weights=None, num_classes=512)


MODELS = {
    "inception_v4": (InceptionV4, HALF, 42679816, ()),
    "cnn_trad_fpool3": (KeywordSpotting, None, None, ()),
    "il_carlanet": (of(Imitation, carla_perception), TO_ONE, None, ("speed_branch.",)),
    "il_resnet34": driver(tv512("resnet34")),
    "il_resnet50": driver(tv512("resnet50")),
    "il_densenet169": driver(tv512("densenet169")),
    "sage_carlanet": (of(Imitation, sage_carla_perception), TO_ONE, None, ("speed_branch.",)),
    "sage_resnet34": driver(of(bottlefit_resnet, "resnet34", 3, classes=512)),
    "sage_resnet50": driver(of(bottlefit_resnet, "resnet50", 3, classes=512)),
    "sage_densenet169": driver(of(bottlefit_densenet, "densenet169", 3, classes=512)),
    "sage_three_carlanet": three(sage_carla_perception, TO_ONE),
    "sage_three_resnet34": three(of(bottlefit_resnet, "resnet34", 3, classes=512)),
    "sage_three_resnet50": three(of(bottlefit_resnet, "resnet50", 3, classes=512)),
    "sage_three_densenet169": three(of(bottlefit_densenet, "densenet169", 3, classes=512)),
    "sage_resnet34_720": driver(of(bottlefit_resnet, "resnet34", 3, classes=512)),
    "bottlefit_resnet152_3": (of(bottlefit_resnet, "resnet152", 3), IMAGENET, None, ()),
    "bottlefit_resnet152_12_sp2": (of(bottlefit_resnet, "resnet152", 12, 2), IMAGENET, None, ()),
    "bottlefit_densenet169_12": (of(bottlefit_densenet, "densenet169", 12), IMAGENET, None, ()),
    "bottlefit_densenet201_6": (of(bottlefit_densenet, "densenet201", 6), IMAGENET, None, ()),
    "bottlefit_densenet201_9_sp2": (of(bottlefit_densenet, "densenet201", 9, 2), IMAGENET, None, ()),
}
