// expect: splitdsl SD211: normalise() takes up to 4 channels, its means and deviations are finite, and no deviation is zero
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | normalise(imagenet) | named("a", conv(4, {.kernel = 3}));
#else
        return input("x", f32, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet) | named("a", conv(4, {.kernel = 3}));
#endif
    }
};
static_assert(check<network>);
