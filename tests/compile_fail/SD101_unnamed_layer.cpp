// expect: splitdsl SD101: a layer with weights has no name, so its weights cannot be found in a file
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | conv(4, {.kernel = 3});
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("conv1", conv(4, {.kernel = 3}));
#endif
    }
};
static_assert(check<network>);
