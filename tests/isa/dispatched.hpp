// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dispatched.hpp
/// A network that goes through the dispatcher, and one of the same layers that does not.
#pragma once

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/dispatch.hpp>

namespace isa {
constexpr auto layers() {
    using namespace splitdsl;
    return input("camera", u8, {.channels = 3, .height = 32, .width = 48}) | normalise(zero_to_one)
           | named("stem", conv(16, {.kernel = 3, .stride = 2})) | relu()
           | named("block", residual(named("conv", conv(16, {.kernel = 3})) | named("bn", batch_norm()) | tanh())) | global_pool()
           | named("classes", dense(5)) | softmax();
}
struct dispatched {
    static constexpr auto graph() { return layers(); }
};
struct header_only {
    static constexpr auto graph() { return layers(); }
};
} // namespace isa

SPLITDSL_DISPATCHED(isa::dispatched)
