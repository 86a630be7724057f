// expect: splitdsl SD213: a pool's padding is more than half its kernel, so a window could lie outside the image
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | max_pool({.kernel = 3, .stride = 2, .pad = 2});
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | max_pool({.kernel = 3, .stride = 2, .pad = 1});
#endif
    }
};
static_assert(check<network>);
