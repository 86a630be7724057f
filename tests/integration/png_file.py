# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""PNG files by the standard library alone."""
import struct
import zlib


def png_file(height, width, depth, colour, packed_rows):
    """`packed_rows`: all rows, each behind the number of its filter, compressed; `colour`: PNG's number of its kind, 0 grey or 2 red, green, blue."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed_rows) + chunk(b"IEND", b"")
