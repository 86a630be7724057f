// expect: splitdsl SD102: two layers of the same full name would share weights, but their weights differ in shape
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(8, {.kernel = 3})) | named("a", conv(8, {.kernel = 5}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(8, {.kernel = 3})) | named("b", conv(8, {.kernel = 5}));
#endif
    }
};
static_assert(check<network>);
