# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes ONNX files byte by byte, so that tests can make wrong ones too. Field numbers are onnx.proto's."""
import struct

import numpy

KINDS = {"f4": 1, "u1": 2, "i4": 6, "i8": 7, "f2": 10, "f8": 11}


def varint(value):
    value &= 2 ** 64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, content):
    """A field of bytes, text or an integer."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name, array, dims=None, raw=None, kind=None):
    array = numpy.asarray(array)
    shape = array.shape if dims is None else dims
    data = array.tobytes() if raw is None else raw
    return b"".join(field(1, int(d)) for d in shape) + field(2, kind or KINDS[array.dtype.str[1:]]) + field(8, name) + field(9, data)


def attribute(name, value):
    start = field(1, name)
    if isinstance(value, bool) or isinstance(value, int):
        return start + field(3, int(value)) + field(20, 2)
    if isinstance(value, float):
        return start + varint(2 << 3 | 5) + struct.pack("<f", value) + field(20, 1)
    if isinstance(value, str):
        return start + field(4, value) + field(20, 3)
    if isinstance(value, numpy.ndarray):
        return start + field(5, tensor("", value)) + field(20, 4)
    return start + b"".join(field(8, int(v)) for v in value) + field(20, 7)


def node(operator, inputs, outputs, name="", domain="", **attributes):
    return (b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs) + field(3, name) + field(4, operator) +
            b"".join(field(5, attribute(k, v)) for k, v in attributes.items()) + (field(7, domain) if domain else b""))


def value(name, shape, element=1):
    dims = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in shape)
    return field(1, name) + field(2, field(1, field(1, element) + field(2, dims)))


def model(nodes, inputs, outputs, tensors=(), opset=13, extra=b""):
    graph = (b"".join(field(1, n) for n in nodes) + field(2, "graph") + b"".join(field(5, t) for t in tensors) +
             b"".join(field(11, i) for i in inputs) + b"".join(field(12, o) for o in outputs))
    return field(1, 7) + field(8, field(1, "") + field(2, opset)) + field(7, graph) + extra
