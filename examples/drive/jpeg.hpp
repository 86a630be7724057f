// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file jpeg.hpp
/// The camera's picture as JPEG, as all_cloud sends it; raw where the build has no libjpeg-turbo.
#pragma once

#include <splitdsl/error.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#if SPLITDSL_HAS_JPEG
#include <turbojpeg.h>
#endif

namespace drive {

inline constexpr int camera_width = 200, camera_height = 88;
inline constexpr std::size_t camera_bytes = std::size_t{3} * camera_width * camera_height;

/// Planes to JPEG and back. One object a thread; its buffers are reused.
class picture_codec {
public:
#if SPLITDSL_HAS_JPEG
    explicit picture_codec(int quality_) : quality(quality_), encoder(tjInitCompress()), decoder(tjInitDecompress()), pixels(camera_bytes) {
        if (!encoder || !decoder) throw splitdsl::option_error("JPEG: libjpeg-turbo could not be set up");
    }
    picture_codec(const picture_codec&) = delete;
    picture_codec& operator=(const picture_codec&) = delete;
    ~picture_codec() {
        tjDestroy(encoder);
        tjDestroy(decoder);
    }
    static constexpr bool available = true;
    static std::size_t largest() { return tjBufSize(camera_width, camera_height, TJSAMP_420); }

    /// Returns the bytes written, 0 if they do not fit.
    std::size_t encode(std::span<const std::byte> planes, std::span<std::byte> to) {
        const auto* from = reinterpret_cast<const unsigned char*>(planes.data());
        constexpr std::size_t plane = camera_bytes / 3;
        for (std::size_t i = 0; i < plane; ++i)
            for (std::size_t c = 0; c < 3; ++c) pixels[3 * i + c] = from[c * plane + i];
        auto* target = reinterpret_cast<unsigned char*>(to.data());
        unsigned long size = to.size();
        if (to.size() < largest() || tjCompress2(encoder, pixels.data(), camera_width, 0, camera_height, TJPF_RGB, &target, &size, TJSAMP_420, quality, TJFLAG_NOREALLOC) != 0) return 0;
        return size;
    }
    /// False if the bytes are no picture of the camera's size.
    bool decode(std::span<const std::byte> jpeg, std::span<std::byte> planes) {
        const auto* from = reinterpret_cast<const unsigned char*>(jpeg.data());
        int width = 0, height = 0, sampling = 0, space = 0;
        if (planes.size() != camera_bytes || tjDecompressHeader3(decoder, from, jpeg.size(), &width, &height, &sampling, &space) != 0 || width != camera_width || height != camera_height) return false;
        if (tjDecompress2(decoder, from, jpeg.size(), pixels.data(), width, 0, height, TJPF_RGB, 0) != 0) return false;
        constexpr std::size_t plane = camera_bytes / 3;
        for (std::size_t i = 0; i < plane; ++i)
            for (std::size_t c = 0; c < 3; ++c) planes[c * plane + i] = static_cast<std::byte>(pixels[3 * i + c]);
        return true;
    }

private:
    int quality;
    tjhandle encoder, decoder;
    std::vector<unsigned char> pixels;
#else
    explicit picture_codec(int) {}
    static constexpr bool available = false;
    static std::size_t largest() { return camera_bytes; }
    std::size_t encode(std::span<const std::byte> planes, std::span<std::byte> to) {
        if (to.size() < camera_bytes) return 0;
        std::memcpy(to.data(), planes.data(), camera_bytes);
        return camera_bytes;
    }
    bool decode(std::span<const std::byte> bytes, std::span<std::byte> planes) {
        if (bytes.size() != camera_bytes || planes.size() != camera_bytes) return false;
        std::memcpy(planes.data(), bytes.data(), camera_bytes);
        return true;
    }
#endif
};

/// The whole input as one message: picture, then the small inputs as they are. Layout: [picture][speed f32][command u8].
inline std::size_t encode_whole_input(picture_codec& codec, std::span<const std::span<const std::byte>> inputs, std::span<std::byte> to) {
    const std::size_t tail = inputs[1].size() + inputs[2].size();
    if (to.size() < tail) return 0;
    const std::size_t n = codec.encode(inputs[0], to.first(to.size() - tail));
    if (n == 0) return 0;
    std::memcpy(to.data() + n, inputs[1].data(), inputs[1].size());
    std::memcpy(to.data() + n + inputs[1].size(), inputs[2].data(), inputs[2].size());
    return n + tail;
}
inline bool decode_whole_input(picture_codec& codec, std::span<const std::byte> from, std::span<const std::span<std::byte>> inputs) {
    const std::size_t tail = inputs[1].size() + inputs[2].size();
    if (from.size() < tail || !codec.decode(from.first(from.size() - tail), inputs[0])) return false;
    const std::byte* rest = from.data() + from.size() - tail;
    std::memcpy(inputs[1].data(), rest, inputs[1].size());
    std::memcpy(inputs[2].data(), rest + inputs[1].size(), inputs[2].size());
    return static_cast<unsigned>(inputs[2][0]) < 4;         // a command from the wire
}

} // namespace drive
