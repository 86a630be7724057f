// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file clio_cifar_resnet.hpp
/// The CIFAR ResNets cut once, as CLIO cuts: the device sends the map there in growing widths of channels, and the cloud answers each of them.
#pragma once

#include <splitdsl/zoo/fleet_cifar_resnet.hpp>

#include <utility>

namespace splitdsl::zoo {

/// The trunk of `fleet_cifar_resnet` with one cut, behind the first block of the second stage (32 channels of a quarter of the input's side), and no other
/// exit. Input "image": (3, Side, Side) u8, ImageNet's statistics; the trunk's answer and the cloud's, "behind_cut": Classes probabilities.
/// Stream "cut": the widths 4, 8, 16 and 32. Weights: the trunk's `conv1`, `bn1`, `layerS.B.{conv1,bn1,conv2,bn2}`, `linear`, and from `layer2.1` on again behind
/// `cloud.`: one set for all widths, as tools/train_fleet.py trains it (recipe `partition`).
/// Source: CLIO (Huang et al., MobiCom 2020); the cut and its widths are this library's.
///
/// ```cpp
/// struct pets : zoo::clio_cifar_resnet<2, 32, 5> {};
/// ```
template <int BlocksPerStage = 3, int Side = 32, int Classes = 10>
struct clio_cifar_resnet {
    using whole = fleet_cifar_resnet<BlocksPerStage, fleet_choice{.pictures = fleet_pictures::cifar}, Side, Classes>;
    static constexpr int cut_layer = BlocksPerStage + 2;
    template <int First, int... I>
    static constexpr auto layers(std::integer_sequence<int, I...>) { return (... | whole::template trunk<First + I>()); }

    static constexpr auto graph() {
        return fleet_parts::picture<Side>(imagenet)
             | layers<1>(std::make_integer_sequence<int, cut_layer>{}) | stream("cut", identity(), widths(4, 8, 16, 32))
             | beside("cloud", early_exit("behind_cut", from("cut") | named("cloud", whole::in_cloud()) | softmax()))
             | layers<cut_layer + 1>(std::make_integer_sequence<int, whole::layers - cut_layer>{}) | whole::answer();
    }
};

} // namespace splitdsl::zoo
