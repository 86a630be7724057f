# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes and reads safetensors files without a dependency: 8 bytes header length, JSON header, tensors without gaps."""
import contextlib
import json
import math
import os
import struct

import numpy

from bounded_file import read_bounded

MOST_FILE_BYTES = 2 ** 34
TYPES = {"F16": numpy.dtype("<f2"), "F32": numpy.dtype("<f4"), "U8": numpy.dtype("u1"), "I32": numpy.dtype("<i4"), "I64": numpy.dtype("<i8")}


def save(path, tensors, metadata=None):
    """Writes a dict of numpy arrays in the dict's order; the file's bytes depend on nothing else. Beside and renamed: it is there whole, or as it was (OSError)."""
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
    path = os.path.realpath(path)
    aside = os.path.isfile(path) or not os.path.exists(path)    # a device cannot be renamed to
    fresh = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}") if aside else path
    try:
        with open(fresh, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for data in parts:
                file.write(data)
        if aside:
            os.replace(fresh, path)
    except OSError as problem:
        if aside:
            with contextlib.suppress(OSError):
                os.unlink(fresh)
        raise OSError(problem.errno, problem.strerror, path) from None


def is_entry(entry):
    def sizes(value):
        return isinstance(value, list) and all(type(n) is int and 0 <= n < 2 ** 48 for n in value)
    return isinstance(entry, dict) and isinstance(entry.get("dtype"), str) and sizes(entry.get("shape")) and sizes(entry.get("data_offsets")) and len(entry["data_offsets"]) == 2


def once(pairs):
    """An object of the header, whose names stand once."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)} should appear once, found twice")
    return made


def load(path):
    """Returns (dict of arrays, metadata); BF16 becomes F32. A file that contradicts itself is a ValueError."""
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
        header = json.loads(content[8:8 + length], object_pairs_hook=once)
    except (ValueError, RecursionError) as problem:
        why = "the header is no JSON: " if isinstance(problem, (json.JSONDecodeError, UnicodeDecodeError, RecursionError)) else ""
        raise ValueError(f"{path}: {why}{problem}") from None
    if not isinstance(header, dict):
        raise ValueError(f"{path}: expected a JSON object as header, found {type(header).__name__}")
    body = content[8 + length:]
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(f"{path}: expected texts by name as __metadata__, found {str(metadata)[:100]}")
    tensors, ranges = {}, []
    for name, entry in header.items():
        if not is_entry(entry):
            raise ValueError(f"{path}: {name} should have a dtype, a shape and two data_offsets, found {str(entry)[:100]}")
        dtype, (begin, end) = numpy.dtype("<u2") if entry["dtype"] == "BF16" else TYPES.get(entry["dtype"]), entry["data_offsets"]
        if dtype is None:
            raise ValueError(f"{path}: {name} has type {entry['dtype']}, known are {', '.join(TYPES)} and BF16")
        count = math.prod(entry["shape"])
        if not 0 <= begin <= end <= len(body) or end - begin != count * dtype.itemsize:
            raise ValueError(f"{path}: {name} of shape {entry['shape']} does not fit its bytes {begin} to {end}")
        array = numpy.frombuffer(body[begin:end], dtype).reshape(entry["shape"])
        tensors[name] = (array.astype("<u4") << 16).view("<f4") if entry["dtype"] == "BF16" else array
        ranges.append((begin, end, name))
    at = 0
    for begin, end, name in sorted(ranges):
        if begin != at:
            raise ValueError(f"{path}: {name} should begin at byte {at}, found {begin}")
        at = end
    if at != len(body):
        raise ValueError(f"{path}: expected {len(body)} bytes of tensors, found {at}")
    return tensors, metadata
