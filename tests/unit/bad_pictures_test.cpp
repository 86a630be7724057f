// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bad_pictures_test.cpp
/// Every kind of PNG and JPEG made by hand, picture bombs, wrong magic, every flipped bit: the right pixels, or one line that says what was
/// found.
#include "made_pictures.hpp"
#include "pictures.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::imaging::testing;
using imaging::decode_options;
using imaging::extent;
using imaging::picture;

#if defined(__SANITIZE_ADDRESS__)
#define SPLITDSL_KEEPS_FREED_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SPLITDSL_KEEPS_FREED_MEMORY 1
#endif
#endif

namespace {

bool is_png(const golden::picture_case& c) { return std::string_view(c.name).starts_with("png"); }

/// "" if it decoded; a refusal is one printable line that opens with the name.
std::string refusal_of(const blob& file, decode_options options = {}) {
    options.name = "shot.img";
    try {
        const picture p = imaging::decode(file, options);
        REQUIRE(p.channels() == 3);
        REQUIRE(p.size().pixels() <= options.most_pixels);
        REQUIRE(p.bytes().size() == 3 * p.size().pixels());
    } catch (const image_error& e) {
        const std::string said = e.what();
        REQUIRE(said.starts_with("shot.img: "));
        REQUIRE(said.size() > 20);
        REQUIRE(std::all_of(said.begin(), said.end(), [](char c) { return std::isprint(static_cast<unsigned char>(c)) != 0; }));
        return said;
    }
    return {};
}

// ---- memory ---------------------------------------------------------------------------------------------------------------
/// A line of /proc/self/status in bytes; 0 where there is none.
[[maybe_unused]] std::size_t status_bytes(std::string_view field) {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(field)) return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10) * 1024;
    return 0;
}
/// How much more memory than before `work` had at once; 0 where it cannot be told: elsewhere than on Linux, and with a sanitizer that keeps
/// what is freed.
std::size_t peak_of(const std::function<void()>& work) {
#if defined(SPLITDSL_KEEPS_FREED_MEMORY)
    work();
    return 0;
#else
    std::ofstream{"/proc/self/clear_refs"} << "5"; // forget the highest so far
    const std::size_t before = status_bytes("VmHWM");
    work();
    const std::size_t most = status_bytes("VmHWM");
    return most > before ? most - before : 0;
#endif
}
constexpr std::size_t mib = 1 << 20;

} // namespace

TEST_CASE("every kind of PNG there is decodes to its pixels") {
    if (!imaging::has_png) return;
    constexpr std::pair<int, int> kinds[]{{1, 0}, {2, 0}, {4, 0}, {8, 0}, {16, 0}, {8, 2}, {16, 2}, {1, 3},
                                          {2, 3}, {4, 3}, {8, 3}, {8, 4}, {16, 4}, {8, 6}, {16, 6}};
    for (const auto& [depth, colour] : kinds)
        for (const bool interlaced : {false, true})
            for (const extent size : {extent{1, 1}, {1, 2}, {2, 1}, {3, 5}, {9, 13}, {17, 8}}) {
                const png_kind kind{depth, colour, interlaced};
                INFO("depth " << depth << ", colour type " << colour << (interlaced ? ", interlaced, " : ", ") << imaging::to_text(size));
                const picture p = imaging::decode(png_of_pattern(size, kind));
                REQUIRE(p.size() == size);
                int wrong = 0;
                for (int y = 0; y < size.height; ++y)
                    for (int x = 0; x < size.width; ++x)
                        for (int c = 0; c < 3; ++c) wrong += p.at(y, x, c) != png_pixel(kind, y, x, c);
                CHECK(wrong == 0);
            }
    // A pixel that names a colour behind the end of the palette has some colour or is refused; it is no reason to read there.
    blob beyond = png_file({1, 3}, {.depth = 8, .colour = 2}, stored(blob_of(std::string_view{"\0\1\2\3\4\5\6\7\10\11", 10})));
    CHECK(refusal_of(beyond).empty());
    beyond = {};
    append(beyond, {0x89, 'P', 'N', 'G', 13, 10, 26, 10});
    append_chunk(beyond, "IHDR", blob_of(std::string_view{"\0\0\0\3\0\0\0\1\10\3\0\0\0", 13}));
    append_chunk(beyond, "PLTE", blob_of("abc"));
    append_chunk(beyond, "IDAT", stored(blob_of(std::string_view{"\0\0\1\377", 4})));
    append_chunk(beyond, "IEND", {});
    try {
        const picture p = imaging::decode(beyond);
        CHECK(p.at(0, 0, 0) == 'a');
    } catch (const image_error& e) { CHECK(says(e.what(), "PNG file")); }
}

