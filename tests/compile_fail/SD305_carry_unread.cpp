// expect: splitdsl SD305: carry() lists a tap that does not exist before its cut or that nobody reads behind it
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", tap("skip", named("a", conv(4, {.kernel = 3})))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8(), carry("skip")) | tail("cloud", global_pool());
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(4, {.kernel = 3}))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", global_pool());
#endif
    }
};
static_assert(check<network>);
