# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Reads ONNX files without the onnx package: the protobuf messages that a network consists of, and nothing else.

Written for files that nobody vouches for. Every length is checked against the bytes that are left before anything is allocated,
a tensor never becomes larger than its data in the file, nested graphs (If, Loop) are skipped rather than parsed, and every
complaint is an `OnnxError`. Field numbers are those of onnx.proto (ONNX IR specification).
"""
import dataclasses
import os
import struct

import numpy

from bounded_file import read_bounded

MOST_FILE_BYTES = 2 ** 31  # protobuf's own limit for one message
MOST_EXTERNAL_BYTES = 2 ** 33
MOST_NODES = 20_000
MOST_NAME_BYTES = 4096
MOST_DIMENSIONS = 16

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
ELEMENTS = {1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8"}
BFLOAT16 = 16


class OnnxError(Exception):
    """What is wrong with a file, in words a user can act on."""


def shown(name, most=120):
    """A name from a file, fit for a message: printable, on one line, not longer than `most`."""
    text = "".join(c if c.isprintable() else "?" for c in str(name))
    return text if len(text) <= most else text[:most - 3] + "..."


@dataclasses.dataclass
class Node:
    operator: str = ""
    name: str = ""
    domain: str = ""
    inputs: list = dataclasses.field(default_factory=list)
    outputs: list = dataclasses.field(default_factory=list)
    attributes: dict = dataclasses.field(default_factory=dict)  # int, float, bytes, list of them, array, or Unreadable

    def title(self):
        """How messages call this node: its own name, or what it makes."""
        return shown(self.name or (self.outputs[0] if self.outputs else "") or "(no name)")


@dataclasses.dataclass
class Value:
    """A graph input or output. `shape` holds an int where the file gives a number, else None; it is None if the rank is unknown."""
    name: str = ""
    element: int = 0
    shape: list | None = None


@dataclasses.dataclass
class Model:
    opset: int = 0
    producer: str = ""
    nodes: list = dataclasses.field(default_factory=list)
    tensors: dict = dataclasses.field(default_factory=dict)  # initializers by name
    inputs: list = dataclasses.field(default_factory=list)
    outputs: list = dataclasses.field(default_factory=list)


class Unreadable:
    """An attribute that holds a graph or a type: no operator that can be imported has one."""


def read_varint(data, at, end):
    value, shift = 0, 0
    while True:
        if at >= end:
            raise OnnxError("the file ends inside a number: it is truncated or no ONNX file")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise OnnxError("a number has more than 64 bits: this is no ONNX file")


def signed(value):
    return value - 2 ** 64 if value >= 2 ** 63 else value


def fields(data):
    """(number, wire type, value) of a message, in the file's order; bytes come as memoryviews of the file."""
    at, end = 0, len(data)
    while at < end:
        key, at = read_varint(data, at, end)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = read_varint(data, at, end)
        elif wire == BYTES:
            length, at = read_varint(data, at, end)
            if length > end - at:
                raise OnnxError(f"a field claims {length} bytes where {end - at} are left: the file is truncated or no ONNX file")
            value = data[at:at + length]
            at += length
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
            if length > end - at:
                raise OnnxError("the file ends inside a number: it is truncated or no ONNX file")
            value = data[at:at + length]
            at += length
        else:
            raise OnnxError(f"wire type {wire} of field {number} does not exist in protobuf: this is no ONNX file")
        yield number, wire, value


def expect(wire, wanted, what):
    if wire != wanted:
        raise OnnxError(f"{what} has wire type {wire}, expected {wanted}: the file is damaged")


def text_of(value, wire, what):
    expect(wire, BYTES, what)
    if len(value) > MOST_NAME_BYTES:
        raise OnnxError(f"{what} has {len(value)} bytes, at most {MOST_NAME_BYTES} are taken")
    return bytes(value).decode("utf-8", "replace")


def integers(value, wire, what):
    """A repeated integer, packed or not."""
    if wire == VARINT:
        return [signed(value)]
    expect(wire, BYTES, what)
    numbers, at = [], 0
    while at < len(value):
        number, at = read_varint(value, at, len(value))
        numbers.append(signed(number))
    return numbers


def packed(value, wire, one, kind, what):
    """A repeated float or double, packed or not."""
    if wire not in (one, BYTES) or len(value) % numpy.dtype(kind).itemsize:
        raise OnnxError(f"{what} is damaged: {len(value)} bytes of wire type {wire}")
    return numpy.frombuffer(value, kind)


