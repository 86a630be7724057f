// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file few_outputs.hpp
/// Which convolutions have so few output channels that their direct sum is better than any other way: kernels and the graph's cost model ask the same.
#pragma once

namespace splitdsl::detail {

/// To a handful of channels lanes are input channels (kernels/simd/conv_few_outputs.hpp), and nothing of a block is padding. Lanes beyond the last channel may hold
/// anything, so all input blocks have to be whole, of every instruction set. Files of several sets call this, so it is inlined.
[[gnu::always_inline]] constexpr bool has_few_outputs(int in_channels, int out_channels) { return out_channels <= 4 && in_channels % 16 == 0; }

} // namespace splitdsl::detail
