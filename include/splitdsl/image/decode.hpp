// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file decode.hpp
/// Whatever picture it is, from memory or from a file: the first bytes tell.
#pragma once

#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/image/decode_options.hpp>
#include <splitdsl/image/jpeg.hpp>
#include <splitdsl/image/picture.hpp>
#include <splitdsl/image/png.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace splitdsl::imaging {

enum class file_kind : std::uint8_t { unknown, jpeg, png, zip };

/// By the first bytes, never by the name.
inline file_kind kind_of(std::span<const std::byte> bytes) {
    const auto begins = [&](auto... values) {
        const std::array<int, sizeof...(values)> magic{values...};
        return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin(), [](int a, std::byte b) { return a == static_cast<int>(b); });
    };
    if (begins(0xFF, 0xD8, 0xFF)) return file_kind::jpeg;
    if (begins(0x89, 'P', 'N', 'G', 0x0D, 0x0A, 0x1A, 0x0A)) return file_kind::png;
    if (begins('P', 'K', 0x03, 0x04) || begins('P', 'K', 0x05, 0x06)) return file_kind::zip;
    return file_kind::unknown;
}

/// Of a file; unknown if there is none that can be read.
inline file_kind kind_of_file(const std::filesystem::path& file) {
    splitdsl::detail::ordinary_file opened{file.string()};
    std::array<std::byte, 8> begin{};
    return opened.found().empty() ? kind_of(std::span{begin}.first(opened.read(begin.data(), begin.size()))) : file_kind::unknown;
}

/// A JPEG or PNG picture in red, green, blue; see `decode_jpeg` and `decode_png` for what each refuses.
///
/// ```cpp
/// const imaging::picture shot = imaging::decode(bytes);      // throws image_error: what was expected, what was found
/// ```
inline picture decode(std::span<const std::byte> bytes, const decode_options& options = {}) {
    switch (kind_of(bytes)) {
    case file_kind::jpeg: return decode_jpeg(bytes, options);
    case file_kind::png: return decode_png(bytes, options);
    case file_kind::zip: detail::refuse(options, "neither JPEG nor PNG, but a ZIP archive");
    case file_kind::unknown: break;
    }
    if (bytes.empty()) detail::refuse(options, "neither JPEG nor PNG: it is empty");
    std::string found;
    for (std::size_t i = 0; i < std::min<std::size_t>(bytes.size(), 8); ++i) {
        char text[4];
        std::snprintf(text, sizeof text, " %02x", static_cast<unsigned>(bytes[i]));
        found += text;
    }
    detail::refuse(options, "neither JPEG nor PNG: it begins with" + found);
}

/// A file's bytes. Throws `image_error` if it cannot be read, is no regular file, or is longer than `options.most_file_bytes`.
inline std::vector<std::byte> read_file(const std::filesystem::path& file, const decode_options& options = {}) {
    return splitdsl::detail::read_ordinary_file<std::vector<std::byte>>(file.string(), options.most_file_bytes, [&](const std::string& found) {
        if (found == splitdsl::detail::path_trouble(ENOENT)) throw image_error(file.string() + ": " + found);
        const std::string most = found.ends_with(" bytes") ? " of at most " + std::to_string(options.most_file_bytes) + " bytes (decode_options::most_file_bytes)" : "";
        throw image_error(file.string() + ": a picture" + most + " was expected, found " + found);
    });
}

/// The picture in a file; messages open with the file's name.
inline picture decode_file(const std::filesystem::path& file, decode_options options = {}) {
    const std::vector<std::byte> bytes = read_file(file, options);
    const std::string name = file.string();
    options.name = name;
    return decode(bytes, options);
}

} // namespace splitdsl::imaging
