// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file activation.hpp
/// Activations on one vector, and the exponential they rest on.
#pragma once

#include "vec.hpp"
#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// e^x within 2 units in the last place for x in [-87, 88]; below it about 1e-38, above it about 1.6e38; NaN stays NaN.
SPLITDSL_INLINE vec exponential(const vec& x0) {
    const vec x = minimum(broadcast(88.0F), maximum(broadcast(-87.0F), x0));
    const vec n = round_to_even(x * broadcast(1.44269504F));
    // ln 2 in two parts: the first has few enough bits for n * part to be exact
    vec r = multiply_add(n, broadcast(-0.693359375F), x);
    r = multiply_add(n, broadcast(2.12194440e-4F), r);
    // Taylor's coefficients; the rest after r^7 is below 2^-27 for |r| <= ln(2) / 2
    vec p = broadcast(1.0F / 5040);
    p = multiply_add(p, r, broadcast(1.0F / 720));
    p = multiply_add(p, r, broadcast(1.0F / 120));
    p = multiply_add(p, r, broadcast(1.0F / 24));
    p = multiply_add(p, r, broadcast(1.0F / 6));
    p = multiply_add(p, r, broadcast(0.5F));
    p = multiply_add(p, r * r, r) + broadcast(1.0F);
    return p * power_of_two(n);
}

SPLITDSL_INLINE vec sigmoid_of(const vec& x) { return quotient(broadcast(1.0F), broadcast(1.0F) + exponential(zero() - x)); }

SPLITDSL_INLINE vec tanh_of(const vec& x) {
    const vec size = absolute(x);
    const vec e = exponential(size * broadcast(-2.0F));
    const vec large = quotient(broadcast(1.0F) - e, broadcast(1.0F) + e);
    const vec s = x * x; // 1 - e cancels for small x: there the series
    vec p = multiply_add(s, broadcast(-17.0F / 315), broadcast(2.0F / 15));
    p = multiply_add(p, s, broadcast(-1.0F / 3));
    const vec small = multiply_add(p * s, x, x);
    return where_less(size, broadcast(0.25F), small, where_less(x, zero(), zero() - large, large));
}

/// x + 3 clamped to [0, 6].
SPLITDSL_INLINE vec hard_step(const vec& x) { return minimum(broadcast(6.0F), maximum(zero(), x + broadcast(3.0F))); }
/// A division would take as long as three multiply-adds of the layer before; the factor's rounding is within one unit in the last place.
SPLITDSL_INLINE vec hard_swish_of(const vec& x) { return x * hard_step(x) * broadcast(1.0F / 6.0F); }

/// An activation as max and min with two bounds; true if that is all it is.
SPLITDSL_INLINE bool clamps(activation act, float& low, float& high) {
    low = -__builtin_inff(), high = __builtin_inff();
    if (act == activation::relu) low = 0;
    if (act == activation::relu6) low = 0, high = 6;
    return act <= activation::relu6;
}

SPLITDSL_INLINE vec clamped(const vec& x, const vec& low, const vec& high) { return minimum(high, maximum(low, x)); }

/// Any activation; the switch is on a value that is the same for a whole tensor, so it predicts well.
SPLITDSL_INLINE vec activated(const vec& x, activation act, float slope) {
    switch (act) {
    case activation::none: return x;
    case activation::relu: return maximum(zero(), x);
    case activation::relu6: return minimum(broadcast(6.0F), maximum(zero(), x));
    case activation::leaky_relu: return where_less(x, zero(), x * broadcast(slope), x);
    case activation::hard_swish: return hard_swish_of(x);
    case activation::hard_sigmoid: return hard_step(x) * broadcast(1.0F / 6.0F);
    case activation::sigmoid: return sigmoid_of(x);
    case activation::tanh: return tanh_of(x);
    }
    return x;
}

/// Applies an activation in place to `vectors` vectors; not inlined, so that kernels which seldom need it stay small.
[[gnu::noinline]] inline void activate_span(float* at, int vectors, activation act, float slope) {
    for (int i = 0; i < vectors; ++i) store(at + i * lanes, activated(load(at + i * lanes), act, slope));
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
