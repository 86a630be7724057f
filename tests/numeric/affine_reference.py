#!/usr/bin/python3
# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
"""BottleFit's affine quantizer in PyTorch, the reference for <splitdsl/codec/affine.hpp>.

    affine_reference.py golden         print tests/numeric/affine_golden.hpp
    affine_reference.py check LIBRARY  compare a library made of affine_exports.cpp with PyTorch on millions of values:
        g++ -std=c++20 -O2 -shared -fPIC -Iinclude tests/numeric/affine_exports.cpp -o affine.so
        /usr/bin/python3 tests/numeric/affine_reference.py check ./affine.so
"""
import argparse
import ctypes
import sys

import numpy
import torch


def quantise(x, levels):
    """(scale, zero point, levels as float tensor, dequantised), every operation in f32 as PyTorch does it on a CPU."""
    low, high = x.min(), x.max()
    scale = (high - low) / levels
    zero_point = int(torch.clamp(-low / scale, 0, levels))
    q = torch.round(torch.clamp(zero_point + x / scale, 0, levels))
    return scale, zero_point, q, (q - zero_point) * scale


def cases():
    """Names and tensors whose range is neither flat nor wider than half of f32's."""
    torch.manual_seed(20260101)
    count = 24
    normal = torch.randn(count)
    yield "standard normal", normal
    yield "activations behind a relu", torch.relu(normal)
    yield "uniform on [0, 1)", torch.rand(count)
    yield "uniform on [-1, 0)", torch.rand(count) - 1
    yield "mostly negative", torch.rand(count) * 10 - 9.5
    yield "range without 0, above", torch.rand(count) * 10 + 990
    yield "range without 0, below", torch.rand(count) * -10 - 990
    yield "just above 0", torch.rand(count) + 0.001
    yield "ties at every half", torch.arange(count) * 0.5 - 3
    yield "exact steps of 1", torch.cat([torch.tensor([-100.0, 155.0]), torch.arange(count - 2) * 1.0])
    yield "ties at scale 1", torch.cat([torch.tensor([-100.0, 155.0]), torch.arange(count - 2) + 0.5])
    yield "ties at scale 2^-8", torch.cat([torch.tensor([0.0, 255 / 256]), (torch.arange(count - 2) + 0.5) / 256])
    yield "one step of f32 wide", torch.tensor([1.0, numpy.nextafter(numpy.float32(1), numpy.float32(2))] * (count // 2))
    yield "symmetric", torch.linspace(-1, 1, count)
    yield "one outlier", torch.cat([normal[:-1], torch.tensor([1000.0])])
    yield "two values", torch.tensor([-3.0, 7.0] * (count // 2))
    yield "very small", normal * 1e-30
    yield "very large", normal * 1e30
    yield "denormal elements", torch.cat([torch.tensor([0.0, 1e-30]), torch.full((count - 2,), 1e-41)])
    yield "negative zero", torch.cat([torch.tensor([-0.0, 1.0]), torch.rand(count - 2)])
    yield "zero point truncated from almost one step more", torch.cat([torch.tensor([-0.99999, 254.00001]), torch.rand(count - 2) * 200])
    yield "heavy tail", torch.randn(count) / torch.rand(count)


def words(values, per_line=12):
    lines = [", ".join(values[i:i + per_line]) for i in range(0, len(values), per_line)]
    return ",\n      ".join(lines)


def bits(tensor):
    return [f"0x{v:08x}u" for v in tensor.to(torch.float32).numpy().view(numpy.uint32).tolist()]


def golden():
    print("// SPDX-FileCopyrightText: The splitdsl authors\n// SPDX-License-Identifier: BSD-3-Clause\n/// @file affine_golden.hpp")
    print("/// What PyTorch makes of some tensors with BottleFit's quantizer; made by affine_reference.py golden. Floats as their bits.")
    print("#pragma once\n\n#include <cstdint>\n\nnamespace splitdsl::golden {\n")
    print("inline constexpr int affine_values = 24;\nstruct affine_case {\n    const char* name;\n    std::uint32_t x[affine_values];")
    print("    std::uint32_t scale_u8;\n    std::int32_t zero_point_u8;\n    std::uint8_t q_u8[affine_values];\n    std::uint32_t back_u8[affine_values];")
    print("    std::uint32_t scale_u16;\n    std::int32_t zero_point_u16;\n    std::uint16_t q_u16[affine_values];\n    std::uint32_t back_u16[affine_values];\n};")
    print("inline constexpr affine_case affine_cases[] = {")
    for name, x in cases():
        assert x.dtype == torch.float32 and x.numel() == 24, name
        print(f'    {{"{name}",\n     {{{words(bits(x))}}},')
        for levels in (255, 65535):
            scale, zero_point, q, back = quantise(x, levels)
            print(f"     {bits(scale.reshape(1))[0]}, {zero_point},\n     {{{words([str(int(v)) for v in q.tolist()], 24)}}},\n     {{{words(bits(back + 0.0))}}},")
        print("    },")
    print("};\n\n} // namespace splitdsl::golden")


def check(path):
    library = ctypes.CDLL(path)
    wrong, values = 0, 0
    torch.manual_seed(1)
    tensors = list(cases())
    for i in range(400):
        n = int(torch.randint(1, 20000, ()))
        centre, width = float(torch.randn(()) * 2), float(10 ** (torch.rand(()) * 12 - 6))
        tensors.append((f"random {i}", (torch.randn(n) + centre) * width))
    for name, x in tensors:
        x = x.contiguous()
        low, high = x.min(), x.max()
        if float(high - low) == 0:
            continue
        for levels, kind, function in ((255, numpy.uint8, library.splitdsl_affine_u8), (65535, numpy.uint16, library.splitdsl_affine_u16)):
            scale, zero_point, q, back = quantise(x, levels)
            got_q, got_back = numpy.zeros(x.numel(), kind), numpy.zeros(x.numel(), numpy.float32)
            got_scale, got_zero = ctypes.c_float(), ctypes.c_int32()
            function(x.numpy().ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(x.numel()), ctypes.byref(got_scale), ctypes.byref(got_zero),
                     got_q.ctypes.data_as(ctypes.c_void_p), got_back.ctypes.data_as(ctypes.c_void_p))
            same = (numpy.float32(got_scale.value) == scale.numpy() and got_zero.value == zero_point
                    and (got_q == q.numpy().astype(kind)).all() and (got_back.view(numpy.uint32) == (back + 0.0).numpy().view(numpy.uint32)).all())
            values += x.numel()
            if not same:
                wrong += 1
                print(f"{name}, {levels} levels: differs")
    print(f"{values} values in {2 * len(tensors)} tensors compared bit for bit, {wrong} tensors differ")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["golden", "check"])
    parser.add_argument("library", nargs="?")
    options = parser.parse_args()
    if options.what == "check":
        return check(options.library)
    return golden()


if __name__ == "__main__":
    sys.exit(main())
