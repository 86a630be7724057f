// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file repeat.hpp
/// The same block several times, with its index.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// f(0) | f(1) | ... | f(Times - 1). Every f(i) must be a body of one type; each op is written once.
///
/// ```cpp
/// repeat<3>([](int i) { return named(i, residual(block(64)) | relu()); })
/// ```
template <std::size_t Times, class F>
constexpr auto repeat(F f) {
    static_assert(Times > 0, "splitdsl: repeat<0> would be empty; leave it out.");
    return []<std::size_t N, std::size_t S>(F g, const body<N, S>& first) {
        body<Times * N, Times * S> r;
        int entry = -1;
        for (std::size_t i = 0; i < Times; ++i) {
            const body<N, S> next = i == 0 ? first : g(static_cast<int>(i));
            detail::append(r, i * N, i * S, next, entry);
            if (next.result >= 0) entry = static_cast<int>(i * N) + next.result;
        }
        r.result = entry;
        return r;
    }(f, f(0));
}

} // namespace splitdsl