TEST_CASE("grey, colour and ink JPEG files with and without an Adobe marker decode to PIL's pixels") {
    if (!imaging::has_jpeg) return;
    struct example {
        flat_jpeg file;
        std::array<int, 3> pixel; ///< recorded from PIL's convert("RGB")
    };
    const example examples[]{
        {{.levels = {200}}, {200, 200, 200}},
        {{.levels = {30}, .jfif = true, .progressive = true}, {30, 30, 30}},
        {{.levels = {200, 64, 192}}, {255, 176, 87}},
        {{.levels = {200, 64, 192}, .jfif = true}, {255, 176, 87}},
        {{.levels = {200, 64, 192}, .adobe = 1}, {255, 176, 87}},
        {{.levels = {200, 64, 192}, .adobe = 1, .progressive = true}, {255, 176, 87}},
        {{.levels = {200, 64, 192}, .adobe = 0}, {200, 64, 192}},
        {{.levels = {200, 64, 192}, .names = "RGB"}, {200, 64, 192}},
        {{.levels = {200, 64, 192, 240}}, {188, 60, 181}},
        {{.levels = {200, 64, 192, 240}, .adobe = 0}, {188, 60, 181}},
        {{.levels = {200, 64, 192, 30}, .adobe = 0, .progressive = true}, {24, 8, 23}},
        {{.levels = {200, 64, 192, 240}, .adobe = 2}, {0, 74, 158}},
    };
    for (const example& e : examples)
        for (const extent size : {extent{1, 1}, {16, 24}, {7, 65}}) {
            flat_jpeg j = e.file;
            j.size = size;
            INFO(j.levels.size() << " components, Adobe " << j.adobe << (j.jfif ? ", JFIF" : "")
                                 << (j.progressive ? ", progressive, " : ", ") << imaging::to_text(size));
            const picture p = imaging::decode(jpeg_of(j));
            REQUIRE(p.size() == size);
            bool flat = true;
            for (int y = 0; y < size.height; ++y)
                for (int x = 0; x < size.width; ++x)
                    for (int c = 0; c < 3; ++c) flat = flat && p.at(y, x, c) == e.pixel[static_cast<std::size_t>(c)];
            CHECK(flat);
            CHECK(std::array<int, 3>{p.at(0, 0, 0), p.at(0, 0, 1), p.at(0, 0, 2)} == e.pixel);
        }
    CHECK(says(refusal_of(jpeg_of({.levels = {200, 64}})), "JPEG file")); // two components mean nothing
    CHECK(says(refusal_of(jpeg_of({.levels = {200, 64, 192, 30, 30}, .names = "12345"})), "JPEG file"));
}

