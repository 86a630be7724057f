// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file networks.hpp
/// Small networks in every shape the language must be able to say. Static and numeric tests share them.
#pragma once

#include <splitdsl/language.hpp>

namespace networks {
using namespace splitdsl;

constexpr auto cbr(text conv_name, text norm_name, int channels, window w) {
    return named(conv_name, conv(channels, w)) | named(norm_name, batch_norm()) | relu();
}
constexpr auto block(int channels) {
    return residual(cbr("conv1", "bn1", channels, {.kernel = 3}) | named("conv2", conv(channels, {.kernel = 3})) | named("bn2", batch_norm())) | relu();
}
constexpr auto wide_block(int channels, int stride) {
    return residual(cbr("conv1", "bn1", channels, {.kernel = 3, .stride = stride}) | named("conv2", conv(channels, {.kernel = 3})) | named("bn2", batch_norm()),
                    named("downsample", projection(channels, stride))) |
           relu();
}
constexpr auto control_branch(int i) {
    return named("branch", named(i, named("fc1", dense(16)) | relu() | named("fc2", dense(3)) | tanh()));
}

/// SAGE's shape: head, 3x12x26 bottleneck (SAGE-05), residual tail, speed branch, command-selected control.
struct sage {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 88, .width = 200}) | normalise(imagenet)
             | head("car", cbr("conv1", "bn1", 16, {.kernel = 7, .stride = 2})                                          // (16, 44, 100)
                               | max_pool({.kernel = 3, .stride = 2, .pad = 1}))                                        // (16, 22, 50)
             | bottleneck("uplink", named("encode", conv(3, {.kernel = 2, .stride = 2, .pad = 1})), affine_u8())        // (3, 12, 26)
             | tail("cloud", cbr("decode", "bnd", 24, {.kernel = 2, .pad = 1})                                          // (24, 13, 27)
                                 | named("layer1", named(0, block(24))) | named("layer2", named(0, wide_block(32, 2)))
                                 | global_pool()
                                 | concat(identity(), input("speed", f32, values{1}) | named("speed", dense(8)) | relu())
                                 | select("command", control_branch(0), control_branch(1), control_branch(2), control_branch(3)));
    }
    static constexpr auto limits() {
        return std::array{payload_at_most("uplink", 960), arena_at_most("car", 2'000'000), macs_at_most("car", 12'000'000)};
    }
};

/// FLEET's shape: streams at four stages, fusion of the last two at the cloud, cloud exits that share the trunk's classifier.
struct fleet {
    static constexpr auto trunk(int i, int channels, int stride) {
        return head("device", named("stage", named(i, cbr("conv", "bn", channels, {.kernel = 3, .stride = stride}))));
    }
    static constexpr auto send(text name) { return stream(name, named(name, conv(8, {.kernel = 1})) | avg_pool({.kernel = 2}), affine_u8()); }
    static constexpr auto cloud_exit(text name, text first, text second) {
        return beside("cloud", early_exit(name, fuse(first, second) | named(name, named("fuse", conv(24, {.kernel = 1})) | relu())
                                                    | global_pool() | named("fc", dense(10)) | softmax()));
    }
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet)
             | trunk(0, 16, 2) | send("s0") | trunk(1, 16, 1) | send("s1") | cloud_exit("exit1", "s0", "s1")
             | trunk(2, 24, 1) | send("s2") | cloud_exit("exit2", "s1", "s2")
             | trunk(3, 24, 1) | send("s3") | cloud_exit("exit3", "s2", "s3")
             | head("device", global_pool() | named("fc", dense(10)) | softmax());
    }
};

/// FLEET's shape with streams in three sizes.
struct fleet_live {
    static constexpr auto send(text name) { return stream(name, named(name, conv(8, {.kernel = 1})), dynamic_pool(4, {.smallest = 4, .largest = 8, .step = 2})); }
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet)
             | fleet::trunk(0, 16, 2) | send("s0") | fleet::trunk(1, 16, 1) | send("s1") | fleet::cloud_exit("exit1", "s0", "s1")
             | fleet::trunk(2, 24, 1) | send("s2") | fleet::cloud_exit("exit2", "s1", "s2")
             | head("device", global_pool() | named("fc", dense(10)) | softmax());
    }
};
/// A fusion of its own for each pair of sizes (Eq. 7), two sizes here and three of the stream before.
struct fleet_pairs {
    static constexpr auto send(text name, pool_choice how) { return stream(name, named(name, conv(4, {.kernel = 1})), how); }
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet)
             | fleet::trunk(0, 8, 2) | send("s0", dynamic_pool(4, {.smallest = 4, .largest = 8, .step = 2})) | fleet::trunk(1, 8, 1)
             | send("s1", dynamic_pool(4, {.smallest = 4, .largest = 8, .step = 4}))
             | beside("cloud", early_exit("exit", fuse("s0", "s1") | by_sizes<3, 2>([](int before, int here) { return named("pair", named(before, named(here, conv(8, {.kernel = 1})))); })
                                                      | relu() | global_pool() | named("fc", dense(10)) | softmax()))
             | head("device", global_pool() | named("fc", dense(10)) | softmax());
    }
};
/// CLIO's shape: one cut, whose channels leave in three widths, with a layer of its own for each.
struct cut_once {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet) | fleet::trunk(0, 12, 2)
             | stream("cut", identity(), widths(2, 5, 12))
             | beside("cloud", early_exit("exit", from("cut") | by_sizes<1, 3>([](int, int width) { return named("width", named(width, conv(12, {.kernel = 3}))); })
                                                      | relu() | global_pool() | named("fc", dense(10)) | softmax()))
             | head("device", global_pool() | named("fc", dense(10)) | softmax());
    }
};

