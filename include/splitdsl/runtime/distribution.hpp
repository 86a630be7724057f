// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file distribution.hpp
/// Durations as a histogram of fixed size: adding one is a single store, quantiles are right to within 3.2 %.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace splitdsl {

/// A logarithmic histogram with 32 steps an octave, for durations from 0 to about 36 minutes.
///
/// One thread adds, any thread may read at any time (it then sees a recent state). 8 kB, never allocates.
///
/// ```cpp body
/// distribution latency;
/// latency.add(12ms);
/// const duration p99 = latency.quantile(0.99);
/// ```
class distribution {
public:
    distribution() = default;
    distribution(const distribution& other) { *this = other; }
    distribution& operator=(const distribution& other) {
        if (this == &other) return *this;
        for (std::size_t i = 0; i < buckets; ++i) store(counts[i], load(other.counts[i]));
        store(total, load(other.total));
        store(sum_ns, load(other.sum_ns));
        store(largest_ns, load(other.largest_ns));
        return *this;
    }

    void add(duration d) noexcept {
        const auto ns = d.count() > 0 ? static_cast<std::uint64_t>(d.count()) : 0;
        auto& cell = counts[bucket_of(ns)];
        store(cell, load(cell) + 1);
        store(total, load(total) + 1);
        store(sum_ns, load(sum_ns) + ns);
        if (ns > load(largest_ns)) store(largest_ns, ns);
    }
    std::uint64_t count() const noexcept { return load(total); }
    duration max() const noexcept { return duration{static_cast<std::int64_t>(load(largest_ns))}; }
    duration mean() const noexcept {
        const auto n = load(total);
        return duration{n ? static_cast<std::int64_t>(load(sum_ns) / n) : 0};
    }
    /// The smallest bucket end that at least a share `q` of the values do not exceed; never above the largest value. 0 if empty.
    duration quantile(double q) const noexcept {
        const auto n = load(total);
        if (n == 0) return {};
        auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(n)));
        if (wanted < 1) wanted = 1;
        std::uint64_t seen{};
        for (std::size_t i = 0; i < buckets; ++i) {
            seen += load(counts[i]);
            if (seen >= wanted) {
                const auto end = static_cast<std::int64_t>(end_of(i));
                return std::min(duration{end}, max());
            }
        }
        return max();
    }

private:
    static constexpr unsigned steps_log2 = 5; // 32 steps an octave
    static constexpr std::size_t steps = 1U << steps_log2;
    static constexpr std::uint64_t unit_ns = 1024; // below this everything is one linear range
    static constexpr std::size_t octaves = 31;
    static constexpr std::size_t buckets = steps * (octaves + 1);

    static std::size_t bucket_of(std::uint64_t ns) noexcept {
        const std::uint64_t v = ns / (unit_ns / steps); // 32 ns resolution at the low end
        if (v < steps) return static_cast<std::size_t>(v);
        const auto exponent = static_cast<unsigned>(std::bit_width(v)) - 1 - steps_log2;
        const std::size_t i = (exponent + 1) * steps + static_cast<std::size_t>((v >> exponent) - steps);
        return i < buckets ? i : buckets - 1;
    }
    static std::uint64_t end_of(std::size_t i) noexcept { // first value behind the bucket, less one
        const std::size_t octave = i / steps, step = i % steps;
        const std::uint64_t v = octave == 0 ? step + 1 : static_cast<std::uint64_t>(steps + step + 1) << (octave - 1);
        return v * (unit_ns / steps) - 1;
    }
    template <class T>
    static T load(const std::atomic<T>& a) noexcept {
        return a.load(std::memory_order_relaxed);
    }
    template <class T>
    static void store(std::atomic<T>& a, T v) noexcept {
        a.store(v, std::memory_order_relaxed);
    }

    std::array<std::atomic<std::uint64_t>, buckets> counts{};
    std::atomic<std::uint64_t> total{}, sum_ns{}, largest_ns{};
};

} // namespace splitdsl
