// expect: splitdsl SD302: a network computes nothing behind its last cut, or a task stands in front of one
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(4, {.kernel = 3}))) | cut("uplink");
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(4, {.kernel = 3}))) | cut("uplink") | tail("cloud", global_pool());
#endif
    }
};
static_assert(check<network>);
