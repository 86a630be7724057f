#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the inputs the fuzz targets start from into tests/fuzz/seeds/TARGET/ (or under the folder given). They are committed."""
import json
import pathlib
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(kind, payload=b"", cut=0, codec=0):
    head = b"sD" + struct.pack("<BBBBHIIIIIIIII", 1, kind, cut, codec, 0, 1, 2, len(payload), 90_000, 5, 6, 7, 8, crc32c(payload))
    assert len(head) == 44
    return head + struct.pack("<I", crc32c(head)) + payload


def text(value):
    return struct.pack("<I", len(value)) + value.encode()


def handshake():
    cuts = struct.pack("<I", 2) + text("uplink") + text("affine_u8") + struct.pack("<I", 96) + text("late") + text("f16") + struct.pack("<I", 40)
    return struct.pack("<I", 1) + text("net") + struct.pack("<QQ", 1, 2) + cuts + text("avx2") + text("tenant")


def profile():
    return text("net") + text("nano") + text("neon") + struct.pack("<QI", 1, 1) + text("car") + struct.pack("<qq", 1000, 2000)


def safetensors(header, data=b""):
    header = json.dumps(header).encode() if isinstance(header, dict) else header
    return struct.pack("<Q", len(header)) + header + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SEEDS = {
    "frame_fuzz": {
        "cloud": bytes([0, 8]) + frame(0, handshake()) + frame(2, bytes(96)) + frame(9) + frame(11),
        "cloud_input": bytes([1, 6]) + frame(2, bytes(200), cut=255) + frame(5, bytes(100)) + frame(7),
        "edge": bytes([0, 127]) + frame(1, handshake()) + frame(3, bytes(12)) + frame(4) + frame(10) + frame(12, b"no"),
        "small_room": bytes([1, 128]) + frame(2, bytes(40), cut=1) + frame(2, bytes(96)),
        "handshake": bytes([2, 0]) + handshake(),
        "profile": bytes([3, 0]) + profile(),
        "affine_u8": bytes([4, 2]) + struct.pack("<fi", 0.5, 7) + bytes(range(20)),
        "affine_u16": bytes([4, 3]) + struct.pack("<fi", 0.5, 7) + bytes(range(20)),
        "f16": bytes([4, 1]) + bytes(range(20)),
        "f32": bytes([4, 0]) + struct.pack("<3f", 1, -2, 3),
    },
    "safetensors_fuzz": {
        "two": safetensors({"a.weight": tensor("F32", [2, 1], 0, 8), "a.bias": tensor("F16", [1], 8, 10)}, bytes(10)),
        "metadata": safetensors({"__metadata__": {"format": "pt", "\u00e9\n": "\U0001f600"}, "x": tensor("BF16", [], 0, 2)}, bytes(2)),
        "empty": safetensors({}),
        "zero_sized": safetensors({"a": tensor("I64", [0, 7], 0, 0), "b": tensor("U8", [3], 0, 3)}, bytes(3)),
        "overflow": safetensors({"a": tensor("F64", [2**32, 2**32, 2], 0, 8)}, bytes(8)),
        "twice": safetensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', bytes(2)),
        "escapes": safetensors(b'{"\\ud83d\\ude00\\u0041\\"\\\\":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}   ', bytes(1)),
    },
}


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent / "seeds"
    for target, seeds in SEEDS.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, content in seeds.items():
            (folder / target / name).write_bytes(content)
    print(f"{sum(map(len, SEEDS.values()))} seeds in {folder}")


if __name__ == "__main__":
    main()
