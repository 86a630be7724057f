// expect: splitdsl SD320: an early exit's answer has another shape than the network's
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        constexpr int classes = 5;
#else
        constexpr int classes = 3;
#endif
        return input("x", f32, {.channels = 8, .height = 16, .width = 16})
             | head("device", named("a", conv(4, {.kernel = 3})) | stream("s0", named("e", conv(2, {.kernel = 1})), dynamic_pool(4)))
             | beside("cloud", early_exit("first", from("s0") | global_pool() | named("cloud", dense(classes)) | softmax()))
             | head("device", global_pool() | named("fc", dense(3)) | softmax());
    }
};
static_assert(check<network>);
