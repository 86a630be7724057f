// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file decode_options.hpp
/// What a decoder may allocate, and how forgiving it is.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/image/picture.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace splitdsl::imaging {

/// The size is read from the file's head and compared before anything is allocated for pixels.
struct decode_options {
    std::size_t most_pixels{50'000'000};       ///< a picture with more is refused; one of 50 megapixels takes 150 MB
    std::size_t most_file_bytes{256u << 20};   ///< of a file read by `decode_file`
    bool accept_damaged{false};                ///< true: what the decoder could recover (grey or zero where data is missing), as browsers show it
    std::string_view name{"picture"};          ///< opens every message
};

namespace detail {
[[noreturn]] inline void refuse(const decode_options& options, const std::string& why) { throw image_error(std::string(options.name) + ": " + why); }

/// Also keeps products of sides and channels far from overflow.
inline extent allowed_size(long long height, long long width, const decode_options& options) {
    if (height < 1 || width < 1) refuse(options, "the file says " + std::to_string(width) + " x " + std::to_string(height) + " pixels; at least 1 x 1 is needed");
    if (height > picture::longest_side || width > picture::longest_side || static_cast<std::size_t>(height * width) > options.most_pixels)
        refuse(options, std::to_string(width) + " x " + std::to_string(height) + " pixels are more than the " + std::to_string(options.most_pixels)
                            + " allowed (decode_options::most_pixels) or longer than " + std::to_string(picture::longest_side) + " on a side");
    return {static_cast<int>(height), static_cast<int>(width)};
}
} // namespace detail

} // namespace splitdsl::imaging
