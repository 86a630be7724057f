// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file image_files_test.cpp
/// Picture files: decoded as PIL does it, written and read back, and files that lie are refused by name.
#include "full_disk.hpp"
#include "pictures.hpp"

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/image/crop.hpp>
#include <splitdsl/image/png.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::imaging::testing;
using imaging::decode_options;
using imaging::extent;
using imaging::picture;

namespace {

/// What `decode` says, or "" if it decoded.
std::string refusal_of(const blob& file, const decode_options& options = {}) {
    try {
        const picture p = imaging::decode(file, options);
        CHECK(p.channels() == 3);
        CHECK(p.bytes().size() == p.size().pixels() * 3);
    } catch (const image_error& e) {
        CHECK(std::string(e.what()).starts_with(options.name));
        return e.what();
    }
    return {};
}

void put_u32(blob& b, std::size_t at, std::uint32_t v) {
    for (std::size_t i = 0; i < 4; ++i) b.at(at + i) = static_cast<std::byte>((v >> (24 - 8 * i)) & 0xffu);
}
std::uint32_t crc32(std::span<const std::byte> bytes) {
    std::uint32_t crc = 0xffffffffu;
    for (const std::byte b : bytes) {
        crc ^= static_cast<std::uint32_t>(b);
        for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}
/// A PNG whose head says this; what follows is that of `png_rgb`.
blob png_with_head(std::uint32_t width, std::uint32_t height, int depth = 8, int colour = 2, int interlace = 0) {
    blob b = golden_file("png_rgb");
    put_u32(b, 16, width);
    put_u32(b, 20, height);
    b.at(24) = static_cast<std::byte>(depth);
    b.at(25) = static_cast<std::byte>(colour);
    b.at(28) = static_cast<std::byte>(interlace);
    put_u32(b, 29, crc32(std::span(b).subspan(12, 17)));
    return b;
}
blob without(blob b, std::string_view chunk) {
    const blob name = blob_of(chunk);
    const auto at = std::search(b.begin(), b.end(), name.begin(), name.end()) - b.begin();
    REQUIRE(static_cast<std::size_t>(at) < b.size());
    std::uint32_t length = 0;
    for (std::ptrdiff_t i = -4; i < 0; ++i) length = length << 8 | static_cast<std::uint32_t>(b[static_cast<std::size_t>(at + i)]);
    b.erase(b.begin() + at - 4, b.begin() + at + 8 + length);
    return b;
}
/// Where a JPEG marker's length field begins.
std::size_t after_marker(const blob& b, int marker) {
    for (std::size_t i = 2; i + 3 < b.size();) {
        REQUIRE(static_cast<int>(b[i]) == 0xFF);
        if (static_cast<int>(b[i + 1]) == marker) return i + 2;
        i += 2 + (static_cast<std::size_t>(b[i + 2]) << 8 | static_cast<std::size_t>(b[i + 3]));
    }
    FAIL("no such marker");
    return 0;
}
/// A JPEG whose frame header says this size.
blob jpeg_with_size(std::string_view name, int frame, unsigned height, unsigned width) {
    blob b = golden_file(name);
    const std::size_t at = after_marker(b, frame) + 3;
    b.at(at) = static_cast<std::byte>(height >> 8);
    b.at(at + 1) = static_cast<std::byte>(height & 255);
    b.at(at + 2) = static_cast<std::byte>(width >> 8);
    b.at(at + 3) = static_cast<std::byte>(width & 255);
    return b;
}
template <class Change>
blob changed(blob b, Change change) {
    change(b);
    return b;
}

} // namespace

TEST_CASE("pictures decode to the pixels PIL makes of them") {
    for (const auto& c : golden::pictures) {
        if (!decodable(c.name)) continue;
        INFO(c.name);
        const picture p = imaging::decode(blob_of(c.file), {.name = c.name});
        CHECK(p.size() == extent{c.height, c.width});
        REQUIRE(p.bytes().size() == c.pixels.size());
        CHECK(std::equal(c.pixels.begin(), c.pixels.end(), p.bytes().begin()));
    }
}

TEST_CASE("more pixels than allowed are refused before they are decoded") {
    for (const char* name : {"jpeg_420", "jpeg_444_progressive", "jpeg_cmyk", "png_rgb", "png_interlaced"}) {
        if (!decodable(name)) continue;
        INFO(name);
        CHECK(refusal_of(golden_file(name), {.most_pixels = 117}).empty());
        CHECK(says(refusal_of(golden_file(name), {.most_pixels = 116}), "13 x 9 pixels are more than the 116 allowed"));
    }
    if (imaging::has_png) {
        CHECK(says(refusal_of(png_with_head(10'000, 10'000)), "10000 x 10000 pixels are more than the 50000000 allowed"));
        CHECK(says(refusal_of(png_with_head(2'147'483'647, 2'147'483'647)), "not a readable PNG file"));
        CHECK(says(refusal_of(png_with_head(2'147'483'647, 1), {.most_pixels = ~std::size_t{}}), "not a readable PNG file"));
    }
    if (imaging::has_jpeg) {
        CHECK(says(refusal_of(jpeg_with_size("jpeg_420", 0xC0, 10'000, 10'000)), "10000 x 10000 pixels are more than the 50000000 allowed"));
        CHECK(says(refusal_of(jpeg_with_size("jpeg_444_progressive", 0xC2, 65'500, 65'500)), "more than the 50000000 allowed"));
    }
}

TEST_CASE("what is no picture is refused by name") {
    CHECK(says(refusal_of({}), "it is empty"));
    CHECK(says(refusal_of(blob_of("\xff")), "it begins with ff"));
    CHECK(says(refusal_of(blob_of("\xff\xd8")), "it begins with ff d8"));
    CHECK(says(refusal_of(blob_of("GIF89a......")), "it begins with 47 49 46 38 39 61"));
    CHECK(says(refusal_of(blob_of("PK\x03\x04....")), "a ZIP archive"));
    CHECK(says(refusal_of(blob_of("<html>not found</html>")), "neither JPEG nor PNG"));
    CHECK(says(refusal_of(blob(4096)), "it begins with 00 00 00 00 00 00 00 00"));
    CHECK_THROWS_AS(imaging::decode_jpeg({}), image_error);
    CHECK_THROWS_AS(imaging::decode_png({}), image_error);
    if (imaging::has_jpeg) CHECK_THROWS_AS(imaging::decode_jpeg(golden_file("png_rgb")), image_error);
    if (imaging::has_png) CHECK_THROWS_AS(imaging::decode_png(golden_file("jpeg_420")), image_error);
}

TEST_CASE("hostile JPEG files are refused") {
    if (!imaging::has_jpeg) return;
    const blob good = golden_file("jpeg_420");
    const auto refused = [](const blob& b, std::string_view why) { return says(refusal_of(b, {.name = "shot.jpg"}), why); };
    CHECK(refused(blob_of("\xff\xd8\xff"), "not a readable JPEG file"));
    CHECK(refused(blob_of("\xff\xd8\xff\xd9"), "not a readable JPEG file"));
    CHECK(refused(blob_of("\xff\xd8\xff\xe0\xff\xff"), "not a readable JPEG file"));                                  // a segment longer than the file
    CHECK(refused(jpeg_with_size("jpeg_420", 0xC0, 9, 0), "not a readable JPEG file"));
    CHECK(refused(jpeg_with_size("jpeg_420", 0xC0, 0, 13), "JPEG file"));
    CHECK(refused(jpeg_with_size("jpeg_420", 0xC0, 900, 13), "damaged JPEG file"));                                   // data for 9 rows only
    CHECK(refused(changed(good, [](blob& b) { b.at(after_marker(b, 0xC0) + 2) = std::byte{12}; }), "JPEG file"));     // 12 bits a sample
    CHECK(refused(changed(good, [](blob& b) { b.at(after_marker(b, 0xC0) + 7) = std::byte{0}; }), "JPEG file"));      // no components
    CHECK(refused(changed(good, [](blob& b) { b.at(after_marker(b, 0xC0) + 9) = std::byte{0xFF}; }), "JPEG file"));   // sampling 15 x 15
    CHECK(refused(changed(good, [](blob& b) { b.at(after_marker(b, 0xC0) + 10) = std::byte{3}; }), "JPEG file"));     // a table that is not there
    CHECK(refused(changed(good, [](blob& b) { b.at(after_marker(b, 0xC4) + 3) = std::byte{0xFF}; }), "JPEG file"));   // 255 codes of one bit
    CHECK(refused(changed(good, [](blob& b) { b.at(after_marker(b, 0xDA) + 2) = std::byte{9}; }), "JPEG file"));      // a scan of 9 components
    CHECK(refused(changed(good, [](blob& b) { b.at(after_marker(b, 0xC0) - 1) = std::byte{0xC3}; }), "JPEG file"));   // lossless
    CHECK(refused(changed(good, [](blob& b) { std::fill(b.end() - 40, b.end(), std::byte{0xFF}); }), "JPEG file"));
    // A progressive file that asks for the same pass again and again.
    blob many = golden_file("jpeg_444_progressive");
    const std::size_t first = after_marker(many, 0xDA) - 2;
    std::size_t second = first + 2;
    while (!(many.at(second) == std::byte{0xFF} && many.at(second + 1) != std::byte{0})) ++second;
    const blob pass(many.begin() + static_cast<std::ptrdiff_t>(first), many.begin() + static_cast<std::ptrdiff_t>(second));
    for (int i = 0; i < 2000; ++i) many.insert(many.begin() + static_cast<std::ptrdiff_t>(second), pass.begin(), pass.end());
    CHECK(refused(many, "damaged JPEG file"));
}

TEST_CASE("hostile PNG files are refused") {
    if (!imaging::has_png) return;
    const blob good = golden_file("png_rgb");
    const auto refused = [](const blob& b, std::string_view why) { return says(refusal_of(b, {.name = "map.png"}), why); };
    REQUIRE(png_with_head(13, 9) == good);
    CHECK(refused(blob(good.begin(), good.begin() + 8), "the file ends in the middle"));
    CHECK(refused(png_with_head(0, 9), "not a readable PNG file"));
    CHECK(refused(png_with_head(13, 0), "not a readable PNG file"));
    CHECK(refused(png_with_head(0xffffffffu, 9), "not a readable PNG file"));
    CHECK(refused(png_with_head(13, 9, 3), "not a readable PNG file"));       // bits a sample
    CHECK(refused(png_with_head(13, 9, 8, 5), "not a readable PNG file"));    // colour type
    CHECK(refused(png_with_head(13, 9, 8, 2, 2), "not a readable PNG file")); // interlacing
    CHECK(refused(png_with_head(13, 90), "damaged PNG file"));                // data for 9 rows only
    CHECK(refused(png_with_head(13, 9, 8, 3), "PNG file"));                   // a palette that is not there
    CHECK(refused(changed(good, [](blob& b) { b.at(30) ^= std::byte{1}; }), "not a readable PNG file"));            // head's checksum
    CHECK(refused(changed(good, [](blob& b) { b.at(b.size() - 20) ^= std::byte{0x10}; }), "damaged PNG file"));     // pixels' checksum
    CHECK(refused(changed(good, [](blob& b) { put_u32(b, 33, 0x7fffffffu); }), "PNG file"));                        // a chunk longer than the file
    CHECK(refused(changed(good, [](blob& b) { put_u32(b, 33, 0xffffffffu); }), "not a readable PNG file"));
    CHECK(refused(without(good, "IDAT"), "not a readable PNG file"));
    CHECK(refused(without(good, "IEND"), "the file ends in the middle"));
    CHECK(refused(without(golden_file("png_palette"), "PLTE"), "PNG file"));
    CHECK(refused(changed(good, [&](blob& b) { b.insert(b.begin() + 33, good.begin() + 8, good.begin() + 33); }), "not a readable PNG file")); // two heads
    // A text chunk of 1 GiB that is not there, before the pixels.
    CHECK(refused(changed(good, [](blob& b) {
                      const blob text = blob_of(std::string_view{"\x40\0\0\0zTXt", 8});
                      b.insert(b.begin() + 33, text.begin(), text.end());
                  }),
                  "the file ends in the middle"));
}

TEST_CASE("a file cut off anywhere is refused, or read as damaged if that is accepted") {
    for (const auto& c : golden::pictures) {
        if (!decodable(c.name)) continue;
        const bool png = std::string_view(c.name).starts_with("png");
        const blob whole = blob_of(c.file);
        int recovered = 0;
        for (std::size_t n = 0; n < whole.size(); ++n) {
            const blob part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
            INFO(c.name << " cut to " << n << " of " << whole.size());
            // A JPEG that only lacks its end marker, or part of it, has all its pixels; libjpeg still warns.
            CHECK_FALSE(refusal_of(part).empty());
            recovered += refusal_of(part, {.accept_damaged = true}).empty();
        }
        INFO(c.name);
        CHECK(recovered > 0);
        CHECK((png || recovered < static_cast<int>(whole.size())));
    }
}

TEST_CASE("files with a few bytes changed decode or are refused, and nothing else happens") {
    detail::xoshiro256 random{20260101};
    int refused = 0, decoded = 0;
    for (const auto& c : golden::pictures) {
        if (!decodable(c.name)) continue;
        for (int round = 0; round < 400; ++round) {
            blob b = blob_of(c.file);
            for (std::uint64_t k = 0, n = 1 + random.next() % 4; k < n; ++k) b[random.next() % b.size()] = static_cast<std::byte>(random.next() % 256);
            const bool said = !refusal_of(b, {.most_pixels = 1 << 20, .accept_damaged = round % 2 == 0}).empty();
            refused += said;
            decoded += !said;
        }
    }
    if (imaging::has_jpeg || imaging::has_png) {
        CHECK(refused > 100);
        CHECK(decoded > 100);
    }
}

TEST_CASE("picture files are read within bounds") {
    namespace fs = std::filesystem;
    const fs::path folder = fs::temp_directory_path() / ("splitdsl_image_" + std::to_string(getpid()));
    fs::create_directories(folder);
    const fs::path file = folder / "a.bin", missing = folder / "missing.jpg";
    const blob bytes = golden_file("png_rgb");
    std::ofstream{file, std::ios::binary}.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    const auto refusal = [](auto call) {
        try {
            call();
        } catch (const image_error& e) { return std::string(e.what()); }
        return std::string{};
    };
    CHECK(imaging::read_file(file) == bytes);
    if (imaging::has_png) CHECK(imaging::decode_file(file).size() == extent{9, 13}); // by content, not by name
    CHECK(says(refusal([&] { (void)imaging::decode_file(missing); }), "missing.jpg: no such file"));
    CHECK(says(refusal([&] { (void)imaging::decode_file(folder); }), "found a folder"));
    CHECK(says(refusal([&] { (void)imaging::read_file(file, {.most_file_bytes = bytes.size() - 1}); }), "bytes (decode_options::most_file_bytes) was expected, found "));
    std::ofstream{file, std::ios::binary | std::ios::trunc};
    CHECK(says(refusal([&] { (void)imaging::decode_file(file); }), "a.bin: neither JPEG nor PNG: it is empty"));
    fs::remove_all(folder);
}

TEST_CASE("a written PNG file holds the same pixels") {
    if (!imaging::has_png) {
        CHECK_THROWS_AS(imaging::encode_png(pattern(3, 3, 3)), image_error);
        return;
    }
    for (const extent size : {extent{1, 1}, {1, 300}, {300, 1}, {9, 13}, {64, 48}}) {
        const picture colour = pattern(size.height, size.width, 3), grey = pattern(size.height, size.width, 1), clear = pattern(size.height, size.width, 4);
        CHECK(imaging::decode(imaging::encode_png(colour)) == colour);
        const picture from_grey = imaging::decode(imaging::encode_png(grey)), from_clear = imaging::decode(imaging::encode_png(clear));
        int different = 0;
        for (int y = 0; y < size.height; ++y)
            for (int x = 0; x < size.width; ++x)
                for (int c = 0; c < 3; ++c) different += (from_grey.at(y, x, c) != grey.at(y, x, 0)) + (from_clear.at(y, x, c) != clear.at(y, x, c));
        CHECK(different == 0);
        // The head says what it is: 8 bits; grey, colour, colour with transparency; not interlaced.
        const auto head = [](const picture& p) { return std::to_integer<int>(imaging::encode_png(p).at(25)); };
        CHECK(std::to_integer<int>(imaging::encode_png(colour).at(24)) == 8);
        CHECK(std::array{head(grey), head(colour), head(clear)} == std::array{0, 2, 6});
    }
    // A part of a picture, whose rows lie apart.
    const picture whole = pattern(40, 50, 3);
    const imaging::picture_view part = imaging::crop(whole, 7, 11, {20, 30});
    CHECK(imaging::decode(imaging::encode_png(part)) == imaging::copy_of(part));
    // The longest side there is, beyond libpng's own limit.
    const picture strip{{1, picture::longest_side}, 1, 77};
    CHECK(imaging::decode(imaging::encode_png(strip)).size() == strip.size());
}

TEST_CASE("what is no picture, and where no file can be, is refused by name") {
    namespace fs = std::filesystem;
    const std::array<std::uint8_t, 64> bytes{};
    const auto refusal = [](auto call) {
        try {
            call();
        } catch (const image_error& e) { return std::string(e.what()); }
        return std::string{};
    };
    const auto of = [&](imaging::picture_view v) { return refusal([&] { (void)imaging::encode_png(v); }); };
    CHECK(says(of({}), "sides of 1 to 1048576 pixels were expected, found 0 x 0 pixels"));
    CHECK(says(of(picture{}), "sides of 1 to 1048576 pixels were expected"));
    CHECK(says(of({bytes.data(), {0, 4}, 3, 12}), "found 4 x 0 pixels"));
    CHECK(says(of({bytes.data(), {4, -1}, 3, 12}), "found -1 x 4 pixels"));
    CHECK(says(of({bytes.data(), {1, picture::longest_side + 1}, 1, 1 << 21}), "found 1048577 x 1 pixels"));
    CHECK(says(of({nullptr, {2, 2}, 3, 6}), "found 0 x 0 pixels"));
    CHECK(says(of({bytes.data(), {2, 2}, 2, 4}), "1, 3 or 4 channels were expected, found 2"));
    CHECK(says(of({bytes.data(), {2, 4}, 3, 11}), "rows of at least 12 bytes were expected, found 11"));

    if (!imaging::has_png) return;
    const fs::path folder = fs::temp_directory_path() / ("splitdsl_png_" + std::to_string(getpid()));
    fs::create_directories(folder);
    const picture good = pattern(5, 6, 3);
    imaging::write_png(folder / "a.png", good);
    CHECK(imaging::decode_file(folder / "a.png") == good);
    CHECK(says(refusal([&] { imaging::write_png(folder / "a.png", picture{}); }), "a.png: a PNG file: sides of 1"));
    CHECK(imaging::decode_file(folder / "a.png") == good);      // the refused picture did not touch the file
    CHECK(says(refusal([&] { imaging::write_png(folder / "missing" / "b.png", good); }), "b.png: cannot be written: No such file or directory"));
    CHECK(says(refusal([&] { imaging::write_png(folder, good); }), ": cannot be written: Is a directory"));
    CHECK(says(refusal_on_a_full_disk<image_error>([&] { imaging::write_png(folder / "c.png", good); }), "c.png: cannot be written: File too large"));
    CHECK_FALSE(fs::exists(folder / "c.png"));
    CHECK(says(refusal_on_a_full_disk<image_error>([&] { imaging::write_png(folder / "a.png", pattern(7, 7, 3)); }), "a.png: cannot be written: File too large"));
    CHECK(imaging::decode_file(folder / "a.png") == good);      // what was there still is
    CHECK(std::distance(fs::directory_iterator{folder}, fs::directory_iterator{}) == 1);
    imaging::write_png(folder / "c.png", good); // the limit is gone
    CHECK(imaging::decode_file(folder / "c.png") == good);
    fs::remove_all(folder);
}
