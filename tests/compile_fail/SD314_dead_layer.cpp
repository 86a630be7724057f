// expect: splitdsl SD314: a layer's or an input's result is read by nobody
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 3})) | input("speed", f32, values{1}) | named("b", dense(2));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 3})) | global_pool() | concat(identity(), input("speed", f32, values{1})) | named("b", dense(2));
#endif
    }
};
static_assert(check<network>);
