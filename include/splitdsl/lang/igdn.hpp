// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file igdn.hpp
/// The approximate inverse of generalised divisive normalisation.
#pragma once

#include <splitdsl/lang/gdn.hpp>

namespace splitdsl {

/// y_i = x_i * d_i with the same d, weights and forms as `gdn`: a decoder's half (Balle et al. 2017, section 4).
///
/// ```cpp
/// named("conv1", conv(512, {.kernel = 2, .pad = 1})) | named("igdn1", igdn())
/// ```
constexpr body<1> igdn(gdn_form form = gdn_form::magnitudes) { return detail::divisive(form, op_flag::inverse); }

} // namespace splitdsl
