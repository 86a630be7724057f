// expect: splitdsl SD201: a window is larger than its padded input
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 17, .pad = 0}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 15, .pad = 0}));
#endif
    }
};
static_assert(check<network>);
