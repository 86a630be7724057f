// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream.hpp
/// An encoder beside the trunk whose result is sent while the trunk goes on.
#pragma once

#include <splitdsl/lang/bottleneck.hpp>
#include <splitdsl/lang/dynamic_pool.hpp>
#include <splitdsl/lang/widths.hpp>

namespace splitdsl {

/// FLEET's encoders: computed from the running tensor, which then goes on unchanged; read elsewhere with `from(name)` or `fuse`.
/// A stream nobody reads is refused (SD312), and one that is read behind a cut which does not `carry` it (SD303).
template <std::size_t N, std::size_t S>
constexpr auto stream(text name, const body<N, S>& encoder, codec_choice codec) {
    auto r = encoder | detail::single(detail::cut_op(name, codec, op_flag::is_stream));
    auto enclosed = detail::enclose(r, scope_kind::bottleneck, name);
    enclosed.result = -1;
    return enclosed;
}

/// Sent in nested sizes, smallest first: who reads it gets the largest size there is (`dynamic_pool`).
/// Networks with such streams have two places: one computes the trunk and streams, the other only exits that read streams (SD317).
template <std::size_t N, std::size_t S>
constexpr auto stream(text name, const body<N, S>& encoder, pool_choice how) {
    op o = detail::cut_op(name, {codec_id::pooled}, op_flag::is_stream);
    o.stride = extent{how.stride};
    o.kernel = extent{how.sizes.smallest, how.sizes.largest};
    o.dilation = extent{how.sizes.step, 1};
    auto enclosed = detail::enclose(encoder | detail::single(o), scope_kind::bottleneck, name);
    enclosed.result = -1;
    return enclosed;
}

/// Sent in growing widths of channels, narrowest first: who reads it gets the widest there is (`widths`). Otherwise as with `dynamic_pool`.
template <std::size_t N, std::size_t S>
constexpr auto stream(text name, const body<N, S>& encoder, width_choice how) {
    op o = detail::cut_op(name, {codec_id::pooled}, op_flag::is_stream | op_flag::by_width);
    for (std::size_t i = 0; i < how.channels.size(); ++i) o.values[i] = static_cast<float>(how.channels[i] < 1 << 24 ? how.channels[i] : 1 << 24); // exact
    o.out = how.count;
    auto enclosed = detail::enclose(encoder | detail::single(o), scope_kind::bottleneck, name);
    enclosed.result = -1;
    return enclosed;
}

} // namespace splitdsl
