// expect: splitdsl SD206: the second branch of a multiply is neither of the first's shape nor one value a channel
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | multiply(identity(), global_pool() | named("fc", dense(4)) | sigmoid());
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | multiply(identity(), global_pool() | named("fc", dense(8)) | sigmoid());
#endif
    }
};
static_assert(check<network>);
