// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file channels.hpp
/// Channel orders: pixels to planes, red first or blue first, colour to grey.
#pragma once

#include <splitdsl/image/picture.hpp>

#include <cstddef>
#include <cstdint>

namespace splitdsl::imaging {

enum class channel_order : std::uint8_t { rgb, bgr };

/// The picture's planes, (channels, height, width), as u8 or as floats of the same value; `bgr` swaps the first and the third.
///
/// Throws `image_error` if `bgr` is asked of a picture without colours. Cost: one pass.
///
/// ```cpp
/// const imaging::planes<std::uint8_t> input = imaging::to_planes(picture);    // edge.infer(std::array{input.bytes()}, logits)
/// ```
template <class T = std::uint8_t>
planes<T> to_planes(picture_view from, channel_order order = channel_order::rgb) {
    if (order == channel_order::bgr && from.channels < 3) throw image_error("a picture of one channel has no blue-first order");
    const std::size_t plane = from.size.pixels(), depth = static_cast<std::size_t>(from.channels), width = static_cast<std::size_t>(from.size.width);
    planes<T> to{from.size, from.channels, std::vector<T>(plane * depth)};
    for (std::size_t c = 0; c < depth; ++c) {
        const std::size_t source = order == channel_order::bgr && c < 3 ? 2 - c : c;
        T* target = to.values.data() + c * plane;
        for (int y = 0; y < from.size.height; ++y) {
            const std::uint8_t* row = from.row(y) + source;
            for (std::size_t x = 0; x < width; ++x) *target++ = static_cast<T>(row[x * depth]);
        }
    }
    return to;
}

/// Brightness of a colour picture in one channel: (19595 R + 38470 G + 7471 B + 32768) / 65536, as PIL's mode "L"
/// (ITU-R 601-2 in 16-bit fixed point). A picture of one channel comes back as it is.
inline picture to_grey(picture_view from) {
    picture to{from.size, 1};
    for (int y = 0; y < from.size.height; ++y) {
        std::uint8_t* target = to.row(y).data();
        for (int x = 0; x < from.size.width; ++x)
            target[x] = from.channels < 3 ? from(y, x, 0)
                                          : static_cast<std::uint8_t>((19595u * from(y, x, 0) + 38470u * from(y, x, 1) + 7471u * from(y, x, 2) + 0x8000u) >> 16);
    }
    return to;
}

} // namespace splitdsl::imaging
