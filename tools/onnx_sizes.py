# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that put tensors side by side, take parts of them, or enlarge them."""
import math

from onnx_file import shown
from onnx_operator import Refused, Tensor, operator


@operator("Concat")
def concat(node, *operands):
    if not all(isinstance(x, Tensor) for x in operands):
        raise Refused("one of its operands is a constant")
    if len(operands) == 1:
        return [Tensor(operands[0].op, operands[0].dims)]
    rank = len(operands[0].dims)
    axis = node.attribute("axis", 1)
    if any(len(x.dims) != rank or x.dims[1:2] != [x.op.shape[0]] for x in operands) or axis not in (1, 1 - rank):
        raise Refused("only the channels of images or vectors can be put side by side")
    first = operands[0].op.shape
    if any(x.op.shape[1:] != first[1:] or x.dims[2:] != operands[0].dims[2:] for x in operands):
        raise Refused("its operands differ in height or width")
    channels = sum(x.op.shape[0] for x in operands)
    return [Tensor(node.make("concat", [x.op for x in operands], (channels, *first[1:])), [1, channels, *operands[0].dims[2:]])]


@operator("Pad")
def pad(node, x, pads=None, value=None, axes=None):
    channels, *size = node.image(x)
    if node.word_attribute("mode", "constant") != "constant":
        raise Refused(f"mode {shown(node.word_attribute('mode', 'constant'))}; only a constant can be padded with")
    amounts = node.constant(pads, "padding").reshape(-1).tolist() if pads is not None else node.attribute("pads", [])
    if axes is not None:
        chosen = [int(a) % 4 for a in node.constant(axes, "axes").reshape(-1)]
        if len(amounts) != 2 * len(chosen) or len(set(chosen)) != len(chosen):
            raise Refused(f"{len(amounts)} amounts for {len(chosen)} axes")
        full = [0] * 8
        for i, axis in enumerate(chosen):
            full[axis], full[axis + 4] = amounts[i], amounts[i + len(chosen)]
        amounts = full
    if len(amounts) != 8 or amounts[0] or amounts[4]:
        raise Refused(f"by {shown(amounts)}")
    node.small("padding", amounts, 0)
    value = node.number(value, "value", 0.0)
    if not math.isfinite(value):
        raise Refused("with a value that is not finite")
    result = [Tensor(x.op, x.dims)]
    if amounts[1] or amounts[5]:
        if value:
            raise Refused("channels of something else than zeros")
        channels += amounts[1] + amounts[5]
        result = node.as_image(node.make("pad_channels", [x.op], (channels, *size), {"before": amounts[1], "after": amounts[5]}))
    sides = (amounts[2], amounts[3], amounts[6], amounts[7])
    if any(sides):
        shape = (channels, size[0] + sides[0] + sides[2], size[1] + sides[1] + sides[3])
        result = node.as_image(node.make("pad", [result[0].op], shape, {"pad": sides, "value": value}))
    return result


