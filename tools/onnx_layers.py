# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that are layers without a window: dense layers, batch normalisation, activations."""
import math

import numpy

from onnx_file import shown
from onnx_operator import Refused, Tensor, close, operator, product


@operator("Gemm")
def gemm(node, x, weight, bias=None):
    values = node.vector(x)
    weight = node.constant(weight, "weight")
    if weight.ndim != 2 or node.attribute("transA", 0):
        raise Refused(f"its weight has the shape {weight.shape}, its first operand is " + ("" if node.attribute("transA", 0) else "not ") + "transposed")
    weight = weight if node.attribute("transB", 0) else weight.T
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    if alpha != 1:
        node.bound(weight.size)
        weight = weight * numpy.float32(alpha)
    return dense(node, x, values, weight, bias, beta)


def dense(node, x, values, weight, bias=None, beta=1.0):
    units = weight.shape[0]
    if weight.shape[1] != values:
        raise Refused(f"its weight has the shape {weight.shape}, its input {values} values")
    if bias is not None and node.constant(bias, "bias").size in (1, units):
        bias = numpy.broadcast_to(bias.reshape(-1), (units,))
        bias = bias if beta == 1 else bias * numpy.float32(beta)
    op = node.make("dense", [x.op], (units, 1, 1), {}, node.with_bias(weight, bias, units), node.name_of(1))
    return [Tensor(op, [*x.dims[:-1], units])]


@operator("MatMul")
def mat_mul(node, x, weight):
    values = node.vector(x)
    weight = node.constant(weight, "second operand")
    if weight.ndim != 2:
        raise Refused(f"its second operand has the shape {weight.shape}")
    return dense(node, x, values, weight.T)


@operator("BatchNormalization")
def batch_norm(node, x, scale, shift, mean, variance):
    if not isinstance(x, Tensor) or len(x.dims) < 2 or x.dims[1] != x.op.shape[0]:
        raise Refused("its first operand is no image")
    if node.attribute("training_mode", 0) or len([n for n in node.proto.outputs if n]) > 1:
        raise Refused("it is in training mode; call model.eval() before the export")
    weights = {n: node.constant(a, n) for n, a in zip(("weight", "bias", "running_mean", "running_var"), (scale, shift, mean, variance))}
    if any(a.shape != (x.op.shape[0],) for a in weights.values()):
        raise Refused(f"its weights do not fit {x.op.shape[0]} channels")
    op = node.make("batch_norm", [x.op], x.op.shape, {"epsilon": node.attribute("epsilon", 1e-5)}, weights, node.name_of(1))
    return [Tensor(op, x.dims)]


def same_word(name, word):
    """An operator that is a word of the language as it stands, without attributes."""
    @operator(name)
    def layer(node, x):
        return node.same(word, x)


for name, word in (("Relu", "relu"), ("Sigmoid", "sigmoid"), ("Tanh", "tanh"), ("HardSwish", "hard_swish")):
    same_word(name, word)


@operator("LeakyRelu")
def leaky_relu(node, x):
    return node.same("leaky_relu", x, slope=node.attribute("alpha", 0.01))


@operator("PRelu")
def prelu(node, x, slope):
    slope = node.constant(slope, "slope")
    if slope.size == 0 or not (slope == slope.reshape(-1)[0]).all():
        raise Refused("a slope for each channel cannot be said")
    return node.same("leaky_relu", x, slope=float(slope.reshape(-1)[0]))


@operator("HardSigmoid")
def hard_sigmoid(node, x):
    alpha, beta = node.attribute("alpha", 0.2), node.attribute("beta", 0.5)
    if not close(alpha, 1 / 6) or not close(beta, 0.5):
        raise Refused(f"alpha {alpha:g} and beta {beta:g}; the language has PyTorch's, 1/6 and 1/2")
    return node.same("hard_sigmoid", x)


@operator("Clip")
def clip(node, x, low=None, high=None):
    low = node.number(low, "minimum", -math.inf)
    high = node.number(high, "maximum", math.inf)
    if low == 0 and high == 6:
        if x.op.word == "relu":  # some exporters write both
            x = Tensor(x.op.inputs[0], x.dims)
        return node.same("relu6", x)
    if low == 0 and high > 3e38:
        return node.same("relu", x)
    raise Refused(f"between {low:g} and {high:g}; the language has 0 to 6 and 0 to infinity")


def bounded(name, bound, word):
    """An operator of two operands that is a word of the language where the second is that constant."""
    @operator(name)
    def layer(node, x, y):
        value = node.number(y, "second operand")
        if value != bound or (name == "Min" and x.op.word != "relu"):
            raise Refused(f"of a tensor and {value:g}; the language has the maximum of it and 0, and then the minimum of that and 6")
        return node.same(word, x if name == "Max" else Tensor(x.op.inputs[0], x.dims))


bounded("Max", 0, "relu")  # PyTorch's newer exporter writes clamp so
bounded("Min", 6, "relu6")


@operator("Softmax")
def softmax(node, x):
    rank = len(x.dims)
    axis = node.attribute("axis", 1 if node.opset < 13 else -1)
    if not -rank <= axis < rank:
        raise Refused(f"axis {axis} does not fit {rank} dimensions")
    axis %= rank
    vector = x.op.shape[1:] == (1, 1)
    whole = product(x.dims[axis:]) if node.opset < 13 else x.dims[axis]  # older sets flatten what follows the axis
    if whole != x.op.shape[0] or (not vector and axis != 1):
        raise Refused(f"over axis {axis} of a tensor of shape {shown(x.dims)}; only the channels can be said")
    return node.same("softmax", x)
