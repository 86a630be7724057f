// expect: splitdsl SD212: a raw u8 input is read by a layer that computes
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", u8, {.channels = 3, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 3}));
#else
        return input("x", u8, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet) | named("a", conv(4, {.kernel = 3}));
#endif
    }
};
static_assert(check<network>);
