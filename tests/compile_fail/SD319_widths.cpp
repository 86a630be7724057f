// expect: splitdsl SD319: a stream's widths are numbers of channels that grow from at least 1, each by at least 1, and the last one is all channels of its encoder
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        constexpr width_choice by = widths(2, 4);
#else
        constexpr width_choice by = widths(2, 4, 8);
#endif
        return input("x", f32, {.channels = 3, .height = 16, .width = 16}) | head("device", named("a", conv(8, {.kernel = 3})) | stream("cut", identity(), by) | global_pool())
             | beside("cloud", early_exit("exit", from("cut") | global_pool()));
    }
};
static_assert(check<network>);
