// expect: splitdsl SD219: a layer computes more than 2^48 multiply-accumulates a frame
// expect: expected<281474976710656>
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 64, .height = 4000, .width = 2000}) | named("a", conv(256, {.kernel = 63}));
#else
        return input("x", f32, {.channels = 64, .height = 4000, .width = 2000}) | named("a", conv(256, {.kernel = 3}));
#endif
    }
};
static_assert(check<network>);
