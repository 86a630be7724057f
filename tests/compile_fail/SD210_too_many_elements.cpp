// expect: splitdsl SD210: a tensor or a layer's weights have more than 2^31 - 1 elements
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 3, .height = 4000, .width = 4000}) | named("a", conv(256, {.kernel = 3}));
#else
        return input("x", f32, {.channels = 3, .height = 400, .width = 400}) | named("a", conv(256, {.kernel = 3}));
#endif
    }
};
static_assert(check<network>);
