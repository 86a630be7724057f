// expect: splitdsl SD202: channels are not divisible by groups
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(9, {.kernel = 3, .groups = 4}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(12, {.kernel = 3, .groups = 4}));
#endif
    }
};
static_assert(check<network>);
