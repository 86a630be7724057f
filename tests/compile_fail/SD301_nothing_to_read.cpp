// expect: splitdsl SD301: an op has nothing to read
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return relu();
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | relu();
#endif
    }
};
static_assert(check<network>);
