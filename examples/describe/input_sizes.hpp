// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file input_sizes.hpp
/// What sending the input instead would cost: raw, and a picture of the network's size as PNG and as JPEG.
#pragma once

#include <examples/zoo/network.hpp>
#include <splitdsl/image/crop.hpp>
#include <splitdsl/image/decode.hpp>
#include <splitdsl/image/preprocess.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#if SPLITDSL_HAS_JPEG
#include <turbojpeg.h>
#endif

namespace describing {

/// All inputs of one frame; with a picture, the others stay raw. Sizes without wire header, as the payloads they are compared with.
struct input_sizes {
    std::int64_t raw{};
    std::optional<std::int64_t> png{}, jpeg{};
    std::string picture{};
    splitdsl::imaging::extent size{};       ///< of what was encoded
    int quality{};
};

/// Bytes of a picture as JPEG: 4:2:0, accurate transform, standard tables, what PIL writes at that quality.
inline std::int64_t jpeg_bytes(splitdsl::imaging::picture_view from, int quality) {
#if SPLITDSL_HAS_JPEG
    struct release { void operator()(void* coder) const { tjDestroy(coder); } };
    const std::unique_ptr<void, release> coder{tjInitCompress()};
    unsigned char* file = nullptr;
    unsigned long bytes = 0;
    const int failed = !coder || tjCompress2(coder.get(), from.pixels, from.size.width, static_cast<int>(from.row_bytes), from.size.height, TJPF_RGB, &file, &bytes,
                                             TJSAMP_420, quality, TJFLAG_ACCURATEDCT) != 0;
    tjFree(file);
    if (failed) throw splitdsl::image_error("JPEG: libjpeg-turbo could not encode the picture");
    return static_cast<std::int64_t>(bytes);
#else
    (void)from, (void)quality;
    throw splitdsl::image_error("this build cannot encode JPEG (SPLITDSL_JPEG needs libjpeg-turbo)");
#endif
}

/// The input that takes a picture of three bytes a pixel, or null.
inline const splitdsl::tensor_info* picture_input(const splitdsl::pipeline& net) {
    for (const splitdsl::tensor_info& t : net.inputs)
        if (t.channels == 3 && t.bytes == std::size_t{3} * static_cast<std::size_t>(t.height) * static_cast<std::size_t>(t.width)) return &t;
    return nullptr;
}

/// Without a picture (an empty name) raw alone. Throws `image_error`, and `option_error` if the network takes no picture.
inline input_sizes sizes_of_input(const zoo_networks::network& which, const std::string& picture_file, int quality) {
    namespace imaging = splitdsl::imaging;
    const splitdsl::pipeline& net = which.pipeline();
    input_sizes s{.picture = picture_file, .quality = quality};
    for (const splitdsl::tensor_info& t : net.inputs) s.raw += static_cast<std::int64_t>(t.bytes);
    if (picture_file.empty()) return s;
    const splitdsl::tensor_info* input = picture_input(net);
    if (!input) throw splitdsl::option_error("--picture " + picture_file + ": " + which.name + " takes no picture");
    const imaging::extent wanted{input->height, input->width};
    const imaging::picture original = imaging::decode_file(picture_file);
    const imaging::recipe recipe = which.shorter_side == 0 ? imaging::recipe{.shorter_side = 0, .whole = wanted, .crop = {}}
                                                            : imaging::recipe{.shorter_side = which.shorter_side, .crop = wanted};
    const imaging::picture resized = imaging::resize(original, recipe.resized(original.size()));
    const imaging::picture_view shown = recipe.crop == imaging::extent{} ? resized.view() : imaging::centre_crop(resized, recipe.crop);
    const std::int64_t others = s.raw - static_cast<std::int64_t>(input->bytes);
    s.size = shown.size;
    s.png = others + static_cast<std::int64_t>(imaging::encode_png(shown).size());
    s.jpeg = others + jpeg_bytes(shown, quality);
    return s;
}

} // namespace describing
