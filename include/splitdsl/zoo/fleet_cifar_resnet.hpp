// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_cifar_resnet.hpp
/// The CIFAR ResNets with FLEET's exits: a network small enough to train without a GPU, and to send from a microcontroller.
#pragma once

#include <splitdsl/zoo/cifar_resnet.hpp>
#include <splitdsl/zoo/fleet.hpp>

#include <utility>

namespace splitdsl::zoo {

/// A CIFAR ResNet of 6 n + 2 layers, n = BlocksPerStage, whose stem has stride 2 as FLEET's other networks for 32 x 32 pictures have: a quarter of the
/// multiplications. Layer 1 is the stem, then every residual block is a layer.
/// Input "image": (3, Side, Side) u8, ImageNet's statistics; the trunk's answer and every exit: Classes probabilities.
/// Cloud exits: streams "layer1" ... behind the first n + 2 layers, exits "cloud1" ...; the cloud's own blocks from `layer2.1` on.
/// Local exits "local1" ... "local6" behind layers 1, 2, n + 1, n + 2, 2 n + 1 and 2 n + 2, the seventh is the trunk's answer.
/// Weights: `conv1`, `bn1`, `layerS.B.{conv1,bn1,conv2,bn2}`, `linear`, again behind `cloud.`; `fusion.LAYER.{0,1}`, `exits.NUMBER`.
/// The network is this library's (FLEET names no ResNet for CIFAR); tools/train_fleet.py trains it.
///
/// ```cpp
/// struct pets : zoo::fleet_cifar_resnet<2, zoo::fleet_choice{.pictures = zoo::fleet_pictures::cifar, .exits = zoo::fleet_exits::both}, 32, 5> {};
/// ```
template <int BlocksPerStage = 3, fleet_choice F = fleet_choice{.pictures = fleet_pictures::cifar}, int Side = 32, int Classes = 10>
struct fleet_cifar_resnet {
    static_assert(BlocksPerStage >= 2 && BlocksPerStage <= 6);
    static constexpr int n = BlocksPerStage, layers = 1 + 3 * n, streams = n + 2;
    static constexpr int stage_of(int layer) { return layer == 1 ? 1 : (layer - 2) / n + 1; }
    static constexpr int size_behind(int layer) {
        const int one = fleet_parts::halved(Side), two = fleet_parts::halved(one);
        return stage_of(layer) == 1 ? one : stage_of(layer) == 2 ? two : fleet_parts::halved(two);
    }
    static constexpr int exit_behind(int layer) {
        constexpr int at[]{1, 2, 1 + n, 2 + n, 1 + 2 * n, 2 + 2 * n};
        for (int i = 0; i < 6; ++i)
            if (at[i] == layer) return i + 1;
        return 0;
    }
    template <int Stage, int Block>
    static constexpr auto block() {
        constexpr int channels = 8 << Stage;
        if constexpr (Stage > 1 && Block == 0) return cifar_resnet_parts::shrink(channels);
        else return named(Block, resnet_parts::keep(channels));
    }
    template <int Stage, int First>
    static constexpr auto blocks_from() {
        constexpr text names[]{"layer1", "layer2", "layer3"};
        return named(names[Stage - 1], []<int... B>(std::integer_sequence<int, B...>) { return (... | block<Stage, First + B>()); }(
                                           std::make_integer_sequence<int, n - First>{}));
    }
    static constexpr auto in_cloud() { return blocks_from<2, 1>() | blocks_from<3, 0>() | global_pool() | named("linear", dense(Classes)); }
    /// A layer of the trunk, on the device.
    template <int Layer>
    static constexpr auto trunk() {
        constexpr text names[]{"layer1", "layer2", "layer3"};
        if constexpr (Layer == 1) return head("device", conv_bn("conv1", "bn1", 16, {.kernel = 3, .stride = 2}) | relu());
        else return head("device", named(names[stage_of(Layer) - 1], block<stage_of(Layer), (Layer - 2) % n>()));
    }
    static constexpr auto answer() { return head("device", global_pool() | named("linear", dense(Classes)) | softmax()); }
    template <int Layer>
    static constexpr auto layer() {
        using namespace fleet_parts;
        constexpr int number = exit_behind(Layer);
        const auto behind = [] {
            if constexpr (number > 0) return local_exit<F, number, size_behind(Layer), (number <= 3 ? 4 : 2)>(Classes);
            else return identity();
        }();
        const auto sent = [] {
            constexpr sizes around{size_behind(1), size_behind(Layer > 1 ? Layer - 1 : 1), size_behind(Layer)};
            if constexpr (Layer <= streams && has_cloud(F)) return cloud_exit<F, Layer, around>(32, relu(), in_cloud());
            else return identity();
        }();
        return trunk<Layer>() | behind | sent;
    }
    static constexpr auto graph() {
        return fleet_parts::picture<Side>(imagenet)
             | []<int... L>(std::integer_sequence<int, L...>) { return (... | layer<L + 1>()); }(std::make_integer_sequence<int, layers>{})
             | answer();
    }
};

} // namespace splitdsl::zoo
