#!/usr/bin/python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""Small pictures as PIL decodes and resizes them, and planes as torch resizes them: the reference for <splitdsl/image/>.

    image_reference.py golden    print tests/unit/image_golden.hpp
"""
import io
import struct
import sys
import zlib

import numpy
import torch
from PIL import Image

# (height, width) of the pattern, (height, width) it is resized to
SIZES = [
    ((9, 13), (9, 13)), ((9, 13), (5, 7)), ((9, 13), (18, 26)), ((9, 13), (1, 1)), ((1, 1), (5, 3)), ((1, 7), (4, 3)), ((7, 1), (3, 4)),
    ((64, 48), (32, 24)), ((48, 64), (33, 47)), ((480, 640), (224, 224)), ((375, 500), (256, 341)), ((500, 333), (384, 256)),
    ((100, 3), (7, 50)), ((2, 2), (255, 257)), ((97, 131), (224, 224)), ((88, 200), (88, 100)), ((88, 200), (44, 200)), ((720, 1280), (88, 200)),
    ((31, 33), (32, 32)), ((32, 32), (31, 33)), ((1000, 1), (3, 1)), ((299, 299), (298, 300)),
]
# sides whose weights are compared bit by bit: positions in float would be wrong in every one but the last two
WEIGHT_SIZES = [(427, 320), (500, 300), (97, 131), (1000, 520), (65, 33), (480, 800), (299, 300), (800, 60), (17, 224), (640, 320), (1, 5)]
FLOAT_SIZES = [((5, 7), (3, 4)), ((3, 4), (6, 9)), ((1, 1), (2, 3)), ((6, 5), (6, 5)), ((2, 9), (7, 2)), ((4, 16), (3, 5))]


def pattern(height, width, channels=3):
    """The same formula stands in pictures.hpp."""
    y, x, c = numpy.meshgrid(numpy.arange(height), numpy.arange(width), numpy.arange(channels), indexing="ij")
    return ((x * 37 + y * 101 + c * 53 + x * y * 7 + (x * x + y * y) // 5) & 255).astype(numpy.uint8)


def smooth(height, width):
    """What a JPEG survives, with some texture."""
    y, x = numpy.mgrid[0:height, 0:width]
    return numpy.stack([x * 19 % 256, (y * 23 + x * 3) % 256, (x * y * 5) % 256], axis=-1).astype(numpy.uint8)


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def hand_made_png(pixels, colour_type, depth, interlaced):
    """PNG kinds PIL reads but does not write. pixels: (height, width, samples)."""
    height, width, samples = pixels.shape

    def rows(part):
        out = b""
        for row in part:
            flat = row.reshape(-1).astype(numpy.uint16)
            out += b"\0" + (flat.astype(">u2").tobytes() if depth == 16 else flat.astype(numpy.uint8).tobytes())
        return out

    if interlaced:
        steps = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        raw = b"".join(rows(pixels[y::dy, x::dx]) for y, x, dy, dx in steps if pixels[y::dy, x::dx].size)
    else:
        raw = rows(pixels)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    gamma = chunk(b"gAMA", struct.pack(">I", 100000))      # to be ignored
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + gamma + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def files():
    rgb = Image.fromarray(smooth(9, 13))
    yield "jpeg_420", saved(rgb, "JPEG", quality=85), None
    yield "jpeg_444_progressive", saved(rgb, "JPEG", quality=90, subsampling=0, progressive=True), None
    yield "jpeg_422_optimised", saved(rgb, "JPEG", quality=70, subsampling=1, optimize=True), None
    yield "jpeg_grey", saved(rgb.convert("L"), "JPEG", quality=85), None
    yield "jpeg_cmyk", saved(rgb.convert("CMYK"), "JPEG", quality=95), None
    black = smooth(9, 13)[:, :, :1]
    yield "jpeg_cmyk_with_black", saved(Image.fromarray(numpy.concatenate([smooth(9, 13), black], axis=-1), "CMYK"), "JPEG", quality=95), None
    yield "jpeg_one_pixel", saved(Image.new("RGB", (1, 1), (200, 100, 50)), "JPEG"), None
    yield "png_rgb", saved(rgb, "PNG"), None
    yield "png_rgba", saved(Image.fromarray(pattern(9, 13, 4), "RGBA"), "PNG"), None
    yield "png_grey", saved(rgb.convert("L"), "PNG"), None
    yield "png_grey_alpha", saved(Image.fromarray(pattern(9, 13, 2), "LA"), "PNG"), None
    yield "png_one_bit", saved(rgb.convert("1"), "PNG"), None
    palette = rgb.quantize(11)
    yield "png_palette", saved(palette, "PNG"), None
    yield "png_palette_transparent", saved(palette, "PNG", transparency=3), None
    yield "png_two_bits_palette", saved(rgb.quantize(4), "PNG", bits=2), None
    yield "png_interlaced", hand_made_png(pattern(9, 13), 2, 8, True), None
    wide = pattern(9, 13).astype(numpy.uint16) * 256 + 255 - pattern(9, 13)
    yield "png_sixteen_bits", hand_made_png(wide, 2, 16, False), None
    # PIL makes 32-bit integers of these and clips them; the upper byte is what a network wants.
    yield "png_grey_sixteen_bits", hand_made_png(wide[:, :, :1], 0, 16, False), numpy.repeat(pattern(9, 13)[:, :, :1], 3, axis=-1)
    yield "png_one_pixel", saved(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG"), None


def lines(words, indent=4, width=136):
    out, line = [], ""
    for word in words:
        if len(line) + len(word) + 2 > width - indent:
            out.append(line)
            line = ""
        line += ("" if not line else " ") + word + ","
    out.append(line.rstrip(","))
    return ("\n" + " " * indent).join(out)


def golden():
    print("// SPDX-FileCopyrightText: The splitdsl authors\n// SPDX-License-Identifier: BSD-3-Clause\n/// @file image_golden.hpp")
    print("/// Small pictures as PIL decodes and resizes them, planes as torch resizes them; made by image_reference.py golden. Floats as their bits.")
    print("#pragma once\n\n#include <cstdint>\n#include <span>\n\nnamespace splitdsl::golden {\n")
    names = []
    for name, data, expected in files():
        image = Image.open(io.BytesIO(data)).convert("RGB")
        pixels = numpy.asarray(image) if expected is None else expected
        print(f"inline constexpr std::uint8_t {name}_file[] = {{\n    {lines([str(b) for b in data])}}};")
        print(f"inline constexpr std::uint8_t {name}_pixels[] = {{\n    {lines([str(b) for b in pixels.tobytes()])}}};\n")
        names.append((name, pixels.shape[0], pixels.shape[1]))
    print("struct picture_case {\n    const char* name;\n    int height, width;\n    std::span<const std::uint8_t> file, pixels;\n};")
    print("inline constexpr picture_case pictures[] = {")
    for name, height, width in names:
        print(f'    {{"{name}", {height}, {width}, {name}_file, {name}_pixels}},')
    print("};\n")
    print("/// PIL's bilinear resize of the test's pattern: FNV-1a of the result's bytes.")
    print("struct resize_case {\n    int from_height, from_width, to_height, to_width, channels;\n    std::uint64_t fnv1a;\n};")
    print("inline constexpr resize_case resizes[] = {")
    for (h, w), (oh, ow) in SIZES:
        for channels, mode in ((3, "RGB"), (1, "L")):
            pixels = pattern(h, w, channels)
            image = Image.fromarray(pixels if channels == 3 else pixels[:, :, 0], mode).resize((ow, oh), Image.BILINEAR)
            print(f"    {{{h}, {w}, {oh}, {ow}, {channels}, 0x{fnv(image.tobytes()):016x}u}},")
    print("};\n")
    image = Image.fromarray(pattern(9, 13)).resize((7, 5), Image.BILINEAR)
    print(f"/// The pattern of 9 x 13 at 5 x 7, to look at.\ninline constexpr std::uint8_t resized_9_13_to_5_7[] = {{\n    {lines([str(b) for b in image.tobytes()])}}};")
    grey = Image.fromarray(pattern(9, 13)).convert("L")
    print(f"/// The pattern of 9 x 13 in PIL's mode L.\ninline constexpr std::uint8_t grey_9_13[] = {{\n    {lines([str(b) for b in grey.tobytes()])}}};\n")
    print("/// torch.nn.functional.interpolate(pattern as floats, mode='bilinear', align_corners=False).")
    cases = []
    for index, ((h, w), (oh, ow)) in enumerate(FLOAT_SIZES):
        x = torch.from_numpy(pattern(h, w, 2)).permute(2, 0, 1)[None].float()
        for antialias in (False, True):
            y = torch.nn.functional.interpolate(x, size=(oh, ow), mode="bilinear", align_corners=False, antialias=antialias)
            name = f"interpolated_{index}_{'antialiased' if antialias else 'plain'}"
            bits = [f"0x{v:08x}u" for v in y.contiguous().numpy().view(numpy.uint32).reshape(-1).tolist()]
            print(f"inline constexpr std::uint32_t {name}[] = {{\n    {lines(bits)}}};")
            cases.append(f"    {{{h}, {w}, {oh}, {ow}, {str(antialias).lower()}, {name}}},")
    print("struct interpolate_case {\n    int from_height, from_width, to_height, to_width;\n    bool antialias;\n    std::span<const std::uint32_t> values;\n};")
    print("inline constexpr interpolate_case interpolations[] = {\n" + "\n".join(cases) + "\n};\n")
    print("/// The weights of that without antialiasing: FNV-1a of the bits of interpolate(identity of from x from, size=(from, to)).")
    print("struct weights_case {\n    int from, to;\n    std::uint64_t fnv1a;\n};")
    print("inline constexpr weights_case weights[] = {")
    for n, m in WEIGHT_SIZES:
        y = torch.nn.functional.interpolate(torch.eye(n)[None, None], size=(n, m), mode="bilinear", align_corners=False)
        print(f"    {{{n}, {m}, 0x{fnv(y.contiguous().numpy().tobytes()):016x}u}},")
    print("};\n")
    print("} // namespace splitdsl::golden")


if __name__ == "__main__":
    if sys.argv[1:] != ["golden"]:
        sys.exit(__doc__)
    golden()
