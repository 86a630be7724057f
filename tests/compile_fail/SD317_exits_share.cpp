// expect: splitdsl SD317: a network with streams of dynamic_pool or widths has two places and no cuts
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto sent() {
        return head("device", named("a", conv(4, {.kernel = 3})) | stream("s0", named("e", conv(2, {.kernel = 1})), dynamic_pool(4)));
    }
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | sent()
             | beside("cloud", tap("shared", from("s0") | named("b", conv(4, {.kernel = 1}))) | early_exit("first", global_pool())) | beside("cloud", early_exit("second", from("shared") | named("d", conv(4, {.kernel = 1})) | global_pool()))
             | head("device", global_pool());
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | sent()
             | beside("cloud", early_exit("first", from("s0") | named("b", conv(4, {.kernel = 1})) | global_pool())) | beside("cloud", early_exit("second", from("s0") | named("b", conv(4, {.kernel = 1})) | named("d", conv(4, {.kernel = 1})) | global_pool()))
             | head("device", global_pool());
#endif
    }
};
static_assert(check<network>);
