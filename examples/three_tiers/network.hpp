// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file network.hpp
/// A network with three places: robot, factory and datacentre.
#pragma once

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/dispatch.hpp>

namespace three_tiers {

constexpr auto layer(int channels, splitdsl::window w = {.kernel = 3}) {
    using namespace splitdsl;
    return named("conv", conv(channels, w)) | named("bn", batch_norm()) | relu();
}

/// What a robot's camera sees of a part, sorted into six kinds of fault.
struct inspector {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("camera", u8, {.channels = 3, .height = 96, .width = 128}) | normalise(imagenet)                       // (3, 96, 128)
             | head("robot", named("stem", layer(16, {.kernel = 5, .stride = 2})))                                          // (16, 48, 64)
             | bottleneck("radio", named("squeeze", conv(4, {.kernel = 3, .stride = 2})), affine_u8())                      // (4, 24, 32)
             | stage("factory", repeat<3>([](int i) { return named("wide", named(i, layer(48))); }))                        // (48, 24, 32)
             | bottleneck("backhaul", named("narrow", conv(4, {.kernel = 3, .stride = 2})), affine_u8())                    // (4, 12, 16)
             | tail("datacentre", repeat<6>([](int i) { return named("deep", named(i, layer(96))); })                       // (96, 12, 16)
                                      | global_pool() | named("fault", dense(6)));
    }
};
static_assert(splitdsl::check<inspector>);
static_assert(splitdsl::payload_bytes<inspector>("radio") == 4 * 24 * 32 + 8);
static_assert(splitdsl::payload_bytes<inspector>("backhaul") == 4 * 12 * 16 + 8);

} // namespace three_tiers

SPLITDSL_DISPATCHED(three_tiers::inspector)
