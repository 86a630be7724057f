// expect: splitdsl SD313: a network exceeds a limit of the library: 16 cuts, 16 tensors a payload group, 8 places, 256 labels, 43 early exits, 64 inputs, 64 tasks and exits, or 14 gdn() layers
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct network {
    static constexpr auto graph() {
#ifndef REPAIRED
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | repeat<17>([](int i) { return cut(std::array{text{"a"}, text{"b"}, text{"c"}, text{"d"}, text{"e"}, text{"f"}, text{"g"}, text{"h"}, text{"i"}, text{"j"}, text{"k"}, text{"l"}, text{"m"}, text{"n"}, text{"o"}, text{"p"}, text{"q"}}[static_cast<std::size_t>(i)]); }) | global_pool();
#else
        return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | repeat<16>([](int i) { return cut(std::array{text{"a"}, text{"b"}, text{"c"}, text{"d"}, text{"e"}, text{"f"}, text{"g"}, text{"h"}, text{"i"}, text{"j"}, text{"k"}, text{"l"}, text{"m"}, text{"n"}, text{"o"}, text{"p"}}[static_cast<std::size_t>(i)]); }) | global_pool();
#endif
    }
};
static_assert(check<network>);
