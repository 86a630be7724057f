# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""From an ONNX graph to words of the language: the way through the graph. The operators' handlers stand in onnx_windows.py, onnx_layers.py,
onnx_arithmetic.py, onnx_views.py, onnx_sizes.py and onnx_constants.py.

`lower(model)` returns a `Network` of `Op`s, or raises `Unsupported` with everything that cannot be said at once. Sizes are
(channels, height, width); the batch is one. Nothing here knows how the words are written down (tools/words_writer.py does).
"""
import dataclasses
import heapq
import inspect

import numpy

import onnx_arithmetic  # noqa: F401 (each of these modules enters its operators into HANDLERS)
import onnx_constants
import onnx_layers  # noqa: F401
import onnx_sizes  # noqa: F401
import onnx_views
import onnx_windows  # noqa: F401
from onnx_file import OnnxError, shown
from onnx_operator import FLOAT, HALF, HANDLERS, MOST_ELEMENTS, LoweredNode, Op, Refused, Tensor, product

OLDEST_OPSET, NEWEST_OPSET = 11, 25
MOST_OPS = 4000


class Unsupported(OnnxError):
    """Nodes that the language has no words for; `lines` holds one for each."""

    def __init__(self, lines):
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclasses.dataclass
class Network:
    inputs: list  # Ops of word "input", in the file's order, those that are read
    outputs: list  # (name, Op)
    values: dict  # tensor name -> Op
    unread: list  # names of inputs that nothing reads


class Failed:
    """The result of a node that cannot be said."""


class Lowering:
    def __init__(self, model, given_shapes):
        self.model = model
        self.values = dict(model.tensors)
        self.given = given_shapes
        self.node = LoweredNode(model.opset)

    def run(self):
        if not OLDEST_OPSET <= self.model.opset <= NEWEST_OPSET:
            raise OnnxError(f"the file uses operator set {self.model.opset}; {OLDEST_OPSET} to {NEWEST_OPSET} are understood "
                            f"(torch.onnx.export(..., opset_version={max(OLDEST_OPSET, 13)}))")
        inputs = self.declare_inputs()
        order = self.sorted_nodes()
        problems, unchecked = [], 0
        for node in order:
            self.node.proto = node
            known = node.domain in ("", "ai.onnx") and node.operator in HANDLERS
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
        names = [op.settings["name"] for op in ops]
        for name in self.given:
            if name not in names:
                raise OnnxError(f"--shape {shown(name)}: the file has no such input; its inputs are {', '.join(map(shown, names))}")
        return ops

    def input_dims(self, value):
        given = self.given.get(value.name)
        if given is not None:
            dims = [1, *given]
            known = value.shape and list(value.shape[1:])
            if known and (len(known) != len(given) or any(k is not None and k >= 0 and k != g for k, g in zip(known, given))):
                sizes = ", ".join("open" if k is None or k < 0 else str(k) for k in known)
                raise OnnxError(f"--shape {shown(value.name)}={','.join(map(str, given))}: the file says ({sizes}) behind the batch")
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
            if len(operands) != 1 or operands[0] is None:
                raise Refused(f"{len(operands)} operands were found, expected 1")
            return onnx_views.shape(self.node, *operands)
        if all(x is None or isinstance(x, numpy.ndarray) for x in operands):
            return onnx_constants.fold(self.node, operands)
        handler = HANDLERS[node.operator]
        if handler is None:
            raise Refused("of a computed tensor")
        self.check_operands(node, handler, operands)
        return handler(self.node, *operands)

    @staticmethod
    def check_operands(node, handler, operands):
        wanted = list(inspect.signature(handler).parameters.values())[1:]
        least = sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in wanted)
        open_end = any(p.kind is p.VAR_POSITIONAL for p in wanted)
        if len(operands) < max(least, 1) or (len(operands) > len(wanted) and not open_end):
            raise Refused(f"{len(operands)} operands were found, expected {max(least, 1)}" + (" or more" if open_end else f" to {len(wanted)}"))
        if any(x is None for x in (operands if open_end else operands[:least])):
            raise Refused("an operand it needs is left out")
        if not isinstance(operands[0], Tensor) and node.operator not in ("Add", "Sub", "Mul", "Sum", "Concat"):
            raise Refused("its first operand is a constant")


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
