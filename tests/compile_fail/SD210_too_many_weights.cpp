// expect: splitdsl SD210: a tensor or a layer's weights have more than 2^31 - 1 elements
// expect: 10000100000
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
#ifndef REPAIRED
    static constexpr auto graph() { return input("x", f32, {.channels = 100000, .height = 1, .width = 1}) | named("a", dense(100000)) | named("b", dense(2)); }
#else
    static constexpr auto graph() { return input("x", f32, {.channels = 100000, .height = 1, .width = 1}) | named("a", dense(1000)) | named("b", dense(2)); }
#endif
};
static_assert(check<network>);
