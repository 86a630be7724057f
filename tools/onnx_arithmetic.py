# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that calculate with two operands; constants become one scale and one shift a channel."""
import numpy

from onnx_file import shown
from onnx_operator import Refused, Tensor, close, operator


def per_channel(x, constant):
    """A constant operand as one value a channel, or Refused."""
    if constant.size == 1:
        return numpy.full(x.op.shape[0], constant.reshape(-1)[0], numpy.float64)
    shape = [1] * (len(x.dims) - constant.ndim) + list(constant.shape)
    axis = 1 if len(x.dims) in (2, 4) else len(x.dims) - 1
    if len(shape) != len(x.dims) or any(s != 1 for i, s in enumerate(shape) if i != axis) or shape[axis] != x.op.shape[0] or x.dims[axis] != x.op.shape[0]:
        raise Refused(f"a constant of shape {constant.shape} on a tensor of shape {shown(x.dims)}; one value, or one a channel, can be said")
    return constant.reshape(-1).astype(numpy.float64)


def affine(node, x, scale, shift, each=False):
    """scale * x + shift for each channel: folded into what is known of x, or an op of its own. `each`: a bias, by its size."""
    channels = x.op.shape[0]
    source = x.op
    scale, shift = numpy.broadcast_to(scale, channels), numpy.broadcast_to(shift, channels)
    if source.word == "affine":
        shift = source.settings["shift"] * scale + shift
        scale = source.settings["scale"] * scale
        source = source.inputs[0]
    if close(scale.min(), 1 / 6) and close(scale.max(), 1 / 6) and not shift.any() and (found := hard_pattern(node, x.op)):
        return [Tensor(found, x.dims)]
    if each and (scale == 1).all() and source.word in ("conv", "conv_transpose", "dense") and "bias" not in source.weights:
        weights = {**source.weights, "bias": shift}
        op = node.make(source.word, source.inputs, source.shape, source.settings, weights, source.weight_name)
        op.node = source.node
        return [Tensor(op, x.dims)]
    if not numpy.isfinite(scale).all() or not numpy.isfinite(shift).all():
        raise Refused("its constant is not finite")
    return [Tensor(node.make("affine", [source], x.op.shape, {"scale": scale, "shift": shift}), x.dims)]


def hard_pattern(node, op):
    """clip(x + 3, 0, 6), alone or times x, that is about to be divided by six."""
    def six(candidate):
        if candidate.word != "relu6" or candidate.inputs[0].word != "affine":
            return None
        inner = candidate.inputs[0]
        plain = (inner.settings["scale"] == 1).all() and (inner.settings["shift"] == 3).all()
        return inner.inputs[0] if plain else None
    if op.word == "relu6" and (x := six(op)):
        return node.make("hard_sigmoid", [x], x.shape)
    if op.word == "multiply":
        for x, gate in (op.inputs, op.inputs[::-1]):
            if six(gate) is x:
                return node.make("hard_swish", [x], x.shape)
    return None


@operator("Add")
def add(node, x, y):
    if isinstance(y, numpy.ndarray):
        return affine(node, x, 1.0, per_channel(x, y), each=y.size == x.op.shape[0])
    if isinstance(x, numpy.ndarray):
        return affine(node, y, 1.0, per_channel(y, x), each=x.size == y.op.shape[0])
    if x.op.shape != y.op.shape or x.dims != y.dims:
        raise Refused(f"tensors of shapes {shown(x.dims)} and {shown(y.dims)}; both must have one shape")
    return [Tensor(node.make("add", [x.op, y.op], x.op.shape), x.dims)]


@operator("Sum")
def add_all(node, *operands):
    total, *rest = sorted(operands, key=lambda x: isinstance(x, numpy.ndarray))
    for x in rest:
        total = add(node, total, x)[0]
    return [total]


@operator("Sub")
def sub(node, x, y):
    if isinstance(y, numpy.ndarray):
        return affine(node, x, 1.0, -per_channel(x, y))
    if isinstance(x, numpy.ndarray):
        return affine(node, y, numpy.float64(-1), per_channel(y, x))
    return add(node, x, affine(node, y, numpy.float64(-1), 0.0)[0])


@operator("Neg")
def neg(node, x):
    return affine(node, x, numpy.float64(-1), 0.0)


@operator("Mul")
def mul(node, x, y):
    if isinstance(y, numpy.ndarray):
        return affine(node, x, per_channel(x, y), 0.0)
    if isinstance(x, numpy.ndarray):
        return affine(node, y, per_channel(y, x), 0.0)
    for a, b in ((x, y), (y, x)):
        if b.op.word == "hard_sigmoid" and b.op.inputs[0] is a.op and a.dims == b.dims:
            return [Tensor(node.make("hard_swish", [a.op], a.op.shape), a.dims)]
    for image, scale in ((x, y), (y, x)):
        if image.op.shape == scale.op.shape and image.dims == scale.dims or \
                (scale.op.shape == (image.op.shape[0], 1, 1) and list(scale.dims) == [1, *scale.op.shape] and list(image.dims) == [1, *image.op.shape]):
            return [Tensor(node.make("multiply", [image.op, scale.op], image.op.shape), image.dims)]
    raise Refused(f"tensors of shapes {shown(x.dims)} and {shown(y.dims)}; one shape, or one value a channel, can be said")


@operator("Div")
def div(node, x, y):
    if not isinstance(y, numpy.ndarray):
        raise Refused("a division by a computed tensor")
    by = per_channel(x, y)
    if (by == 0).any():
        raise Refused("a division by zero")
    return affine(node, x, 1.0 / by, 0.0)
