// expect: splitdsl SD103: a label (input, tap, cut, stream, exit or task) is used twice
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | tap("skip", named("a", conv(8, {.kernel = 3}))) | tap("skip", named("b", conv(8, {.kernel = 3}))) | add(identity(), from("skip"));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | tap("skip", named("a", conv(8, {.kernel = 3}))) | tap("skip2", named("b", conv(8, {.kernel = 3}))) | add(identity(), from("skip"));
#endif
    }
};
static_assert(check<network>);
