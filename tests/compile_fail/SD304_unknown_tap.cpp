// expect: splitdsl SD304: from() or fuse() names a tap or stream that no earlier op carries
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | tap("skip", named("a", conv(8, {.kernel = 3}))) | add(identity(), from("skiP"));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | tap("skip", named("a", conv(8, {.kernel = 3}))) | add(identity(), from("skip"));
#endif
    }
};
static_assert(check<network>);
