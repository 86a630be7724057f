// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file half.hpp
/// Binary16 and bfloat16 to and from f32 in integer arithmetic: the same bits on every machine and in every rounding mode.
///
/// Forced inline: kernels for several instruction sets include this file, and an out-of-line copy built for one must not exist.
#pragma once

#include <bit>
#include <cstdint>

namespace splitdsl {

/// f32 to IEEE binary16, to nearest, ties to even. Too large becomes infinity; a NaN stays a (quiet) NaN with its sign and top bits.
/// Cost: about ten integer operations, both ways computed and one selected, so that loops vectorise.
[[gnu::always_inline]] constexpr std::uint16_t half_from_float(float x) noexcept {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = (bits >> 16) & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;

    // Normal halves: shift the exponent's bias from 127 to 15 and drop 13 bits; a carry runs into the exponent as it should.
    const std::uint32_t normal = (magnitude - 0x38000000u + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;

    // Subnormal halves are multiples of 2^-24: |x| = mantissa * 2^(exponent - 150). A shift of 25 already gives 0.
    const std::uint32_t exponent = magnitude >> 23;
    const std::uint32_t mantissa = (magnitude & 0x007fffffu) | 0x00800000u;
    const std::uint32_t wanted = 126u - exponent; // wraps for large exponents: not selected then
    const std::uint32_t shift = wanted > 25u ? 25u : wanted;
    const std::uint32_t at_least_one = shift < 1u ? 1u : shift; // keeps the unselected lane's shift defined
    const std::uint32_t half_unit = 1u << (at_least_one - 1u);
    const std::uint32_t subnormal = (mantissa + (half_unit - 1u) + ((mantissa >> at_least_one) & 1u)) >> at_least_one;

    std::uint32_t h = magnitude < 0x38800000u ? subnormal : normal;
    h = magnitude >= 0x477ff000u ? 0x7c00u : h; // from 65520 on it rounds to infinity
    h = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x03ffu) : h;
    return static_cast<std::uint16_t>(sign | h);
}

/// IEEE binary16 to f32; exact for every input.
[[gnu::always_inline]] constexpr float float_from_half(std::uint16_t h) noexcept {
    const std::uint32_t sign = (static_cast<std::uint32_t>(h) & 0x8000u) << 16;
    const std::uint32_t magnitude = static_cast<std::uint32_t>(h) & 0x7fffu;
    const std::uint32_t normal = (magnitude << 13) + (112u << 23);
    // A subnormal is a small integer times 2^-24; both the conversion and the product are exact.
    const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f);
    std::uint32_t bits = magnitude < 0x0400u ? subnormal : normal;
    bits = magnitude >= 0x7c00u ? normal + (112u << 23) : bits;
    bits = magnitude > 0x7c00u ? bits | 0x00400000u : bits; // quiet, as hardware conversions do
    return std::bit_cast<float>(sign | bits);
}

/// bfloat16 to f32; exact: the upper half of the same bits.
[[gnu::always_inline]] constexpr float float_from_bfloat(std::uint16_t b) noexcept {
    return std::bit_cast<float>(static_cast<std::uint32_t>(b) << 16);
}

/// f32 to bfloat16, to nearest, ties to even; a NaN stays a quiet NaN.
[[gnu::always_inline]] constexpr std::uint16_t bfloat_from_float(float x) noexcept {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const std::uint32_t quiet = (bits >> 16) | 0x0040u;
    return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

} // namespace splitdsl
