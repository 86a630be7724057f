# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""The CIFAR ResNets with BottleNet's pair of layers, and behind DeepCOD's lopsided compressor, in PyTorch; rows for zoo_models.MODELS."""
import functools

import fleet_models  # noqa: F401: puts tools/ on the path
import torch
from torch import nn
from train_fleet_network import add_stages

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def halves(encoder, decoder):
    bottleneck = nn.Module()
    bottleneck.encoder, bottleneck.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)
    return bottleneck


class Bottlenet(nn.Module):
    def __init__(self, stage=1, stride=4, channels=3, activation=nn.ReLU):
        super().__init__()
        wide = 8 << stage
        self.stage = stage
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        add_stages(self, 3)
        self.bottleneck = halves([nn.Conv2d(wide, channels, stride, stride, bias=False), nn.BatchNorm2d(channels), activation()],
                                 [nn.ConvTranspose2d(channels, wide, stride, stride, bias=False), nn.BatchNorm2d(wide), nn.ReLU()])
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for stage, layer in enumerate((self.layer1, self.layer2, self.layer3), 1):
            x = layer(x)
            if stage == self.stage:
                x = self.bottleneck.decoder(self.bottleneck.encoder(x))
        return self.linear(x.mean((2, 3)))


class Block(nn.Sequential):
    """Two convolutions beside the identity, a batch norm behind the sum."""

    def __init__(self, channels):
        super().__init__(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return torch.relu(self[4](x + self[3](self[2](self[1](self[0](x))))))


class DeepCod(nn.Module):
    def __init__(self, channels=6):
        super().__init__()
        add_stages(self, 3)
        del self.layer1, self.layer2
        self.bottleneck = halves([nn.Conv2d(3, channels, 4, 4)],
                                 [nn.Conv2d(channels, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), Block(64), Block(64),
                                  nn.ConvTranspose2d(64, 32, 2, 2, bias=False), nn.BatchNorm2d(32), nn.ReLU(), Block(32), Block(32)])
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        return self.linear(self.layer3(self.bottleneck.decoder(self.bottleneck.encoder(x))).mean((2, 3)))


MODELS = {
    "bottlenet_cifar_resnet20": (Bottlenet, IMAGENET, None, ()),
    "bottlenet_plus_plus_cifar_resnet20": (functools.partial(Bottlenet, 2, 2, 6, nn.Sigmoid), IMAGENET, None, ()),
    "deepcod_cifar_resnet20": (DeepCod, IMAGENET, None, ()),
}
