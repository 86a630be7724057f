// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file prior_weights.hpp
/// The tables of an `entropy_bottleneck` codec on their way from a weights file: CompressAI's buffers, integers of any width they fit, and what may be wrong with them.
#pragma once

#include <splitdsl/codec/entropy_bottleneck.hpp>
#include <splitdsl/runtime/parameters.hpp>
#include <splitdsl/runtime/tensor_view.hpp>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl::detail {

/// Whether a parameter is the first of a prior's four (`graph::prior_words`).
inline bool begins_prior(const parameter& p) { return p.is_prior && p.name.ends_with(graph::prior_words[0]); }
/// Rows in a file are as long as its longest; a network takes them up to `graph::most_prior_columns`.
inline bool are_prior_rows(const parameter& p, const std::vector<std::uint64_t>& found) {
    return p.is_prior && p.name.ends_with(graph::prior_words[3]) && found.size() == 2 && found[0] == p.dims[0] && found[1] >= 3 && found[1] <= p.dims[1];
}
/// What to say of a prior's tensor that has another shape.
inline std::string prior_advice(const parameter& p, const std::vector<std::uint64_t>& found) {
    for (const std::uint64_t d : found)
        if (p.is_prior && d == 0) return "; call EntropyBottleneck.update() before the state_dict is saved, or let tools/export_weights.py compute its tables";
    return {};
}

/// A tensor of a prior in the network's shape. Throws `weights_error` for other types than F32, F16, BF16, I32 and I64, and for integers that an f32 does not hold.
inline std::vector<float> prior_values(const parameter& p, const tensor_view& t) {
    std::vector<float> found;
    if (t.type == tensor_type::int32 || t.type == tensor_type::int64) {
        const std::size_t width = bytes_of(t.type);
        for (std::size_t i = 0; i + width <= t.bytes.size(); i += width) {
            const std::int64_t v = width == 8 ? static_cast<std::int64_t>(load_u64(t.bytes.data() + i)) : static_cast<std::int32_t>(load_u32(t.bytes.data() + i));
            if (v < -(std::int64_t{1} << 24) || v > std::int64_t{1} << 24) throw weights_error("tensor " + shown(t.name) + ": integers within 2^24 were expected, found " + std::to_string(v));
            found.push_back(static_cast<float>(v));
        }
    } else {
        found = to_floats(t);
    }
    if (found.size() == static_cast<std::size_t>(p.size())) return found;
    const auto columns = static_cast<std::size_t>(t.shape[1]), wanted = static_cast<std::size_t>(p.dims[1]);
    std::vector<float> rows(static_cast<std::size_t>(p.size()));
    for (std::size_t c = 0; c < static_cast<std::size_t>(p.dims[0]); ++c)
        for (std::size_t k = 0; k < columns; ++k) rows[c * wanted + k] = found[c * columns + k];
    return rows;
}

/// What keeps four tensors, `values[first]` ..., from being a prior; nothing if they are one. Sizes are checked.
inline std::string prior_fault(const std::vector<parameter>& names, const std::vector<std::vector<float>>& values, std::size_t first) {
    const auto text = [](float v) {
        char digits[32];
        return std::string(digits, std::to_chars(digits, digits + sizeof digits, v).ptr);
    };
    const auto channels = static_cast<std::size_t>(names[first].dims[0]), columns = static_cast<std::size_t>(names[first + 3].dims[1]);
    const auto whole_within = [](float v, float low, float high) { return v >= low && v <= high && v == std::floor(v); };
    constexpr float most = static_cast<float>(most_steps), end = 1 << rans_precision;
    for (std::size_t c = 0; c < channels; ++c) {
        const std::string here = " in channel " + std::to_string(c);
        const float length = values[first][c], offset = values[first + 1][c], median = values[first + 2][3 * c + 1];
        if (!whole_within(length, 3, static_cast<float>(columns)))
            return names[first].name + " should hold whole numbers from 3 to " + std::to_string(columns) + "; found " + text(length) + here;
        if (!whole_within(offset, -most, most) || offset + length - 3 > most)
            return names[first + 1].name + " should hold whole numbers whose rows lie within " + std::to_string(most_steps) + " of the median; found " + text(offset) + here;
        if (!(std::fabs(median) <= most)) return names[first + 2].name + " should hold medians within " + std::to_string(most_steps) + "; found " + text(median) + here;
        const float* const row = values[first + 3].data() + c * columns;
        const auto last = static_cast<std::size_t>(length) - 1;
        for (std::size_t k = 0; k <= last; ++k) {
            const bool rises = k == 0 ? row[0] == 0 : row[k] > row[k - 1];
            if (!rises || !whole_within(row[k], 0, end) || (k == last && row[k] < end))
                return names[first + 3].name + " should rise in whole numbers from 0 to 65536 along the first " + text(length) + " of a row; found " + text(row[k]) + " at index " +
                       std::to_string(k) + here;
        }
    }
    return {};
}

} // namespace splitdsl::detail
