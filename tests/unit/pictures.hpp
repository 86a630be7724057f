// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pictures.hpp
/// For the tests of pictures: the golden ones, one by formula, and files as bytes.
#pragma once

#include "blobs.hpp"
#include "catch.hpp"

#include "unit/image_golden.hpp"

#include <splitdsl/image/decode.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace splitdsl::imaging::testing {

inline blob blob_of(std::span<const std::uint8_t> bytes) {
    const auto b = std::as_bytes(bytes);
    return {b.begin(), b.end()};
}
inline const golden::picture_case& golden_picture(std::string_view name) {
    const auto* found = std::find_if(std::begin(golden::pictures), std::end(golden::pictures), [&](const auto& c) { return c.name == name; });
    REQUIRE(found != std::end(golden::pictures));
    return *found;
}
inline blob golden_file(std::string_view name) { return blob_of(golden_picture(name).file); }
inline bool decodable(std::string_view name) { return name.starts_with("png") ? imaging::has_png : imaging::has_jpeg; }

/// The same formula stands in image_reference.py.
inline picture pattern(int height, int width, int channels) {
    picture p{{height, width}, channels};
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < channels; ++c) p.at(y, x, c) = static_cast<std::uint8_t>((x * 37 + y * 101 + c * 53 + x * y * 7 + (x * x + y * y) / 5) & 255);
    return p;
}
inline bool says(const std::string& text, std::string_view part) {
    UNSCOPED_INFO("said: " << text);
    return text.find(part) != std::string::npos;
}

} // namespace splitdsl::imaging::testing
