// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tiny.hpp
/// The network that the shared library keeps to itself.
#pragma once

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/dispatch.hpp>

struct tiny {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("image", f32, {.channels = 1, .height = 8, .width = 8}) | named("conv", conv(4, {.kernel = 3})) | global_pool()
               | named("out", dense(2)) | softmax();
    }
};
SPLITDSL_DISPATCHED(tiny)
