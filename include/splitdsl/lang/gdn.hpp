// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gdn.hpp
/// Generalised divisive normalisation: every channel divided by what all channels of its pixel weigh together.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// What the divisor is made of.
enum class gdn_form : std::uint8_t {
    magnitudes,     ///< d = beta + gamma |x|: the simplified form of learned compression (compressai's GDN1; Entropic Student, Ladon)
    squares         ///< d = sqrt(beta + gamma x^2): Balle et al. 2016, equation 1
};

namespace detail {
constexpr body<1> divisive(gdn_form form, op_flag flags) {
    op o = reading(op_kind::gdn);
    o.flags = flags | (form == gdn_form::squares ? op_flag::squared : op_flag::none);
    return single(o);
}
} // namespace detail

/// y_i = x_i / d_i at every pixel, with (gamma z)_i = sum_j gamma_ij z_j; (C, H, W) keeps its shape.
/// Weights: `gamma` (C, C) and `beta` (C), plain values. compressai stores p with value = max(p, sqrt(least + e))^2 - e, e = 2^-36, least = 1e-6
/// of beta and 0 of gamma: write the values into the file. They must keep d above zero.
///
/// ```cpp
/// named("conv1", conv(96, {.kernel = 5, .stride = 2})) | named("gdn1", gdn())
/// ```
constexpr body<1> gdn(gdn_form form = gdn_form::magnitudes) { return detail::divisive(form, op_flag::none); }

} // namespace splitdsl
