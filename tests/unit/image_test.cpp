// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file image_test.cpp
/// Pictures: resized, cropped and laid out as PIL and torch do it.
#include "pictures.hpp"

#include <splitdsl/image/preprocess.hpp>
#include <splitdsl/image/views.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::imaging::testing;
using imaging::extent;
using imaging::picture;

namespace {

std::uint64_t fnv1a(std::span<const std::uint8_t> bytes) {
    std::uint64_t h = 0xCBF29CE484222325u;
    for (const std::uint8_t b : bytes) h = (h ^ b) * 0x100000001B3u;
    return h;
}

} // namespace

TEST_CASE("a resize of bytes is PIL's, bit for bit") {
    for (const auto& c : golden::resizes) {
        INFO(c.from_height << " x " << c.from_width << " x " << c.channels << " to " << c.to_height << " x " << c.to_width);
        const picture p = imaging::resize(pattern(c.from_height, c.from_width, c.channels), {c.to_height, c.to_width});
        CHECK(p.size() == extent{c.to_height, c.to_width});
        CHECK(fnv1a(p.bytes()) == c.fnv1a);
    }
    const picture small = imaging::resize(pattern(9, 13, 3), {5, 7});
    CHECK(std::equal(small.bytes().begin(), small.bytes().end(), std::begin(golden::resized_9_13_to_5_7)));
}

TEST_CASE("a resize reads a crop as if it were a picture of its own") {
    const picture whole = pattern(40, 50, 3);
    const auto part = imaging::crop(whole, 3, 7, {21, 30});
    CHECK(imaging::resize(part, {10, 13}) == imaging::resize(imaging::copy_of(part), {10, 13}));
    CHECK(imaging::resize(part, {21, 30}) == imaging::copy_of(part));
}

TEST_CASE("a resize of floats is torch's interpolate, antialiased or not") {
    for (const auto& c : golden::interpolations) {
        INFO(c.from_height << " x " << c.from_width << " to " << c.to_height << " x " << c.to_width << (c.antialias ? " antialiased" : ""));
        // two channels, as image_reference.py takes them
        imaging::planes<float> two{{c.from_height, c.from_width}, 2, {}};
        const auto all = imaging::to_planes<float>(pattern(c.from_height, c.from_width, 3));
        two.values.assign(all.values.begin(), all.values.begin() + 2 * c.from_height * c.from_width);
        const auto got = imaging::resize(two, {c.to_height, c.to_width}, c.antialias ? imaging::antialias::yes : imaging::antialias::no);
        REQUIRE(got.values.size() == c.values.size());
        float worst = 0;
        for (std::size_t i = 0; i < c.values.size(); ++i) worst = std::max(worst, std::abs(got.values[i] - std::bit_cast<float>(c.values[i])));
        CHECK(worst <= 255 * 1e-6F);
    }
}

TEST_CASE("a resize refuses sizes that are none and results that are too large") {
    const picture p = pattern(2, 3, 1);
    CHECK_THROWS_AS(imaging::resize(p, {0, 3}), image_error);
    CHECK_THROWS_AS(imaging::resize(p, {3, -1}), image_error);
    CHECK_THROWS_AS(imaging::resize(p, {picture::longest_side + 1, 1}), image_error);
    CHECK_THROWS_AS(imaging::resize(p, {1 << 15, 1 << 15}), image_error);
    CHECK_THROWS_AS(imaging::resize(picture{}, {3, 3}), image_error);
    // Small at both ends, but 2^20 x 2^20 between the passes.
    CHECK_THROWS_AS(imaging::resize(picture{{picture::longest_side, 1}, 1}, {1, picture::longest_side}), image_error);
    CHECK_THROWS_AS(imaging::resize(imaging::planes<float>{{2, 2}, 1, {1, 2, 3}}, {3, 3}, imaging::antialias::no), image_error);
    CHECK_THROWS_AS(imaging::resize(imaging::planes<float>{{2, 2}, 1, {1, 2, 3, 4}}, {0, 3}, imaging::antialias::no), image_error);
}

