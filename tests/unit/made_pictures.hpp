// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file made_pictures.hpp
/// PNG and JPEG files made by hand, byte by byte: every kind there is, and any size for a few bytes.
#pragma once

#include "blobs.hpp"

#include <splitdsl/image/picture.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace splitdsl::imaging::testing {

inline void append(blob& to, std::initializer_list<int> bytes) {
    for (const int b : bytes) to.push_back(static_cast<std::byte>(b));
}
inline void append(blob& to, const blob& more) { to.insert(to.end(), more.begin(), more.end()); }
inline void append_u32(blob& to, std::size_t v) {
    append(to,
           {static_cast<int>(v >> 24 & 255), static_cast<int>(v >> 16 & 255), static_cast<int>(v >> 8 & 255), static_cast<int>(v & 255)});
}

/// Bits to bytes: JPEG fills a byte from its highest bit, deflate from its lowest.
struct bit_row {
    bool highest_first;
    blob bytes{};
    int used = 8;
    void put(unsigned value, int count) {
        for (int i = 0; i < count; ++i) {
            const unsigned bit = value >> (highest_first ? count - 1 - i : i) & 1u;
            if (used == 8) bytes.push_back(std::byte{0}), used = 0;
            bytes.back() |= static_cast<std::byte>(bit << (highest_first ? 7 - used : used));
            ++used;
        }
    }
};

