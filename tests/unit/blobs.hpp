// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file blobs.hpp
/// Bytes for tests: a text's, random ones that repeat, and the same with one changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

using blob = std::vector<std::byte>;

inline blob blob_of(std::string_view text) {
    blob b;
    for (const char c : text) b.push_back(static_cast<std::byte>(c));
    return b;
}

/// A small deterministic source of numbers, so that failures repeat.
struct numbers {
    std::uint64_t state;
    std::uint64_t next() {
        state += 0x9E3779B97F4A7C15u;
        std::uint64_t z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    float uniform(float low, float high) { return low + (high - low) * static_cast<float>(next() >> 40) / 16777216.0f; }
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
};

inline blob with_byte(blob m, std::size_t at, int change) {
    m[at] ^= static_cast<std::byte>(change);
    return m;
}
