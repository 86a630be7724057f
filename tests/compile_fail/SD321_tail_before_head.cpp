// expect: splitdsl SD321: stages stand in the wrong order, since a frame goes through head() first, then stage(), then tail()
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | tail("cloud", named("a", conv(2, {.kernel = 3}))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8()) | head("car", global_pool());
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(2, {.kernel = 3}))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", global_pool());
#endif
    }
};
static_assert(check<network>);
