// expect: splitdsl SD217: a slice asks for channels that its tensor does not have
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | slice_channels(4, 5);
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | slice_channels(4, 4);
#endif
    }
};
static_assert(check<network>);
