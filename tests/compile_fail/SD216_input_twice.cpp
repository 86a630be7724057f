// expect: splitdsl SD216: the same input is declared twice with different sizes or types
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | global_pool() | concat(identity(), input("speed", f32, values{1})) | concat(identity(), input("speed", f32, values{2}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | global_pool() | concat(identity(), input("speed", f32, values{1})) | concat(identity(), input("speed", f32, values{1}));
#endif
    }
};
static_assert(check<network>);
