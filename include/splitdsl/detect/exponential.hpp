// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exponential.hpp
/// e^x of detection's arithmetic: the same bits from every C library and on a GPU.
#pragma once

#include <bit>
#include <cstdint>

namespace splitdsl::detect {

/// Within one unit in the last place of e^x, subnormal results included; NaN stays NaN. Single IEEE operations in a fixed order: a score decides
/// which boxes are looked at, so its last bit must not depend on where it is computed. A compiler that contracts a * b + c changes last bits.
inline float exponential(float x) {
    if (!(x == x)) return x;
    x = x > 89.0F ? 89.0F : (x < -104.0F ? -104.0F : x);            // infinity and 0 from here on
    constexpr float half_to_even = 12582912.0F;                     // 1.5 * 2^23: at this size a unit in the last place is 1
    const float n = (x * 1.44269504F + half_to_even) - half_to_even;
    // ln 2 in two parts, the first of so few bits that n times it is exact.
    const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
    // (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2, the smallest largest error of e^r: 3e-9.
    float p = 0.001381432F * r + 0.008368851F;
    p = p * r + 0.0416684F;
    p = p * r + 0.1666652F;
    p = p * r + 0.49999994F;
    p = (p * (r * r) + r) + 1.0F;
    // 2^n in two factors: n reaches beyond the exponents of normal numbers.
    const int whole = static_cast<int>(n), half = whole >> 1;
    const auto power = [](int k) { return std::bit_cast<float>(static_cast<std::uint32_t>(k + 127) << 23); };
    return p * power(half) * power(whole - half);
}

} // namespace splitdsl::detect
