# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators that see the same values otherwise: shapes, axes, types."""
import numpy

from onnx_file import shown
from onnx_operator import FLOAT, HALF, Refused, Tensor, operator, product


def seen_as(node, x, dims):
    if product(dims) != product(x.dims):
        raise Refused(f"a tensor of shape {shown(x.dims)} as {shown(dims)}")
    if list(dims) == list(x.dims) or x.op.shape[1:] == (1, 1):
        return [Tensor(x.op, list(dims))]
    if sum(d != 1 for d in dims) <= 1:
        return [Tensor(node.make("flatten", [x.op], (product(dims), 1, 1)), list(dims))]
    raise Refused(f"from shape {shown(x.dims)} to {shown(dims)}; only flattening can be said")


@operator("Reshape")
def reshape(node, x, wanted):
    wanted = node.constant(wanted, "shape").reshape(-1).tolist()
    if not all(isinstance(d, int) for d in wanted) or len(wanted) > 8 or wanted.count(-1) > 1:
        raise Refused(f"to the shape {shown(wanted)}")
    if not node.attribute("allowzero", 0):
        wanted = [x.dims[i] if d == 0 and i < len(x.dims) else d for i, d in enumerate(wanted)]
    rest = product(d for d in wanted if d != -1)
    if rest < 1 or product(x.dims) % rest:
        raise Refused(f"a tensor of shape {shown(x.dims)} as {shown(wanted)}")
    return seen_as(node, x, [product(x.dims) // rest if d == -1 else d for d in wanted])


@operator("Flatten")
def flatten(node, x):
    axis = node.attribute("axis", 1)
    if not -len(x.dims) <= axis <= len(x.dims):
        raise Refused(f"axis {axis} does not fit {len(x.dims)} dimensions")
    axis += len(x.dims) if axis < 0 else 0
    return seen_as(node, x, [product(x.dims[:axis]), product(x.dims[axis:])])


@operator("Squeeze")
def squeeze(node, x, axes=None):
    ones = [i for i, d in enumerate(x.dims) if d == 1]
    chosen = node.axes(axes, ones, len(x.dims))
    if any(x.dims[i] != 1 for i in chosen):
        raise Refused(f"axes {shown(chosen)} of shape {shown(x.dims)} are not all one")
    return seen_as(node, x, [d for i, d in enumerate(x.dims) if i not in chosen])


@operator("Unsqueeze")
def unsqueeze(node, x, axes=None):
    count = node.constant(axes, "axes").size if axes is not None else len(node.attribute("axes", []))
    if count > 4:
        raise Refused(f"{count} new axes")
    rank = len(x.dims) + count
    dims = list(x.dims)
    for axis in node.axes(axes, [], rank):
        dims.insert(axis, 1)
    return seen_as(node, x, dims)


@operator("Transpose")
def transpose(node, x):
    rank = len(x.dims)
    order = node.ints("perm", rank, list(range(rank))[::-1])
    if sorted(order) != list(range(rank)):
        raise Refused(f"perm is {shown(order)}")
    if [i for i in order if x.dims[i] != 1] != [i for i in range(rank) if x.dims[i] != 1]:
        raise Refused(f"the order {shown(order)} of shape {shown(x.dims)}; tensors stay (1, channels, height, width)")
    if x.op.shape[1:] != (1, 1) and order != list(range(rank)):
        raise Refused(f"the order {shown(order)} of shape {shown(x.dims)}")
    return [Tensor(x.op, [x.dims[i] for i in order])]


@operator("Identity")
def identity(node, x):
    return [Tensor(x.op, x.dims)]


@operator("Dropout")
def dropout(node, x, ratio=None, training=None):
    if training is not None and node.number(training, "training mode"):
        raise Refused("it is in training mode; call model.eval() before the export")
    return [Tensor(x.op, x.dims)]


@operator("Cast")
def cast(node, x):
    if node.attribute("to", 0) not in (FLOAT, HALF):
        raise Refused("only casts between floats leave the values alone")
    return [Tensor(x.op, x.dims)]


@operator("Shape")
def shape(node, x):
    dims = numpy.array(x.dims if isinstance(x, Tensor) else x.shape, numpy.int64)
    return [dims[node.attribute("start", 0):node.attribute("end", len(dims))]]
