# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What a radio does to a cut's values when nothing repeats or corrects them, as a step of training: BottleNet++'s channel layer (Shao and Zhang 2020).

The links of this library lose no bits: they repeat what was lost. A network trained so is for links that do not, and for asking what such a link would cost.
"""
import torch

LEVELS = 255  # of a value in 8 bits


class NoisyChannel:
    """Called on what crosses, (batch, ...), values of 0 to 1.

    deviation   of the Gaussian noise added to each value
    erased      share of each value's 8 bits that do not arrive; the receiver knows which, and reads half a bit there. The gradient passes straight through.
    generator   where both come from; to be set anew for what is to come out the same again
    """

    def __init__(self, deviation=0.0, erased=0.0, generator=None):
        self.deviation, self.erased, self.generator = deviation, erased, generator

    def __call__(self, x):
        if self.erased:
            x = x + (self.received(x.detach()) - x.detach())
        if self.deviation:
            x = x + self.deviation * torch.randn(x.shape, generator=self.generator)
        return x

    def received(self, x):
        level = torch.round(x.clamp(0, 1) * LEVELS).to(torch.uint8)
        value = torch.zeros_like(x)
        for bit in range(8):
            gone = torch.rand(x.shape, generator=self.generator) < self.erased
            sent = torch.bitwise_and(torch.bitwise_right_shift(level, bit), 1).to(x.dtype)
            value += 2.0 ** bit * torch.where(gone, torch.full_like(x, 0.5), sent)
        return value / LEVELS
