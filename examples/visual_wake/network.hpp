// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file network.hpp
/// The trained networks with exits on the device and streams to the cloud, run by the best code for this processor.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/zoo/clio_cifar_resnet.hpp>

#include <array>

namespace visual_wake {

constexpr splitdsl::zoo::fleet_choice with_streams_of(int channels) {
    splitdsl::zoo::fleet_choice f{.pictures = splitdsl::zoo::fleet_pictures::cifar, .exits = splitdsl::zoo::fleet_exits::both, .codec = splitdsl::codec_id::pooled};
    for (int& d : f.depth) d = channels;
    return f;
}
/// ResNet-14 on CIFAR-10's classes: four growing streams of 4 channels, six exits on the device. All contestants pay for the exits' 13
/// thousand multiplications.
struct wake_network : splitdsl::zoo::fleet_cifar_resnet<2, with_streams_of(4)> {};
/// The same with streams of 16 channels, on the device of Shallow-Deep's training (tools/train_fleet_wide.py).
struct wide_network : splitdsl::zoo::fleet_cifar_resnet<2, with_streams_of(16)> {};
/// CLIO's: one cut, whose 32 channels leave in growing widths (tools/train_fleet.py, recipe partition). It has no exits on the device.
struct clio_network : splitdsl::zoo::clio_cifar_resnet<2> {};

/// The three by number, as a policy chooses one.
inline constexpr std::size_t narrow = 0, wide = 1, by_width = 2;
struct known_network {
    const char *name, *option; ///< for `--network`, and of its weights
    const char *what, *made_by;
};
inline constexpr std::array networks{known_network{"narrow", "--weights", "the streams of 4 channels", "tools/train_fleet.py export"},
                                     known_network{"wide", "--wide-weights", "the streams of 16 channels", "tools/train_fleet_wide.py export"},
                                     known_network{"clio", "--clio-weights", "the cut in widths of channels", "tools/train_fleet.py export --recipe partition"}};

inline constexpr int side = 32, classes = 10;
inline constexpr std::size_t picture_bytes = std::size_t{3} * side * side;

/// The case study's wake words (FLEET, section 4.7), as far as CIFAR-10's classes have them.
inline constexpr std::array wake_words{"vehicle", "pet", "animal"};
inline constexpr std::array<int, classes> wake_word_of{0, 0, 2, 1, 2, 1, 2, 2, 0, 0};

} // namespace visual_wake

SPLITDSL_DISPATCHED(visual_wake::wake_network)
SPLITDSL_DISPATCHED(visual_wake::wide_network)
SPLITDSL_DISPATCHED(visual_wake::clio_network)
