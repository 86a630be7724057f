// expect: splitdsl SD316: a stream's dynamic_pool has no sizes
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        constexpr int stride = 5;
#else
        constexpr int stride = 4;
#endif
        return input("x", f32, {.channels = 8, .height = 20, .width = 20}) | head("device", named("a", conv(4, {.kernel = 3})) | stream("s0", named("e", conv(4, {.kernel = 1})), dynamic_pool(stride)) | global_pool()) | beside("cloud", early_exit("exit", from("s0") | global_pool()));
    }
};
static_assert(check<network>);
