// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file network.hpp
/// The network that drives: imitation learning in SAGE's shape, and the teacher it was distilled from.
#pragma once

#include <splitdsl/language.hpp>

namespace drive {

/// The network's `speed` input for a speed in m/s: tens of metres per second.
constexpr float speed_input(double metres_per_second) { return static_cast<float>(metres_per_second / 10.0); }

namespace layers {

using namespace splitdsl;

/// Convolution, batch norm, ReLU under two names.
constexpr auto conv_bn_relu(text conv_name, text norm_name, int channels, window w) {
    return named(conv_name, conv(channels, w)) | named(norm_name, batch_norm()) | relu();
}

/// ResNet's basic block; the shape stays.
constexpr auto basic_block(int channels) {
    return residual(conv_bn_relu("conv1", "bn1", channels, {.kernel = 3}) | named("conv2", conv(channels, {.kernel = 3})) |
                    named("bn2", batch_norm())) |
           relu();
}

/// Basic block that changes channels or size, with a projection beside it.
constexpr auto widening_block(int channels, extent stride) {
    return residual(conv_bn_relu("conv1", "bn1", channels, {.kernel = 3, .stride = stride}) |
                        named("conv2", conv(channels, {.kernel = 3})) | named("bn2", batch_norm()),
                    named("downsample", projection(channels, stride))) |
           relu();
}

/// What both networks see: the camera, its bytes made into numbers of about unit size.
constexpr auto camera_input() {
    return input("camera", u8, {.channels = 3, .height = 88, .width = 200}) |
           normalise({{0.45F, 0.45F, 0.45F, 0.0F}, {0.25F, 0.25F, 0.25F, 1.0F}}); // (3, 88, 200)
}

/// SAGE's stem: a wide convolution and a pool, each of stride two.
constexpr auto stem() {
    return named("stem", conv_bn_relu("conv", "bn", 24, {.kernel = 7, .stride = 2})) | // (24, 44, 100)
           max_pool({.kernel = 3, .stride = 2, .pad = 1});                            // (24, 22, 50)
}

/// One command's way from what was seen to steer, throttle and brake.
constexpr auto command_branch(text name) {
    return named(name, named("fc1", dense(32)) | relu() | named("fc2", dense(3))); // (3, 1, 1)
}

/// The part that teacher and student share, weights and all: (48, 22, 50) to the three controls.
constexpr auto perception_and_control() {
    return named("trunk", named("layer1", repeat<4>([](int i) { return named(i, basic_block(48)); })) |       // (48, 22, 50)
                              named("layer2", named(0, widening_block(64, 2)) | named(1, basic_block(64))) |  // (64, 11, 25)
                              named("reduce", conv_bn_relu("conv", "bn", 32, {.kernel = 1}))) |               // (32, 11, 25)
           avg_pool({.kernel = 5, .stride = {3, 5}}) | flatten()     |                        // (480, 1, 1): a coarse grid keeps "where"
           named("perception", dense(64)) | relu() |                                           // (64, 1, 1)
           concat(identity(), input("speed", f32, {.count = 1}) | named("speed", named("fc1", dense(16)) | relu())) | // (80, 1, 1)
           select("command", command_branch("follow"), command_branch("left"), command_branch("right"), command_branch("straight"));
}

} // namespace layers

/// The driver: a head on the car, SAGE's bottleneck 3 x (H/8 + 1) x (W/8 + 1), and a tail that decodes it, sees and steers.
/// Inputs: camera (3, 88, 200) u8, speed in units of 10 m/s, command 0 to 3. Output `control`: steer, throttle, brake; not bounded,
/// because the car bounds them.
struct driver {
    static constexpr auto graph() {
        using namespace splitdsl;
        using namespace layers;
        return camera_input() |
               head("car", stem() | named("squeeze", conv_bn_relu("conv1", "bn1", 32, {.kernel = 3}) |
                                                         conv_bn_relu("conv2", "bn2", 32, {.kernel = 3}))) | // (32, 22, 50)
               bottleneck("uplink",
                          named("encode", named("conv", conv(3, {.kernel = 2, .stride = 2, .pad = 1})) | named("bn", batch_norm())),
                          affine_u8()) | // (3, 12, 26)
               tail("cloud", named("decode", conv_bn_relu("conv1", "bn1", 48, {.kernel = 3}) |                   // (48, 12, 26)
                                                 named("up", conv_transpose(48, {.kernel = 2, .stride = 2, .pad = 1})) |
                                                 named("bn2", batch_norm()) | relu() |                           // (48, 22, 50)
                                                 conv_bn_relu("conv3", "bn3", 48, {.kernel = 3})) |
                                 perception_and_control());
    }
};

/// Head network distillation's teacher: an ordinary residual head in place of head, bottleneck and decoder; the same tail.
struct driver_teacher {
    static constexpr auto graph() {
        using namespace splitdsl;
        using namespace layers;
        return camera_input() |
               head("car", stem() | named("body", named(0, widening_block(48, 1)) | named(1, basic_block(48))) | cut("features")) |
               tail("cloud", perception_and_control());
    }
};

} // namespace drive
