// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file network.hpp
/// The trained network with exits on the device and streams to the cloud, run by the best code for this processor.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/zoo/fleet_cifar_resnet.hpp>

#include <array>

namespace visual_wake {

/// ResNet-14 on CIFAR-10's classes: four growing streams, six exits on the device. Both contestants run it, so both pay for the exits' 13
/// thousand multiplications.
struct wake_network : splitdsl::zoo::fleet_cifar_resnet<2, splitdsl::zoo::fleet_choice{.pictures = splitdsl::zoo::fleet_pictures::cifar,
                                                                                       .exits = splitdsl::zoo::fleet_exits::both,
                                                                                       .codec = splitdsl::codec_id::pooled}> {};

inline constexpr int side = 32, classes = 10;
inline constexpr std::size_t picture_bytes = std::size_t{3} * side * side;

/// The case study's wake words (FLEET, section 4.7), as far as CIFAR-10's classes have them.
inline constexpr std::array wake_words{"vehicle", "pet", "animal"};
inline constexpr std::array<int, classes> wake_word_of{0, 0, 2, 1, 2, 1, 2, 2, 0, 0};

} // namespace visual_wake

SPLITDSL_DISPATCHED(visual_wake::wake_network)
