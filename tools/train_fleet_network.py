# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The CIFAR ResNet with FLEET's exits in PyTorch, as include/splitdsl/zoo/fleet_cifar_resnet.hpp declares it; same names of weights.

Layer 1 is the stem, then every residual block is a layer. Streams leave behind the first blocks + 2 layers, all averaged to 8 x 8; the cloud goes on behind
the first block of the second stage. The device's exits (the baselines') stand behind six layers, `exit_layers`.
"""
import copy

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SENT_SIDE = 8


def normalise(pixels):
    """u8 (n, 3, h, w) to floats, in the library's order of operations."""
    mean, deviation = (torch.tensor(s).reshape(1, -1, 1, 1) for s in (MEAN, DEVIATION))
    return (pixels.float() / 255 - mean.to(pixels.device)) / deviation.to(pixels.device)


class Block(nn.Module):
    """Two convolutions and a shortcut without weights: every second row and column, zeros for the new channels."""

    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.more = channels // 4 if stride > 1 else 0

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        short = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more)) if self.more else x
        return functional.relu(y + short)


def add_stages(module, blocks):
    """A CIFAR ResNet's residual stages `layer1` to `layer3` of so many blocks, behind 16 channels."""
    before = 16
    for stage, channels in enumerate((16, 32, 64), 1):
        layer = []
        for i in range(blocks):
            layer.append(Block(before, channels, 2 if i == 0 and stage > 1 else 1))
            before = channels
        setattr(module, f"layer{stage}", nn.Sequential(*layer))


class Exit(nn.Linear):
    """A layer averaged to size x size values a channel (windows overlap where the sizes do not divide), one dense layer."""

    def __init__(self, channels, size, classes):
        super().__init__(channels * size * size, classes)
        self.size = size

    def forward(self, x):
        stride = x.shape[2] // self.size
        pooled = functional.avg_pool2d(x, x.shape[2] - (self.size - 1) * stride, stride)
        return super().forward(pooled.flatten(1))


