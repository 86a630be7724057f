// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file main.cpp
/// A consumer of the language alone: declares a network and checks it.
#include <splitdsl/language.hpp>

struct tiny {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("image", f32, {.channels = 1, .height = 8, .width = 8})
             | head("device", named("conv", conv(4, {.kernel = 3})))
             | bottleneck("uplink", named("encode", conv(1, {.kernel = 3})), affine_u8())
             | tail("cloud", global_pool() | named("out", dense(2)));
    }
};
static_assert(splitdsl::check<tiny>);

int main() { return splitdsl::payload_bytes<tiny>("uplink") > 0 ? 0 : 1; }
