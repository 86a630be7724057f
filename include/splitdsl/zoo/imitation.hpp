// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file imitation.hpp
/// Conditional imitation learning: CarlaNet, its version with a bottleneck, three cameras in place of one, and the adaptor that makes any classifier steer.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

#include <array>

namespace splitdsl::zoo {

namespace imitation_parts {

/// Convolution, batch norm, ReLU under the number of its layer.
constexpr auto unit(int name, int channels, window w) {
    w.with_bias = bias::yes;
    return named(name, conv_bn(0, channels, w)) | relu();
}
constexpr auto layer(int name, int units) { return named(name, named(0, dense(units))); }
constexpr auto behind_stem() {
    constexpr window three{.kernel = 3, .pad = 0}, by_two{.kernel = 3, .stride = 2, .pad = 0};
    return unit(3, 64, three) | unit(4, 128, by_two) | unit(5, 128, three) | unit(6, 256, three) | unit(7, 256, three);
}
constexpr auto to_vector(int features) { return flatten() | named(1, named("layers", layer(0, 512) | relu() | layer(1, features) | relu())); }
constexpr auto branch(int index) {
    return named("branches", named("branched_modules", named(index, named("layers", layer(0, 256) | relu() | layer(1, 256) | relu() | layer(2, 3)))));
}

/// Both sides of SAGE's cut: (3, H, W) -> (32, H / 4, W / 4), the encoder's last layer, and everything behind it.
constexpr auto sage_camera(text name, int height, int width) { return input(name, u8, {.channels = 3, .height = height, .width = width}) | normalise(zero_to_one); }
constexpr auto sage_encoder() { return named("encoder", unit(0, 32, {.kernel = 5, .stride = 2}) | unit(1, 32, {.kernel = 3, .stride = 2})); }
constexpr auto sage_narrowing(int channels) { return named("encoder", named(2, named(0, conv(channels, {.kernel = 3, .pad = 0})))); }
constexpr auto behind_sage_cut(int features) { return named("decoder", unit(0, 64, {.kernel = 2, .pad = 0})) | named(0, named("layers", behind_stem())) | to_vector(features); }

} // namespace imitation_parts

/// The perception of Codevilla et al. 2018 (CoIL): eight convolutions without padding, two dense layers. Input "image": (3, Height, Width) u8,
/// to [0, 1]; output: Features values. Cuts 1-4 "layers2", "layers4", "layers5", "layers7"; for `imitation`.
template <int Height = 88, int Width = 200, int Features = 512, cut_choice Cuts = every_cut>
struct carla_perception {
    static constexpr auto graph() {
        using namespace imitation_parts;
        constexpr window three{.kernel = 3, .pad = 0}, by_two{.kernel = 3, .stride = 2, .pad = 0};
        return input("image", u8, {.channels = 3, .height = Height, .width = Width}) | normalise(zero_to_one)
             | named(0, named("layers", unit(0, 32, {.kernel = 5, .stride = 2, .pad = 0}) | unit(1, 32, three) | unit(2, 64, by_two) | stage_cut<Cuts, 1>("layers2")
                                            | unit(3, 64, three) | unit(4, 128, by_two) | stage_cut<Cuts, 2>("layers4")
                                            | unit(5, 128, three) | stage_cut<Cuts, 3>("layers5")
                                            | unit(6, 256, three) | unit(7, 256, three) | stage_cut<Cuts, 4>("layers7")))
             | to_vector(Features);
    }
};

/// SAGE's: the first three convolutions give way to an encoder of Channels x (Height / 4 - 2) x (Width / 4 - 2) values (3 x 20 x 48 at 88 x 200,
/// 3 x 178 x 318 at 720 x 1280; section 4.3) and one decoding convolution, which the paper leaves open. Places "edge" and "cloud", cut "uplink".
/// Weights: `encoder.{0,1,2}`, `decoder.0`, and the rest under carla_perception's names.
template <int Height = 88, int Width = 200, int Channels = 3, codec_choice Codec = affine_u8(), int Features = 512>
struct sage_carla_perception {
    static constexpr int sent_channels = Channels;
    /// The two sides of the cut, for three_cameras.
    static constexpr auto near(text camera, text uplink) {
        using namespace imitation_parts;
        return head("edge", sage_camera(camera, Height, Width) | sage_encoder()) | bottleneck(uplink, sage_narrowing(Channels), Codec);
    }
    static constexpr auto far() { return tail("cloud", imitation_parts::behind_sage_cut(Features)); }
    static constexpr auto graph() { return near("image", "uplink") | far(); }
};

/// A perception with a bottleneck, three times (SAGE sections 4.1 and 4.5): inputs "left", "centre", "right", each through layers of its own (weights
/// under `left.`, `centre.`, `right.`). The heads run side by side, their three bottlenecks leave together as the payload group "uplink", and
/// their features stand side by side, for `imitation`. Perception: sage_carla_perception, or one of bottlefit.hpp's.
///
/// ```cpp
/// struct three_eyes : zoo::imitation<zoo::three_cameras<zoo::bottlefit_resnet34<zoo::bottleneck_choice{}, 88, 200, 512>>> {};
/// ```
template <class Perception>
struct three_cameras {
    static constexpr auto near(text camera, text uplink) { return named(camera, Perception::near(camera, uplink)); }
    static constexpr auto far(text camera, int index) {
        return slice_channels(index * Perception::sent_channels, Perception::sent_channels) | named(camera, Perception::far());
    }
    static constexpr auto graph() {
        return fan_in("uplink", near("left", "left_up"), near("centre", "centre_up"), near("right", "right_up"))
             | tail("cloud", concat(far("left", 0), far("centre", 1), far("right", 2)));
    }
};

/// Any network with 512 outputs as the eyes of a driver: its features are joined with the speed's, and the command chooses among four heads
/// (SAGE section 3.2). Inputs: the backbone's, "speed" (1 value, f32), "command" (u8 below 4). Output: steering, throttle, brake.
/// Weights: the backbone's under `perception.`, and CoIL's names `measurements`, `join`, `branches`; `speed_branch.`, which only training uses, is ignored.
///
/// ```cpp
/// struct il_resnet34 : zoo::imitation<zoo::resnet34<88, 200, 512>> {};
/// struct il_carlanet : zoo::imitation<zoo::carla_perception<>> {};
/// ```
template <class Backbone>
struct imitation {
    static constexpr auto ignored() { return std::array<text, 1>{"speed_branch."}; }
    static constexpr auto graph() {
        using namespace imitation_parts;
        return concat(named("perception", Backbone::graph()),
                      input("speed", f32, values{1}) | named("measurements", named("layers", layer(0, 128) | relu() | layer(1, 128) | relu())))
             | named("join", named("after_process", named("layers", layer(0, 512)))) | relu()
             | select("command", branch(0), branch(1), branch(2), branch(3));
    }
};

} // namespace splitdsl::zoo