// ---- PNG ------------------------------------------------------------------------------------------------------------------
inline std::uint32_t crc32(std::span<const std::byte> bytes) {
    std::uint32_t crc = 0xffffffffu;
    for (const std::byte b : bytes) {
        crc ^= std::to_integer<std::uint32_t>(b);
        for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xedb88320u : 0);
    }
    return ~crc;
}
inline void append_chunk(blob& to, std::string_view kind, const blob& data) {
    blob body = blob_of(kind);
    append(body, data);
    append_u32(to, data.size());
    append(to, body);
    append_u32(to, crc32(body));
}
inline std::size_t adler32(const blob& data) {
    std::size_t a = 1, b = 0;
    for (const std::byte v : data) a = (a + std::to_integer<std::size_t>(v)) % 65'521, b = (b + a) % 65'521;
    return b << 16 | a;
}
/// Uncompressed, as deflate has it.
inline blob stored(const blob& data) {
    blob z;
    append(z, {0x78, 0x01});
    for (std::size_t at = 0; at < data.size() || at == 0;) {
        const std::size_t n = std::min<std::size_t>(data.size() - at, 65'535);
        const auto low = static_cast<int>(n & 255), high = static_cast<int>(n >> 8);
        append(z, {at + n == data.size() ? 1 : 0, low, high, 255 - low, 255 - high});
        z.insert(z.end(), data.begin() + static_cast<std::ptrdiff_t>(at), data.begin() + static_cast<std::ptrdiff_t>(at + n));
        at += n;
        if (n == 0) break;
    }
    append_u32(z, adler32(data));
    return z;
}
/// So many zeros, 258 to 13 bits.
inline blob squeezed_zeros(std::size_t count) {
    bit_row bits{.highest_first = false};
    const auto code = [&](unsigned value, int length) { // Huffman codes alone stand highest bit first
        for (int i = length; i-- > 0;) bits.put(value >> i & 1u, 1);
    };
    bits.put(1, 1), bits.put(1, 2); // the last block, fixed codes
    std::size_t left = count;
    for (; left > 0 && (left == count || left % 258 != 0); --left) code(0x30, 8);
    for (; left > 0; left -= 258) code(0xc5, 8), code(0, 5); // 258 of what stands one before
    code(0, 7);
    blob z;
    append(z, {0x78, 0x01});
    append(z, bits.bytes);
    append_u32(z, (count % 65'521) << 16 | 1);
    return z;
}
struct png_kind {
    int depth, colour;
    bool interlaced = false;
    int samples() const { return colour == 2 ? 3 : colour == 4 ? 2 : colour == 6 ? 4 : 1; }
};
inline blob png_file(extent size, png_kind kind, const blob& compressed) {
    blob file, head;
    append(file, {0x89, 'P', 'N', 'G', 13, 10, 26, 10});
    append_u32(head, static_cast<std::size_t>(size.width));
    append_u32(head, static_cast<std::size_t>(size.height));
    append(head, {kind.depth, kind.colour, 0, 0, kind.interlaced ? 1 : 0});
    append_chunk(file, "IHDR", head);
    if (kind.colour == 3) {
        blob palette;
        for (int i = 0; i < 1 << kind.depth; ++i) append(palette, {i * 7 & 255, 255 - (i * 3 & 255), i * i & 255});
        append_chunk(file, "PLTE", palette);
    }
    append_chunk(file, "IDAT", compressed);
    append_chunk(file, "IEND", {});
    return file;
}
inline unsigned sample(int y, int x, int s, int depth) {
    return static_cast<unsigned>(y * 40'503 + x * 30'011 + s * 21'001 + y * x * 977) & ((1u << depth) - 1);
}
inline blob png_of_pattern(extent size, png_kind kind) {
    struct pass {
        int y, x, step_y, step_x;
    };
    const std::vector<pass> passes = kind.interlaced ? std::vector<pass>{{0, 0, 8, 8}, {0, 4, 8, 8}, {4, 0, 8, 4}, {0, 2, 4, 4},
                                                                         {2, 0, 4, 2}, {0, 1, 2, 2}, {1, 0, 2, 1}}
                                                     : std::vector<pass>{{0, 0, 1, 1}};
    blob raw;
    for (const pass& p : passes) {
        if (p.x >= size.width) continue;
        for (int y = p.y; y < size.height; y += p.step_y) {
            bit_row row{.highest_first = true};
            row.put(0, 8); // no filter
            for (int x = p.x; x < size.width; x += p.step_x)
                for (int s = 0; s < kind.samples(); ++s) row.put(sample(y, x, s, kind.depth), kind.depth);
            append(raw, row.bytes);
        }
    }
    return png_file(size, kind, stored(raw));
}
inline std::uint8_t png_pixel(png_kind kind, int y, int x, int channel) {
    const unsigned v = sample(y, x, kind.colour == 2 || kind.colour == 6 ? channel : 0, kind.depth);
    if (kind.colour == 3) return static_cast<std::uint8_t>((channel == 0 ? v * 7 : channel == 1 ? 255 - (v * 3 & 255) : v * v) & 255);
    return static_cast<std::uint8_t>(kind.depth == 16 ? v >> 8 : v * 255 / ((1u << kind.depth) - 1));
}
inline blob png_of_zeros(extent size, bool interlaced = false) {
    // One bit a pixel; interlaced rows are those of the seven passes, which together take a little more.
    std::size_t bytes = 0;
    if (!interlaced)
        bytes = static_cast<std::size_t>(size.height) * (1 + (static_cast<std::size_t>(size.width) + 7) / 8);
    else
        for (const auto& [y, x, down, across] :
             {std::array{0, 0, 8, 8}, {0, 4, 8, 8}, {4, 0, 8, 4}, {0, 2, 4, 4}, {2, 0, 4, 2}, {0, 1, 2, 2}, {1, 0, 2, 1}}) {
            const int rows = (size.height - y + down - 1) / down, columns = (size.width - x + across - 1) / across;
            if (rows > 0 && columns > 0) bytes += static_cast<std::size_t>(rows) * (1 + (static_cast<std::size_t>(columns) + 7) / 8);
        }
    return png_file(size, {.depth = 1, .colour = 0, .interlaced = interlaced}, squeezed_zeros(bytes));
}

// ---- JPEG -----------------------------------------------------------------------------------------------------------------
/// One flat area: a level for each component, 128, 1 to 64 or 192 to 255.
struct flat_jpeg {
    std::vector<int> levels{128};
    extent size{16, 24};
    int adobe = -1; ///< the transform its marker states; -1: no such marker
    bool jfif = false, progressive = false;
    std::string_view names{"\1\2\3\4"};
};
inline blob jpeg_of(const flat_jpeg& j) {
    blob file;
    const auto segment = [&](int marker, const blob& body) {
        append(file, {0xFF, marker, static_cast<int>((body.size() + 2) >> 8), static_cast<int>((body.size() + 2) & 255)});
        append(file, body);
    };
    append(file, {0xFF, 0xD8});
    const auto components = static_cast<int>(j.levels.size());
    if (j.jfif) segment(0xE0, blob_of(std::string_view{"JFIF\0\1\1\0\0\1\0\1\0\0", 14}));
    if (j.adobe >= 0) {
        blob body = blob_of(std::string_view{"Adobe\0\144\0\0\0\0", 11});
        append(body, {j.adobe});
        segment(0xEE, body);
    }
    blob steps(65, std::byte{8}); // so that a block's first coefficient is its level less 128
    steps[0] = std::byte{0};
    segment(0xDB, steps);
    blob frame;
    append(frame, {8, j.size.height >> 8, j.size.height & 255, j.size.width >> 8, j.size.width & 255, components});
    for (int c = 0; c < components; ++c) append(frame, {j.names[static_cast<std::size_t>(c)], 0x11, 0});
    segment(j.progressive ? 0xC2 : 0xC0, frame);
    blob first(19), others(18);
    first[1] = first[2] = std::byte{1}, first[18] = std::byte{7}; // 0: no change, 10: seven bits follow
    others[0] = std::byte{0x10}, others[1] = std::byte{1};        // 0: nothing more in this block
    segment(0xC4, first);
    segment(0xC4, others);
    blob scan;
    append(scan, {components});
    for (int c = 0; c < components; ++c) append(scan, {j.names[static_cast<std::size_t>(c)], 0});
    append(scan, {0, j.progressive ? 0 : 63, 0});
    segment(0xDA, scan);
    bit_row bits{.highest_first = true};
    const std::size_t blocks = static_cast<std::size_t>((j.size.height + 7) / 8) * static_cast<std::size_t>((j.size.width + 7) / 8);
    for (std::size_t b = 0; b < blocks; ++b)
        for (const int level : j.levels) {
            const int change = b == 0 ? level - 128 : 0;
            bits.put(change == 0 ? 0 : 2, change == 0 ? 1 : 2);
            if (change != 0) bits.put(static_cast<unsigned>(change > 0 ? change : change + 127), 7);
            if (!j.progressive) bits.put(0, 1);
        }
    while (bits.used < 8) bits.put(1, 1);
    for (const std::byte b : bits.bytes) {
        file.push_back(b);
        if (b == std::byte{0xFF}) file.push_back(std::byte{0});
    }
    append(file, {0xFF, 0xD9});
    return file;
}

} // namespace splitdsl::imaging::testing
