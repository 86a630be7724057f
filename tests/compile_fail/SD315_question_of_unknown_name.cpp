// expect: splitdsl SD315: a question names a cut or place that the network does not have
// expect: "uplnk"
// expect: "uplink"
// expect: "backhaul"
// at most: 1 error
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(4, {.kernel = 3}))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8())
             | tail("hub", named("c", conv(4, {.kernel = 3}))) | cut("backhaul") | tail("cloud", global_pool());
    }
};
static_assert(check<network>);
#ifndef REPAIRED
static_assert(payload_bytes<network>("uplnk") < 936);
#else
static_assert(payload_bytes<network>("uplink") < 936);
#endif
