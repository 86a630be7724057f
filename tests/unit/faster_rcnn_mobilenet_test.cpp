// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file faster_rcnn_mobilenet_test.cpp
/// Between the two networks of Faster R-CNN on MobileNetV3: anchors, the least score of a region, and the one map that regions are read from.
#include "catch.hpp"

#include <splitdsl/zoo/faster_rcnn_mobilenet.hpp>

#include <cstddef>
#include <vector>

using namespace splitdsl;

TEST_CASE("LAD-07: an anchor surer than 0.05 is a region read from the first map, others are none") {
    constexpr std::size_t cells = 10 * 14, last_cells = 5 * 7, map = 256 * cells;
    std::vector<float> outputs(map + 2 * 75 * cells + 75 * last_cells);
    for (std::size_t i = 0; i < map; ++i) outputs[i] = static_cast<float>(i / cells); // channel c holds c
    const auto logits = [&](std::size_t at, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) outputs[at + i] = -3; // 0.047
    };
    logits(map, 15 * cells), logits(map + 75 * cells, 15 * cells), logits(map + 150 * cells, 15 * last_cells);
    std::vector<float> columns(12'544 * 150, -1);
    auto post = zoo::faster_rcnn_mobilenet_v3_postprocess(320, 448);
    CHECK(post.regions(outputs.data(), columns.data()).empty());

    // Size 128 in ratio 1 at row 5, column 7 of map 0; and its neighbour of ratio 2 and size 64 on the last map, a little surer.
    outputs[map + 7 * cells + 5 * 14 + 7] = -2.9F; // 0.052
    outputs[map + 150 * cells + 11 * last_cells + 2 * 7 + 3] = 1;
    const auto regions = post.regions(outputs.data(), columns.data());
    REQUIRE(regions.size() == 2);
    CHECK((regions[1].x1 == 160 && regions[1].y1 == 96 && regions[1].x2 == 288 && regions[1].y2 == 224));
    CHECK((regions[0].x1 == 192 - 23 && regions[0].y1 == 128 - 45 && regions[0].x2 == 192 + 23 && regions[0].y2 == 128 + 45));
    for (const std::size_t row : {std::size_t{0}, std::size_t{49 * 17 + 3}, std::size_t{12'543}})
        for (std::size_t column = 0; column < 2; ++column) CHECK(columns[row * 150 + column] == Approx(row / 49));
    CHECK(columns[2] == -1); // no third region
}
