// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cut.hpp
/// Any network can be split where it stands.
#pragma once

#include <splitdsl/lang/bottleneck.hpp>

namespace splitdsl {

/// An identity bottleneck: a candidate cut and a fusion barrier, lossless unless a [codec](codecs.md) is given.
template <std::size_t Count = 0>
constexpr auto cut(text name, codec_choice codec = lossless_f32(), const carried<Count>& taps = {}) {
    return bottleneck(name, body<0>{{}, {}, -1}, codec, taps);
}

} // namespace splitdsl
