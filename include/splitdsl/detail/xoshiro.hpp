// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file xoshiro.hpp
/// Seeded random numbers that are the same with every compiler and standard library (std's distributions are not).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace splitdsl::detail {

/// xoshiro256**, seeded by splitmix64 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021).
class xoshiro256 {
public:
    explicit constexpr xoshiro256(std::uint64_t seed = 0) {
        for (auto& word : state) {
            seed += 0x9e3779b97f4a7c15u;
            std::uint64_t z = seed;
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
            z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
            word = z ^ (z >> 31);
        }
    }

    constexpr std::uint64_t next() {
        const std::uint64_t result = std::rotl(state[1] * 5, 7) * 9;
        const std::uint64_t t = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= t;
        state[3] = std::rotl(state[3], 45);
        return result;
    }

    /// In [0, 1), all 53 bits used.
    constexpr double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
    constexpr double uniform(double low, double high) { return low + (high - low) * uniform(); }

    /// In [0, count); count > 0. The bias of the multiplication is below count / 2^32.
    constexpr std::uint32_t below(std::uint32_t count) { return static_cast<std::uint32_t>(((next() >> 32) * count) >> 32); }

    constexpr bool chance(double probability) { return uniform() < probability; }

    /// Standard normal (Box-Muller, one of the two values, so that the state is nothing but the four words).
    double normal() {
        const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
        return radius * std::cos(2.0 * std::numbers::pi * uniform());
    }

    /// Exponential of the given mean.
    double exponential(double mean) { return -mean * std::log(1.0 - uniform()); }

private:
    std::uint64_t state[4]{};
};

} // namespace splitdsl::detail
