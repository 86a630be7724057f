// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file heads.hpp
/// What an edge computes in SAGE and BottleFit, with hardly anything behind the cut "uplink": a whole network only to be timed up to there.
/// And networks without Winograd, whose every convolution is direct.
#pragma once

#include <splitdsl/zoo/bottlefit.hpp>
#include <splitdsl/zoo/imitation.hpp>
#include <splitdsl/zoo/resnet.hpp>

namespace splitdsl::zoo {

/// Weights: `encoder.{0,1,2}`.
template <int Height, int Width>
struct sage_head {
    static constexpr auto graph() { return sage_carla_perception<Height, Width, 3, codec_id::float32>::near("image", "uplink") | tail("cloud", global_pool()); }
};

/// Weights: `bottleneck.encoder`.
template <int Channels, int SplitPoint, int Height, int Width>
struct bottlefit_head {
    static constexpr auto graph() {
        return bottlefit_parts::encoder<bottleneck_choice{Channels, SplitPoint, codec_id::float32}, Height, Width>("image", "uplink") | tail("cloud", global_pool());
    }
};

template <typename Network>
struct direct : Network {
    static constexpr bool winograd = false;
};

} // namespace splitdsl::zoo
