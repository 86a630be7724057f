// expect: splitdsl SD310: a tensor would come back to an earlier place within a frame
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(2, {.kernel = 3}))) | bottleneck("up", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", named("c", conv(2, {.kernel = 3}))) | bottleneck("down", named("d", conv(2, {.kernel = 1})), affine_u8()) | head("car", global_pool());
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(2, {.kernel = 3}))) | bottleneck("up", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", named("c", conv(2, {.kernel = 3}))) | bottleneck("down", named("d", conv(2, {.kernel = 1})), affine_u8()) | tail("backend", global_pool());
#endif
    }
};
static_assert(check<network>);
// A question about a refused network adds no sentence of its own.
static_assert(payload_bytes<network>("down") < 1'000'000);
