// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file png.hpp
/// PNG to pixels and back through libpng, where the build has it (SPLITDSL_PNG).
#pragma once

#include <splitdsl/detail/whole_file.hpp>
#include <splitdsl/image/decode_options.hpp>
#include <splitdsl/image/picture.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#if SPLITDSL_HAS_PNG
#include <png.h>

#include <csetjmp>
#endif

namespace splitdsl::imaging {

/// True if this build reads and writes PNG.
#if SPLITDSL_HAS_PNG
inline constexpr bool has_png = true;
#else
inline constexpr bool has_png = false;
#endif

#if SPLITDSL_HAS_PNG
namespace detail {

inline constexpr std::size_t png_message_bytes = 160;

/// One decoding. libpng reports errors by longjmp, which must not cross an object with a destructor: what the steps touch
/// is therefore plain, and lives in the frame of the caller.
struct png_reading {
    std::span<const std::byte> rest;
    png_structp decoder{};
    png_infop info{};
    png_bytep* rows{};
    char said[png_message_bytes]{};

    ~png_reading() { png_destroy_read_struct(&decoder, &info, nullptr); }
};

inline void png_gave_up(png_structp coder, png_const_charp why) {
    std::strncpy(static_cast<char*>(png_get_error_ptr(coder)), why, png_message_bytes - 1);
    png_longjmp(coder, 1);
}
inline void png_warned(png_structp, png_const_charp) {}
inline void png_wants_bytes(png_structp decoder, png_bytep to, std::size_t count) {
    auto& reading = *static_cast<png_reading*>(png_get_io_ptr(decoder));
    if (count > reading.rest.size()) png_error(decoder, "the file ends in the middle");
    std::memcpy(to, reading.rest.data(), count);
    reading.rest = reading.rest.subspan(count);
}

/// False if `step` gave up; `said` then tells why.
template <class Work>
bool png_step(png_structp coder, Work& work, void (*step)(Work&)) {
    if (setjmp(png_jmpbuf(coder)) != 0) return false;
    step(work);
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

/// One encoding, by the same rule.
struct png_writing {
    picture_view from;
    std::vector<std::byte>* file{};
    png_structp encoder{};
    png_infop info{};
    char said[png_message_bytes]{};

    ~png_writing() { png_destroy_write_struct(&encoder, &info); }
};
/// An exception must not pass through libpng's frames.
inline bool png_append(std::vector<std::byte>& file, png_bytep from, std::size_t count) noexcept {
    try {
        const auto* bytes = reinterpret_cast<const std::byte*>(from);
        file.insert(file.end(), bytes, bytes + count);
        return true;
    } catch (...) { return false; }
}
inline void png_has_bytes(png_structp encoder, png_bytep from, std::size_t count) {
    if (!png_append(*static_cast<png_writing*>(png_get_io_ptr(encoder))->file, from, count)) png_error(encoder, "out of memory");
}
inline void png_flushed(png_structp) {}
inline void png_write_all(png_writing& w) {
    png_set_write_fn(w.encoder, &w, &png_has_bytes, &png_flushed);
    png_set_user_limits(w.encoder, picture::longest_side, picture::longest_side);
    const int colour = w.from.channels == 1 ? PNG_COLOR_TYPE_GRAY : w.from.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_RGB_ALPHA;
    png_set_IHDR(w.encoder, w.info, static_cast<png_uint_32>(w.from.size.width), static_cast<png_uint_32>(w.from.size.height), 8, colour, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w.encoder, w.info);
    for (int y = 0; y < w.from.size.height; ++y) png_write_row(w.encoder, w.from.row(y));
    png_write_end(w.encoder, w.info);
}

} // namespace detail
#endif

/// A PNG picture in red, green, blue: any colour type, bit depth and interlacing. Transparency is dropped as PIL's convert("RGB") does, of 16 bits the
/// upper 8 are taken, gamma and colour profiles are ignored.
///
/// Throws `image_error` for what is no PNG, for a truncated or damaged one (with `accept_damaged` rows that are missing stay black), for more pixels than allowed or than there is memory, and in
/// a build without libpng. Cost: the decoder's, and three bytes a pixel.
///
/// ```cpp
/// const imaging::picture map = imaging::decode_png(bytes, {.name = "map.png"});
/// ```
inline picture decode_png(std::span<const std::byte> bytes, const decode_options& options = {}) {
#if SPLITDSL_HAS_PNG
    if (bytes.empty()) detail::refuse(options, "not a PNG file: it is empty");
    detail::png_reading reading{.rest = bytes};
    reading.decoder = png_create_read_struct(PNG_LIBPNG_VER_STRING, reading.said, &detail::png_gave_up, &detail::png_warned);
    if (reading.decoder) reading.info = png_create_info_struct(reading.decoder);
    if (!reading.info) detail::refuse(options, "libpng could not be set up");
    if (!detail::png_step(reading.decoder, reading, &detail::png_read_head)) detail::refuse(options, std::string("not a readable PNG file: ") + reading.said);
    const extent size = detail::allowed_size(png_get_image_height(reading.decoder, reading.info), png_get_image_width(reading.decoder, reading.info), options);
    if (!detail::png_step(reading.decoder, reading, &detail::png_want_rgb)) detail::refuse(options, std::string("not a readable PNG file: ") + reading.said);
    picture decoded{size, 3, detail::room_for(size, 3, options)};
    if (png_get_rowbytes(reading.decoder, reading.info) != decoded.row_bytes()) detail::refuse(options, "libpng did not deliver three bytes a pixel");
    std::vector<png_bytep> rows;
    rows.reserve(static_cast<std::size_t>(size.height));
    for (int y = 0; y < size.height; ++y) rows.push_back(decoded.row(y).data());
    reading.rows = rows.data();
    if (!detail::png_step(reading.decoder, reading, &detail::png_read_rows) && !options.accept_damaged) detail::refuse(options, std::string("damaged PNG file: ") + reading.said);
    return decoded;
#else
    (void)bytes;
    detail::refuse(options, "this build cannot decode PNG (SPLITDSL_PNG needs libpng)");
#endif
}

/// A picture as a PNG file: grey, colour, or colour with transparency for its 1, 3 or 4 channels; 8 bits, no palette, not interlaced.
///
/// Throws `image_error` for a view without pixels, with sides outside 1 to `picture::longest_side`, with other channels or with rows that overlap, and in a build
/// without libpng. Cost: zlib's at its usual level, and the file in memory.
///
/// ```cpp
/// const std::vector<std::byte> file = imaging::encode_png(shot);      // decode_png(file) == shot, where shot has 3 channels
/// ```
inline std::vector<std::byte> encode_png(picture_view from) {
    const auto refuse = [](const std::string& why) { throw image_error("a PNG file: " + why); };
    const extent size = from.size;
    if (from.pixels == nullptr || size.height < 1 || size.width < 1 || size.height > picture::longest_side || size.width > picture::longest_side)
        refuse("sides of 1 to " + std::to_string(picture::longest_side) + " pixels were expected, found " + to_text(from.pixels ? size : extent{}));
    if (from.channels != 1 && from.channels != 3 && from.channels != 4) refuse("1, 3 or 4 channels were expected, found " + std::to_string(from.channels));
    const std::size_t row = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(from.channels);
    if (size.height > 1 && from.row_bytes < row) refuse("rows of at least " + std::to_string(row) + " bytes were expected, found " + std::to_string(from.row_bytes));
#if SPLITDSL_HAS_PNG
    std::vector<std::byte> file;
    detail::png_writing writing{.from = from, .file = &file};
    writing.encoder = png_create_write_struct(PNG_LIBPNG_VER_STRING, writing.said, &detail::png_gave_up, &detail::png_warned);
    if (writing.encoder) writing.info = png_create_info_struct(writing.encoder);
    if (!writing.info) refuse("libpng could not be set up");
    if (!detail::png_step(writing.encoder, writing, &detail::png_write_all)) refuse(std::string("not written: ") + writing.said);
    return file;
#else
    throw image_error("a PNG file: this build cannot encode PNG (SPLITDSL_PNG needs libpng)");
#endif
}

/// `encode_png` into a file, which is replaced. Throws `image_error`, which opens with the file's name, for what `encode_png` refuses and for a file that cannot be
/// written; it is then left as it was.
inline void write_png(const std::filesystem::path& file, picture_view from) {
    std::vector<std::byte> bytes;
    try {
        bytes = encode_png(from);
    } catch (const image_error& e) { throw image_error(file.string() + ": " + e.what()); }
    splitdsl::detail::whole_file whole{file.string()};
    whole.write(bytes);
    whole.finish();
    if (whole.failure() != 0) throw image_error(file.string() + ": cannot be written: " + splitdsl::detail::write_trouble(whole.failure()));
}

} // namespace splitdsl::imaging
