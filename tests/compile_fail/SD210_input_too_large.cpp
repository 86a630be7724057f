// expect: splitdsl SD210: a tensor or a layer's weights have more than 2^31 - 1 elements
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
#ifndef REPAIRED
    static constexpr auto graph() { return input("x", f32, {.channels = 2147483647, .height = 2147483647, .width = 2147483647}) | global_pool(); }
#else
    static constexpr auto graph() { return input("x", f32, {.channels = 3, .height = 26754, .width = 26754}) | global_pool(); }
#endif
};
static_assert(check<network>);
