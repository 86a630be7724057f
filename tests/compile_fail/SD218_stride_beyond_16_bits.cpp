// expect: splitdsl SD218: a stride, a padding or an upsampling's factor is larger than 32766
// expect: expected<32766>
// expect: found<65537>
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 1, .height = 1, .width = 300000}) | named("a", conv(4, {.kernel = {1, 9}, .stride = {1, 65537}}));
#else
        return input("x", f32, {.channels = 1, .height = 1, .width = 300000}) | named("a", conv(4, {.kernel = {1, 9}, .stride = {1, 8192}}));
#endif
    }
};
static_assert(check<network>);
