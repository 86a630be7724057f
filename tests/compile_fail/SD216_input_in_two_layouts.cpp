// expect: splitdsl SD216: the same input is declared twice with different sizes or types
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return concat(input("x", f32, {.channels = 3, .height = 16, .width = 16}), input("x", f32, {.channels = 3, .height = 16, .width = 16, .layout = image_layout::hwc}));
#else
        return concat(input("x", f32, {.channels = 3, .height = 16, .width = 16}), input("y", f32, {.channels = 3, .height = 16, .width = 16, .layout = image_layout::hwc}));
#endif
    }
};
static_assert(check<network>);
