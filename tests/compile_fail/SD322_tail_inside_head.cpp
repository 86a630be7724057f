// expect: splitdsl SD322: a stage stands inside a stage of another place
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(2, {.kernel = 3})) | cut("uplink") | tail("cloud", global_pool()));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(2, {.kernel = 3}))) | cut("uplink") | tail("cloud", global_pool());
#endif
    }
};
static_assert(check<network>);
