// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file resize.hpp
/// Bilinear resizing as the training frameworks do it: PIL's, bit for bit, on bytes; torch's on floats, antialiased or not.
#pragma once

#include <splitdsl/image/picture.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace splitdsl::imaging {

/// No resize makes more pixels than this, in its result or between its passes: a picture of 1 x 10,000 is small, its enlargement is not.
inline constexpr std::size_t most_resized_pixels = std::size_t{1} << 27;

namespace detail {

/// For each output position: the first input position it reads, and its weights.
template <class Weight>
struct resampling_table {
    struct entry { int first{}, count{}; std::size_t weights{}; };
    std::vector<entry> entries;
    std::vector<Weight> weights;
};

/// A triangle as wide as one output pixel (never narrower than one input pixel), cut off at the border and normalised.
/// `Number` is the type the weights are computed in: double in PIL, float in torch.
template <class Number>
resampling_table<Number> triangle_table(int from, int to) {
    const Number scale = static_cast<Number>(from) / static_cast<Number>(to), spread = std::max(scale, Number{1}), step = Number{1} / spread;
    resampling_table<Number> table;
    table.entries.reserve(static_cast<std::size_t>(to));
    for (int i = 0; i < to; ++i) {
        const Number centre = (static_cast<Number>(i) + Number(0.5)) * scale;
        const int first = std::max(static_cast<int>(centre - spread + Number(0.5)), 0);
        const int last = std::min(static_cast<int>(centre + spread + Number(0.5)), from);
        const std::size_t begin = table.weights.size();
        Number sum{};
        for (int j = first; j < last; ++j) {
            const Number distance = std::abs((static_cast<Number>(j) - centre + Number(0.5)) * step);
            table.weights.push_back(distance < 1 ? 1 - distance : Number{});
            sum += table.weights.back();
        }
        if (sum != 0)
            for (std::size_t k = begin; k < table.weights.size(); ++k) table.weights[k] /= sum;
        table.entries.push_back({first, last - first, begin});
    }
    return table;
}

inline constexpr int fixed_point_bits = 22; // 8 bits of pixel, 2 of head room, in 32

inline resampling_table<std::int32_t> fixed_point_table(int from, int to) {
    const resampling_table<double> exact = triangle_table<double>(from, to);
    resampling_table<std::int32_t> table;
    for (const auto& e : exact.entries) table.entries.push_back({e.first, e.count, e.weights});
    table.weights.reserve(exact.weights.size());
    for (const double w : exact.weights) table.weights.push_back(static_cast<std::int32_t>(0.5 + w * (1 << fixed_point_bits)));
    return table;
}

inline std::uint8_t rounded_pixel(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> fixed_point_bits, 0, 255)); }

/// Two samples and their mix for each output position: bilinear without antialiasing, corners not aligned.
/// torch rounds the scale to float, but not what it is multiplied to; a position in float would be off by 1e-4 of a pixel at 4000.
inline resampling_table<float> two_tap_table(int from, int to) {
    const double scale = static_cast<float>(from) / static_cast<float>(to);
    resampling_table<float> table;
    for (int i = 0; i < to; ++i) {
        const double at = std::max(scale * (i + 0.5) - 0.5, 0.0);
        const int first = std::min(static_cast<int>(at), from - 1);
        const float mix = static_cast<float>(std::min(at - first, 1.0));
        table.entries.push_back({first, first + 1 < from ? 2 : 1, table.weights.size()});
        if (first + 1 < from) {
            table.weights.push_back(1 - mix);
            table.weights.push_back(mix);
        } else {
            table.weights.push_back(1);
        }
    }
    return table;
}

inline void check_resize(extent from, extent to) {
    if (to.height < 1 || to.width < 1 || to.height > picture::longest_side || to.width > picture::longest_side)
        throw image_error("a picture cannot be resized to " + to_text(to));
    if (from.height < 1 || from.width < 1) throw image_error("an empty picture cannot be resized to " + to_text(to));
    const extent between{from.height, to.width}; // what lies between the passes can be larger than both ends
    if (std::max(to.pixels(), between.pixels()) > most_resized_pixels)
        throw image_error("resizing " + to_text(from) + " to " + to_text(to) + " takes more than " + std::to_string(most_resized_pixels) + " pixels");
}

} // namespace detail

/// The size whose shorter side is `shorter`, the longer one rounded down, as torchvision's Resize(shorter).
inline extent with_shorter_side(extent from, int shorter) {
    const auto longer = [&](int a, int b) { return static_cast<long long>(shorter) * a / b; };
    const bool upright = from.height >= from.width;
    const long long other = upright ? longer(from.height, std::max(from.width, 1)) : longer(from.width, std::max(from.height, 1));
    if (shorter < 1 || other > picture::longest_side)
        throw image_error("a picture of " + to_text(from) + " cannot be resized to a shorter side of " + std::to_string(shorter));
    return upright ? extent{static_cast<int>(other), shorter} : extent{shorter, static_cast<int>(other)};
}

