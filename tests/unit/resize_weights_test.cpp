// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file resize_weights_test.cpp
/// Where a resize of floats reads and how much of each, against torch's own weights.
#include "catch.hpp"
#include "unit/image_golden.hpp"

#include <splitdsl/image/resize.hpp>

#include <bit>
#include <cstdint>
#include <vector>

using namespace splitdsl;

TEST_CASE("a resize of floats has torch's weights, bit for bit") {
    for (const auto& c : golden::weights) {
        INFO(c.from << " to " << c.to);
        imaging::planes<float> identity{
            {c.from, c.from}, 1, std::vector<float>(static_cast<std::size_t>(c.from) * static_cast<std::size_t>(c.from))};
        for (std::size_t i = 0; i < identity.values.size(); i += static_cast<std::size_t>(c.from) + 1) identity.values[i] = 1;
        std::uint64_t hash = 0xCBF29CE484222325u;
        for (const float v : imaging::resize(identity, {c.from, c.to}, imaging::antialias::no).values)
            for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (std::bit_cast<std::uint32_t>(v) >> shift & 255u)) * 0x100000001B3u;
        CHECK(hash == c.fnv1a);
    }
}

TEST_CASE("the same weights serve rows and columns") {
    imaging::planes<float> row{{1, 427}, 1, {}}, column{{427, 1}, 1, {}};
    for (int i = 0; i < 427; ++i) row.values.push_back(static_cast<float>(i * i * 31 % 997));
    column.values = row.values;
    for (const auto smooth : {imaging::antialias::no, imaging::antialias::yes})
        CHECK(imaging::resize(row, {1, 320}, smooth).values == imaging::resize(column, {320, 1}, smooth).values);
}
