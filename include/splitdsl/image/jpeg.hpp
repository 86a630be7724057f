// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file jpeg.hpp
/// JPEG to pixels through libjpeg-turbo, where the build has it (SPLITDSL_JPEG).
#pragma once

#include <splitdsl/image/decode_options.hpp>
#include <splitdsl/image/picture.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#if SPLITDSL_HAS_JPEG
#include <turbojpeg.h>
#endif

namespace splitdsl::imaging {

/// True if this build decodes JPEG.
#if SPLITDSL_HAS_JPEG
inline constexpr bool has_jpeg = true;
#else
inline constexpr bool has_jpeg = false;
#endif

namespace detail {
/// Ink to light as PIL does it: JPEG files hold CMYK inverted (Adobe's habit), so each value already is "255 - ink".
inline std::uint8_t light_of(unsigned paper, unsigned black) {
    const unsigned ink = 255 - paper, product = ink * black + 128;
    const int light = static_cast<int>(black) - static_cast<int>(((product >> 8) + product) >> 8);
    return static_cast<std::uint8_t>(light < 0 ? 0 : light);
}
} // namespace detail

/// A JPEG picture in red, green, blue: baseline or progressive; grey pictures with three equal channels, CMYK and YCCK converted
/// as PIL's convert("RGB") does.
///
/// Throws `image_error` for what is no JPEG, for a truncated or damaged one (unless `accept_damaged`), for more pixels than allowed or than there is memory, and in a build without
/// libjpeg-turbo. Orientation marks and colour profiles are ignored. Accurate integer transform, smooth chroma upsampling: the same pixels as PIL with the same
/// libjpeg-turbo. Cost: the decoder's, and three bytes a pixel (progressive: six more while decoding; CMYK: four more).
///
/// ```cpp
/// const imaging::picture shot = imaging::decode_jpeg(bytes, {.most_pixels = 12'000'000, .name = "camera"});
/// ```
inline picture decode_jpeg(std::span<const std::byte> bytes, const decode_options& options = {}) {
#if SPLITDSL_HAS_JPEG
    struct release { void operator()(void* decoder) const { tjDestroy(decoder); } };
    const std::unique_ptr<void, release> decoder{tjInitDecompress()};
    if (!decoder) detail::refuse(options, "libjpeg-turbo could not be set up");
    if (bytes.empty()) detail::refuse(options, "not a JPEG file: it is empty");
    const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
    const auto said = [&] { return std::string(tjGetErrorStr2(decoder.get())); };
    const auto fatal = [&](int result) {
        if (result == 0) return false;
        return !(options.accept_damaged && tjGetErrorCode(decoder.get()) == TJERR_WARNING);
    };

    int width = 0, height = 0, sampling = -1, space = -1;
    const int header = tjDecompressHeader3(decoder.get(), from, static_cast<unsigned long>(bytes.size()), &width, &height, &sampling, &space);
    // An unusual chroma sampling is no obstacle: libjpeg decodes it, only TurboJPEG's header call has no name for it.
    const bool complete = width > 0 && height > 0 && space >= 0;
    if (!complete || (fatal(header) && sampling >= 0)) detail::refuse(options, "not a readable JPEG file: " + (header == 0 ? std::string("it holds no picture") : said()));
    const extent size = detail::allowed_size(height, width, options);

    int flags = TJFLAG_ACCURATEDCT;
#ifdef TJFLAG_LIMITSCANS
    flags |= TJFLAG_LIMITSCANS; // a progressive file may ask for millions of passes over the picture
#endif
    const bool ink = space == TJCS_CMYK || space == TJCS_YCCK;
    std::vector<std::uint8_t> pixels = detail::room_for(size, ink ? 4 : 3, options);
    if (fatal(tjDecompress2(decoder.get(), from, static_cast<unsigned long>(bytes.size()), pixels.data(), size.width, 0, size.height, ink ? TJPF_CMYK : TJPF_RGB, flags)))
        detail::refuse(options, "damaged JPEG file: " + said());
    if (!ink) return {size, 3, std::move(pixels)};
    picture converted{size, 3, detail::room_for(size, 3, options)};
    std::uint8_t* to = converted.bytes().data();
    for (std::size_t i = 0; i < size.pixels(); ++i)
        for (std::size_t c = 0; c < 3; ++c) to[3 * i + c] = detail::light_of(pixels[4 * i + c], pixels[4 * i + 3]);
    return converted;
#else
    (void)bytes;
    detail::refuse(options, "this build cannot decode JPEG (SPLITDSL_JPEG needs libjpeg-turbo)");
#endif
}

} // namespace splitdsl::imaging
