# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""What the handlers of ONNX operators share: values, refusals, the table of handlers, and the node that is lowered.

A handler is a function `(node, operands...)` with `@operator("Name")`. It returns the node's results as `Tensor`s, or raises `Refused`.
Its parameters are the operands that ONNX knows; those with a default may be left out.
"""
import dataclasses
import math

import numpy

from onnx_file import Node, Unreadable, shown

MOST_ELEMENTS = 2 ** 31 - 1
MOST_FOLDED = 2 ** 26  # values that folding constants may make, in all
MOST_CONVERTED = 2 ** 30  # weights that are not stored as they are used, in all
MOST_EXTENT = 32766  # kernels, strides and paddings of the language are at most this (SD201, SD218)
FLOAT, HALF = 1, 10

HANDLERS = {}  # operator -> handler; None for what is understood of constants only


def operator(name):
    def register(handler):
        HANDLERS[name] = handler
        return handler
    return register


def of_constants_only(*names):
    for name in names:
        HANDLERS[name] = None


class Refused(Exception):
    """One node cannot be said; the text is the reason, empty if its operator is unknown."""


@dataclasses.dataclass(eq=False)
class Op:
    """One word. `settings` by word; `weights` by their last name; `node` gives it its name."""
    word: str
    inputs: list
    shape: tuple
    settings: dict = dataclasses.field(default_factory=dict)
    weights: dict = dataclasses.field(default_factory=dict)
    node: Node | None = None
    weight_name: str = ""
    tensors: list = dataclasses.field(default_factory=list)  # names this value has in the file


@dataclasses.dataclass
class Tensor:
    """What a name in the graph stands for, if it is no constant: an op's value, seen in ONNX dimensions."""
    op: Op
    dims: list


def product(numbers):
    result = 1
    for n in numbers:
        result *= int(n)
    return result


def close(x, y):
    return abs(x - y) <= 1e-6 * max(1.0, abs(y))


class LoweredNode:
    """The node in hand: its attributes and operands as numbers, and ops made of them. What it remembers holds for the whole graph."""

    def __init__(self, opset):
        self.opset = opset
        self.proto = None  # the node as it stands in the file
        self.left_to_fold = MOST_FOLDED
        self.left_to_convert = MOST_CONVERTED
        self.stored = {}

    # ---- reading -----------------------------------------------------------------------------------------------------------

    def attribute(self, name, default=None):
        value = self.proto.attributes.get(name, default)
        if isinstance(value, Unreadable):
            raise Refused(f"attribute {name} is a graph or a type")
        if default is not None and name in self.proto.attributes:
            fits = isinstance(value, (int, float) if isinstance(default, float) else type(default))
            if not fits:
                raise Refused(f"attribute {name} has an unexpected type")
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused(f"attribute {name} is not finite")
        return value

    def word_attribute(self, name, default):
        return self.attribute(name, default.encode()).decode("ascii", "replace")

    def ints(self, name, count, default):
        value = self.attribute(name)
        if value is None:
            value = default
        if not isinstance(value, list) or len(value) != count or not all(isinstance(v, int) for v in value):
            raise Refused(f"{name} is {shown(value)}, expected {count} numbers")
        return value

    def small(self, name, values, least):
        for v in values:
            if not least <= v <= MOST_EXTENT:
                raise Refused(f"{name} is {shown(values)}; sizes are {least} to {MOST_EXTENT}")
        return values

    def constant(self, value, what):
        if not isinstance(value, numpy.ndarray):
            raise Refused(f"its {what} is computed by the network; only constants can be said")
        return value

    def number(self, value, what, default=None):
        if value is None:
            return default
        value = self.constant(value, what)
        if value.size != 1:
            raise Refused(f"its {what} has {value.size} values, expected one")
        return float(value.reshape(-1)[0])

    def axes(self, from_input, default, rank):
        """Axes that stand in an attribute in older operator sets and in an input in newer ones, counted from the front."""
        value = self.attribute("axes")
        if from_input is not None:
            value = self.constant(from_input, "axes").reshape(-1).tolist()
        if value is None:
            value = default
        if not isinstance(value, list) or not all(isinstance(v, int) and -rank <= v < rank for v in value):
            raise Refused(f"axes {shown(value)} do not fit {rank} dimensions")
        return sorted({v % rank for v in value})

    def image(self, x):
        """(channels, height, width) of a tensor that must be an image; vectors are images of one pixel."""
        if not isinstance(x, Tensor):
            raise Refused("its first operand is a constant")
        if list(x.dims) != [1, *x.op.shape]:
            raise Refused(f"it reads a tensor of shape {shown(x.dims)}; expected (1, channels, height, width)")
        return x.op.shape

    def vector(self, x):
        if not isinstance(x, Tensor) or x.op.shape[1:] != (1, 1) or x.dims[-1] != x.op.shape[0]:
            raise Refused(f"it reads a tensor of shape {shown(getattr(x, 'dims', 'of a constant'))}; expected (1, values)")
        return x.op.shape[0]

    def name_of(self, operand):
        return self.proto.inputs[operand]

    # ---- making ops --------------------------------------------------------------------------------------------------------

    def make(self, word, inputs, shape, settings=None, weights=None, weight_name=""):
        if any(s < 1 for s in shape) or product(shape) > MOST_ELEMENTS:
            raise Refused(f"its result would have the size {shown(tuple(shape))}")
        weights = {k: self.as_stored(v) for k, v in (weights or {}).items()}
        for name, array in weights.items():
            if not numpy.isfinite(array).all():
                raise Refused(f"its {name} holds a value that is not finite")
        return Op(word, inputs, tuple(int(s) for s in shape), settings or {}, weights, self.proto, weight_name)

    def with_bias(self, weight, bias, units):
        if bias is None:
            return {"weight": weight}
        bias = self.constant(bias, "bias")
        if bias.size != units:
            raise Refused(f"its bias has {bias.size} values, expected {units}")
        return {"weight": weight, "bias": bias.reshape(-1)}

    def as_stored(self, array):
        """The array as files hold it; one object for one place in memory, so that layers which share weights are known."""
        place = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)
        if place not in self.stored:
            self.stored[place] = (array, self.converted(array))
        return self.stored[place][1]

    def converted(self, array):
        if array.dtype != numpy.float32 or not array.flags.c_contiguous:
            self.left_to_convert -= array.size
            if self.left_to_convert < 0:
                raise Refused(f"more than {MOST_CONVERTED} weights would have to be converted or transposed")
        return numpy.ascontiguousarray(array, numpy.float32).reshape(array.shape)

    def bound(self, count):
        if not count <= self.left_to_fold:
            raise Refused(f"of constants would hold {count:.3g} values, all folded ones at most {MOST_FOLDED}")
        self.left_to_fold -= int(count)

    def same(self, word, x, **settings):
        """An op that keeps the shape."""
        if not isinstance(x, Tensor):
            raise Refused("its operand is a constant")
        return [Tensor(self.make(word, [x.op], x.op.shape, settings), x.dims)]

    def as_image(self, op):
        return [Tensor(op, [1, *op.shape])]
