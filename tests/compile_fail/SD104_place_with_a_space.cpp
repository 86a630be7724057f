// expect: splitdsl SD104: a name, label or place is empty or contains something else than letters, digits, _ and -
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("the car", named("a", conv(2, {.kernel = 3}))) | cut("uplink") | tail("cloud", global_pool());
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("the_car", named("a", conv(2, {.kernel = 3}))) | cut("uplink") | tail("cloud", global_pool());
#endif
    }
};
static_assert(check<network>);
