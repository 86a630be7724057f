# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""FLEET's dynamic pooling in PyTorch: what the cloud has of a stream when its sizes up to one have arrived.

A stream is averaged to its largest size once (`patches`), and each smaller size is means over tiles of those patches. The receiver always rebuilds the
largest size: what has not come repeats the tile it is part of, as `dynamic_pool_decoder::rebuild` does. So every size has the same shape, and

    means(patches, sizes)     is linear, differentiable, and takes a size for each picture: for training
    lifted(steps, size)       is the codec's exact integer form, bit for bit: for recording

    ladder = Ladder(8, (3, 4, 5, 6, 7, 8))
    received = ladder.means(through_steps(pool_to(map, 8)), torch.tensor([0, 5, 2]))      # the smallest size, the largest, the third

Square maps only; the largest size is a power of two times the coarsest grid, as in include/splitdsl/codec/dynamic_pool.hpp.
"""
import torch
from torch.nn import functional


def pool_to(x, side):
    """Means over the patches that leave side x side values a channel."""
    stride = x.shape[2] // side
    if stride * side != x.shape[2] or x.shape[2] != x.shape[3]:
        raise ValueError(f"a map of {x.shape[2]} x {x.shape[3]} values cannot be averaged to {side} x {side}")
    return functional.avg_pool2d(x, stride) if stride > 1 else x


def quantiser(patches):
    """Scale and zero point of each picture, all channels together: `pool_parameters_of`."""
    flat = patches.detach().reshape(patches.shape[0], -1)
    low, high = flat.min(1).values.clamp(max=0), flat.max(1).values.clamp(min=0)
    below = (high - low) / 254
    tiny = torch.finfo(torch.float32).tiny
    signed = (low < 0) & (below >= tiny)
    above = (high - low) / 255
    scale = torch.where(signed, below, torch.where(above >= tiny, above, torch.ones_like(above)))
    zero = torch.where(signed, torch.ceil(-low / scale).clamp(max=255), torch.zeros_like(low))
    return scale.reshape(-1, 1, 1, 1), zero.reshape(-1, 1, 1, 1)


def to_steps(patches):
    """(steps 0..255 as int32, scale, zero point); halves round to even."""
    scale, zero = quantiser(patches)
    return torch.round((zero + patches / scale).clamp(0, 255)).to(torch.int32), scale, zero


def through_steps(patches):
    """The patches as 8 bits say them; the gradient passes straight through."""
    with torch.no_grad():
        steps, scale, zero = to_steps(patches)
        rounded = (steps - zero) * scale
    return patches + (rounded - patches).detach() if patches.requires_grad else rounded


class Ladder:
    """Sizes that nest. `side`: the largest; `sizes`: growing, the last one is `side`."""

    def __init__(self, side, sizes):
        self.side, self.sizes = side, tuple(sizes)
        base = side
        while base > self.sizes[0]:
            if base % 2:
                raise ValueError(f"sizes from {self.sizes[0]} to {side} do not nest: {base} cannot be halved")
            base //= 2
        growing = all(a < b for a, b in zip(self.sizes, self.sizes[1:]))
        if not self.sizes or not growing or self.sizes[-1] != side:
            raise ValueError(f"expected growing sizes up to {side}, found {', '.join(map(str, self.sizes))}")
        self.base = base
        self.tiles = torch.stack([self.tiles_of(size) for size in self.sizes])     # (sizes, side * side): which tile a patch is part of
        same = self.tiles[:, :, None] == self.tiles[:, None, :]
        self.averages = same.float() / same.sum(2, keepdim=True)                   # (sizes, patches, patches)

    def split(self, size):
        """(cells a side of the octave, how many of its rows and columns are split)."""
        cells = self.base
        while 2 * cells < size:
            cells *= 2
        return cells, size - cells

    def tiles_of(self, size):
        cells, steps = self.split(size)
        half = self.side // cells // 2 if steps else 0
        strip, strips = [], 0
        for cell in range(cells):
            parts = 2 if cell < steps else 1
            width = half if parts == 2 else self.side // cells
            for _ in range(parts):
                strip += [strips] * width
                strips += 1
        strip = torch.tensor(strip)
        return (strip[:, None] * strips + strip[None, :]).flatten()

    def means(self, patches, levels):
        """Each picture at its own size (an index into `sizes`, -1: nothing came, zeros). Shapes stay."""
        flat = patches.reshape(patches.shape[0], patches.shape[1], -1)
        averages = torch.cat([self.averages, torch.zeros_like(self.averages[:1])]).to(flat)[levels]
        return torch.bmm(flat, averages.transpose(1, 2)).reshape(patches.shape)

    def lifted(self, steps, size):
        """The exact integer form at a size, each tile repeated over its patches. `steps`: int32 (pictures, channels, side, side)."""
        cells, split = self.split(size)
        values = steps
        while values.shape[2] > cells:
            x0, x3 = values[:, :, 0::2, 0::2], values[:, :, 1::2, 1::2]
            right, below = values[:, :, 0::2, 1::2], values[:, :, 1::2, 0::2]
            n = x0.shape[2]
            by_rows = torch.arange(n)[None, :] >= torch.arange(n)[:, None]         # these cells are split into top and bottom first
            x1, x2 = torch.where(by_rows, right, below), torch.where(by_rows, below, right)
            u, v = (x0 + x1 + 1) >> 1, (x2 + x3 + 1) >> 1
            whole = (u + v) >> 1
            if n == cells and split:
                row, column = torch.arange(n)[:, None] < split, torch.arange(n)[None, :] < split
                both, rows_only, columns_only = row & column, row & ~column, ~row & column

                def shown(quarter, of_rows, of_columns):
                    return torch.where(both, quarter, torch.where(rows_only, of_rows, torch.where(columns_only, of_columns, whole)))
                fine = torch.stack([torch.stack([shown(x0, u, u), shown(right, u, v)], 4), torch.stack([shown(below, v, u), shown(x3, v, v)], 4)], 3)
                values = fine.reshape(*x0.shape[:2], n, 2, n, 2).reshape(*x0.shape[:2], 2 * n, 2 * n)
                break
            values = whole
        again = self.side // values.shape[2]
        return values.repeat_interleave(again, 2).repeat_interleave(again, 3)

    def received(self, patches):
        """What arrives at every size, a list of float tensors: the codec's exact form."""
        steps, scale, zero = to_steps(patches)
        return [(self.lifted(steps, size) - zero) * scale for size in self.sizes]
