// expect: splitdsl SD106: a network's budgets are not read
// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include <splitdsl/language.hpp>

using namespace splitdsl;

class network {
public:
    static constexpr auto graph() { return input("x", f32, {.channels = 8, .height = 16, .width = 16}) | head("car", named("a", conv(4, {.kernel = 3}))) | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", global_pool()); }
#ifndef REPAIRED
private:
#endif
    static constexpr auto limits() { return std::array{payload_at_most("uplink", 4096)}; }
};
static_assert(check<network>);
