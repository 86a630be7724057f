// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file affine.hpp
/// The affine quantiser of BottleFit in 8 and 16 bits: the same bytes for the same tensor on every machine.
///
/// With levels = 255 or 65535 (BottleFit, after Jacob et al.; the zero point is *truncated*, not rounded):
///
///     scale      = (max - min) / levels
///     zero_point = int(clamp(-min / scale, 0, levels))
///     q          = round_half_even(clamp(zero_point + x / scale, 0, levels))
///     x'         = (q - zero_point) * scale
///
/// Every step is one IEEE f32 operation: divisions stay divisions, no product meets a sum (so there is nothing to contract),
/// and rounding is done in integers. Where the formulas leave a gap, this file fills it:
///
/// - *Range with 0 inside:* |x' - x| <= scale / 2. The truncated zero point cuts up to one step off the bottom of the range: values less
///   than a step above the minimum err by up to one step.
/// - *Range without 0:* the formula is kept, so values saturate: [990, 1000] has zero point 0 and everything becomes levels * scale = 10.
///   That is the published quantiser. Put an activation or a bias that brings 0 into the range before such a bottleneck.
/// - *Flat range* (max == min, or a scale below the smallest normal f32): a constant c is kept exactly (scale = |c|, zero point 0 or 1);
///   |c| below the smallest normal f32 becomes 0; |c| too large to be a scale is kept to within rounding, up to half of f32's maximum.
/// - *NaN, infinities:* ignored by min and max. NaN becomes the zero point (x' = 0), infinities become the ends.
///   No finite value at all: scale 1, zero point 0, all q 0.
/// - *Range wider than half of f32's maximum:* both ends are first brought within a quarter of it, so that x' stays finite.
///
/// Forced inline: kernels for several instruction sets include this file, and an out-of-line copy built for one must not exist.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(__RECIPROCAL_MATH__) || defined(__ASSOCIATIVE_MATH__)
#error "splitdsl: the affine codec needs IEEE division and NaN; compile this file without -ffast-math or parts of it (-ffp-contract=fast is fine)"
#endif

