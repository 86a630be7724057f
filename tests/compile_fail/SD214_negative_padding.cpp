// expect: splitdsl SD214: padding is negative
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | pad(padding{-1, 0, 0, 0});
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | pad(padding{1, 0, 0, 0});
#endif
    }
};
static_assert(check<network>);
