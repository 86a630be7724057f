// expect: splitdsl SD214: padding is negative
// expect: found<-1>
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("up", conv_transpose(4, {.output_pad = -1}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("up", conv_transpose(4, {.output_pad = 1}));
#endif
    }
};
static_assert(check<network>);
