// expect: splitdsl SD204: the two branches of an add or residual differ in height or width
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | residual(named("a", conv(8, {.kernel = 3, .stride = 2})), named("down", projection(8)));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | residual(named("a", conv(8, {.kernel = 3, .stride = 2})), named("down", projection(8, 2)));
#endif
    }
};
static_assert(check<network>);
