# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Builds a PyTorch module from a network's JSON, as `splitdsl::describe<Net>(format::json)` writes it.

The C++ declaration is the one source of truth: this file knows the words of the language, never a network.

    graph = load_graph("driver.json")
    model = GraphModule(graph)
    control = model({"camera": frames, "speed": speeds, "command": commands})["output"]

Inputs carry a batch dimension in front: images (batch, channels, height, width), or (batch, height, width, channels) where the
declaration says hwc, and vectors (batch, count). The module's `state_dict` names are the names of the weights file.
"""
import json
import math

import torch
from torch import nn
from torch.nn import functional

from factorised_prior import FactorisedPrior


def load_graph(path):
    """Reads a graph and checks what the rest of this file relies on: operands stand before their readers."""
    with open(path, encoding="utf-8") as file:
        try:
            graph = json.load(file)
            graph["ops"], graph["parameters"]
        except (ValueError, RecursionError, KeyError, TypeError) as problem:
            raise ValueError(f"{path}: expected what describe<Net>(format::json) prints, found something else ({type(problem).__name__}: {problem})") from None
    for position, op in enumerate(graph["ops"]):
        if op["index"] != position:
            raise ValueError(f"{path}: op {position} says its index is {op['index']}")
        for operand in op["inputs"]:
            if not 0 <= operand < position:
                raise ValueError(f"{path}: op {position} ({op['kind']}) reads op {operand}, which does not stand before it")
    return graph


def affine_quantise(x, levels=255, ends=None):
    """BottleFit's min/max affine quantiser and its inverse, one range per sample, or that of `ends` (least and largest value); the gradient passes straight through.

    Single IEEE operations in the codec's order: scale = (max - min) / levels, zero_point = int(clamp(-min / scale)),
    code = round_half_even(clamp(zero_point + x / scale)), value = (code - zero_point) * scale. A constant tensor is kept exactly
    (scale = its magnitude) and what is too small for a scale becomes 0, as in codec/affine.hpp; that file's rules for infinities,
    NaN and huge values are not repeated here.
    """
    with torch.no_grad():
        flat = x.reshape(x.shape[0], -1)
        low, high = (flat.min(1).values, flat.max(1).values) if ends is None else (end.expand(x.shape[0]) for end in ends)
        scale = (high - low) / levels
        tiny = torch.finfo(torch.float32).tiny
        magnitude = torch.maximum(torch.maximum(low, -high), torch.zeros_like(low))  # of the end nearest to zero
        magnitude = torch.where(magnitude >= tiny, magnitude, torch.ones_like(magnitude))
        scale = torch.where(scale >= tiny, scale, magnitude)
        zero = torch.trunc(torch.clamp(-low / scale, 0, levels))
        shape = (-1,) + (1,) * (x.dim() - 1)
        scale, zero = scale.reshape(shape), zero.reshape(shape)
        decoded = (torch.round(torch.clamp(zero + x / scale, 0, levels)) - zero) * scale
    return x + (decoded - x).detach() if x.requires_grad else decoded


def through_half(x):
    rounded = x.detach().half().float()
    return x + (rounded - x).detach() if x.requires_grad else rounded


LEVELS = {"affine_u8": 255, "affine_u16": 65535}
CODECS = {**{name: lambda x, n=n: affine_quantise(x, n) for name, n in LEVELS.items()}, "f16": through_half, "f32": lambda x: x}

ELEMENTWISE = {
    "relu": functional.relu, "relu6": functional.relu6, "hard_swish": functional.hardswish,
    "hard_sigmoid": functional.hardsigmoid, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
}
ALIASES = {"identity", "cut", "from", "output"}


def sides(op):
    """Padding in the order functional.pad takes it: left, right, top, bottom."""
    top, left, bottom, right = op["padding"]
    return left, right, top, bottom


def even_padding(op):
    """(vertical, horizontal) if both ends are padded alike, else None."""
    top, left, bottom, right = op["padding"]
    return (top, left) if top == bottom and left == right else None


def weighted_module(op, in_shape):
    """The torch module that holds an op's weights, or None."""
    kind, channels = op["kind"], in_shape[0] if in_shape else 0
    if kind == "conv":
        return nn.Conv2d(channels, op["out"], op["kernel"], op["stride"], even_padding(op) or 0, op["dilation"], op["groups"], op["bias"])
    if kind == "conv_transpose":
        return nn.ConvTranspose2d(channels, op["out"], op["kernel"], op["stride"], even_padding(op) or 0,
                                  op["output_padding"], 1, op["bias"], op["dilation"])
    if kind == "dense":
        return nn.Linear(channels, op["out"], op["bias"])
    if kind == "batch_norm":
        return nn.BatchNorm2d(channels, eps=op["eps"])
    if kind == "gdn":
        return Divisive(channels, op["squared"], op["inverse"])
    return None


