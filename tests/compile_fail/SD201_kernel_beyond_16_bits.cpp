// expect: splitdsl SD201: a window is larger than its padded input, or a kernel or dilation larger than 32766
// expect: expected<32766>
// expect: found<2147483647>
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
#ifndef REPAIRED
    static constexpr auto graph() { return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 3, .dilation = 2147483647})); }
#else
    static constexpr auto graph() { return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | named("a", conv(4, {.kernel = 3, .dilation = 7})); }
#endif
};
static_assert(check<network>);
