# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""From an ONNX graph to words of the language: shapes, constant folding, and one handler for each operator.

`lower(model)` returns a `Network` of `Op`s, or raises `Unsupported` with everything that cannot be said at once. Sizes are
(channels, height, width); the batch is one. Nothing here knows how the words are written down (tools/words_writer.py does).
"""
import dataclasses
import heapq
import inspect
import math

import numpy

from onnx_file import Node, OnnxError, Unreadable, shown

OLDEST_OPSET, NEWEST_OPSET = 11, 25
MOST_ELEMENTS = 2 ** 31 - 1
MOST_FOLDED = 2 ** 26  # values that folding constants may make, in all
MOST_CONVERTED = 2 ** 30  # weights that are not stored as they are used, in all
MOST_OPS = 4000
MOST_EXTENT = 32767  # kernels, strides and paddings are 16 bits wide in the language
FLOAT, HALF = 1, 10


class Unsupported(OnnxError):
    """Nodes that the language has no words for; `lines` holds one for each."""

    def __init__(self, lines):
        super().__init__("\n".join(lines))
        self.lines = lines


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
class Network:
    inputs: list  # Ops of word "input", in the file's order, those that are read
    outputs: list  # (name, Op)
    values: dict  # tensor name -> Op
    unread: list  # names of inputs that nothing reads


@dataclasses.dataclass
class Tensor:
    """What a name in the graph stands for, if it is no constant: an op's value, seen in ONNX dimensions."""
    op: Op
    dims: list


class Failed:
    """The result of a node that cannot be said."""


def product(numbers):
    result = 1
    for n in numbers:
        result *= int(n)
    return result


def close(x, y):
    return abs(x - y) <= 1e-6 * max(1.0, abs(y))


