// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file picture.hpp
/// Pictures as networks' users meet them: bytes, row by row, the channels of a pixel side by side; and planes, as networks want them.
///
/// The namespace is `imaging`, because `image` is a type of the language already.
#pragma once

#include <splitdsl/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace splitdsl::imaging {

/// Height first, as everywhere in this library.
struct extent {
    int height{}, width{};
    friend constexpr bool operator==(extent, extent) = default;
    constexpr std::size_t pixels() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }
};
inline std::string to_text(extent e) { return std::to_string(e.width) + " x " + std::to_string(e.height) + " pixels"; }

/// Somebody else's pixels: u8, (height, width, channels), rows `row_bytes` apart. Valid as long as what it looks at.
struct picture_view {
    const std::uint8_t* pixels{};
    extent size{};
    int channels{};
    std::size_t row_bytes{};

    /// Unchecked; `picture::at` checks.
    std::uint8_t operator()(int y, int x, int c) const noexcept { return row(y)[static_cast<std::size_t>(x * channels + c)]; }
    const std::uint8_t* row(int y) const noexcept { return pixels + static_cast<std::size_t>(y) * row_bytes; }
};

/// A picture that owns its pixels: u8, (height, width, channels), without gaps.
///
/// Throws `image_error` for a side below 1 or above `longest_side`, for channels other than 1, 3, 4, and for bytes that do not
/// fit the size. Cost: one allocation of height x width x channels.
///
/// ```cpp
/// imaging::picture grey{{.height = 88, .width = 200}, 1, 128};
/// grey.at(87, 199, 0) = 255;                     // at() throws outside the picture
/// ```
class picture {
public:
    static constexpr int longest_side = 1 << 20;

    picture() = default;
    picture(extent size, int channels, std::uint8_t value = 0) : shape{size}, depth{checked(size, channels)}, values(count(), value) {}
    picture(extent size, int channels, std::vector<std::uint8_t> bytes) : shape{size}, depth{checked(size, channels)}, values(std::move(bytes)) {
        if (values.size() != count())
            throw image_error("a picture of " + to_text(size) + " with " + std::to_string(channels) + " channels has " + std::to_string(count())
                              + " bytes, not " + std::to_string(values.size()));
    }

    extent size() const noexcept { return shape; }
    int height() const noexcept { return shape.height; }
    int width() const noexcept { return shape.width; }
    int channels() const noexcept { return depth; }
    bool empty() const noexcept { return values.empty(); }
    std::size_t row_bytes() const noexcept { return static_cast<std::size_t>(shape.width) * static_cast<std::size_t>(depth); }
    std::span<const std::uint8_t> bytes() const noexcept { return values; }
    std::span<std::uint8_t> bytes() noexcept { return values; }
    std::span<const std::uint8_t> row(int y) const { return std::span<const std::uint8_t>(values).subspan(index(y, 0, 0), row_bytes()); }
    std::span<std::uint8_t> row(int y) { return std::span<std::uint8_t>(values).subspan(index(y, 0, 0), row_bytes()); }
    std::uint8_t at(int y, int x, int c) const { return values[index(y, x, c)]; }
    std::uint8_t& at(int y, int x, int c) { return values[index(y, x, c)]; }

    picture_view view() const noexcept { return {values.data(), shape, depth, row_bytes()}; }
    operator picture_view() const noexcept { return view(); } // every function that reads a picture takes a view
    friend bool operator==(const picture&, const picture&) = default;

private:
    static int checked(extent size, int channels) {
        if (size.height < 1 || size.width < 1 || size.height > longest_side || size.width > longest_side)
            throw image_error("a picture has sides of 1 to " + std::to_string(longest_side) + " pixels, not " + to_text(size));
        if (channels != 1 && channels != 3 && channels != 4)
            throw image_error("a picture has 1, 3 or 4 channels, not " + std::to_string(channels));
        return channels;
    }
    std::size_t count() const noexcept { return shape.pixels() * static_cast<std::size_t>(depth); }
    std::size_t index(int y, int x, int c) const {
        if (y < 0 || y >= shape.height || x < 0 || x >= shape.width || c < 0 || c >= depth)
            throw image_error("row " + std::to_string(y) + ", column " + std::to_string(x) + ", channel " + std::to_string(c)
                              + " is outside a picture of " + to_text(shape) + " with " + std::to_string(depth) + " channels");
        return static_cast<std::size_t>(y) * row_bytes() + static_cast<std::size_t>(x * depth + c);
    }

    extent shape{};
    int depth{};
    std::vector<std::uint8_t> values;
};

/// (channels, height, width): one plane a channel. `planes<std::uint8_t>` is a network's raw input, `planes<float>` what torch resizes.
template <class T>
struct planes {
    extent size{};
    int channels{};
    std::vector<T> values;

    std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span<const T>(values)); }
};

} // namespace splitdsl::imaging
