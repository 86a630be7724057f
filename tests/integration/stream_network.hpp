// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_network.hpp
/// FLEET's shape, small: three streams in three sizes, three exits in the cloud. Compiled once (streams_test.cpp) for every test here.
#pragma once

#include <splitdsl/runtime/pipeline.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace streamed {

inline constexpr std::size_t picture_bytes = 3 * 32 * 32, classes = 10;
inline constexpr int streams = 3, sizes = 3;

/// The network with weights out of a seed.
struct subject {
    const splitdsl::pipeline* net{};
    std::span<const std::byte> packed{};
    std::uint64_t digest{};
};
subject network();

struct picture {
    std::vector<std::byte> bytes = std::vector<std::byte>(picture_bytes);
    std::array<std::span<const std::byte>, 1> spans{};
    explicit picture(std::uint32_t seed) {
        for (auto& b : bytes) b = static_cast<std::byte>((seed = seed * 1664525U + 1013904223U) >> 24);
        spans[0] = bytes;
    }
};

} // namespace streamed