TEST_CASE("the shorter side decides a size as in torchvision") {
    CHECK(imaging::with_shorter_side({500, 375}, 256) == extent{341, 256});
    CHECK(imaging::with_shorter_side({375, 500}, 256) == extent{256, 341});
    CHECK(imaging::with_shorter_side({1, 1}, 256) == extent{256, 256});
    CHECK(imaging::with_shorter_side({256, 300}, 256) == extent{256, 300});
    CHECK_THROWS_AS(imaging::with_shorter_side({1, 1'000'000}, 256), image_error);
    CHECK_THROWS_AS(imaging::with_shorter_side({10, 10}, 0), image_error);
}

TEST_CASE("a centre crop begins where its rule says") {
    using imaging::crop_offset;
    CHECK(imaging::offset_of(256, 224, crop_offset::rounded_down) == 16);
    CHECK(imaging::offset_of(257, 224, crop_offset::rounded_down) == 16); // 16.5
    CHECK(imaging::offset_of(257, 224, crop_offset::torchvision) == 16);  // halves to even
    CHECK(imaging::offset_of(259, 224, crop_offset::rounded_down) == 17); // 17.5
    CHECK(imaging::offset_of(259, 224, crop_offset::torchvision) == 18);
    for (int margin = 0; margin < 100; ++margin)
        CHECK(imaging::offset_of(224 + margin, 224, crop_offset::torchvision) == static_cast<int>(std::nearbyint(margin / 2.0)));

    const picture p = pattern(259, 226, 3);
    const auto down = imaging::centre_crop(p, {224, 224}), torch = imaging::centre_crop(p, {224, 224}, crop_offset::torchvision);
    CHECK(down(0, 0, 1) == p.at(17, 1, 1));
    CHECK(torch(0, 0, 1) == p.at(18, 1, 1));
    CHECK(down(223, 223, 2) == p.at(240, 224, 2));
    CHECK_THROWS_AS(imaging::centre_crop(p, {260, 224}), image_error);
    CHECK_THROWS_AS(imaging::centre_crop(p, {224, 227}), image_error);
    CHECK_THROWS_AS(imaging::centre_crop(p, {0, 224}), image_error);
    CHECK_THROWS_AS(imaging::crop(p, -1, 0, {1, 1}), image_error);
    CHECK_THROWS_AS(imaging::crop(p, 0, 226, {1, 1}), image_error);
    CHECK_THROWS_AS(imaging::crop(p, 36, 3, {224, 224}), image_error);
    CHECK_THROWS_AS(imaging::crop(p, 0, 0, {2'147'483'647, 1}), image_error);
}

TEST_CASE("pictures check their bounds") {
    picture p = pattern(4, 5, 3);
    CHECK(p.at(3, 4, 2) == p.view()(3, 4, 2));
    CHECK(p.row(2).size() == 15);
    CHECK_THROWS_AS(p.at(4, 0, 0), image_error);
    CHECK_THROWS_AS(p.at(0, 5, 0), image_error);
    CHECK_THROWS_AS(p.at(0, 0, 3), image_error);
    CHECK_THROWS_AS(p.at(-1, 0, 0), image_error);
    CHECK_THROWS_AS(p.row(4), image_error);
    CHECK_THROWS_AS((picture{{0, 5}, 3}), image_error);
    CHECK_THROWS_AS((picture{{5, picture::longest_side + 1}, 3}), image_error);
    CHECK_THROWS_AS((picture{{5, 5}, 2}), image_error);
    CHECK_THROWS_AS((picture{{2, 2}, 1, std::vector<std::uint8_t>(5)}), image_error);
    CHECK_THROWS_AS(picture{}.at(0, 0, 0), image_error);
    try {
        (void)p.at(4, 1, 2);
    } catch (const image_error& e) { CHECK(says(e.what(), "row 4, column 1, channel 2 is outside a picture of 5 x 4 pixels with 3 channels")); }
}

TEST_CASE("planes hold the channels one after another, red or blue first") {
    const picture p = pattern(3, 4, 3);
    const auto rgb = imaging::to_planes(p), bgr = imaging::to_planes(p, imaging::channel_order::bgr);
    REQUIRE(rgb.values.size() == 36);
    CHECK(rgb.bytes().size() == 36);
    for (int y = 0; y < 3; ++y)
        for (int x = 0; x < 4; ++x)
            for (int c = 0; c < 3; ++c) {
                CHECK(rgb.values[static_cast<std::size_t>((c * 3 + y) * 4 + x)] == p.at(y, x, c));
                CHECK(bgr.values[static_cast<std::size_t>((c * 3 + y) * 4 + x)] == p.at(y, x, 2 - c));
            }
    CHECK_THROWS_AS(imaging::to_planes(pattern(3, 4, 1), imaging::channel_order::bgr), image_error);
    const picture grey = imaging::to_grey(pattern(9, 13, 3));
    CHECK(std::equal(grey.bytes().begin(), grey.bytes().end(), std::begin(golden::grey_9_13)));
    CHECK(imaging::to_grey(grey) == grey);
}

TEST_CASE("xtensor sees pictures and planes without a copy") {
    picture p = pattern(3, 4, 3);
    auto pixels = imaging::view_of(p);
    CHECK(pixels.shape()[0] == 3);
    CHECK(pixels.shape()[1] == 4);
    CHECK(pixels(2, 3, 1) == p.at(2, 3, 1));
    xt::view(pixels, xt::all(), 1, 0) = 7;
    CHECK(p.at(0, 1, 0) == 7);
    CHECK(p.at(2, 1, 0) == 7);
    const auto laid_out = imaging::to_planes(p);
    const auto chw = imaging::view_of(laid_out);
    CHECK(chw(1, 2, 3) == p.at(2, 3, 1));
    CHECK(xt::view(chw, xt::all(), xt::range(1, 3), xt::range(0, 2))(2, 1, 1) == p.at(2, 1, 2));
}

TEST_CASE("one decoding and one resize feed several networks") {
    imaging::shared_input shot{pattern(300, 400, 3)};
    const imaging::recipe classify{}, segment{.crop = {}, .order = imaging::channel_order::bgr}, detect{.whole = {300, 300}, .crop = {}};
    const auto& a = shot.planes_for(classify);
    const auto& b = shot.planes_for(segment);
    CHECK(shot.resizes() == 1); // both want the shorter side at 256
    const auto& c = shot.planes_for(detect);
    CHECK(shot.resizes() == 2);
    CHECK(&shot.planes_for(classify) == &a);
    CHECK(shot.resizes() == 2);

    // Each is what its network would have got alone.
    const picture middle = imaging::resize(shot.decoded(), imaging::with_shorter_side({300, 400}, 256));
    CHECK(a.size == extent{224, 224});
    CHECK(a.values == imaging::to_planes(imaging::centre_crop(middle, {224, 224})).values);
    CHECK(b.size == extent{256, 341});
    CHECK(b.values == imaging::to_planes(middle, imaging::channel_order::bgr).values);
    CHECK(c.values == imaging::to_planes(imaging::resize(shot.decoded(), {300, 300})).values);

    imaging::shared_input ready{pattern(256, 300, 3)};
    CHECK(ready.planes_for({}).values == imaging::to_planes(imaging::centre_crop(ready.decoded(), {224, 224})).values);
    CHECK(ready.resizes() == 0);
    CHECK_THROWS_AS(ready.planes_for({.shorter_side = 0, .crop = {257, 10}}), image_error);
    CHECK_THROWS_AS(imaging::shared_input{picture{}}, image_error);
    imaging::shared_input dot{pattern(1, 1, 3)};
    CHECK(dot.planes_for({}).size == extent{224, 224});
}

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