def external_bytes(entries, folder, name):
    """Data beside the file: only a plain file name in the same folder, and only bytes that are there."""
    location = entries.get("location", "")
    if not location or location != os.path.basename(location) or location in (".", "..") or "\\" in location or "\0" in location:
        raise OnnxError(f"tensor {shown(name)} lies in \"{shown(location)}\"; only a file in the model's own folder is read")
    path = os.path.join(folder, location)
    if not os.path.isfile(path) or os.path.islink(path):
        raise OnnxError(f"tensor {shown(name)} lies in \"{shown(location)}\", which is not a file beside the model")
    size = os.path.getsize(path)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - offset)))
    except ValueError:
        raise OnnxError(f"tensor {shown(name)}: offset and length must be numbers") from None
    if offset < 0 or length < 0 or offset + length > size or length > MOST_EXTERNAL_BYTES:
        raise OnnxError(f"tensor {shown(name)} claims bytes {offset} to {offset + length} of \"{shown(location)}\", which has {size}")
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(length)


def parse_tensor(data, folder):
    """(name, array) of a TensorProto. Its dimensions must account for exactly the bytes that are there."""
    dims, kind, name, raw, external, location = [], 0, "", None, {}, 0
    floats, doubles, words, longs, unsigned = [], [], [], [], []
    for number, wire, value in fields(data):
        if number == 1:
            dims += integers(value, wire, "a tensor's dimensions")
        elif number == 2:
            expect(wire, VARINT, "a tensor's element type")
            kind = value
        elif number == 4:
            floats.append(packed(value, wire, FIXED32, "<f4", "a tensor's floats"))
        elif number == 5:
            words += integers(value, wire, "a tensor's integers")
        elif number == 7:
            longs += integers(value, wire, "a tensor's integers")
        elif number == 8:
            name = text_of(value, wire, "a tensor's name")
        elif number == 9:
            expect(wire, BYTES, "a tensor's data")
            raw = value
        elif number == 10:
            doubles.append(packed(value, wire, FIXED64, "<f8", "a tensor's doubles"))
        elif number == 11:
            unsigned += integers(value, wire, "a tensor's integers")
        elif number == 13:
            expect(wire, BYTES, "a tensor's location")
            entry = {n: text_of(v, w, "a tensor's location") for n, w, v in fields(value) if n in (1, 2)}
            external[entry.get(1, "")] = entry.get(2, "")
        elif number == 14:
            expect(wire, VARINT, "a tensor's location")
            location = value
    if len(dims) > MOST_DIMENSIONS or any(d < 0 or d >= 2 ** 31 for d in dims):
        raise OnnxError(f"tensor {shown(name)} has impossible dimensions {shown(dims)}")
    count = 1
    for d in dims:
        count *= d
    if kind not in ELEMENTS and kind != BFLOAT16:
        raise OnnxError(f"tensor {shown(name)} has element type {kind}; floats, integers and booleans are read")
    dtype = numpy.dtype("<u2" if kind == BFLOAT16 else ELEMENTS[kind])
    if location == 1:
        raw = external_bytes(external, folder, name)
    if raw is not None:
        if len(raw) != count * dtype.itemsize:
            raise OnnxError(f"tensor {shown(name)} of shape {shown(dims)} needs {count * dtype.itemsize} bytes, the file holds {len(raw)}")
        array = numpy.frombuffer(raw, dtype)
    else:
        if floats or doubles:
            array = numpy.concatenate(floats or doubles)
        else:
            numbers = words or longs or unsigned
            try:
                array = numpy.array(numbers, numpy.int64)
            except OverflowError:
                raise OnnxError(f"tensor {shown(name)} holds a number beyond 64 bits") from None
            if kind == 10 or kind == BFLOAT16:  # half floats travel as bit patterns
                array = (array & 0xFFFF).astype("<u2")
                array = array.view("<f2") if kind == 10 else array
        if len(array) != count:
            raise OnnxError(f"tensor {shown(name)} of shape {shown(dims)} needs {count} values, the file holds {len(array)}")
        array = array.astype(dtype)
    if kind == BFLOAT16:
        array = (array.astype("<u4") << 16).view("<f4")
    return name, array.reshape(dims)


