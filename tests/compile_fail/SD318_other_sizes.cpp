// expect: splitdsl SD318: by_sizes stands in an exit that reads one or two streams of dynamic_pool or widths
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto one(int, int here) { return named("size", named(here, conv(4, {.kernel = 1}))); }
    static constexpr auto graph() {
#ifndef REPAIRED
        constexpr int sizes = 2;
#else
        constexpr int sizes = 3;
#endif
        return input("x", f32, {.channels = 8, .height = 16, .width = 16})
             | head("device", named("a", conv(4, {.kernel = 3})) | stream("s0", named("e", conv(2, {.kernel = 1})), dynamic_pool(4, {.step = 2})) | global_pool())
             | beside("cloud", early_exit("exit", from("s0") | by_sizes<1, sizes>(one) | global_pool()));
    }
};
static_assert(check<network>);