class Divisive(nn.Module):
    """Generalised divisive normalisation and its inverse."""

    def __init__(self, channels, squared, inverse):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(0.1 * torch.eye(channels)), nn.Parameter(torch.ones(channels))
        self.squared, self.inverse = squared, inverse

    def forward(self, x):
        norm = functional.conv2d(x * x if self.squared else x.abs(), self.gamma[:, :, None, None], self.beta)
        norm = norm.sqrt() if self.squared else norm
        return x * norm if self.inverse else x / norm


class CalibratedRange(nn.Module):
    """An affine codec whose range is `NAME.range` of the weights file. (0, 0) until calibration has found it: the range of each sample meanwhile."""

    def __init__(self, levels):
        super().__init__()
        self.register_buffer("range", torch.zeros(2))
        self.levels = levels

    def forward(self, x):
        return affine_quantise(x, self.levels, self.range if self.range[0] < self.range[1] else None)


class GraphModule(nn.Module):
    """A network as a module; see the head of this file.

    `without`: residual additions (op indices) to leave out: the addition passes its shortcut on and its branch is not computed.
    `quantise`: whether codecs act. They are part of the network; switch them off only while pre-training.
    `channel`: what a codec's values meet on their way, a function of a tensor (noisy_channel.py); none: they arrive as they left.
    """

    def __init__(self, graph):
        super().__init__()
        self.graph = graph
        self.ops = graph["ops"]
        self.without = set()
        self.quantise = True
        self.channel = None
        self.places = {}
        for op in self.ops:
            shape = self.ops[op["inputs"][0]]["shape"] if op["inputs"] else None
            module = weighted_module(op, shape)
            if op.get("prior"):
                self.places[op["index"]] = self.adopt(op["prior"].removesuffix("."), FactorisedPrior(shape[0]))
            elif op["kind"] == "quantise" and op.get("calibrated"):
                self.places[op["index"]] = self.adopt(op["name"], CalibratedRange(LEVELS[op["codec"]]))
            elif op["kind"] == "l2_normalise":
                self.places[op["index"]] = self.adopt_factor(op["name"], shape[0])
            elif module is not None:
                self.places[op["index"]] = self.adopt(op["name"], module)
        self.check_parameters()

    def adopt(self, name, module):
        """Puts a module where its dotted name says; an equal name means the same weights."""
        holder, parts = self, name.split(".")
        for part in parts[:-1]:
            if part not in holder._modules:
                holder.add_module(part, nn.Module())
            holder = holder._modules[part]
        present = holder._modules.get(parts[-1])
        if present is None:
            holder.add_module(parts[-1], module)
            return module
        if type(present) is nn.Module:  # a scope was here first: keep what is inside
            for child, inside in present._modules.items():
                module.add_module(child, inside)
            holder._modules[parts[-1]] = module
            return module
        if type(present) is not type(module) or [p.shape for p in present.parameters()] != [p.shape for p in module.parameters()]:
            raise ValueError(f"two layers are called {name} but differ in kind or shape")
        return present

    def adopt_factor(self, name, channels):
        """A parameter that has a dotted name to itself; returns what reads it."""
        holder, parts = self, name.split(".")
        for part in parts[:-1]:
            if part not in holder._modules:
                holder.add_module(part, nn.Module())
            holder = holder._modules[part]
        if parts[-1] not in holder._parameters:
            holder.register_parameter(parts[-1], nn.Parameter(torch.ones(channels)))
        return lambda: holder._parameters[parts[-1]]

    def check_parameters(self):
        wanted = {p["name"]: tuple(p["shape"]) for p in self.graph.get("parameters", [])}
        priors = tuple({op["prior"] for op in self.ops if op.get("prior")})  # their layers are not deployed, and their rows have the length they need
        found = {n: tuple(t.shape) for n, t in self.state_dict().items() if not n.endswith("num_batches_tracked") and not (priors and n.startswith(priors))}
        wanted = {n: shape for n, shape in wanted.items() if not (priors and n.startswith(priors))}
        if wanted and wanted != found:
            differing = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
            raise ValueError("graph and module disagree on parameters: " +
                             ", ".join(f"{n} (graph {wanted.get(n)}, module {found.get(n)})" for n in differing[:8]))

    def forward(self, inputs, **options):
        """All outputs by name."""
        outputs = self.graph["outputs"]
        return dict(zip((o["name"] for o in outputs), self.run(inputs, [o["op"] for o in outputs], **options)))

    def run(self, inputs, wanted, given=None):
        """Values of the ops `wanted`. `given` holds values already known by op index: their operands are not computed."""
        values = dict(given or {})
        stack = list(wanted)
        while stack:
            index = stack[-1]
            if index in values:
                stack.pop()
                continue
            op = self.ops[index]
            operands = op["inputs"][1:] if index in self.without else op["inputs"]
            missing = [o for o in operands if o not in values]
            if missing:
                stack.extend(missing)
                continue
            values[index] = self.apply_op(op, [values[o] for o in operands], inputs)
            stack.pop()
        return [values[index] for index in wanted]

    def apply_op(self, op, x, inputs):
        kind = op["kind"]
        if kind == "input":
            return self.take_input(op, inputs)
        if kind == "normalise":
            return self.normalise(op, x[0])
        if kind == "l2_normalise":
            return functional.normalize(x[0], dim=1, eps=op["eps"]) * self.places[op["index"]]().reshape(1, -1, 1, 1)
        if kind == "quantise":
            return self.cross(op, x[0])
        if op["index"] in self.places:
            return self.weighted(op, x[0])
        if kind in ELEMENTWISE:
            return ELEMENTWISE[kind](x[0])
        if kind in ALIASES:
            return x[0]
        if kind == "leaky_relu":
            return functional.leaky_relu(x[0], op["slope"])
        if kind == "softmax":
            return torch.softmax(x[0], 1)
        if kind == "max_pool":
            padding = even_padding(op)
            source = x[0] if padding is not None else functional.pad(x[0], sides(op), value=-math.inf)
            return functional.max_pool2d(source, op["kernel"], op["stride"], padding or 0, ceil_mode=op["ceil"])
        if kind == "avg_pool":
            return self.avg_pool(op, x[0])
        if kind == "global_pool":
            return x[0].mean((2, 3), keepdim=True)
        if kind == "upsample":
            size = op["shape"][1:]
            if op["mode"] == "nearest":
                return functional.interpolate(x[0], size, mode="nearest")
            return functional.interpolate(x[0], size, mode="bilinear", align_corners=op["align_corners"])
        if kind == "pad":
            return functional.pad(x[0], sides(op), value=op.get("value", 0.0))
        if kind == "pad_channels":
            return functional.pad(x[0], (0, 0, 0, 0, op["before"], op["after"]))
        if kind == "slice_channels":
            return x[0][:, op["first"]:op["first"] + op["count"]]
        if kind == "radix_softmax":
            batch, channels, height, width = x[0].shape
            splits = x[0].reshape(batch, op["cardinality"], op["radix"], -1, height, width).transpose(1, 2)
            return torch.softmax(splits, 1).reshape(batch, channels, height, width)
        if kind == "subsample":
            return x[0][:, :, ::op["stride"][0], ::op["stride"][1]]
        if kind == "flatten":
            return x[0].reshape(x[0].shape[0], -1, 1, 1)
        if kind == "add":
            return sum(x[1:], x[0])
        if kind == "multiply":
            return torch.mul(x[0], x[1])
        if kind == "concat":
            return torch.cat(x, 1)
        if kind == "select":
            return self.select(op, x)
        raise ValueError(f"op {op['index']} is a {kind}, which tools/splitdsl_torch.py does not know")

    def cross(self, op, x):
        """A codec, of which those with numbers of their own are modules, and the channel behind it."""
        if self.quantise:
            x = (self.places[op["index"]] if op["index"] in self.places else CODECS[op["codec"]])(x)
        return self.channel(x) if self.channel else x

    @staticmethod
    def take_input(op, inputs):
        if op["name"] not in inputs:
            raise ValueError(f"the network reads input {op['name']}, given were {sorted(inputs)}")
        x = inputs[op["name"]]
        if op.get("layout") == "hwc":
            x = x.permute(0, 3, 1, 2)
        shape = tuple(op["shape"])
        x = x.reshape(x.shape[0], *shape) if x.dim() == 2 and x.shape[1] == math.prod(shape) else x
        if tuple(x.shape[1:]) != shape:
            raise ValueError(f"input {op['name']} is {tuple(x.shape[1:])}, the network declares {shape}")
        return x

    def normalise(self, op, x):
        raw = self.ops[op["inputs"][0]]
        channels = x.shape[1]
        mean, deviation = (torch.tensor(op[of][:channels], device=x.device).reshape(1, -1, 1, 1) for of in ("mean", "std"))
        x = x.float() / 255 if raw.get("dtype") == "u8" else x.float()
        return (x - mean) / deviation

    def weighted(self, op, x):
        module = self.places[op["index"]]
        if op["kind"] == "dense":
            return functional.linear(x.flatten(1), module.weight, module.bias)[:, :, None, None]
        if op["kind"] in ("conv", "conv_transpose") and even_padding(op) is None:
            if op["kind"] == "conv":
                return module(functional.pad(x, sides(op)))
            left, right, top, bottom = sides(op)
            y = module(x)
            return y[:, :, top:y.shape[2] - bottom, left:y.shape[3] - right]
        return module(x)

    @staticmethod
    def avg_pool(op, x):
        padding, counts = even_padding(op), op["count_include_pad"]
        if padding is not None:
            return functional.avg_pool2d(x, op["kernel"], op["stride"], padding, op["ceil"], counts)
        pooled = functional.avg_pool2d(functional.pad(x, sides(op)), op["kernel"], op["stride"], 0, op["ceil"])
        if counts:
            return pooled
        inside = functional.pad(torch.ones_like(x[:1, :1]), sides(op))
        return pooled / functional.avg_pool2d(inside, op["kernel"], op["stride"], 0, op["ceil"])

    @staticmethod
    def select(op, x):
        command, branches = x[0].reshape(-1).long(), x[1:]
        if command.numel() and not 0 <= int(command.min()) <= int(command.max()) < len(branches):
            raise ValueError(f"a command lies outside 0 to {len(branches) - 1}")
        return torch.stack(branches, 1)[torch.arange(command.numel(), device=command.device), command]


def last_op_before(graph, prefix):
    """Index of the op that feeds the first weighted op whose name begins with `prefix`: where one part ends and the next begins."""
    for op in graph["ops"]:
        if op["name"].startswith(prefix) and op["inputs"]:
            return op["inputs"][0]
    raise ValueError(f"no op's name begins with {prefix}")
