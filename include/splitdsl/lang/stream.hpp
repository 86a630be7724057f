// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream.hpp
/// An encoder beside the trunk whose result is sent while the trunk goes on.
#pragma once

#include <splitdsl/lang/bottleneck.hpp>

namespace splitdsl {

/// FLEET's encoders: computed from the running tensor, which then goes on unchanged; read elsewhere with `from(name)` or `fuse`.
/// A stream nobody reads is refused (SD312).
template <std::size_t N, std::size_t S>
constexpr auto stream(text name, const body<N, S>& encoder, codec_choice codec) {
    auto r = encoder | detail::single(detail::cut_op(name, codec, op_flag::is_stream));
    auto enclosed = detail::enclose(r, scope_kind::bottleneck, name);
    enclosed.result = -1;
    return enclosed;
}

} // namespace splitdsl
