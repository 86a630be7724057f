// expect: splitdsl SD323: a tensor that is made in one branch of a select or by_sizes is read outside that branch
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16})
             | select("command", tap("turn", named("left", conv(8, {.kernel = 3}))), named("right", conv(8, {.kernel = 3}))) | add(identity(), from("turn"));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16})
             | tap("turn", select("command", named("left", conv(8, {.kernel = 3})), named("right", conv(8, {.kernel = 3})))) | relu() | add(identity(), from("turn"));
#endif
    }
};
static_assert(check<network>);
