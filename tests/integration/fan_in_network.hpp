// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fan_in_network.hpp
/// A small network with three cameras, compiled once (fan_in_test.cpp) for every test here that wants a real one.
#pragma once

#include <splitdsl/runtime/edge_options.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fan_in {

inline constexpr std::size_t camera_bytes = 3 * 24 * 40, bottleneck_bytes = 3 * 6 * 10 + 8, header_bytes = 48;

/// networks::three_cameras with weights out of a seed.
struct subject {
    const splitdsl::pipeline* net{};
    std::span<const std::byte> packed{};
    std::uint64_t digest{};
};
subject three_cameras();

/// Three pictures out of a number.
struct pictures {
    std::array<std::array<std::byte, camera_bytes>, 3> of{};
    explicit pictures(std::uint32_t seed) {
        for (auto& picture : of)
            for (auto& b : picture) b = static_cast<std::byte>((seed = seed * 1664525U + 1013904223U) >> 24);
    }
    std::array<std::span<const std::byte>, 3> spans() const { return {of[0], of[1], of[2]}; }
};

} // namespace fan_in
