# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""From a graph of ops to nested expressions: what is a sequence, what branches inside a join, what needs tap and from.

An expression is a list of `Item`s; each reads the one before it, the first reads what enters. A join's branches begin at its
nearest common dominator, so that `residual(branch)` comes out where one was meant; only tensors that several branches share beyond
that are tapped.
"""
import dataclasses

from onnx_file import OnnxError, shown
from onnx_lowering import in_order
from onnx_operator import Op

JOINS = ("add", "multiply", "concat", "tasks")


@dataclasses.dataclass(eq=False)
class Item:
    """One word of a sequence, or `from` (word "from", op: what it names)."""
    op: Op
    word: str
    branches: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Structure:
    items: list
    order: list     # ops as they are written
    tapped: set     # ops that `from` names


class Builder:
    def __init__(self, target):
        self.ops = in_order([target])
        self.home, self.dominator, self.depth = {}, {}, {}
        inputs = [op for op in self.ops if op.word == "input"]
        self.rank = {op: i for i, op in enumerate(inputs)}
        for op in self.ops:
            self.place(op)
        self.emitted, self.order, self.tapped = set(), [], set()

    def place(self, op):
        """Ops belong to the first input they depend on; dominators are found among those of one input."""
        if op.word == "input":
            self.home[op], self.dominator[op], self.depth[op] = op, None, 0
            return
        home = min((self.home[x] for x in op.inputs), key=self.rank.__getitem__)
        common = None
        for x in op.inputs:
            if self.home[x] is home:
                common = x if common is None else self.meet(common, x)
        self.home[op], self.dominator[op], self.depth[op] = home, common, self.depth[common] + 1

    def meet(self, x, y):
        while x is not y:
            if self.depth[x] < self.depth[y]:
                x, y = y, x
            x = self.dominator[x]
        return x

    def is_above(self, x, y):
        """Whether x dominates y or is y."""
        while y is not None and self.depth[y] > self.depth[x]:
            y = self.dominator[y]
        return x is y

    def sequence(self, entry, target):
        """The items between what enters and a target; None enters the whole network."""
        spine, current = [], target
        while current is not entry and current not in self.emitted:
            spine.append(current)
            if current.word == "input":
                break
            above = self.dominator[current]
            inside = entry is None or self.home[entry] is not self.home[current] or self.is_above(entry, above)
            if current.word in JOINS:
                current = above if inside else entry
            else:
                current = current.inputs[0]
        items, before = [], current
        if spine and spine[-1].word == "input":
            before = spine.pop()
            self.emitted.add(before)
            self.order.append(before)
            items.append(Item(before, "input"))
        elif current is not entry:
            self.tapped.add(current)
            items.append(Item(current, "from"))
        for op in reversed(spine):
            item = Item(op, op.word)
            if op.word in JOINS:
                item.branches = [self.sequence(before, x) for x in op.inputs]
            items.append(item)
            self.emitted.add(op)
            self.order.append(op)
            before = op
        return items


def build(outputs):
    """The `Structure` of a network's outputs, [(name, op)]."""
    if len(outputs) == 1:
        target = outputs[0][1]
    else:
        target = Op("tasks", [op for _, op in outputs], outputs[0][1].shape, {"names": [name for name, _ in outputs]})
    builder = Builder(target)
    items = builder.sequence(None, target)
    return Structure(items, builder.order, builder.tapped)


@dataclasses.dataclass
class Candidate:
    op: Op
    payload: int            # bytes as f32, inputs that are read behind it included
    encoded: int            # the same with affine_u8 for the tensor itself


def candidates(structure, outputs):
    """Where the network can be cut with one tensor (and inputs) crossing, in the order of the words."""
    order = [op for op in structure.order if op.word != "tasks"]
    at = {op: i for i, op in enumerate(order)}
    last = {op: -1 for op in order}
    for op in order:
        for x in op.inputs:
            last[x] = max(last[x], at[op])
    for _, op in outputs:
        last[op] = len(order)
    found, live = [], set()
    for i, op in enumerate(order[:-1]):
        live = {x for x in live if last[x] > i}
        if last[op] > i:
            live.add(op)
        crossing = [x for x in live if x.word not in ("input",)]
        if crossing != [op] or op.word in ("cut", "normalise") or last[op] == len(order):
            continue
        beside = sum(bytes_of_input(x) for x in order if x.word == "input" and last[x] > i)
        size = op.shape[0] * op.shape[1] * op.shape[2]
        found.append(Candidate(op, 4 * size + beside, size + 8 + beside))
    return found


def bytes_of_input(op):
    return op.shape[0] * op.shape[1] * op.shape[2] * (1 if op.settings.get("u8") else 4)


def worth_showing(found, order):
    """Candidates with a smaller payload than every earlier one; of a layer and its activation, the later."""
    readers = {}
    for op in order:
        for x in op.inputs:
            readers.setdefault(x, []).append(op)
    best, result = None, []
    for c in found:
        following = readers.get(c.op, [])
        if len(following) == 1 and following[0].word in ACTIVATIONS and len(following[0].inputs) == 1:
            continue
        if best is None or c.payload < best:
            best = c.payload
            result.append(c)
    return result


ACTIVATIONS = {"batch_norm", "affine", "relu", "relu6", "leaky_relu", "hard_swish", "hard_sigmoid", "sigmoid", "tanh", "flatten"}


def insert_cut(op, name, outputs):
    """Everything that read `op` reads a cut behind it."""
    cut = Op("cut", [op], op.shape, {"name": name})
    for other in in_order([target for _, target in outputs]):
        if op in other.inputs:
            other.inputs = [cut if x is op else x for x in other.inputs]
    return cut


def find_cut(text, network, found):
    """(candidate, name or None) of one --cut argument: a tensor's name, and after a colon perhaps the cut's."""
    tensor, name = text, None
    if tensor not in network.values and ":" in text:
        tensor, name = text.rsplit(":", 1)
    if tensor not in network.values:
        raise OnnxError(f"--cut {shown(text)}: the network has no tensor of that name that became a word's result; --list-cuts shows what there is")
    for candidate in found:
        if candidate.op is network.values[tensor]:
            return candidate, name
    raise OnnxError(f"--cut {shown(text)}: other tensors would cross beside this one, or nothing is computed on one side of it; --list-cuts shows where a cut is possible")