class Lowering:
    def __init__(self, model, given_shapes):
        self.model = model
        self.values = dict(model.tensors)
        self.given = given_shapes
        self.node = None
        self.left_to_fold = MOST_FOLDED
        self.left_to_convert = MOST_CONVERTED
        self.stored = {}

    # ---- the way through the graph -----------------------------------------------------------------------------------------

    def run(self):
        if not OLDEST_OPSET <= self.model.opset <= NEWEST_OPSET:
            raise OnnxError(f"the file uses operator set {self.model.opset}; {OLDEST_OPSET} to {NEWEST_OPSET} are understood "
                            f"(torch.onnx.export(..., opset_version={max(OLDEST_OPSET, 13)}))")
        inputs = self.declare_inputs()
        order = self.sorted_nodes()
        problems, unchecked = [], 0
        for node in order:
            self.node = node
            known = node.domain in ("", "ai.onnx") and hasattr(self, "on_" + node.operator)
            operands = [self.values[name] if name else None for name in node.inputs]
            results = None
            try:
                if not known:
                    raise Refused("")
                if any(isinstance(x, Failed) for x in operands):
                    unchecked += 1
                else:
                    results = self.apply(node, operands)
            except Refused as reason:
                operator = f"{node.domain}.{node.operator}" if node.domain not in ("", "ai.onnx") else node.operator
                text = str(reason)
                problems.append(f"{shown(operator, 60)}: {node.title()}" + (f": {text}" if text else ""))
            results = [Failed() for _ in node.outputs] if results is None else results
            if len(results) < len(node.outputs):
                results += [Failed()] * (len(node.outputs) - len(results))
            for name, value in zip(node.outputs, results):
                if not name:
                    continue
                self.values[name] = value
                if isinstance(value, Tensor):
                    value.op.tensors.append(name)
        if problems:
            if unchecked:
                problems.append(f"({unchecked} nodes behind these could not be checked)")
            raise Unsupported(problems)
        outputs = []
        for value in self.model.outputs:
            found = self.values.get(value.name)
            if not isinstance(found, Tensor):
                raise OnnxError(f"output {shown(value.name)} is " + ("a constant" if found is not None else "made by no node"))
            outputs.append((value.name, found.op))
        if not outputs:
            raise OnnxError("the graph has no outputs")
        reached = reachable([op for _, op in outputs])
        return Network([op for op in inputs if op in reached], outputs,
                       {name: v.op for name, v in self.values.items() if isinstance(v, Tensor) and v.op in reached},
                       [op.settings["name"] for op in inputs if op not in reached])

    def declare_inputs(self):
        ops = []
        for value in self.model.inputs:
            if value.name in self.model.tensors:  # a default value, as files before IR version 4 have them
                continue
            if value.name in self.values:
                raise OnnxError(f"two inputs are called {shown(value.name)}")
            if value.element not in (FLOAT, HALF):
                raise OnnxError(f"input {shown(value.name)} has element type {value.element}; export the network with float inputs")
            dims = self.input_dims(value)
            shape = tuple(dims[1:]) if len(dims) == 4 else (product(dims), 1, 1)
            op = Op("input", [], shape, {"name": value.name, "image": len(dims) == 4}, tensors=[value.name])
            self.values[value.name] = Tensor(op, dims)
            ops.append(op)
        return ops

    def input_dims(self, value):
        given = self.given.get(value.name)
        if given is not None:
            dims = [1, *given]
        elif value.shape is None:
            raise OnnxError(f"input {shown(value.name)} has no shape; give it with --shape \"{shown(value.name)}=3,224,224\"")
        else:
            dims = list(value.shape)
            if dims and (dims[0] is None or dims[0] < 0):
                dims[0] = 1
        if any(d is None or d < 0 for d in dims):
            raise OnnxError(f"input {shown(value.name)} has the shape {shown(dims)}; give its sizes with --shape \"{shown(value.name)}=3,224,224\"")
        if not dims or dims[0] != 1:
            raise OnnxError(f"input {shown(value.name)} has the shape {shown(dims)}; a network reads one frame: export it with a batch of 1")
        if len(dims) not in (1, 2, 4) or any(d < 1 for d in dims) or product(dims) > MOST_ELEMENTS:
            raise OnnxError(f"input {shown(value.name)} has the shape {shown(dims)}; expected (1, channels, height, width) or (1, values)")
        return dims

    def sorted_nodes(self):
        """The nodes the outputs need, operands first; otherwise in the file's order."""
        makers = {}
        for index, node in enumerate(self.model.nodes):
            for name in node.outputs:
                if not name:
                    continue
                if name in makers or name in self.values:
                    raise OnnxError(f"tensor {shown(name)} is made twice (node {node.title()})")
                makers[name] = index
        needed, stack = set(), [v.name for v in self.model.outputs]
        missing = []
        while stack:
            name = stack.pop()
            if not name or name in self.values:
                continue
            if name not in makers:
                missing.append(shown(name))
                continue
            if makers[name] not in needed:
                needed.add(makers[name])
                stack += self.model.nodes[makers[name]].inputs
        if missing:
            raise OnnxError("tensors that nothing makes: " + ", ".join(sorted(set(missing))[:20]))
        waiting = {i: {makers[n] for n in self.model.nodes[i].inputs if n in makers} for i in needed}
        readers = {}
        for i, sources in waiting.items():
            for source in sources:
                readers.setdefault(source, []).append(i)
        ready = [i for i, sources in waiting.items() if not sources]
        heapq.heapify(ready)
        order = []
        while ready:
            i = heapq.heappop(ready)
            order.append(self.model.nodes[i])
            for reader in readers.get(i, []):
                waiting[reader].discard(i)
                if not waiting[reader]:
                    heapq.heappush(ready, reader)
        if len(order) < len(needed):
            left = [self.model.nodes[i].title() for i, sources in sorted(waiting.items()) if sources]
            raise OnnxError("the graph has a cycle among the nodes " + ", ".join(left[:10]) + (", ..." if len(left) > 10 else ""))
        return order

    def apply(self, node, operands):
        if node.operator == "Shape":
            return self.on_Shape(*operands)
        if all(x is None or isinstance(x, numpy.ndarray) for x in operands):
            return self.fold(node, operands)
        handler = getattr(self, "on_" + node.operator)
        if handler is None:
            raise Refused("of a computed tensor")
        self.check_operands(handler, operands)
        return handler(*operands)

    def check_operands(self, handler, operands):
        wanted = [p for p in inspect.signature(handler).parameters.values()]
        least = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in wanted)
        open_end = any(p.kind is p.VAR_POSITIONAL for p in wanted)
        if len(operands) < max(least, 1) or (len(operands) > len(wanted) and not open_end):
            raise Refused(f"{len(operands)} operands were found, expected {max(least, 1)}" + (" or more" if open_end else f" to {len(wanted)}"))
        if any(x is None for x in (operands if open_end else operands[:least])):
            raise Refused("an operand it needs is left out")
        if not isinstance(operands[0], Tensor) and self.node.operator not in ("Add", "Sub", "Mul", "Sum", "Concat"):
            raise Refused("its first operand is a constant")

    # ---- reading a node ----------------------------------------------------------------------------------------------------

    def attribute(self, name, default=None):
        value = self.node.attributes.get(name, default)
        if isinstance(value, Unreadable):
            raise Refused(f"attribute {name} is a graph or a type")
        if default is not None and name in self.node.attributes:
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

    # ---- making ops --------------------------------------------------------------------------------------------------------

    def make(self, word, inputs, shape, settings=None, weights=None, weight_name=""):
        if any(s < 1 for s in shape) or product(shape) > MOST_ELEMENTS:
            raise Refused(f"its result would have the size {shown(tuple(shape))}")
        weights = {k: self.as_stored(v) for k, v in (weights or {}).items()}
        for name, array in weights.items():
            if not numpy.isfinite(array).all():
                raise Refused(f"its {name} holds a value that is not finite")
        return Op(word, inputs, tuple(int(s) for s in shape), settings or {}, weights, self.node, weight_name)

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

    def same(self, word, x, **settings):
        """An op that keeps the shape."""
        if not isinstance(x, Tensor):
            raise Refused("its operand is a constant")
        return [Tensor(self.make(word, [x.op], x.op.shape, settings), x.dims)]

    def as_image(self, op):
        return [Tensor(op, [1, *op.shape])]

    # ---- windows -----------------------------------------------------------------------------------------------------------

    def window(self, kernel, size, dilation, transposed=False):
        """(stride, padding as top, left, bottom, right) of a node with a window."""
        stride = self.small("strides", self.ints("strides", 2, [1, 1]), 1)
        mode = self.word_attribute("auto_pad", "NOTSET")
        if mode == "VALID":
            return stride, (0, 0, 0, 0)
        if mode == "NOTSET":
            return stride, tuple(self.small("pads", self.ints("pads", 4, [0, 0, 0, 0]), 0))
        if mode not in ("SAME_UPPER", "SAME_LOWER") or transposed:
            raise Refused(f"auto_pad is {shown(mode)}")
        before, after = [], []
        for axis in (0, 1):
            wide = dilation[axis] * (kernel[axis] - 1) + 1
            total = max((math.ceil(size[axis] / stride[axis]) - 1) * stride[axis] + wide - size[axis], 0)
            less, more = total // 2, total - total // 2
            before.append(less if mode == "SAME_UPPER" else more)
            after.append(more if mode == "SAME_UPPER" else less)
        return stride, (*before, *after)

    def windowed(self, size, kernel, stride, pad, dilation=(1, 1), ceil=False):
        result = []
        for axis in (0, 1):
            before, after = pad[axis], pad[axis + 2]
            room = size[axis] + before + after - dilation[axis] * (kernel[axis] - 1) - 1
            if room < 0:
                raise Refused(f"its window {shown(kernel)} is larger than its padded input {shown(size)}")
            n = (-(-room // stride[axis]) if ceil else room // stride[axis]) + 1
            if ceil and (n - 1) * stride[axis] >= size[axis] + before:
                raise Refused("ceil_mode would place a window in the padding alone, where frameworks disagree")
            result.append(n)
        return result

    def on_Conv(self, x, weight, bias=None):
        channels, *size = self.image(x)
        weight = self.constant(weight, "weight")
        if weight.ndim != 4:
            raise Refused(f"its weight has the shape {weight.shape}; only two-dimensional convolutions can be said")
        out, per_group, *kernel = weight.shape
        groups = self.attribute("group", 1)
        dilation = self.small("dilations", self.ints("dilations", 2, [1, 1]), 1)
        self.small("kernel_shape", kernel, 1)
        if self.ints("kernel_shape", 2, list(kernel)) != list(kernel):
            raise Refused(f"kernel_shape is {shown(self.attribute('kernel_shape'))}, the weight's is {list(kernel)}")
        if groups < 1 or per_group * groups != channels or out % groups:
            raise Refused(f"{groups} groups of a weight of shape {weight.shape} do not fit {channels} channels")
        stride, pad = self.window(kernel, size, dilation)
        source, outside = x.op, pad
        if source.word == "pad" and source.settings["value"] == 0:  # exporters write asymmetric padding as a node of its own
            outside = tuple(p + q for p, q in zip(pad, source.settings["pad"]))
            source = source.inputs[0]
        shape = (out, *self.windowed(source.shape[1:], kernel, stride, self.small("pads", outside, 0), dilation))
        settings = {"kernel": kernel, "stride": stride, "pad": outside, "dilation": dilation, "groups": groups}
        return self.as_image(self.make("conv", [source], shape, settings, self.with_bias(weight, bias, out), self.name_of(1)))

    def with_bias(self, weight, bias, units):
        if bias is None:
            return {"weight": weight}
        bias = self.constant(bias, "bias")
        if bias.size != units:
            raise Refused(f"its bias has {bias.size} values, expected {units}")
        return {"weight": weight, "bias": bias.reshape(-1)}

    def name_of(self, operand):
        return self.node.inputs[operand]

    def on_ConvTranspose(self, x, weight, bias=None):
        channels, *size = self.image(x)
        weight = self.constant(weight, "weight")
        if weight.ndim != 4 or weight.shape[0] != channels:
            raise Refused(f"its weight has the shape {weight.shape}, which does not fit {channels} channels in two dimensions")
        if self.attribute("group", 1) != 1:
            raise Refused("a transposed convolution in groups cannot be said")
        _, out, *kernel = weight.shape
        dilation = self.small("dilations", self.ints("dilations", 2, [1, 1]), 1)
        extra = self.small("output_padding", self.ints("output_padding", 2, [0, 0]), 0)
        if self.attribute("output_shape") is not None:
            raise Refused("output_shape is given; export with explicit padding")
        stride, pad = self.window(self.small("kernel_shape", kernel, 1), size, dilation, transposed=True)
        shape = [out] + [(size[a] - 1) * stride[a] - pad[a] - pad[a + 2] + dilation[a] * (kernel[a] - 1) + extra[a] + 1 for a in (0, 1)]
        settings = {"kernel": kernel, "stride": stride, "pad": pad, "output_pad": extra, "dilation": dilation}
        return self.as_image(self.make("conv_transpose", [x.op], shape, settings, self.with_bias(weight, bias, out), self.name_of(1)))

    def pool(self, x, word):
        channels, *size = self.image(x)
        kernel = self.small("kernel_shape", self.ints("kernel_shape", 2, []), 1)
        if self.ints("dilations", 2, [1, 1]) != [1, 1]:
            raise Refused("a dilated pool cannot be said")
        stride, pad = self.window(kernel, size, [1, 1])
        if any(2 * p > kernel[i % 2] for i, p in enumerate(pad)):
            raise Refused(f"its padding {shown(list(pad))} is more than half its window {shown(kernel)}")
        ceil = bool(self.attribute("ceil_mode", 0))
        shape = (channels, *self.windowed(size, kernel, stride, pad, ceil=ceil))
        if ceil and shape[1:] == tuple(self.windowed(size, kernel, stride, pad)):
            ceil = False
        settings = {"kernel": kernel, "stride": stride, "pad": pad, "ceil": ceil}
        if word == "avg_pool":
            if kernel == list(size) and not any(pad):
                return self.as_image(self.make("global_pool", [x.op], (channels, 1, 1)))
            settings["count_include_pad"] = bool(self.attribute("count_include_pad", 0)) or not any(pad)
        return self.as_image(self.make(word, [x.op], shape, settings))

    def on_MaxPool(self, x):
        if len([n for n in self.node.outputs if n]) > 1:
            raise Refused("its indices are asked for")
        return self.pool(x, "max_pool")

    def on_AveragePool(self, x):
        return self.pool(x, "avg_pool")

    def on_GlobalAveragePool(self, x):
        return self.as_image(self.make("global_pool", [x.op], (self.image(x)[0], 1, 1)))

    def on_GlobalMaxPool(self, x):
        channels, *size = self.image(x)
        self.small("its input", size, 1)
        settings = {"kernel": list(size), "stride": list(size), "pad": (0, 0, 0, 0), "ceil": False}
        return self.as_image(self.make("max_pool", [x.op], (channels, 1, 1), settings))

    def on_ReduceMean(self, x, axes=None):
        if isinstance(x, Tensor) and x.op.shape[1:] == (1, 1) and len(x.dims) != 4:
            raise Refused(f"it reads a tensor of shape {shown(x.dims)}; only the mean over height and width can be said")
        channels = self.image(x)[0]
        if self.axes(axes, [], 4) != [2, 3]:
            raise Refused("only the mean over height and width can be said")
        op = self.make("global_pool", [x.op], (channels, 1, 1))
        return [Tensor(op, [1, channels, 1, 1] if self.attribute("keepdims", 1) else [1, channels])]

    # ---- layers without a window -------------------------------------------------------------------------------------------

    def on_Gemm(self, x, weight, bias=None):
        values = self.vector(x)
        weight = self.constant(weight, "weight")
        if weight.ndim != 2 or self.attribute("transA", 0):
            raise Refused(f"its weight has the shape {weight.shape}, its first operand is " + ("" if self.attribute("transA", 0) else "not ") + "transposed")
        weight = weight if self.attribute("transB", 0) else weight.T
        alpha, beta = self.attribute("alpha", 1.0), self.attribute("beta", 1.0)
        if alpha != 1:
            self.bound(weight.size)
            weight = weight * numpy.float32(alpha)
        return self.dense(x, values, weight, bias, beta)

    def dense(self, x, values, weight, bias=None, beta=1.0):
        units = weight.shape[0]
        if weight.shape[1] != values:
            raise Refused(f"its weight has the shape {weight.shape}, its input {values} values")
        if bias is not None and self.constant(bias, "bias").size in (1, units):
            bias = numpy.broadcast_to(bias.reshape(-1), (units,))
            bias = bias if beta == 1 else bias * numpy.float32(beta)
        op = self.make("dense", [x.op], (units, 1, 1), {}, self.with_bias(weight, bias, units), self.name_of(1))
        return [Tensor(op, [*x.dims[:-1], units])]

    def on_MatMul(self, x, weight):
        values = self.vector(x)
        weight = self.constant(weight, "second operand")
        if weight.ndim != 2:
            raise Refused(f"its second operand has the shape {weight.shape}")
        return self.dense(x, values, weight.T)

    def on_BatchNormalization(self, x, scale, shift, mean, variance):
        if not isinstance(x, Tensor) or len(x.dims) < 2 or x.dims[1] != x.op.shape[0]:
            raise Refused("its first operand is no image")
        if self.attribute("training_mode", 0) or len([n for n in self.node.outputs if n]) > 1:
            raise Refused("it is in training mode; call model.eval() before the export")
        weights = {n: self.constant(a, n) for n, a in zip(("weight", "bias", "running_mean", "running_var"), (scale, shift, mean, variance))}
        if any(a.shape != (x.op.shape[0],) for a in weights.values()):
            raise Refused(f"its weights do not fit {x.op.shape[0]} channels")
        op = self.make("batch_norm", [x.op], x.op.shape, {"epsilon": self.attribute("epsilon", 1e-5)}, weights, self.name_of(1))
        return [Tensor(op, x.dims)]

    def on_Relu(self, x):
        return self.same("relu", x)

    def on_Sigmoid(self, x):
        return self.same("sigmoid", x)

    def on_Tanh(self, x):
        return self.same("tanh", x)

    def on_HardSwish(self, x):
        return self.same("hard_swish", x)

    def on_LeakyRelu(self, x):
        return self.same("leaky_relu", x, slope=self.attribute("alpha", 0.01))

    def on_PRelu(self, x, slope):
        slope = self.constant(slope, "slope")
        if slope.size == 0 or not (slope == slope.reshape(-1)[0]).all():
            raise Refused("a slope for each channel cannot be said")
        return self.same("leaky_relu", x, slope=float(slope.reshape(-1)[0]))

    def on_HardSigmoid(self, x):
        alpha, beta = self.attribute("alpha", 0.2), self.attribute("beta", 0.5)
        if not close(alpha, 1 / 6) or not close(beta, 0.5):
            raise Refused(f"alpha {alpha:g} and beta {beta:g}; the language has PyTorch's, 1/6 and 1/2")
        return self.same("hard_sigmoid", x)

    def on_Clip(self, x, low=None, high=None):
        low = self.number(low, "minimum", -math.inf)
        high = self.number(high, "maximum", math.inf)
        if low == 0 and high == 6:
            if x.op.word == "relu":  # some exporters write both
                x = Tensor(x.op.inputs[0], x.dims)
            return self.same("relu6", x)
        if low == 0 and high > 3e38:
            return self.same("relu", x)
        raise Refused(f"between {low:g} and {high:g}; the language has 0 to 6 and 0 to infinity")

    def on_Softmax(self, x):
        rank = len(x.dims)
        axis = self.attribute("axis", 1 if self.model.opset < 13 else -1)
        if not -rank <= axis < rank:
            raise Refused(f"axis {axis} does not fit {rank} dimensions")
        axis %= rank
        vector = x.op.shape[1:] == (1, 1)
        whole = product(x.dims[axis:]) if self.model.opset < 13 else x.dims[axis]  # older sets flatten what follows the axis
        if whole != x.op.shape[0] or (not vector and axis != 1):
            raise Refused(f"over axis {axis} of a tensor of shape {shown(x.dims)}; only the channels can be said")
        return self.same("softmax", x)

    # ---- two operands ------------------------------------------------------------------------------------------------------

    def per_channel(self, x, constant):
        """A constant operand as one value a channel, or Refused."""
        if constant.size == 1:
            return numpy.full(x.op.shape[0], constant.reshape(-1)[0], numpy.float64)
        shape = [1] * (len(x.dims) - constant.ndim) + list(constant.shape)
        axis = 1 if len(x.dims) in (2, 4) else len(x.dims) - 1
        if len(shape) != len(x.dims) or any(s != 1 for i, s in enumerate(shape) if i != axis) or shape[axis] != x.op.shape[0] or x.dims[axis] != x.op.shape[0]:
            raise Refused(f"a constant of shape {constant.shape} on a tensor of shape {shown(x.dims)}; one value, or one a channel, can be said")
        return constant.reshape(-1).astype(numpy.float64)

    def affine(self, x, scale, shift, each=False):
        """scale * x + shift for each channel: folded into what is known of x, or an op of its own. `each`: a bias, by its size."""
        channels = x.op.shape[0]
        source = x.op
        scale, shift = numpy.broadcast_to(scale, channels), numpy.broadcast_to(shift, channels)
        if source.word == "affine":
            shift = source.settings["shift"] * scale + shift
            scale = source.settings["scale"] * scale
            source = source.inputs[0]
        if close(scale.min(), 1 / 6) and close(scale.max(), 1 / 6) and not shift.any() and (found := self.hard_pattern(x.op)):
            return [Tensor(found, x.dims)]
        if each and (scale == 1).all() and source.word in ("conv", "conv_transpose", "dense") and "bias" not in source.weights:
            weights = {**source.weights, "bias": shift}
            op = self.make(source.word, source.inputs, source.shape, source.settings, weights, source.weight_name)
            op.node = source.node
            return [Tensor(op, x.dims)]
        if not numpy.isfinite(scale).all() or not numpy.isfinite(shift).all():
            raise Refused("its constant is not finite")
        return [Tensor(self.make("affine", [source], x.op.shape, {"scale": scale, "shift": shift}), x.dims)]

    def hard_pattern(self, op):
        """clip(x + 3, 0, 6), alone or times x, that is about to be divided by six."""
        def six(candidate):
            if candidate.word != "relu6" or candidate.inputs[0].word != "affine":
                return None
            inner = candidate.inputs[0]
            plain = (inner.settings["scale"] == 1).all() and (inner.settings["shift"] == 3).all()
            return inner.inputs[0] if plain else None
        if op.word == "relu6" and (x := six(op)):
            return self.make("hard_sigmoid", [x], x.shape)
        if op.word == "multiply":
            for x, gate in (op.inputs, op.inputs[::-1]):
                if six(gate) is x:
                    return self.make("hard_swish", [x], x.shape)
        return None

    def on_Add(self, x, y):
        if isinstance(y, numpy.ndarray):
            return self.affine(x, 1.0, self.per_channel(x, y), each=y.size == x.op.shape[0])
        if isinstance(x, numpy.ndarray):
            return self.affine(y, 1.0, self.per_channel(y, x), each=x.size == y.op.shape[0])
        if x.op.shape != y.op.shape or x.dims != y.dims:
            raise Refused(f"tensors of shapes {shown(x.dims)} and {shown(y.dims)}; both must have one shape")
        return [Tensor(self.make("add", [x.op, y.op], x.op.shape), x.dims)]

    def on_Sum(self, *operands):
        total, *rest = sorted(operands, key=lambda x: isinstance(x, numpy.ndarray))
        for x in rest:
            total = self.on_Add(total, x)[0]
        return [total]

    def on_Sub(self, x, y):
        if isinstance(y, numpy.ndarray):
            return self.affine(x, 1.0, -self.per_channel(x, y))
        if isinstance(x, numpy.ndarray):
            return self.affine(y, numpy.float64(-1), self.per_channel(y, x))
        raise Refused("the difference of two tensors")

    def on_Mul(self, x, y):
        if isinstance(y, numpy.ndarray):
            return self.affine(x, self.per_channel(x, y), 0.0)
        if isinstance(x, numpy.ndarray):
            return self.affine(y, self.per_channel(y, x), 0.0)
        for a, b in ((x, y), (y, x)):
            if b.op.word == "hard_sigmoid" and b.op.inputs[0] is a.op and a.dims == b.dims:
                return [Tensor(self.make("hard_swish", [a.op], a.op.shape), a.dims)]
        for image, scale in ((x, y), (y, x)):
            if image.op.shape == scale.op.shape and image.dims == scale.dims or \
                    (scale.op.shape == (image.op.shape[0], 1, 1) and list(scale.dims) == [1, *scale.op.shape] and list(image.dims) == [1, *image.op.shape]):
                return [Tensor(self.make("multiply", [image.op, scale.op], image.op.shape), image.dims)]
        raise Refused(f"tensors of shapes {shown(x.dims)} and {shown(y.dims)}; one shape, or one value a channel, can be said")

    def on_Div(self, x, y):
        if not isinstance(y, numpy.ndarray):
            raise Refused("a division by a computed tensor")
        by = self.per_channel(x, y)
        if (by == 0).any():
            raise Refused("a division by zero")
        return self.affine(x, 1.0 / by, 0.0)

    def on_Concat(self, *operands):
        if not all(isinstance(x, Tensor) for x in operands):
            raise Refused("one of its operands is a constant")
        if len(operands) == 1:
            return [Tensor(operands[0].op, operands[0].dims)]
        rank = len(operands[0].dims)
        axis = self.attribute("axis", 1)
        if any(len(x.dims) != rank or x.dims[1:2] != [x.op.shape[0]] for x in operands) or axis not in (1, 1 - rank):
            raise Refused("only the channels of images or vectors can be put side by side")
        first = operands[0].op.shape
        if any(x.op.shape[1:] != first[1:] or x.dims[2:] != operands[0].dims[2:] for x in operands):
            raise Refused("its operands differ in height or width")
        channels = sum(x.op.shape[0] for x in operands)
        return [Tensor(self.make("concat", [x.op for x in operands], (channels, *first[1:])), [1, channels, *operands[0].dims[2:]])]

    # ---- the same values, seen otherwise -----------------------------------------------------------------------------------

    def seen_as(self, x, dims):
        if product(dims) != product(x.dims):
            raise Refused(f"a tensor of shape {shown(x.dims)} as {shown(dims)}")
        if list(dims) == list(x.dims) or x.op.shape[1:] == (1, 1):
            return [Tensor(x.op, list(dims))]
        if sum(d != 1 for d in dims) <= 1:
            return [Tensor(self.make("flatten", [x.op], (product(dims), 1, 1)), list(dims))]
        raise Refused(f"from shape {shown(x.dims)} to {shown(dims)}; only flattening can be said")

    def on_Reshape(self, x, wanted):
        wanted = self.constant(wanted, "shape").reshape(-1).tolist()
        if not all(isinstance(d, int) for d in wanted) or len(wanted) > 8 or wanted.count(-1) > 1:
            raise Refused(f"to the shape {shown(wanted)}")
        if not self.attribute("allowzero", 0):
            wanted = [x.dims[i] if d == 0 and i < len(x.dims) else d for i, d in enumerate(wanted)]
        rest = product(d for d in wanted if d != -1)
        if rest < 1 or product(x.dims) % rest:
            raise Refused(f"a tensor of shape {shown(x.dims)} as {shown(wanted)}")
        return self.seen_as(x, [product(x.dims) // rest if d == -1 else d for d in wanted])

    def on_Flatten(self, x):
        axis = self.attribute("axis", 1)
        if not -len(x.dims) <= axis <= len(x.dims):
            raise Refused(f"axis {axis} does not fit {len(x.dims)} dimensions")
        axis += len(x.dims) if axis < 0 else 0
        return self.seen_as(x, [product(x.dims[:axis]), product(x.dims[axis:])])

    def on_Squeeze(self, x, axes=None):
        ones = [i for i, d in enumerate(x.dims) if d == 1]
        chosen = self.axes(axes, ones, len(x.dims))
        if any(x.dims[i] != 1 for i in chosen):
            raise Refused(f"axes {shown(chosen)} of shape {shown(x.dims)} are not all one")
        return self.seen_as(x, [d for i, d in enumerate(x.dims) if i not in chosen])

    def on_Unsqueeze(self, x, axes=None):
        count = self.constant(axes, "axes").size if axes is not None else len(self.attribute("axes", []))
        if count > 4:
            raise Refused(f"{count} new axes")
        rank = len(x.dims) + count
        dims = list(x.dims)
        for axis in self.axes(axes, [], rank):
            dims.insert(axis, 1)
        return self.seen_as(x, dims)

    def on_Transpose(self, x):
        rank = len(x.dims)
        order = self.ints("perm", rank, list(range(rank))[::-1])
        if sorted(order) != list(range(rank)):
            raise Refused(f"perm is {shown(order)}")
        if [i for i in order if x.dims[i] != 1] != [i for i in range(rank) if x.dims[i] != 1]:
            raise Refused(f"the order {shown(order)} of shape {shown(x.dims)}; tensors stay (1, channels, height, width)")
        if x.op.shape[1:] != (1, 1) and order != list(range(rank)):
            raise Refused(f"the order {shown(order)} of shape {shown(x.dims)}")
        return [Tensor(x.op, [x.dims[i] for i in order])]

    def on_Identity(self, x):
        return [Tensor(x.op, x.dims)]

    def on_Dropout(self, x, ratio=None, training=None):
        if training is not None and self.number(training, "training mode"):
            raise Refused("it is in training mode; call model.eval() before the export")
        return [Tensor(x.op, x.dims)]

    def on_Cast(self, x):
        if self.attribute("to", 0) not in (FLOAT, HALF):
            raise Refused("only casts between floats leave the values alone")
        return [Tensor(x.op, x.dims)]

    def on_Shape(self, x):
        dims = numpy.array(x.dims if isinstance(x, Tensor) else x.shape, numpy.int64)
        return [dims[self.attribute("start", 0):self.attribute("end", len(dims))]]

    # ---- sizes -------------------------------------------------------------------------------------------------------------

    def on_Pad(self, x, pads=None, value=None, axes=None):
        channels, *size = self.image(x)
        if self.word_attribute("mode", "constant") != "constant":
            raise Refused(f"mode {shown(self.word_attribute('mode', 'constant'))}; only a constant can be padded with")
        amounts = self.constant(pads, "padding").reshape(-1).tolist() if pads is not None else self.attribute("pads", [])
        if axes is not None:
            chosen = [int(a) % 4 for a in self.constant(axes, "axes").reshape(-1)]
            if len(amounts) != 2 * len(chosen) or len(set(chosen)) != len(chosen):
                raise Refused(f"{len(amounts)} amounts for {len(chosen)} axes")
            full = [0] * 8
            for i, axis in enumerate(chosen):
                full[axis], full[axis + 4] = amounts[i], amounts[i + len(chosen)]
            amounts = full
        if len(amounts) != 8 or amounts[0] or amounts[4]:
            raise Refused(f"by {shown(amounts)}")
        self.small("padding", amounts, 0)
        value = self.number(value, "value", 0.0)
        if not math.isfinite(value):
            raise Refused("with a value that is not finite")
        result = [Tensor(x.op, x.dims)]
        if amounts[1] or amounts[5]:
            if value:
                raise Refused("channels of something else than zeros")
            channels += amounts[1] + amounts[5]
            result = self.as_image(self.make("pad_channels", [x.op], (channels, *size), {"before": amounts[1], "after": amounts[5]}))
        sides = (amounts[2], amounts[3], amounts[6], amounts[7])
        if any(sides):
            shape = (channels, size[0] + sides[0] + sides[2], size[1] + sides[1] + sides[3])
            result = self.as_image(self.make("pad", [result[0].op], shape, {"pad": sides, "value": value}))
        return result

    def on_Slice(self, x, starts=None, ends=None, axes=None, steps=None):
        rank = len(x.dims)
        lists = [self.constant(v, "range").reshape(-1).tolist() if v is not None else None for v in (starts, ends, axes, steps)]
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
                result = self.slice_channels(result, first, last - first)
            elif axis in (2, 3) and rank == 4 and (first, last) == (0, x.dims[axis]):
                every[axis - 2] = step
            else:
                raise Refused(f"from {first} to {last} in steps of {step} along axis {axis}; a run of channels, or every k-th row and column, can be said")
        if every != [1, 1]:
            if result.op.word == "subsample":
                every = [a * b for a, b in zip(every, result.op.settings["every"])]
                result = Tensor(result.op.inputs[0], [1, *result.op.inputs[0].shape])
            channels, height, width = self.image(result)
            shape = (channels, -(-height // every[0]), -(-width // every[1]))
            return self.as_image(self.make("subsample", [result.op], shape, {"every": self.small("steps", every, 1)}))
        return [result]

    def slice_channels(self, x, first, count):
        op = self.make("slice_channels", [x.op], (count, *x.op.shape[1:]), {"first": first, "count": count})
        return Tensor(op, [1, count, *x.dims[2:]])

    def on_Split(self, x, sizes=None):
        axis = self.attribute("axis", 0)
        if axis not in (1, 1 - len(x.dims)) or x.dims[1] != x.op.shape[0]:
            raise Refused(f"along axis {axis}; only channels can be split")
        parts = self.constant(sizes, "sizes").reshape(-1).tolist() if sizes is not None else self.attribute("split")
        if parts is None:
            count = self.attribute("num_outputs", len(self.node.outputs))
            each = -(-x.dims[1] // max(count, 1))
            parts = [max(min(each, x.dims[1] - i * each), 0) for i in range(len(self.node.outputs))]
        if not isinstance(parts, list) or len(parts) != len(self.node.outputs) or sum(parts) != x.dims[1] or min(parts) < 1:
            raise Refused(f"into {shown(parts)} of {x.dims[1]} channels")
        return [self.slice_channels(x, sum(parts[:i]), part) for i, part in enumerate(parts)]

    def on_Resize(self, x, region=None, scales=None, sizes=None):
        channels, *size = self.image(x)
        if self.attribute("axes") is not None or self.attribute("antialias", 0) or self.attribute("exclude_outside", 0):
            raise Refused("axes, antialias and exclude_outside cannot be said")
        if sizes is not None and sizes.size:
            wanted = self.constant(sizes, "sizes").reshape(-1).tolist()
            if len(wanted) != 4 or wanted[:2] != [1, channels]:
                raise Refused(f"to {shown(wanted)}")
            target = [int(v) for v in wanted[2:]]
            if self.word_attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
                raise Refused("keep_aspect_ratio_policy cannot be said")
        else:
            factors = self.constant(scales, "scales").reshape(-1).tolist() if scales is not None else []
            if len(factors) != 4 or factors[:2] != [1, 1] or not all(math.isfinite(f) and 0 < f < 1e4 for f in factors):
                raise Refused(f"by {shown(factors)}")
            exact = [s * f for s, f in zip(size, factors[2:])]
            target = [round(v) for v in exact]
            if any(abs(v - t) > 1e-3 for v, t in zip(exact, target)):
                raise Refused(f"by {shown(factors[2:])}, which gives no whole number of rows and columns")
        self.small("sizes", target, 1)
        mode = self.word_attribute("mode", "nearest")
        where = self.word_attribute("coordinate_transformation_mode", "half_pixel")
        whole = all(t % s == 0 for s, t in zip(size, target))
        settings = {"size": target, "bilinear": mode == "linear", "align_corners": where == "align_corners"}
        if mode == "nearest":
            settings["align_corners"] = False
            rounding = self.word_attribute("nearest_mode", "round_prefer_floor")
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
        return self.as_image(self.make("upsample", [x.op], (channels, *target), settings))

    # ---- constants ---------------------------------------------------------------------------------------------------------

    def on_Constant(self, *_):
        for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
            if name in self.node.attributes:
                value = self.attribute(name)
                return [value if isinstance(value, numpy.ndarray) else numpy.array(value, numpy.float32 if "float" in name else numpy.int64)]
        raise Refused("without a value of numbers")

    def on_ConstantOfShape(self, shape):
        raise Refused("of a computed shape")

    on_Gather = on_Range = on_Expand = on_Floor = on_Ceil = on_Neg = on_Sqrt = on_Reciprocal = None

    def fold(self, node, operands):
        """A node of constants. Results may not grow without limit: shapes and small tables, and weights seen otherwise."""
        if node.operator == "Constant":
            return self.on_Constant()
        x = operands[0] if operands else None
        rest = operands[1:]
        if x is None:
            raise Refused("without operands")
        try:
            with numpy.errstate(all="ignore"):
                result = self.folded(node.operator, x, rest, operands)
        except (ValueError, IndexError, TypeError, OverflowError, MemoryError, ZeroDivisionError) as problem:
            raise Refused(f"of constants that do not fit ({shown(problem, 80)})") from None
        if result is None:
            raise Refused("of constants alone")
        return [numpy.asarray(r) for r in (result if isinstance(result, list) else [result])]

    def folded(self, operator, x, rest, operands):
        if operator in ("Identity", "Dropout"):
            return x
        if operator == "Cast":
            kinds = {1: "f4", 10: "f2", 11: "f8", 6: "i4", 7: "i8", 9: "?", 2: "u1", 3: "i1"}
            kind = self.attribute("to", 0)
            self.bound(x.size)
            return x.astype(kinds[kind]) if kind in kinds else None
        if operator == "Reshape":
            wanted = rest[0].reshape(-1).tolist()
            wanted = [x.shape[i] if d == 0 and i < x.ndim else d for i, d in enumerate(wanted)]
            return x.reshape(wanted)
        if operator == "Flatten":
            axis = self.attribute("axis", 1)
            return x.reshape(product(x.shape[:axis]), -1)
        if operator == "Transpose":
            return x.transpose(self.attribute("perm"))
        if operator == "Squeeze":
            ones = [i for i, d in enumerate(x.shape) if d == 1]
            return x.squeeze(tuple(self.axes(rest[0] if rest else None, ones, x.ndim)))
        if operator == "Unsqueeze":
            axes = rest[0] if rest else None
            count = axes.size if axes is not None else len(self.attribute("axes", []))
            for axis in self.axes(axes, [], min(x.ndim + count, 8)):
                x = numpy.expand_dims(x, axis)
            return x
        if operator == "Gather":
            return numpy.take(x, rest[0], axis=self.attribute("axis", 0)) if rest[0].size <= 4096 and x.size <= 2 ** 20 else None
        if operator == "Concat":
            self.bound(sum(o.size for o in operands))
            return numpy.concatenate(operands, axis=self.attribute("axis", 0))
        if operator == "Slice":
            begin, end = rest[0].reshape(-1).tolist(), rest[1].reshape(-1).tolist()
            axes = rest[2].reshape(-1).tolist() if len(rest) > 2 and rest[2] is not None else list(range(len(begin)))
            steps = rest[3].reshape(-1).tolist() if len(rest) > 3 and rest[3] is not None else [1] * len(begin)
            cut = [slice(None)] * x.ndim
            for b, e, a, s in zip(begin, end, axes, steps):
                cut[a] = slice(b, e if abs(e) < 2 ** 62 else None, s)
            return x[tuple(cut)]
        if operator == "ConstantOfShape":
            value = self.attribute("value")
            fill = value.reshape(-1)[0] if isinstance(value, numpy.ndarray) else numpy.float32(0)
            shape = [int(d) for d in x.reshape(-1)]
            self.bound(product(shape))
            return numpy.full(shape, fill)
        if operator == "Expand":
            shape = numpy.broadcast_shapes(x.shape, tuple(int(d) for d in rest[0].reshape(-1)))
            self.bound(product(shape))
            return numpy.broadcast_to(x, shape)
        if operator == "Range":
            begin, end, step = (o.reshape(-1)[0] for o in operands)
            self.bound(abs((float(end) - float(begin)) / float(step)))
            return numpy.arange(begin, end, step, dtype=x.dtype)
        alone = {"Floor": numpy.floor, "Ceil": numpy.ceil, "Neg": numpy.negative, "Sqrt": numpy.sqrt, "Reciprocal": numpy.reciprocal}
        if operator in alone:
            self.bound(x.size)
            return alone[operator](x)
        if operator in ("Add", "Sub", "Mul", "Div"):
            y = rest[0]
            self.bound(product(numpy.broadcast_shapes(x.shape, y.shape)))
            if operator == "Div" and x.dtype.kind in "iu":
                return (x // y).astype(x.dtype)
            return {"Add": numpy.add, "Sub": numpy.subtract, "Mul": numpy.multiply, "Div": numpy.divide}[operator](x, y)
        return None

    def bound(self, count):
        if not count <= self.left_to_fold:
            raise Refused(f"of constants would hold {count:.3g} values, all folded ones at most {MOST_FOLDED}")
        self.left_to_fold -= int(count)


def named_operators():
    """The operators that are understood, for the documentation and for messages."""
    return sorted(name[3:] for name in vars(Lowering) if name.startswith("on_"))


def reachable(targets):
    found, stack = set(), list(targets)
    while stack:
        op = stack.pop()
        if op not in found:
            found.add(op)
            stack += op.inputs
    return found


def in_order(targets):
    """All ops that the targets need, operands first."""
    order, done, stack = [], set(), [(op, False) for op in reversed(targets)]
    while stack:
        op, seen = stack.pop()
        if seen:
            order.append(op)
        elif op not in done:
            done.add(op)
            stack.append((op, True))
            stack += [(x, False) for x in reversed(op.inputs) if x not in done]
    return order


def merge_prefixes(network):
    """concat(a, b, c) reads concat(a, b) where that exists, as dense blocks are meant; the values are the same."""
    made = {}
    for op in in_order([op for _, op in network.outputs]):
        if op.word != "concat" or len(op.inputs) > 512:
            continue
        operands = tuple(op.inputs)
        for length in range(len(operands) - 1, 1, -1):
            if (whole := made.get(operands[:length])) is not None:
                op.inputs = [whole, *operands[length:]]
                break
        made.setdefault(operands, op)


def lower(model, given_shapes=None):
    """A `Network` of words. Raises `Unsupported` (one line a node) or `OnnxError`."""
    network = Lowering(model, given_shapes or {}).run()
    merge_prefixes(network)
    count = len(reachable([op for _, op in network.outputs]))
    if count > MOST_OPS:
        raise OnnxError(f"the network would have {count} words, at most {MOST_OPS} are written")
    return network
