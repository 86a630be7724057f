// expect: splitdsl SD307: a place needs more working memory than its budget
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(4, {.kernel = 3}))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", global_pool());
    }
#ifndef REPAIRED
    static constexpr auto limits() { return std::array{arena_at_most("car", 1024)}; }
#else
    static constexpr auto limits() { return std::array{arena_at_most("car", 64 * 1024)}; }
#endif
};
static_assert(check<network>);
