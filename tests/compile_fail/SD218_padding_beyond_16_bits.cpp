// expect: splitdsl SD218: a stride, a padding or an upsampling's factor is larger than 32766
// expect: expected<32766>
// expect: found<40000>
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 5, .dilation = 20000}));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 5, .dilation = 2}));
#endif
    }
};
static_assert(check<network>);
