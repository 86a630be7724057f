// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file decode_options.hpp
/// What a decoder may allocate, and how forgiving it is.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/image/picture.hpp>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl::imaging {

/// The size is read from the file's head and compared before anything is allocated for pixels.
struct decode_options {
    std::size_t most_pixels{50'000'000};       ///< a picture with more is refused; one of 50 megapixels takes 150 MB
    std::size_t most_file_bytes{256u << 20};   ///< of a file read by `decode_file`
    bool accept_damaged{false};                ///< true: what the decoder could recover (grey or zero where data is missing), as browsers show it
    std::string_view name{"picture"};          ///< opens every message
    std::string_view most_pixels_name{"decode_options::most_pixels"}; ///< what the message of a picture with more calls the limit: a program's option
};

namespace detail {
[[noreturn]] inline void refuse(const decode_options& options, const std::string& why) { throw image_error(std::string(options.name) + ": " + why); }

/// Also keeps products of sides and channels far from overflow.
inline extent allowed_size(long long height, long long width, const decode_options& options) {
    if (height < 1 || width < 1) refuse(options, "the file says " + std::to_string(width) + " x " + std::to_string(height) + " pixels; at least 1 x 1 is needed");
    const std::string found = std::to_string(width) + " x " + std::to_string(height) + " pixels";
    if (height > picture::longest_side || width > picture::longest_side) refuse(options, found + " are more than " + std::to_string(picture::longest_side) + " on a side");
    if (static_cast<std::size_t>(height * width) > options.most_pixels)
        refuse(options, found + " are more than the " + std::to_string(options.most_pixels) + " allowed (" + std::string(options.most_pixels_name) + ")");
    return {static_cast<int>(height), static_cast<int>(width)};
}

/// Pixels of a size that was allowed; who allows more than there is memory gets a refusal as well.
inline std::vector<std::uint8_t> room_for(extent size, std::size_t channels, const decode_options& options) {
    try {
        return std::vector<std::uint8_t>(size.pixels() * channels);
    } catch (const std::bad_alloc&) { refuse(options, to_text(size) + " are allowed, but there is no memory for them"); }
}
} // namespace detail

} // namespace splitdsl::imaging
