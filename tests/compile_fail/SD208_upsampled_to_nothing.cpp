// expect: splitdsl SD208: a kernel, stride, dilation, factor or upsampled size is below one
// expect: found<0>
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | upsample({.size = {32, 0}});
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | upsample({.size = {32, 32}});
#endif
    }
};
static_assert(check<network>);
