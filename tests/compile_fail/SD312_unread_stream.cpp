// expect: splitdsl SD312: a stream is sent but nobody reads it
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("device", named("a", conv(4, {.kernel = 3})) | stream("s0", named("e", conv(4, {.kernel = 1})), affine_u8()) | global_pool());
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("device", named("a", conv(4, {.kernel = 3})) | stream("s0", named("e", conv(4, {.kernel = 1})), affine_u8()) | global_pool()) | beside("cloud", early_exit("exit", from("s0") | global_pool()));
#endif
    }
};
static_assert(check<network>);