namespace splitdsl {

/// The two numbers that travel with a quantised tensor.
struct affine_parameters {
    float scale{1};
    std::int32_t zero_point{};
    friend constexpr bool operator==(const affine_parameters&, const affine_parameters&) = default;
};

/// The smallest and the largest finite value; `any` is false if there is none.
struct finite_range {
    float low{};
    float high{};
    bool any{};
};

template <class Q>
concept affine_level = std::same_as<Q, std::uint8_t> || std::same_as<Q, std::uint16_t>;

template <affine_level Q>
inline constexpr std::int32_t affine_levels = std::numeric_limits<Q>::max();

/// Finite minimum and maximum. Cost: one pass. Integer keys in the order of the floats make the reduction exact in any order.
[[gnu::always_inline]] constexpr finite_range range_of(std::span<const float> values) noexcept {
    constexpr std::int32_t none_low = std::numeric_limits<std::int32_t>::max();
    constexpr std::int32_t none_high = std::numeric_limits<std::int32_t>::min();
    std::int32_t low = none_low, high = none_high;
    const float* const x = values.data();
    const std::size_t n = values.size();
    for (std::size_t i = 0; i < n; ++i) {
        const std::int32_t bits = std::bit_cast<std::int32_t>(x[i]);
        const std::int32_t key = bits ^ ((bits >> 31) & 0x7fffffff);
        const std::int32_t not_finite = -static_cast<std::int32_t>((bits & 0x7fffffff) >= 0x7f800000);
        const std::int32_t for_low = (key & ~not_finite) | (none_low & not_finite);
        const std::int32_t for_high = (key & ~not_finite) | (none_high & not_finite);
        low = for_low < low ? for_low : low;
        high = for_high > high ? for_high : high;
    }
    if (low > high) return {};
    return {std::bit_cast<float>(low ^ ((low >> 31) & 0x7fffffff)), std::bit_cast<float>(high ^ ((high >> 31) & 0x7fffffff)), true};
}

/// Scale and zero point for a range, by the formulas and gap rules above. The scale is normal, positive, and levels * scale is finite.
template <affine_level Q>
[[gnu::always_inline]] constexpr affine_parameters affine_parameters_of(finite_range range) noexcept {
    constexpr float levels = static_cast<float>(affine_levels<Q>);
    constexpr float widest = std::numeric_limits<float>::max() / 2;
    constexpr float smallest = std::numeric_limits<float>::min();
    if (!range.any) return {};
    float low = range.low, high = range.high;
    // low <= high, so the difference is the width; it may be infinite, which the comparison catches too.
    if (!(high - low <= widest)) {
        low = low < -widest / 2 ? -widest / 2 : low;
        high = high > widest / 2 ? widest / 2 : high;
    }
    const float scale = (high - low) / levels;
    if (scale < smallest) {
        const float constant = low > 0 ? low : (high < 0 ? high : 0.0f); // the end nearest to zero
        const float magnitude = constant < 0 ? -constant : constant;
        if (magnitude < smallest) return {};
        if (magnitude > widest / levels) return {(magnitude < widest ? magnitude : widest) / levels, constant < 0 ? affine_levels<Q> : 0};
        return {magnitude, constant < 0 ? 1 : 0};
    }
    const float zero = -low / scale;
    const float clamped = zero > levels ? levels : (zero > 0 ? zero : 0.0f);
    return {scale, static_cast<std::int32_t>(clamped)};
}

/// Whether parameters from a file or the wire can be used: a normal positive scale that keeps every x' finite, a zero point in range.
template <affine_level Q>
[[gnu::always_inline]] constexpr bool usable(affine_parameters p) noexcept {
    return p.scale >= std::numeric_limits<float>::min()
           && p.scale <= std::numeric_limits<float>::max() / 2 / static_cast<float>(affine_levels<Q>) && p.zero_point >= 0
           && p.zero_point <= affine_levels<Q>;
}

/// One value to its level. The definition that every vectorised kernel must meet bit for bit.
template <affine_level Q>
[[gnu::always_inline]] constexpr Q quantise(float x, affine_parameters p) noexcept {
    constexpr float levels = static_cast<float>(affine_levels<Q>);
    // Floats that are not NaN compare like their bits (negative ones aside): masks instead of selects let every compiler vectorise,
    // while g++ 12 makes branches of clamped floats (a comparison and a conversion may trap).
    const std::int32_t ratio = std::bit_cast<std::int32_t>(x / p.scale);
    const std::int32_t keep = -static_cast<std::int32_t>((ratio & 0x7fffffff) <= 0x7f800000);
    const float real = std::bit_cast<float>(ratio & keep); // NaN goes to the zero point
    const std::int32_t moved = std::bit_cast<std::int32_t>(static_cast<float>(p.zero_point) + real);
    constexpr std::int32_t top = std::bit_cast<std::int32_t>(levels);
    const std::int32_t above = moved & ~(moved >> 31); // at least 0
    const std::int32_t beyond = above - top;
    const float clamped = std::bit_cast<float>(top + (beyond & (beyond >> 31))); // at most levels
    const std::int32_t whole = static_cast<std::int32_t>(clamped);
    const std::int32_t fraction = std::bit_cast<std::int32_t>(clamped - static_cast<float>(whole)); // of an exact difference, never below 0
    constexpr std::int32_t half = std::bit_cast<std::int32_t>(0.5f);
    const std::int32_t up = fraction + (whole & 1) > half ? 1 : 0; // beyond one half, or at it from an odd number
    return static_cast<Q>(whole + up);
}

/// One level to its value.
template <affine_level Q>
[[gnu::always_inline]] constexpr float dequantise(Q level, affine_parameters p) noexcept {
    return static_cast<float>(static_cast<std::int32_t>(level) - p.zero_point) * p.scale;
}

} // namespace splitdsl
