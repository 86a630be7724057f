# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes and reads safetensors files without a dependency: 8 bytes header length, JSON header, tensors without gaps."""
import json
import math
import struct

import numpy

from bounded_file import read_bounded

MOST_FILE_BYTES = 2 ** 34
TYPES = {"F16": numpy.dtype("<f2"), "F32": numpy.dtype("<f4"), "U8": numpy.dtype("u1"), "I32": numpy.dtype("<i4"), "I64": numpy.dtype("<i8")}


def save(path, tensors, metadata=None):
    """Writes a dict of numpy arrays in the dict's order; the file's bytes depend on nothing else."""
    names = {dtype: name for name, dtype in TYPES.items()}
    header, parts, offset = {}, [], 0
    if metadata:
        header["__metadata__"] = {str(k): str(v) for k, v in metadata.items()}
    for name, array in tensors.items():
        array = numpy.asarray(array)
        if array.dtype.newbyteorder("<") not in names and array.dtype not in names:
            raise ValueError(f"{name} has type {array.dtype}; a weights file holds {', '.join(TYPES)}")
        kind = names.get(array.dtype) or names[array.dtype.newbyteorder("<")]
        data = numpy.ascontiguousarray(array, TYPES[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for data in parts:
            file.write(data)


def is_entry(entry):
    def sizes(value):
        return isinstance(value, list) and all(type(n) is int and 0 <= n < 2 ** 48 for n in value)
    return isinstance(entry, dict) and isinstance(entry.get("dtype"), str) and sizes(entry.get("shape")) and sizes(entry.get("data_offsets")) and len(entry["data_offsets"]) == 2


def load(path):
    """Returns (dict of arrays, metadata); a file that contradicts itself is a ValueError."""
    try:
        content = read_bounded(path, MOST_FILE_BYTES)
    except OSError as problem:
        raise type(problem)(f"{path}: {problem}") if problem.errno is None else problem from None
    if len(content) < 8:
        raise ValueError(f"{path}: {len(content)} bytes are too few for a weights file")
    length = struct.unpack("<Q", content[:8])[0]
    if length > len(content) - 8:
        raise ValueError(f"{path}: the header claims {length} bytes, the file has {len(content) - 8} behind its length")
    try:
        header = json.loads(content[8:8 + length])
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"{path}: the header is no JSON: {problem}") from None
    if not isinstance(header, dict):
        raise ValueError(f"{path}: expected a JSON object as header, found {type(header).__name__}")
    body = content[8 + length:]
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        if not is_entry(entry):
            raise ValueError(f"{path}: {name} should have a dtype, a shape and two data_offsets, found {str(entry)[:100]}")
        dtype, (begin, end) = TYPES.get(entry["dtype"]), entry["data_offsets"]
        if dtype is None:
            raise ValueError(f"{path}: {name} has type {entry['dtype']}, known are {', '.join(TYPES)}")
        count = math.prod(entry["shape"])
        if not 0 <= begin <= end <= len(body) or end - begin != count * dtype.itemsize:
            raise ValueError(f"{path}: {name} of shape {entry['shape']} does not fit its bytes {begin} to {end}")
        tensors[name] = numpy.frombuffer(body[begin:end], dtype).reshape(entry["shape"])
    return tensors, metadata