/// Bilinear, antialiased, on bytes: bit for bit what PIL's Image.resize(size, BILINEAR) gives.
///
/// Rows first, then columns, each in 22-bit fixed point and rounded to bytes. Refuses sides below 1 or above
/// `picture::longest_side` and more than `most_resized_pixels` with `image_error`. Cost: about (input + output) side lengths a pixel and pass; one picture between the passes.
///
/// ```cpp
/// const auto small = imaging::resize(picture, imaging::with_shorter_side(picture.size(), 256));
/// ```
inline picture resize(picture_view from, extent to) {
    detail::check_resize(from.size, to);
    const int depth = from.channels;
    picture wide; // (from.height, to.width, channels)
    if (to.width != from.size.width) {
        const auto table = detail::fixed_point_table(from.size.width, to.width);
        wide = picture{{from.size.height, to.width}, depth};
        for (int y = 0; y < from.size.height; ++y) {
            const std::uint8_t* row = from.row(y);
            std::uint8_t* target = wide.row(y).data();
            for (const auto& e : table.entries)
                for (int c = 0; c < depth; ++c) {
                    std::int32_t sum = 1 << (detail::fixed_point_bits - 1);
                    const std::uint8_t* pixel = row + static_cast<std::ptrdiff_t>(e.first) * depth + c;
                    const std::int32_t* weight = table.weights.data() + e.weights;
                    for (int k = 0; k < e.count; ++k) sum += pixel[static_cast<std::ptrdiff_t>(k) * depth] * weight[k];
                    *target++ = detail::rounded_pixel(sum);
                }
        }
        from = wide;
    }
    picture done{to, depth};
    const std::size_t row_values = done.row_bytes();
    if (to.height == from.size.height) {
        for (int y = 0; y < to.height; ++y) std::copy_n(from.row(y), row_values, done.row(y).data());
        return done;
    }
    const auto table = detail::fixed_point_table(from.size.height, to.height);
    std::vector<std::int32_t> sums(row_values);
    for (int y = 0; y < to.height; ++y) {
        const auto& e = table.entries[static_cast<std::size_t>(y)];
        std::fill(sums.begin(), sums.end(), 1 << (detail::fixed_point_bits - 1));
        for (int k = 0; k < e.count; ++k) {
            const std::uint8_t* row = from.row(e.first + k);
            const std::int32_t weight = table.weights[e.weights + static_cast<std::size_t>(k)];
            for (std::size_t i = 0; i < row_values; ++i) sums[i] += row[i] * weight;
        }
        std::uint8_t* target = done.row(y).data();
        for (std::size_t i = 0; i < row_values; ++i) target[i] = detail::rounded_pixel(sums[i]);
    }
    return done;
}

enum class antialias : std::uint8_t { no, yes };

/// Bilinear on floats: torch's interpolate(mode="bilinear", align_corners=False, antialias=...), with its weights; sums agree within f32 rounding
/// (2e-7 of the values' range, measured up to 4000 x 3000).
///
/// Refuses what `resize` of bytes refuses, and planes whose values do not fit their size. Cost: as there.
inline planes<float> resize(const planes<float>& from, extent to, antialias smooth) {
    detail::check_resize(from.size, to);
    if (from.channels < 1 || from.values.size() != from.size.pixels() * static_cast<std::size_t>(from.channels))
        throw image_error("planes of " + to_text(from.size) + " and " + std::to_string(from.channels) + " channels hold "
                          + std::to_string(from.values.size()) + " values");
    const auto table_of = [&](int a, int b) { return smooth == antialias::yes ? detail::triangle_table<float>(a, b) : detail::two_tap_table(a, b); };
    const auto across = table_of(from.size.width, to.width), down = table_of(from.size.height, to.height);
    const std::size_t width = static_cast<std::size_t>(to.width), rows = static_cast<std::size_t>(from.size.height);
    planes<float> done{to, from.channels, std::vector<float>(to.pixels() * static_cast<std::size_t>(from.channels))};
    std::vector<float> wide(rows * width); // (from.height, to.width), one channel at a time
    for (int c = 0; c < from.channels; ++c) {
        const float* plane = from.values.data() + static_cast<std::size_t>(c) * from.size.pixels();
        for (std::size_t y = 0; y < rows; ++y)
            for (std::size_t x = 0; x < width; ++x) {
                const auto& e = across.entries[x];
                const float* at = plane + y * static_cast<std::size_t>(from.size.width) + e.first;
                float sum = 0;
                for (int k = 0; k < e.count; ++k) sum += at[k] * across.weights[e.weights + static_cast<std::size_t>(k)];
                wide[y * width + x] = sum;
            }
        float* target = done.values.data() + static_cast<std::size_t>(c) * to.pixels();
        for (const auto& e : down.entries) {
            for (int k = 0; k < e.count; ++k) {
                const float* row = wide.data() + static_cast<std::size_t>(e.first + k) * width;
                const float weight = down.weights[e.weights + static_cast<std::size_t>(k)];
                for (std::size_t x = 0; x < width; ++x) target[x] += row[x] * weight;
            }
            target += width;
        }
    }
    return done;
}

} // namespace splitdsl::imaging
