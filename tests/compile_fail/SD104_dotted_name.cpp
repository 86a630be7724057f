// expect: splitdsl SD104: a name, label or place is empty or contains something else than letters, digits, _ and -
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("layer1.conv", conv(8, {.kernel = 3}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("layer1", named("conv", conv(8, {.kernel = 3})));
#endif
    }
};
static_assert(check<network>);
