// expect: splitdsl SD208: a kernel, stride, dilation, factor or upsampled size is below one
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 3, .stride = 0}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 3, .stride = 1}));
#endif
    }
};
static_assert(check<network>);
