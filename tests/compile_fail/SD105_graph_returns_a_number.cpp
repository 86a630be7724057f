// expect: splitdsl SD105: a network has no graph(), its graph() is not a constant expression (the compiler says why next to this), or it returns something else than a network
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
#ifndef REPAIRED
    static constexpr int graph() { return 3; }
#else
    static constexpr auto graph() { return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 3})); }
#endif
};
static_assert(check<network>);
