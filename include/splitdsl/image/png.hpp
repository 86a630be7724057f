// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file png.hpp
/// PNG to pixels through libpng, where the build has it (SPLITDSL_PNG).
#pragma once

#include <splitdsl/image/decode_options.hpp>
#include <splitdsl/image/picture.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#if SPLITDSL_HAS_PNG
#include <png.h>

#include <csetjmp>
#endif

namespace splitdsl::imaging {

/// True if this build decodes PNG.
#if SPLITDSL_HAS_PNG
inline constexpr bool has_png = true;
#else
inline constexpr bool has_png = false;
#endif

#if SPLITDSL_HAS_PNG
namespace detail {

/// One decoding. libpng reports errors by longjmp, which must not cross an object with a destructor: what the steps touch
/// is therefore plain, and lives in the frame of the caller.
struct png_reading {
    std::span<const std::byte> rest;
    png_structp decoder{};
    png_infop info{};
    png_bytep* rows{};
    char said[160]{};

    ~png_reading() { png_destroy_read_struct(&decoder, &info, nullptr); }
};

inline void png_gave_up(png_structp decoder, png_const_charp why) {
    auto& reading = *static_cast<png_reading*>(png_get_error_ptr(decoder));
    std::strncpy(reading.said, why, sizeof reading.said - 1);
    png_longjmp(decoder, 1);
}
inline void png_warned(png_structp, png_const_charp) {}
inline void png_wants_bytes(png_structp decoder, png_bytep to, std::size_t count) {
    auto& reading = *static_cast<png_reading*>(png_get_io_ptr(decoder));
    if (count > reading.rest.size()) png_error(decoder, "the file ends in the middle");
    std::memcpy(to, reading.rest.data(), count);
    reading.rest = reading.rest.subspan(count);
}

/// False if `step` gave up; `said` then tells why.
inline bool png_step(png_reading& reading, void (*step)(png_reading&)) {
    if (setjmp(png_jmpbuf(reading.decoder)) != 0) return false;
    step(reading);
    return true;
}
inline void png_read_head(png_reading& r) {
    png_set_read_fn(r.decoder, &r, &png_wants_bytes);
    png_set_user_limits(r.decoder, picture::longest_side, picture::longest_side);
    png_set_chunk_malloc_max(r.decoder, 1u << 20);
    // Profiles, gamma, text, times: nothing a network is trained with. They are skipped, not inflated.
    png_set_keep_unknown_chunks(r.decoder, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(r.decoder, r.info);
}
inline void png_want_rgb(png_reading& r) {
    png_set_palette_to_rgb(r.decoder);
    png_set_expand_gray_1_2_4_to_8(r.decoder);
    png_set_strip_16(r.decoder);
    png_set_strip_alpha(r.decoder);
    png_set_gray_to_rgb(r.decoder);
    (void)png_set_interlace_handling(r.decoder);
    png_read_update_info(r.decoder, r.info);
}
inline void png_read_rows(png_reading& r) {
    png_read_image(r.decoder, r.rows);
    png_read_end(r.decoder, nullptr);
}

} // namespace detail
#endif

/// A PNG picture in red, green, blue: any colour type, bit depth and interlacing. Transparency is dropped as PIL's convert("RGB") does, of 16 bits the
/// upper 8 are taken, gamma and colour profiles are ignored.
///
/// Throws `image_error` for what is no PNG, for a truncated or damaged one (with `accept_damaged` rows that are missing stay black), for more pixels than allowed, and in
/// a build without libpng. Cost: the decoder's, and three bytes a pixel.
///
/// ```cpp
/// const imaging::picture map = imaging::decode_png(bytes, {.name = "map.png"});
/// ```
inline picture decode_png(std::span<const std::byte> bytes, const decode_options& options = {}) {
#if SPLITDSL_HAS_PNG
    if (bytes.empty()) detail::refuse(options, "not a PNG file: it is empty");
    detail::png_reading reading{.rest = bytes};
    reading.decoder = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading, &detail::png_gave_up, &detail::png_warned);
    if (reading.decoder) reading.info = png_create_info_struct(reading.decoder);
    if (!reading.info) detail::refuse(options, "libpng could not be set up");
    if (!detail::png_step(reading, &detail::png_read_head)) detail::refuse(options, std::string("not a readable PNG file: ") + reading.said);
    const extent size = detail::allowed_size(png_get_image_height(reading.decoder, reading.info), png_get_image_width(reading.decoder, reading.info), options);
    if (!detail::png_step(reading, &detail::png_want_rgb)) detail::refuse(options, std::string("not a readable PNG file: ") + reading.said);
    picture decoded{size, 3};
    if (png_get_rowbytes(reading.decoder, reading.info) != decoded.row_bytes()) detail::refuse(options, "libpng did not deliver three bytes a pixel");
    std::vector<png_bytep> rows;
    rows.reserve(static_cast<std::size_t>(size.height));
    for (int y = 0; y < size.height; ++y) rows.push_back(decoded.row(y).data());
    reading.rows = rows.data();
    if (!detail::png_step(reading, &detail::png_read_rows) && !options.accept_damaged) detail::refuse(options, std::string("damaged PNG file: ") + reading.said);
    return decoded;
#else
    (void)bytes;
    detail::refuse(options, "this build cannot decode PNG (SPLITDSL_PNG needs libpng)");
#endif
}

} // namespace splitdsl::imaging
