// expect: splitdsl SD203: the two branches of an add or residual differ in channels
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | residual(named("a", conv(16, {.kernel = 3})));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | residual(named("a", conv(16, {.kernel = 3})), named("down", projection(16)));
#endif
    }
};
static_assert(check<network>);
