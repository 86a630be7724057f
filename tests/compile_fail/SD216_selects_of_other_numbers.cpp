// expect: splitdsl SD216: the same input is declared twice with different sizes or types
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | global_pool()
             | select("command", relu(), tanh()) | select("command", named("a", dense(3)), named("b", dense(3)), named("c", dense(3)));
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | global_pool()
             | select("command", relu(), tanh()) | select("command", named("a", dense(3)), named("b", dense(3)));
#endif
    }
};
static_assert(check<network>);
