// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exit_networks.hpp
/// Small networks whose early exits end stages that no cut ends.
#pragma once

#include <splitdsl/language.hpp>

#include <cstddef>

namespace exit_networks {
using namespace splitdsl;

inline constexpr int classes = 5;
inline constexpr std::size_t picture_bytes = 3 * 16 * 24;

constexpr auto camera() { return input("camera", u8, {.channels = 3, .height = 16, .width = 24}) | normalise(zero_to_one); }
constexpr auto layer(text name, int channels, int stride = 1) {
    return named(name, conv(channels, {.kernel = 3, .stride = stride})) | relu();
}
constexpr auto classifier(text name) { return global_pool() | named(name, dense(classes)) | softmax(); }

struct exit_first {
    static constexpr auto graph() {
        return camera() | head("robot", layer("a", 8, 2) | early_exit("quick", classifier("quick_classes")))
               | bottleneck("uplink", named("b", conv(4, {.kernel = 3, .stride = 2})), affine_u8())
               | tail("server", layer("c", 16) | classifier("classes"));
    }
};
struct exit_between {
    static constexpr auto graph() {
        return camera() | head("robot", layer("a", 8, 2)) | cut("first")
               | head("robot", layer("b", 8) | early_exit("quick", classifier("quick_classes")))
               | bottleneck("second", named("c", conv(4, {.kernel = 3, .stride = 2})), affine_u8())
               | tail("server", layer("d", 16) | classifier("classes"));
    }
};
/// Two inputs, of bytes and of floats.
struct two_inputs {
    static constexpr auto graph() {
        return camera() | head("robot", layer("a", 8, 2)) | cut("uplink")
               | tail("server", global_pool() | concat(identity(), input("speed", f32, values{1}) | named("speed", dense(4)) | relu())
                                    | named("classes", dense(classes)));
    }
};

} // namespace exit_networks