TEST_CASE("a small file that unpacks to 100 megapixels is refused before it takes any memory") {
    struct bomb {
        const char* name;
        bool there;
        std::function<blob(extent)> made;
        int pixel;
    };
    const bomb bombs[]{
        {"JPEG", imaging::has_jpeg, [](extent s) { return jpeg_of({.levels = {200}, .size = s}); }, 200},
        {"progressive JPEG", imaging::has_jpeg, [](extent s) { return jpeg_of({.levels = {200}, .size = s, .progressive = true}); }, 200},
        {"CMYK JPEG", imaging::has_jpeg,
         [](extent s) {
             return jpeg_of({.levels = {200, 200, 200, 255}, .size = s, .adobe = 0});
         },
         200},
        {"PNG", imaging::has_png, [](extent s) { return png_of_zeros(s); }, 0},
        {"interlaced PNG", imaging::has_png, [](extent s) { return png_of_zeros(s, true); }, 0},
    };
    const std::size_t known = peak_of([] { CHECK(blob(64 * mib, std::byte{1}).back() == std::byte{1}); });
    CHECK((known == 0 || (known > 60 * mib && known < 68 * mib))); // the measure measures
    for (const bomb& b : bombs) {
        if (!b.there) continue;
        INFO(b.name);
        const blob large = b.made({10'000, 10'000}), small = b.made({300, 500});
        CHECK(large.size() < 2 * mib);
        CHECK(peak_of([&] { CHECK(says(refusal_of(large), "10000 x 10000 pixels are more than the 50000000 allowed")); }) < 4 * mib);
        // The files are what they say they are: a smaller one has its pixels, and takes no more than it may.
        picture p;
        CHECK(peak_of([&] { p = imaging::decode(small); }) < 12 * 150'000 + 4 * mib);
        CHECK(p.size() == extent{300, 500});
        CHECK(std::all_of(p.bytes().begin(), p.bytes().end(), [&](std::uint8_t v) { return v == b.pixel; }));
        // Cut off behind the head, it costs what the size that it claims costs, and no more.
        const blob head(large.begin(), large.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(large.size(), 1'000)));
        CHECK(says(refusal_of(head), "more than the 50000000 allowed"));
        const blob claim = b.made({1'000, 1'000}), start(claim.begin(), claim.begin() + static_cast<std::ptrdiff_t>(claim.size() / 2));
        CHECK(peak_of([&] { CHECK(says(refusal_of(start), "damaged")); }) < 12 * 1'000'000 + 4 * mib);
    }
}

#if !defined(SPLITDSL_KEEPS_FREED_MEMORY) // which needs its own terabytes
TEST_CASE("more pixels than there is memory are refused, even if they are allowed") {
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
    rlimit tight = before;
    tight.rlim_cur = std::min<rlim_t>(before.rlim_max, status_bytes("VmSize") + 256 * mib);
    const decode_options generous{.most_pixels = ~std::size_t{}};
    std::vector<std::string> said;
    if (imaging::has_png) {
        const blob wide = png_file({1 << 20, 1 << 20}, {.depth = 1, .colour = 0}, squeezed_zeros(1 << 20)),
                   some = png_of_zeros({20'000, 20'000});
        REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
        said.push_back(refusal_of(wide, generous));
        said.push_back(refusal_of(some, generous));
        REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
        CHECK(says(said[0], "are allowed, but there is no memory for them"));
    }
    if (imaging::has_jpeg) {
        const blob file = jpeg_of({.levels = {200}, .size = {20'000, 20'000}});
        REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
        said.push_back(refusal_of(file, generous));
        REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
    }
    for (const std::string& s : said) CHECK(says(s, "no memory for them"));
}
#endif

TEST_CASE("a file that begins with something else is refused with what it begins with") {
    for (const auto& c : golden::pictures) {
        INFO(c.name);
        const blob good = blob_of(c.file);
        for (std::size_t i = 0; i < (is_png(c) ? 8u : 3u); ++i)
            for (int bit = 0; bit < 8; ++bit)
                CHECK(says(refusal_of(with_byte(good, i, 1 << bit)), "neither JPEG nor PNG: it begins with "));
        blob late = blob_of("\n");
        append(late, good);
        CHECK(says(refusal_of(late), "neither JPEG nor PNG: it begins with 0a"));
    }
    // A PNG that somebody transferred as text.
    blob text = golden_file("png_rgb");
    text.erase(text.begin() + 4);
    CHECK(says(refusal_of(text), "it begins with 89 50 4e 47 0a 1a 0a 00"));
    for (const std::string_view other : {std::string_view{"BM\x36\0\0\0\0\0\0\0", 10},
                                         {"RIFF\x24\0\0\0WEBPVP8 ", 16},
                                         {"II*\0\x08\0\0\0", 8},
                                         {"\0\0\0\x1c"
                                          "ftypheic",
                                          12},
                                         {"\0\0\1\0\1\0", 6},
                                         {"P6\n2 2\n255\n............", 23},
                                         {"\x80\x02}q\0.", 6},
                                         {"\xff\xd8", 2},
                                         {"\x89PNG\r\n\x1a", 7}})
        CHECK(says(refusal_of(blob_of(other)), "neither JPEG nor PNG: it begins with "));
    CHECK(says(refusal_of(blob_of(std::string_view{"PK\5\6\0\0\0\0", 8})), "a ZIP archive"));
    CHECK(says(refusal_of({}), "neither JPEG nor PNG: it is empty"));
}

TEST_CASE("bytes behind a picture's end do not matter") {
    for (const auto& c : golden::pictures) {
        if (!decodable(c.name)) continue;
        INFO(c.name);
        blob longer = blob_of(c.file);
        append(longer, blob(1'000, std::byte{0x5A}));
        const picture p = imaging::decode(longer);
        CHECK(std::equal(c.pixels.begin(), c.pixels.end(), p.bytes().begin(), p.bytes().end()));
    }
}

TEST_CASE("a PNG with any one bit flipped is refused or has its pixels all the same") {
    if (!imaging::has_png) return;
    int refused = 0, same = 0;
    for (const auto& c : golden::pictures) {
        if (!is_png(c)) continue;
        const blob good = blob_of(c.file);
        for (std::size_t at = 0; at < good.size(); ++at)
            for (int bit = 0; bit < 8; ++bit) {
                INFO(c.name << ", bit " << bit << " of byte " << at);
                const blob bad = with_byte(good, at, 1 << bit);
                if (!refusal_of(bad).empty()) {
                    ++refused;
                    continue;
                }
                const picture p = imaging::decode(bad);
                REQUIRE(std::equal(c.pixels.begin(), c.pixels.end(), p.bytes().begin(), p.bytes().end()));
                ++same;
            }
    }
    CHECK(refused > 10'000);
    CHECK(same > 100); // in chunks that are skipped
}

TEST_CASE("a JPEG with one bit flipped is refused or decodes, within the memory that its size allows") {
    if (!imaging::has_jpeg) return;
    numbers n{20261121};
    constexpr std::size_t most_pixels = 1 << 20;
    int refused = 0, decoded = 0;
    const std::size_t most = peak_of([&] {
        for (const auto& c : golden::pictures) {
            if (is_png(c)) continue;
            const blob good = blob_of(c.file);
            for (int round = 0; round < 600; ++round) {
                const blob bad = with_byte(good, n.below(good.size()), 1 << n.below(8));
                const bool said = !refusal_of(bad, {.most_pixels = most_pixels, .accept_damaged = round % 2 == 0}).empty();
                refused += said;
                decoded += !said;
            }
        }
    });
    CHECK(refused > 500);
    CHECK(decoded > 500);
    CHECK(most < 12 * most_pixels + 8 * mib);
}
