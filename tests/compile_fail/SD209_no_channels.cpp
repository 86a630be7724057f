// expect: splitdsl SD209: channels, units or an input's size are below one
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(0, {.kernel = 3}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(1, {.kernel = 3}));
#endif
    }
};
static_assert(check<network>);