/// Device, edge and cloud.
struct three_tier {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 48, .width = 40, .layout = image_layout::hwc}) | normalise(zero_to_one)
             | head("device", cbr("conv1", "bn1", 12, {.kernel = 3, .stride = 2})) | bottleneck("radio", named("squeeze", conv(4, {.kernel = 1})), affine_u8())
             | stage("edge", cbr("conv2", "bn2", 16, {.kernel = 3}) | cbr("conv3", "bn3", 24, {.kernel = 3, .stride = 2}))
             | bottleneck("backhaul", named("narrow", conv(6, {.kernel = 1})), half_f16())
             | tail("cloud", cbr("conv4", "bn4", 32, {.kernel = 3, .stride = 2}) | global_pool() | named("fc", dense(10)));
    }
};

/// SAGE section 4.5: three cameras, three bottlenecks, one payload group, one control head.
struct three_cameras {
    static constexpr auto camera(text name, text cut) {
        return input(name, u8, {.channels = 3, .height = 24, .width = 40}) | normalise(imagenet)
             | head("car", named(name, cbr("conv1", "bn1", 8, {.kernel = 3, .stride = 2})))
             | bottleneck(cut, named(name, named("encode", conv(3, {.kernel = 3, .stride = 2}))), affine_u8());
    }
    static constexpr auto graph() {
        return fan_in("cameras", camera("left", "left_up"), camera("centre", "centre_up"), camera("right", "right_up"))
             | tail("cloud", cbr("mix", "bn", 24, {.kernel = 3}) | global_pool() | named("control", dense(3)));
    }
};

/// One encoder, three tasks (Ladon's shape).
struct three_tasks {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet)
             | head("phone", cbr("conv1", "bn1", 16, {.kernel = 5, .stride = 2})) | bottleneck("uplink", named("encode", conv(6, {.kernel = 2, .stride = 2, .pad = 0})), affine_u8())
             | tail("cloud", cbr("decode", "bnd", 24, {.kernel = 3})
                                 | fan_out(task("class", global_pool() | named("classifier", dense(10))),
                                           task("boxes", named("boxes", conv(8, {.kernel = 3}))),
                                           task("mask", named("up", conv_transpose(4, {.kernel = 2, .stride = 2})) | sigmoid())));
    }
};

/// A U-Net: taps cross the cut because the cut carries them.
struct unet {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 32, .width = 24}) | normalise(imagenet)
             | head("car", tap("skip1", cbr("enc1", "bn1", 8, {.kernel = 3}) | named("thin1", conv(2, {.kernel = 1})), affine_u8())
                               | max_pool({.kernel = 2}) | tap("skip2", cbr("enc2", "bn2", 12, {.kernel = 3})) | max_pool({.kernel = 2}))
             | bottleneck("uplink", named("encode", conv(4, {.kernel = 3})), affine_u16(), carry("skip1", "skip2"))
             | tail("cloud", cbr("mid", "bnm", 16, {.kernel = 3}) | upsample({.factor = 2, .bilinear = true})
                                 | concat(identity(), from("skip2")) | cbr("dec2", "bnd2", 12, {.kernel = 3})
                                 | named("up", conv_transpose(8, {.kernel = 2, .stride = 2})) | concat(identity(), from("skip1"))
                                 | named("mask", conv(2, {.kernel = 1})) | softmax());
    }
};

/// A whole network with identity cuts in three places, and layers that most networks do not have.
struct many_cuts {
    static constexpr auto squeeze(int channels) {
        return multiply(identity(), global_pool() | named("se", named("fc1", conv(channels / 4, {.kernel = 1})) | relu() | named("fc2", conv(channels, {.kernel = 1}))) | hard_sigmoid());
    }
    static constexpr auto graph() {
        return input("picture", f32, {.channels = 3, .height = 31, .width = 27}) | cbr("stem", "bn0", 16, {.kernel = 3, .stride = 2})
             | cut("c0") | named("dw", conv(16, {.kernel = 5, .groups = 16})) | named("bndw", batch_norm()) | hard_swish() | named("a", squeeze(16))
             | cut("c1") | named("b1", batch_norm()) | relu6() | named("g", conv(24, {.kernel = 3, .groups = 4, .with_bias = bias::yes})) | leaky_relu(0.1F)
             | concat(max_pool({.kernel = 3, .stride = 2, .ceil = true}), avg_pool({.kernel = 3, .stride = 2, .pad = 0, .ceil = true}), subsample(2) | named("s", conv(5, {.kernel = {1, 7}})))
             | cut("c2", half_f16()) | named("dil", conv(16, {.kernel = 3, .dilation = 2})) | tanh() | pad(padding{0, 1, 2, 1}, 0.5F)
             | upsample({.size = {11, 12}}) | named("last", conv(6, {.kernel = 3, .stride = 2, .pad = {0, 0, 1, 1}})) | flatten() | named("fc", dense(7)) | softmax();
    }
};

} // namespace networks
