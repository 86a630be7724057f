// expect: splitdsl SD210: a tensor or a layer's weights have more than 2^31 - 1 elements
// expect: found<921600000000000000>
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 64, .height = 4000, .width = 4000}) | upsample({.factor = 30000});
#else
        return input("x", f32, {.channels = 64, .height = 400, .width = 400}) | upsample({.factor = 3});
#endif
    }
};
static_assert(check<network>);
