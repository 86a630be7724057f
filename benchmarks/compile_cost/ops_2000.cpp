// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
// title: 2,000 ops, checked and planned
// flags: -fsyntax-only
/// @file ops_2000.cpp
/// A chain as deep as the language promises, through every pass.
#include <splitdsl/language.hpp>

struct deep {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("x", f32, {.channels = 4, .height = 16, .width = 16})
             | head("device", repeat<999>([](int) { return named("conv", conv(4, {.kernel = 3})) | relu(); }))
             | cut("uplink")
             | tail("cloud", named("last", conv(2, {.kernel = 1})));
    }
};
static_assert(splitdsl::check<deep>);
static_assert(splitdsl::payload_bytes<deep>("uplink") > 0);
static_assert(splitdsl::arena_bytes<deep>("device") > 0);
static_assert(splitdsl::fingerprint<deep> != 0);
