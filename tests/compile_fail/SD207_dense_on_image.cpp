// expect: splitdsl SD207: dense() reads a vector but gets an image
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("fc", dense(10));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | global_pool() | named("fc", dense(10));
#endif
    }
};
static_assert(check<network>);
