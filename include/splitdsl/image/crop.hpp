// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file crop.hpp
/// Rectangles out of pictures, without copying.
#pragma once

#include <splitdsl/image/picture.hpp>

#include <cstddef>
#include <cstdint>

namespace splitdsl::imaging {

/// Where a centre crop begins when the margin is odd. The two differ by one pixel, which moves a few logits.
enum class crop_offset : std::uint8_t {
    rounded_down, ///< margin / 2
    torchvision   ///< to the nearest, halves to even, as torchvision's CenterCrop
};

constexpr int offset_of(int whole, int part, crop_offset rule) {
    const int margin = whole - part, down = margin / 2;
    return rule == crop_offset::torchvision && margin % 2 != 0 && down % 2 != 0 ? down + 1 : down;
}

/// A rectangle of the picture. Throws `image_error` unless it lies within and has a pixel. Cost: none, it is a view.
inline picture_view crop(picture_view from, int top, int left, extent part) {
    if (part.height < 1 || part.width < 1 || top < 0 || left < 0 || top > from.size.height - part.height || left > from.size.width - part.width)
        throw image_error("a crop of " + to_text(part) + " at row " + std::to_string(top) + ", column " + std::to_string(left)
                          + " does not lie within a picture of " + to_text(from.size));
    return {from.row(top) + static_cast<std::size_t>(left) * static_cast<std::size_t>(from.channels), part, from.channels, from.row_bytes};
}

/// The middle of the picture. Throws `image_error` if the picture is smaller: resize it first, nothing is padded here.
///
/// ```cpp
/// const auto middle = imaging::centre_crop(picture, {.height = 224, .width = 224});
/// ```
inline picture_view centre_crop(picture_view from, extent part, crop_offset rule = crop_offset::rounded_down) {
    if (part.height > from.size.height || part.width > from.size.width)
        throw image_error("a centre crop of " + to_text(part) + " needs a picture of at least that size, not " + to_text(from.size));
    return crop(from, offset_of(from.size.height, part.height, rule), offset_of(from.size.width, part.width, rule), part);
}

/// The pixels of a view in a picture of their own.
inline picture copy_of(picture_view from) {
    picture to{from.size, from.channels};
    for (int y = 0; y < from.size.height; ++y) {
        const std::uint8_t* row = from.row(y);
        std::uint8_t* target = to.row(y).data();
        for (std::size_t i = 0; i < to.row_bytes(); ++i) target[i] = row[i];
    }
    return to;
}

} // namespace splitdsl::imaging
