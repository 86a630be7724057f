// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fan_in.hpp
/// Several inputs, each through a pipeline of its own, side by side.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Each part begins with `input` and is computed independently (in parallel where the machine allows); their results are
/// concatenated along the channels at the next stage. Bottlenecks inside form one payload group called `name` (SAGE section 4.5).
///
/// ```cpp
/// fan_in("cameras", camera("left"), camera("centre"), camera("right")) | tail("cloud", ...)
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
