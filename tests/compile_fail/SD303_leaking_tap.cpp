// expect: splitdsl SD303: a tensor crosses a cut or a border between places without being declared
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", tap("skip", named("a", conv(4, {.kernel = 3})))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", concat(identity(), from("skip")));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", tap("skip", named("a", conv(4, {.kernel = 3})))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8(), carry("skip")) | tail("cloud", concat(identity(), from("skip")));
#endif
    }
};
static_assert(check<network>);