@operator("Slice")
def take_slice(node, x, starts=None, ends=None, axes=None, steps=None):
    rank = len(x.dims)
    lists = [node.constant(v, "range").reshape(-1).tolist() if v is not None else None for v in (starts, ends, axes, steps)]
    starts, ends = lists[:2]
    if starts is None or ends is None:
        raise Refused("without a range")
    axes, steps = lists[2] or list(range(len(starts))), lists[3] or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Refused("its ranges differ in length")
    every = [1, 1]
    result = Tensor(x.op, list(x.dims))
    for first, last, axis, step in zip(starts, ends, axes, steps):
        if not -rank <= axis < rank or step < 1:
            raise Refused(f"axis {axis} in steps of {step}")
        axis %= rank
        first, last, _ = slice(first, last).indices(x.dims[axis])
        if (first, last, step) == (0, x.dims[axis], 1):
            continue
        if axis == 1 and step == 1 and result.dims[1] == result.op.shape[0] and last > first:
            result = slice_channels(node, result, first, last - first)
        elif axis in (2, 3) and rank == 4 and (first, last) == (0, x.dims[axis]):
            every[axis - 2] = step
        else:
            raise Refused(f"from {first} to {last} in steps of {step} along axis {axis}; a run of channels, or every k-th row and column, can be said")
    if every != [1, 1]:
        if result.op.word == "subsample":
            every = [a * b for a, b in zip(every, result.op.settings["every"])]
            result = Tensor(result.op.inputs[0], [1, *result.op.inputs[0].shape])
        channels, height, width = node.image(result)
        shape = (channels, -(-height // every[0]), -(-width // every[1]))
        return node.as_image(node.make("subsample", [result.op], shape, {"every": node.small("steps", every, 1)}))
    return [result]


def slice_channels(node, x, first, count):
    op = node.make("slice_channels", [x.op], (count, *x.op.shape[1:]), {"first": first, "count": count})
    return Tensor(op, [1, count, *x.dims[2:]])


@operator("Split")
def split(node, x, sizes=None):
    axis = node.attribute("axis", 0)
    if axis not in (1, 1 - len(x.dims)) or x.dims[1] != x.op.shape[0]:
        raise Refused(f"along axis {axis}; only channels can be split")
    parts = node.constant(sizes, "sizes").reshape(-1).tolist() if sizes is not None else node.attribute("split")
    if parts is None:
        count = node.attribute("num_outputs", len(node.proto.outputs))
        each = -(-x.dims[1] // max(count, 1))
        parts = [max(min(each, x.dims[1] - i * each), 0) for i in range(len(node.proto.outputs))]
    if not isinstance(parts, list) or len(parts) != len(node.proto.outputs) or sum(parts) != x.dims[1] or min(parts) < 1:
        raise Refused(f"into {shown(parts)} of {x.dims[1]} channels")
    return [slice_channels(node, x, sum(parts[:i]), part) for i, part in enumerate(parts)]


@operator("Resize")
def resize(node, x, region=None, scales=None, sizes=None):
    channels, *size = node.image(x)
    if node.attribute("axes") is not None or node.attribute("antialias", 0) or node.attribute("exclude_outside", 0):
        raise Refused("axes, antialias and exclude_outside cannot be said")
    if sizes is not None and sizes.size:
        wanted = node.constant(sizes, "sizes").reshape(-1).tolist()
        if len(wanted) != 4 or wanted[:2] != [1, channels]:
            raise Refused(f"to {shown(wanted)}")
        target = [int(v) for v in wanted[2:]]
        if node.word_attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise Refused("keep_aspect_ratio_policy cannot be said")
    else:
        factors = node.constant(scales, "scales").reshape(-1).tolist() if scales is not None else []
        if len(factors) != 4 or factors[:2] != [1, 1] or not all(math.isfinite(f) and 0 < f < 1e4 for f in factors):
            raise Refused(f"by {shown(factors)}")
        exact = [s * f for s, f in zip(size, factors[2:])]
        target = [round(v) for v in exact]
        if any(abs(v - t) > 1e-3 for v, t in zip(exact, target)):
            raise Refused(f"by {shown(factors[2:])}, which gives no whole number of rows and columns")
    node.small("sizes", target, 1)
    mode = node.word_attribute("mode", "nearest")
    where = node.word_attribute("coordinate_transformation_mode", "half_pixel")
    whole = all(t % s == 0 for s, t in zip(size, target))
    settings = {"size": target, "bilinear": mode == "linear", "align_corners": where == "align_corners"}
    if mode == "nearest":
        settings["align_corners"] = False
        rounding = node.word_attribute("nearest_mode", "round_prefer_floor")
        pytorch = where == "asymmetric" and rounding == "floor"
        alike = whole and where in ("half_pixel", "pytorch_half_pixel") and rounding in ("round_prefer_floor", "round_prefer_ceil")
        if not pytorch and not alike:
            raise Refused(f"nearest by {shown(where)} and {shown(rounding)}; the language has PyTorch's, asymmetric and floor")
    elif mode == "linear":
        if where not in ("half_pixel", "pytorch_half_pixel", "align_corners") or (where == "pytorch_half_pixel" and 1 in target and list(size) != target):
            raise Refused(f"linear by {shown(where)}; the language has half_pixel and align_corners")
    else:
        raise Refused(f"mode {shown(mode)}; nearest and linear can be said")
    if whole and not settings["align_corners"]:
        settings["factor"] = [t // s for s, t in zip(size, target)]
    return node.as_image(node.make("upsample", [x.op], (channels, *target), settings))
