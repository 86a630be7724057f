// expect: splitdsl SD104: a name, label or place is empty or contains something else than letters, digits, _ and -
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return fan_in("both\n", input("a", f32, values{8}), input("b", f32, values{8})) | relu();
#else
        return fan_in("both", input("a", f32, values{8}), input("b", f32, values{8})) | relu();
#endif
    }
};
static_assert(check<network>);
