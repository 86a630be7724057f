// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file describe_optimised.cpp
/// A consumer's file at -O3 with warnings on: describe in every format compiles without one.
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>

#include <string>

namespace {
struct one_cut {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("x", u8, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet) | head("car", named("a", conv(8, {.kernel = 3, .stride = 2})))
             | bottleneck("uplink", named("b", conv(2, {.kernel = 3})), affine_u8()) | tail("cloud", global_pool() | named("c", dense(3)));
    }
};
} // namespace

std::string described(); // for whoever links this
std::string described() {
    using splitdsl::format;
    return splitdsl::describe<one_cut>() + splitdsl::describe<one_cut>(format::json) + splitdsl::describe<one_cut>(format::dot);
}