class FleetCifarResNet(nn.Module):
    """`exits`: "cloud", "local" or "both", as zoo::fleet_exits."""

    def __init__(self, blocks=3, classes=10, depth=4, exits="both"):
        super().__init__()
        self.blocks, self.classes, self.depth = blocks, classes, depth
        self.layer_count, self.streams = 1 + 3 * blocks, blocks + 2
        self.sides, self.cut, self.widths = (SENT_SIDE,) * self.streams, blocks + 2, (4, 8, 16, 32)   # of the streams; layers before the cut; CLIO's channels of it
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        add_stages(self, blocks)
        self.linear = nn.Linear(64, classes)
        self.exit_layers = (1, 2, 1 + blocks, 2 + blocks, 1 + 2 * blocks, 2 + 2 * blocks) if exits != "cloud" else ()
        if self.exit_layers:
            self.exits = nn.ModuleDict({str(i): Exit(self.channels_behind(layer), 4 if i <= 3 else 2, classes) for i, layer in enumerate(self.exit_layers, 1)})
        self.has_cloud = exits != "local"
        if self.has_cloud:
            self.fusion = nn.ModuleDict({str(i): nn.Sequential(nn.Conv2d(depth * min(i, 2), 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32)) for i in range(1, self.streams + 1)})
            self.cloud = self.tail_copy()

    def tail_copy(self):
        """What the cloud runs behind the first block of the second stage, with weights of its own."""
        tail = nn.Module()
        tail.layer2 = copy.deepcopy(self.layer2)
        tail.layer2[0] = nn.Identity()
        tail.layer3, tail.linear = copy.deepcopy(self.layer3), copy.deepcopy(self.linear)
        return tail

    def cut_tail(self):
        return self.tail_copy()

    def ensemble(self):
        return Ensemble(self)

    def layer_counts(self, counts):
        """Multiplications of each layer from those of each module, and the name of the last dense layer."""
        layers = [counts["conv1"]]
        for stage in (1, 2, 3):
            layers += [sum(c for n, c in counts.items() if n.startswith(f"layer{stage}.{i}.")) for i in range(self.blocks)]
        return layers, "linear"

    def channels_behind(self, layer):
        return 16 if layer <= 1 + self.blocks else 32 if layer <= 1 + 2 * self.blocks else 64

    def stages(self):
        """The layers as functions, in order."""
        return [lambda x: functional.relu(self.bn1(self.conv1(x))), *self.layer1, *self.layer2, *self.layer3]

    def trunk(self, x):
        """(logits, what each layer gives)."""
        seen = []
        for stage in self.stages():
            x = stage(x)
            seen.append(x)
        return self.linear(x.mean((2, 3))), seen

    def local(self, seen):
        """Logits of the device's exits."""
        return [self.exits[str(i)](seen[layer - 1]) for i, layer in enumerate(self.exit_layers, 1)]

    def fuse(self, stream, before, here):
        """Eq. 7 of the streams `stream` - 1 and `stream` (from 0) to what the cloud's layers read; the first stream has none before it."""
        together = torch.cat([before, here], 1) if stream else here
        return functional.relu(self.fusion[str(stream + 1)](together))

    @staticmethod
    def rest(tail, x):
        return tail.linear(tail.layer3(tail.layer2(x)).mean((2, 3)))

    def forward(self, x):
        """All answers side by side, the streams at their largest size as floats: what the library's network computes."""
        logits, seen = self.trunk(x)
        answers, sent = {0: [logits]}, []
        local = dict(zip(self.exit_layers, self.local(seen)))
        for layer in range(1, self.layer_count + 1):
            answers[layer] = [local[layer]] if layer in local else []
            if self.has_cloud and layer <= self.streams:
                sent.append(functional.avg_pool2d(seen[layer - 1][:, :self.depth], seen[layer - 1].shape[2] // SENT_SIDE))
                answers[layer].append(self.rest(self.cloud, self.fuse(layer - 1, sent[-2] if layer > 1 else None, sent[-1])))
        return torch.cat([torch.softmax(a, 1) for layer in sorted(answers) for a in answers[layer]], 1)


class Ensemble(nn.Module):
    """Networks of their own with fewer layers: the stem and the first stage, and those with the second; the whole network is the last member."""

    def __init__(self, whole):
        super().__init__()
        self.members = nn.ModuleList()
        for stages in (1, 2):
            first = nn.Module()
            first.conv1, first.bn1, first.layer1 = copy.deepcopy(whole.conv1), copy.deepcopy(whole.bn1), copy.deepcopy(whole.layer1)
            first.layer2 = copy.deepcopy(whole.layer2) if stages == 2 else nn.Identity()
            first.linear = nn.Linear(16 * stages, whole.classes)
            self.members.append(first)

    def forward(self, x):
        return [m.linear(m.layer2(m.layer1(functional.relu(m.bn1(m.conv1(x))))).mean((2, 3))) for m in self.members]


def folded(part):
    """A copy whose blocks have their batch norms in their convolutions: which is faster where nothing is trained."""
    part = copy.deepcopy(part).eval()
    for block in part.modules():
        if isinstance(block, Block):
            block.conv1, block.bn1 = fuse_conv_bn_eval(block.conv1, block.bn1), nn.Identity()
            block.conv2, block.bn2 = fuse_conv_bn_eval(block.conv2, block.bn2), nn.Identity()
    return part


def multiplications(model, run):
    """Those of every convolution and dense layer that `run` passes, by the module's name, for one picture."""
    counts, hooks = {}, []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            def hook(module, given, output, name=name):
                inner = module.in_features if isinstance(module, nn.Linear) else module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
                counts[name] = output[0].numel() * inner
            hooks.append(module.register_forward_hook(hook))
    with torch.no_grad():
        run()
    for h in hooks:
        h.remove()
    return counts
