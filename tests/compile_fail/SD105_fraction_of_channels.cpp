// expect: splitdsl SD105: a network has no graph(), its graph() is not a constant expression
// expect: deleted function
// at most: 3 errors
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(16.5, {.kernel = 3}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(16, {.kernel = 3}));
#endif
    }
};
static_assert(check<network>);
