// expect: splitdsl SD220: an upsample has a factor and a size that differ
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | upsample({.factor = 4, .size = {20, 20}});
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | upsample({.size = {20, 20}});
#endif
    }
};
static_assert(check<network>);
