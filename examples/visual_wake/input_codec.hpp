// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file input_codec.hpp
/// A whole picture on its way to the cloud: as JPEG of two qualities, or as it is. The first byte says which.
#pragma once

#include "network.hpp"

#include <splitdsl/image/jpeg.hpp>

#include <array>
#include <cstring>
#include <span>
#include <vector>

namespace visual_wake {

/// The encodings in the order in which policies number them.
inline constexpr std::array encodings{"jpeg25", "jpeg75", "raw"};
inline constexpr int raw_encoding = 2;
inline constexpr std::size_t encoded_max = 16 * 1024;

/// Bytes written; 0 if it cannot be encoded.
inline std::size_t encode_picture(std::span<const std::byte> planes, std::span<std::byte> to, int encoding) {
    to[0] = static_cast<std::byte>(encoding);
#if SPLITDSL_HAS_JPEG
    if (encoding != raw_encoding) {
        struct release {
            void operator()(void* coder) const { tjDestroy(coder); }
        };
        thread_local const std::unique_ptr<void, release> coder{tjInitCompress()};
        std::array<unsigned char, picture_bytes> pixels{};
        for (std::size_t i = 0; i < picture_bytes / 3; ++i)
            for (std::size_t c = 0; c < 3; ++c) pixels[3 * i + c] = static_cast<unsigned char>(planes[c * picture_bytes / 3 + i]);
        auto* target = reinterpret_cast<unsigned char*>(to.data() + 1);
        unsigned long size = to.size() - 1;
        if (!coder || size < tjBufSize(side, side, TJSAMP_420)
            || tjCompress2(coder.get(), pixels.data(), side, 0, side, TJPF_RGB, &target, &size, TJSAMP_420, encoding == 0 ? 25 : 75, TJFLAG_NOREALLOC) != 0)
            return 0;
        return size + 1;
    }
#endif
    std::memcpy(to.data() + 1, planes.data(), planes.size());
    to[0] = static_cast<std::byte>(raw_encoding);
    return planes.size() + 1;
}
/// False if the bytes are no picture of the network's size.
inline bool decode_picture(std::span<const std::byte> from, std::span<std::byte> planes) {
    if (from.size() < 2) return false;
    const int encoding = std::to_integer<int>(from[0]);
    from = from.subspan(1);
    if (encoding == raw_encoding) {
        if (from.size() != planes.size()) return false;
        std::memcpy(planes.data(), from.data(), from.size());
        return true;
    }
    if (encoding > raw_encoding) return false;
    try {
        const splitdsl::imaging::picture shot = splitdsl::imaging::decode_jpeg(from, {.most_pixels = side * side, .name = "a device's picture"});
        if (shot.width() != side || shot.height() != side) return false;
        for (std::size_t i = 0; i < picture_bytes / 3; ++i)
            for (std::size_t c = 0; c < 3; ++c) planes[c * picture_bytes / 3 + i] = static_cast<std::byte>(shot.bytes()[3 * i + c]);
        return true;
    } catch (const splitdsl::error&) { return false; }
}

} // namespace visual_wake
