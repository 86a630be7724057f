// expect: splitdsl SD205: the branches of a concat or fuse differ in height or width
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | concat(identity(), max_pool({.kernel = 2}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | concat(max_pool({.kernel = 2}), avg_pool({.kernel = 2}));
#endif
    }
};
static_assert(check<network>);
