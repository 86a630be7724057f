// expect: splitdsl SD105: a network has no graph(), its graph() is not a constant expression
// expect: width_of
// at most: 3 errors
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

constexpr int width_of(int stage) {
    if (stage > 3) throw "the net has four stages";
    return 8 << stage;
}
struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(width_of(4), {.kernel = 3}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(width_of(3), {.kernel = 3}));
#endif
    }
};
static_assert(check<network>);
static_assert(macs<network>() >= 0);
