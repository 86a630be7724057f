#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the inputs the fuzz targets start from into tests/fuzz/seeds/TARGET/ (or under the folder given). They are committed."""
import json
import pathlib
import struct
import sys
import zlib


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


def png(width, height, depth, colour, interlaced, raw, before=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def jpeg(components, adobe=-1, progressive=False, restart=0):
    """24 x 16 pixels of one colour: each block is 128, except the first, which sets a component to 64 more."""
    def segment(kind, body):
        return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body
    names = range(1, components + 1)
    out = b"\xff\xd8" + (segment(0xEE, b"Adobe\0d\0\0\0\0" + bytes([adobe])) if adobe >= 0 else b"")
    out += segment(0xDB, b"\0" + b"\x08" * 64) + (segment(0xDD, struct.pack(">H", restart)) if restart else b"")
    out += segment(0xC2 if progressive else 0xC0, struct.pack(">BHHB", 8, 16, 24, components) + b"".join(bytes([n, 0x11, 0]) for n in names))
    out += segment(0xC4, b"\0" + bytes([1, 1] + [0] * 14) + bytes([0, 7])) + segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
    out += segment(0xDA, bytes([components]) + b"".join(bytes([n, 0]) for n in names) + bytes([0, 0 if progressive else 63, 0]))
    each = "" if progressive else "0"
    blocks = [("101000000" + each) * components] + [("0" + each) * components] * 5
    parts = ["".join(blocks[i:i + (restart or 6)]) for i in range(0, 6, restart or 6)]
    for i, bits in enumerate(parts):
        bits += "1" * (-len(bits) % 8)
        out += int(bits, 2).to_bytes(len(bits) // 8, "big") + bytes([0xFF, 0xD9 if i + 1 == len(parts) else 0xD0 + i % 8])
    return out


def steps(how, ladder, packet, *more):
    """How levels are written, which ladder, how large packets are; then steps of a kind each (tests/fuzz/pool_packets_fuzz.cpp)."""
    return bytes([how, ladder, packet]) + b"".join(bytes(m) for m in more)


def sent(frame, count):
    return [(3, frame, i) for i in range(count)]


SEEDS = {
    "pictures_fuzz": {
        "grey_jpeg": bytes([0, 4, 6]) + jpeg(1),
        "colour_jpeg": bytes([0, 30, 2]) + jpeg(3, adobe=1, restart=2),
        "ycck_jpeg": bytes([0, 9, 9]) + jpeg(4, adobe=2),
        "progressive_jpeg": bytes([4, 9, 9]) + jpeg(3, progressive=True),
        "grey_png": bytes([10, 1, 8]) + png(3, 2, 8, 0, 0, b"\0abc\1def"),
        "palette_png": bytes([10, 8, 8]) + png(5, 1, 2, 3, 0, b"\0\x1b\x40", struct.pack(">I", 12) + b"PLTE" + b"abcdefghijkl" + struct.pack(">I", zlib.crc32(b"PLTEabcdefghijkl"))),
        "interlaced_png": bytes([10, 8, 8]) + png(2, 2, 16, 6, 1, b"\0" + b"abcdefgh" + b"\0" + b"ijklmnop" + b"\0" + b"0123456789abcdef"),
        "changed": bytes([15, 20, 20, 15]) + bytes([40, 0, 9, 60, 0, 255]),
    },
    "pool_packets_fuzz": {
        "whole_frame": steps(3, 0, 11, *sent(0, 12), (5,), *sent(1, 12), (5,)),
        "shuffled": steps(7, 1, 20, *sent(2, 9)[::-1], (5,), *sent(1, 3), (5,)),
        "tampered": steps(2, 2, 4, *sent(0, 4), (2, 0, 1, 9, 4), (5,), (6, 0), *sent(0, 9), (5,)),
        "chunks": steps(1, 0, 0, (1, 9, 64, 0, 6), bytes([1, 2, 0, 0, 0, 60]), (0,), (5,)),
        "level": steps(0, 3, 0, (7, 1, 9), struct.pack("<Bf", 0, 0.5), bytes([7, 1, 2, 3]), (7, 2, 4), bytes([0, 1, 2, 3])),
    },
    "prior_payload_fuzz": {
        "stream": bytes([1, 7]) + bytes.fromhex("229894f1061100001800c2f523258c2711e3b77f4fffffc4c3990aa000017eeda50ebbbcae00636f"),  # tests/numeric/prior_reference.py's
        "whole_numbers": bytes([3, 3]) + b"\xff" * 8 + struct.pack("<4h", 0, -32767, 32767, 5),
        "values": bytes([0x80 | 1, 2]) + struct.pack("<9f", 0, -1, 1e9, 7.25, 9, -5000, 32767, 62767, float("nan")),
        "wide_values": bytes([0x80 | 2, 3]) + struct.pack("<4f", -8192, 0.5, 8191, 8200),
    },
    "frame_fuzz": {
        "cloud": bytes([0, 8]) + frame(0, handshake()) + frame(2, bytes(96)) + frame(9) + frame(11),
        "cloud_input": bytes([1, 6]) + frame(2, bytes(200), cut=255) + frame(5, bytes(100)) + frame(7),
        "edge": bytes([0, 127]) + frame(1, handshake()) + frame(3, bytes(12)) + frame(4) + frame(10) + frame(12, b"no"),
        "streams_up": bytes([0, 16]) + frame(13, bytes(64), cut=2) + frame(13, b"\1\0\x40\x40\0\2ab", cut=0) + frame(7),
        "streams_down": bytes([1, 17]) + frame(14, cut=1, codec=2) + frame(15, bytes(12), cut=2) + frame(8),
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