def parse_attribute(data, folder):
    name, found = "", {}
    floats, ints, strings = [], [], []
    kind = 0
    for number, wire, value in fields(data):
        if number == 1:
            name = text_of(value, wire, "an attribute's name")
        elif number == 2:
            expect(wire, FIXED32, "a float attribute")
            found[1] = struct.unpack("<f", value)[0]
        elif number == 3:
            expect(wire, VARINT, "an integer attribute")
            found[2] = signed(value)
        elif number == 4:
            expect(wire, BYTES, "a text attribute")
            found[3] = bytes(value[:MOST_NAME_BYTES])
        elif number == 5:
            expect(wire, BYTES, "a tensor attribute")
            found[4] = parse_tensor(value, folder)[1]
        elif number == 7:
            floats += packed(value, wire, FIXED32, "<f4", "a float list").tolist()
        elif number == 8:
            ints += integers(value, wire, "an integer list")
        elif number == 9:
            expect(wire, BYTES, "a text list")
            strings.append(bytes(value[:MOST_NAME_BYTES]))
        elif number == 20:
            expect(wire, VARINT, "an attribute's type")
            kind = value
        elif number in (6, 10, 11, 14, 15, 22, 23):
            found[5] = Unreadable()
    if kind in (6, 7, 8):
        return name, {6: floats, 7: ints, 8: strings}[kind]
    if kind in (1, 2, 3):  # a zero may have been left out of the file
        return name, found.get(kind, {1: 0.0, 2: 0, 3: b""}[kind])
    if kind == 0 and not found:
        return name, floats or ints or strings
    return name, found.get(kind if kind in found else next(iter(found), 0), Unreadable())


def parse_node(data, folder):
    node = Node()
    for number, wire, value in fields(data):
        if number == 1:
            node.inputs.append(text_of(value, wire, "a node's input"))
        elif number == 2:
            node.outputs.append(text_of(value, wire, "a node's output"))
        elif number == 3:
            node.name = text_of(value, wire, "a node's name")
        elif number == 4:
            node.operator = text_of(value, wire, "a node's operator")
        elif number == 5:
            expect(wire, BYTES, "an attribute")
            name, attribute = parse_attribute(value, folder)
            node.attributes[name] = attribute
        elif number == 7:
            node.domain = text_of(value, wire, "a node's domain")
    return node


def parse_value(data):
    result = Value()
    for number, wire, value in fields(data):
        if number == 1:
            result.name = text_of(value, wire, "an input's name")
        elif number == 2:
            expect(wire, BYTES, "an input's type")
            for n, w, tensor in fields(value):
                if n != 1:
                    continue
                expect(w, BYTES, "a tensor's type")
                for m, v, inside in fields(tensor):
                    if m == 1:
                        expect(v, VARINT, "an element type")
                        result.element = inside
                    elif m == 2:
                        expect(v, BYTES, "a shape")
                        result.shape = [parse_dimension(d, x) for k, x, d in fields(inside) if k == 1]
    if result.shape is not None and len(result.shape) > MOST_DIMENSIONS:
        raise OnnxError(f"{shown(result.name)} has {len(result.shape)} dimensions")
    return result


def parse_dimension(data, wire):
    expect(wire, BYTES, "a dimension")
    for number, kind, value in fields(data):
        if number == 1:
            expect(kind, VARINT, "a dimension")
            return signed(value)
    return None


def parse_graph(data, folder, model):
    for number, wire, value in fields(data):
        if number in (1, 5, 11, 12, 15):
            expect(wire, BYTES, "a part of the graph")
        if number == 1:
            if len(model.nodes) == MOST_NODES:
                raise OnnxError(f"the graph has more than {MOST_NODES} nodes")
            model.nodes.append(parse_node(value, folder))
        elif number == 5:
            name, array = parse_tensor(value, folder)
            if name in model.tensors:
                raise OnnxError(f"two initializers are called {shown(name)}")
            model.tensors[name] = array
        elif number == 11:
            model.inputs.append(parse_value(value))
        elif number == 12:
            model.outputs.append(parse_value(value))
        elif number == 15:
            raise OnnxError("the graph has sparse initializers, which are not read; export dense ones")


def parse_model(data, folder="."):
    """A `Model` of a file's bytes."""
    model, graphs, functions = Model(), 0, 0
    opsets = {}
    for number, wire, value in fields(memoryview(data)):
        if number == 7:
            expect(wire, BYTES, "the graph")
            graphs += 1
            parse_graph(value, folder, model)
        elif number == 8:
            expect(wire, BYTES, "an operator set")
            entry = {n: v for n, w, v in fields(value) if (n, w) in ((1, BYTES), (2, VARINT))}
            opsets[bytes(entry.get(1, b"")).decode("utf-8", "replace")] = signed(entry.get(2, 0))
        elif number == 2:
            model.producer = text_of(value, wire, "the producer")
        elif number == 25:
            functions += 1
    if graphs != 1:
        raise OnnxError(f"{graphs} graphs were found, expected one: this is no ONNX file")
    if functions:
        raise OnnxError(f"the model defines {functions} functions of its own, which are not read; export without them, or inline them")
    model.opset = opsets.get("", opsets.get("ai.onnx", 0))
    return model


def read_model(path):
    """Reads a file. Raises `OnnxError` for everything that is wrong with its content, OSError if it cannot be opened."""
    return parse_model(read_bounded(path, MOST_FILE_BYTES), os.path.dirname(os.path.abspath(path)))
