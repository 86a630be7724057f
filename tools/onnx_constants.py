# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""ONNX operators of constants alone, which are calculated at once: shapes, small tables, weights seen otherwise."""
import numpy

from onnx_file import shown
from onnx_operator import Refused, of_constants_only, operator, product


@operator("Constant")
def constant(node, *_):
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in node.proto.attributes:
            value = node.attribute(name)
            return [value if isinstance(value, numpy.ndarray) else numpy.array(value, numpy.float32 if "float" in name else numpy.int64)]
    raise Refused("without a value of numbers")


@operator("ConstantOfShape")
def constant_of_shape(node, shape):
    raise Refused("of a computed shape")


of_constants_only("Gather", "Range", "Expand", "Floor", "Ceil", "Sqrt", "Reciprocal")


def fold(node, operands):
    """A node of constants. Results may not grow without limit: shapes and small tables, and weights seen otherwise."""
    if node.proto.operator == "Constant":
        return constant(node)
    x = operands[0] if operands else None
    rest = operands[1:]
    if x is None:
        raise Refused("without operands")
    try:
        with numpy.errstate(all="ignore"):
            result = folded(node, node.proto.operator, x, rest, operands)
    except AttributeError:  # of None
        raise Refused("an operand it needs is left out") from None
    except (ValueError, IndexError, TypeError, OverflowError, MemoryError, ZeroDivisionError) as problem:
        raise Refused(f"of constants that do not fit ({shown(problem, 80)})") from None
    if result is None:
        raise Refused("of constants alone")
    return [numpy.asarray(r) for r in (result if isinstance(result, list) else [result])]


def folded(node, name, x, rest, operands):
    if name in ("Identity", "Dropout"):
        return x
    if name == "Cast":
        kinds = {1: "f4", 10: "f2", 11: "f8", 6: "i4", 7: "i8", 9: "?", 2: "u1", 3: "i1"}
        kind = node.attribute("to", 0)
        node.bound(x.size)
        return x.astype(kinds[kind]) if kind in kinds else None
    if name == "Reshape":
        wanted = rest[0].reshape(-1).tolist()
        wanted = [x.shape[i] if d == 0 and i < x.ndim else d for i, d in enumerate(wanted)]
        return x.reshape(wanted)
    if name == "Flatten":
        axis = node.attribute("axis", 1)
        return x.reshape(product(x.shape[:axis]), -1)
    if name == "Transpose":
        return x.transpose(node.attribute("perm"))
    if name == "Squeeze":
        ones = [i for i, d in enumerate(x.shape) if d == 1]
        return x.squeeze(tuple(node.axes(rest[0] if rest else None, ones, x.ndim)))
    if name == "Unsqueeze":
        axes = rest[0] if rest else None
        count = axes.size if axes is not None else len(node.attribute("axes", []))
        for axis in node.axes(axes, [], min(x.ndim + count, 8)):
            x = numpy.expand_dims(x, axis)
        return x
    if name == "Gather":
        return numpy.take(x, rest[0], axis=node.attribute("axis", 0)) if rest[0].size <= 4096 and x.size <= 2 ** 20 else None
    if name == "Concat":
        node.bound(sum(o.size for o in operands))
        return numpy.concatenate(operands, axis=node.attribute("axis", 0))
    if name == "Slice":
        begin, end = rest[0].reshape(-1).tolist(), rest[1].reshape(-1).tolist()
        axes = rest[2].reshape(-1).tolist() if len(rest) > 2 and rest[2] is not None else list(range(len(begin)))
        steps = rest[3].reshape(-1).tolist() if len(rest) > 3 and rest[3] is not None else [1] * len(begin)
        cut = [slice(None)] * x.ndim
        for b, e, a, s in zip(begin, end, axes, steps):
            cut[a] = slice(b, e if abs(e) < 2 ** 62 else None, s)
        return x[tuple(cut)]
    if name == "ConstantOfShape":
        value = node.attribute("value")
        fill = value.reshape(-1)[0] if isinstance(value, numpy.ndarray) else numpy.float32(0)
        shape = [int(d) for d in x.reshape(-1)]
        node.bound(product(shape))
        return numpy.full(shape, fill)
    if name == "Expand":
        shape = numpy.broadcast_shapes(x.shape, tuple(int(d) for d in rest[0].reshape(-1)))
        node.bound(product(shape))
        return numpy.broadcast_to(x, shape)
    if name == "Range":
        begin, end, step = (o.reshape(-1)[0] for o in operands)
        node.bound(abs((float(end) - float(begin)) / float(step)))
        return numpy.arange(begin, end, step, dtype=x.dtype)
    alone = {"Floor": numpy.floor, "Ceil": numpy.ceil, "Neg": numpy.negative, "Sqrt": numpy.sqrt, "Reciprocal": numpy.reciprocal}
    if name in alone:
        node.bound(x.size)
        return alone[name](x)
    if name in ("Add", "Sub", "Mul", "Div"):
        y = rest[0]
        node.bound(product(numpy.broadcast_shapes(x.shape, y.shape)))
        if name == "Div" and x.dtype.kind in "iu":
            return (x // y).astype(x.dtype)
        return {"Add": numpy.add, "Sub": numpy.subtract, "Mul": numpy.multiply, "Div": numpy.divide}[name](x, y)
    return None
