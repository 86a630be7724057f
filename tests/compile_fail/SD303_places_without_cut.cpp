// expect: splitdsl SD303: a tensor crosses a cut or a border between places without being declared
// expect: Where no cut stands between the two, put one there
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(4, {.kernel = 3}))) | tail("cloud", named("b", conv(2, {.kernel = 3})));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(4, {.kernel = 3}))) | cut("uplink") | tail("cloud", named("b", conv(2, {.kernel = 3})));
#endif
    }
};
static_assert(check<network>);
