// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bottleneck.hpp
/// Where the network may be cut: a small tensor, its codec, and what else may cross.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Taps that may cross a cut beside its own tensor; they travel as f32 unless tapped with a codec, inputs as they are.
template <std::size_t Count>
struct carried { std::array<text, Count> taps{}; };
template <class... Text>
constexpr carried<sizeof...(Text)> carry(const Text&... taps) { return {{text{taps}...}}; }

namespace detail {
constexpr op cut_op(text name, codec_choice codec, op_flag flags) {
    op o = detail::reading(op_kind::quantise);
    o.label = refer(name);
    o.codec = codec.id;
    o.flags = codec.is_calibrated ? flags | op_flag::is_calibrated : flags;
    return o;
}
template <std::size_t N, std::size_t S, std::size_t Count>
constexpr auto with_carried(const body<N, S>& x, const carried<Count>& taps) {
    body<N, S + Count> r;
    r.ops = x.ops;
    r.result = x.result;
    for (std::size_t i = 0; i < S; ++i) r.scopes[i] = x.scopes[i];
    for (std::size_t i = 0; i < Count; ++i) r.scopes[S + i] = {scope_kind::carry, refer(taps.taps[i]), -1, static_cast<int>(N) - 1, static_cast<int>(N)};
    return r;
}
} // namespace detail

/// Encodes with `encoder` (run where the stage before runs), then applies the [codec](codecs.md): what follows reads the decoded tensor on
/// every path, so a local answer equals a remote one. It is a candidate cut and a fusion barrier.
/// The payload group is its tensor, the carried taps, and every input that is read behind it.
///
/// ```cpp
/// bottleneck("uplink", named("encode", conv(3, {.kernel = 2, .stride = 2, .pad = 1})), affine_u8())
/// bottleneck("uplink", named("encode", conv(3, {.kernel = 2, .stride = 2, .pad = 1})), affine_u8(calibrated)) // range: "uplink.range" of the weights
/// ```
template <std::size_t N, std::size_t S, std::size_t Count = 0>
constexpr auto bottleneck(text name, const body<N, S>& encoder, codec_choice codec, const carried<Count>& taps = {}) {
    return detail::with_carried(
        detail::enclose(encoder | detail::single(detail::cut_op(name, codec, op_flag::is_cut)), scope_kind::bottleneck, name), taps);
}

} // namespace splitdsl
