// expect: splitdsl SD303: a tensor crosses a cut or a border between places without being declared
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16})
             | head("car", named("a", conv(4, {.kernel = 3})) | stream("seen", named("e", conv(1)), affine_u8()))
             | cut("uplink") | tail("cloud", concat(identity(), from("seen")));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16})
             | head("car", named("a", conv(4, {.kernel = 3})) | stream("seen", named("e", conv(1)), affine_u8()))
             | cut("uplink", lossless_f32(), carry("seen")) | tail("cloud", concat(identity(), from("seen")));
#endif
    }
};
static_assert(check<network>);
