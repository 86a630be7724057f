// expect: splitdsl SD103: a label (input, tap, cut, stream, exit or task) is used twice
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return fan_in("up", input("a", f32, values{8}) | cut("a_up"), input("b", f32, values{8}) | cut("b_up")) | relu() | cut("up") | softmax();
#else
        return fan_in("up", input("a", f32, values{8}) | cut("a_up"), input("b", f32, values{8}) | cut("b_up")) | relu() | cut("on") | softmax();
#endif
    }
};
static_assert(check<network>);
