// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fan_in.hpp
/// Several inputs, each through a pipeline of its own, side by side.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Each part begins with `input` and is computed independently (in parallel if the edge has `workers`); their results are
/// concatenated along the channels at the next stage. Bottlenecks inside form one payload group called `name`, which leaves as one
/// request (SAGE section 4.5).
///
/// ```cpp
/// // A function of the user's: every camera is alike but for its name and its cut's, which are used once each.
/// constexpr auto camera(text name, text cut) {
///     return input(name, u8, {.channels = 3, .height = 24, .width = 40}) | normalise(imagenet)
///          | head("car", named(name, named("conv1", conv(8, {.kernel = 3, .stride = 2})) | relu()))
///          | bottleneck(cut, named(name, named("encode", conv(3, {.kernel = 3, .stride = 2}))), affine_u8());
/// }
/// // in graph():
/// fan_in("cameras", camera("left", "left_up"), camera("centre", "centre_up"), camera("right", "right_up"))
///     | tail("cloud", global_pool() | named("control", dense(3)))
/// ```
template <class... Parts>
constexpr auto fan_in(text name, const Parts&... parts) {
    static_assert(sizeof...(Parts) >= 2, "splitdsl: fan_in needs at least two parts.");
    return detail::enclose(
        []<std::size_t... N, std::size_t... S>(const body<N, S>&... b) {
            constexpr std::size_t ops = (N + ...);
            body<ops + sizeof...(N) - 1, (S + ...)> r;
            std::array<int, sizeof...(N)> results{};
            std::size_t at = 0, scopes_at = 0, part = 0;
            (..., (detail::append(r, at, scopes_at, b, -1), results[part++] = static_cast<int>(at) + b.result, at += N, scopes_at += S));
            // All parts stand before the first concat, so that one cut behind them separates parts from tail.
            for (std::size_t k = 1; k < sizeof...(N); ++k) {
                const int here = static_cast<int>(ops + k) - 1;
                op& o = r.ops[ops + k - 1] = detail::reading(op_kind::concat);
                o.a = k == 1 ? here - results[0] : 1;
                o.b = here - results[k];
            }
            r.result = static_cast<int>(ops + sizeof...(N)) - 2;
            return r;
        }(detail::enclose(parts, scope_kind::part, name)...),
        scope_kind::fan, name);
}

} // namespace splitdsl
