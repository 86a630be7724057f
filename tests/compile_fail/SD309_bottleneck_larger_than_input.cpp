// expect: splitdsl SD309: a bottleneck's encoded tensor is larger than the network's raw input and than the payload of the cut before it, if there is one, so sending that would be cheaper
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", u8, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet) | head("car", named("a", conv(16, {.kernel = 3}))) | bottleneck("uplink", named("b", conv(12, {.kernel = 3})), affine_u8()) | tail("cloud", global_pool());
#else
        return input("x", u8, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet) | head("car", named("a", conv(16, {.kernel = 3}))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", global_pool());
#endif
    }
};
static_assert(check<network>);
