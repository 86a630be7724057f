// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pictures_fuzz.cpp
/// Any bytes as a picture: refused with `image_error`, or pixels that resize to what lies between them and survive as PNG.
///
/// Input: how (1), rows and columns to resize to (1 each), then a file; or, with bit 0 of `how`, the number of one of the unit tests'
/// pictures and what to change in it (3 bytes each: where, and the new value). Bit 1 mends a PNG's checksums, bit 2 accepts damage, bit 3
/// writes the pixels as PNG.
#include "unit/image_golden.hpp"
#include "unit/made_pictures.hpp"

#include <splitdsl/image/decode.hpp>
#include <splitdsl/image/preprocess.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace splitdsl;
using imaging::extent;
using imaging::picture;
using imaging::testing::crc32;

constexpr std::size_t most_pixels = 1 << 12; // small, so that a run tries many files

void must(bool condition) {
    if (!condition) std::abort();
}

std::uint32_t big_endian(const blob& b, std::size_t at) {
    std::uint32_t v = 0;
    for (std::size_t i = 0; i < 4; ++i) v = v << 8 | std::to_integer<std::uint32_t>(b[at + i]);
    return v;
}
/// Makes the checksums of a PNG's chunks fit, so that what lies behind them is reached.
void mend(blob& b) {
    for (std::size_t at = 8; b.size() >= at + 12;) {
        const std::size_t length = big_endian(b, at);
        if (length > b.size() - at - 12) return;
        const std::uint32_t crc = crc32(std::span(b).subspan(at + 4, length + 4));
        for (std::size_t i = 0; i < 4; ++i) b[at + 8 + length + i] = static_cast<std::byte>(crc >> (24 - 8 * i) & 255u);
        at += 12 + length;
    }
}

/// A mean of pixels lies between them; byte by byte the resize rounds twice.
void resized(const picture& from, extent to) {
    const auto [low, high] = std::minmax_element(from.bytes().begin(), from.bytes().end());
    const picture small = imaging::resize(from, to);
    must(small.size() == to && small.channels() == from.channels());
    for (const std::uint8_t v : small.bytes()) must(v + 1 >= *low && v <= *high + 1);
    if (to == from.size()) must(small == from);
    const auto floats = imaging::to_planes<float>(from);
    for (const auto smooth : {imaging::antialias::no, imaging::antialias::yes})
        for (const float v : imaging::resize(floats, to, smooth).values) must(std::isfinite(v) && v >= *low - 1e-3F && v <= *high + 1e-3F);
}

void used(const picture& p, extent to, bool again) {
    must(p.channels() == 3 && p.size().pixels() <= most_pixels && p.bytes().size() == 3 * p.size().pixels());
    resized(p, to);
    if (imaging::has_png && again) must(imaging::decode_png(imaging::encode_png(p)) == p);
    must(imaging::to_grey(p).size() == p.size());
    imaging::shared_input shot{p};
    try {
        const auto& planes = shot.planes_for({.shorter_side = std::max(to.height, to.width), .crop = to});
        must(planes.size == to && planes.values.size() == 3 * to.pixels());
    } catch (const image_error&) {} // a strip of 4,096 x 1 does not grow to any size
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) return 0;
    const unsigned how = data[0];
    const extent to{1 + data[1] % 48, 1 + data[2] % 48};
    blob file;
    if ((how & 1u) != 0) {
        const auto base = golden::pictures[data[3] % std::size(golden::pictures)].file;
        file.assign(std::as_bytes(base).begin(), std::as_bytes(base).end());
        for (std::size_t i = 4; i + 2 < size; i += 3) {
            const std::size_t at =
                (data[i] | static_cast<std::size_t>(data[i + 1]) << 8) % (file.size() + 64); // beyond its end: longer by a byte
            if (at < file.size())
                file[at] = std::byte{data[i + 2]};
            else
                file.push_back(std::byte{data[i + 2]});
        }
    } else {
        const auto bytes = std::as_bytes(std::span(data, size)).subspan(3);
        file.assign(bytes.begin(), bytes.end());
    }
    if ((how & 2u) != 0) mend(file);
    const imaging::decode_options options{.most_pixels = most_pixels, .accept_damaged = (how & 4u) != 0, .name = "fuzz"};
    try {
        used(imaging::decode(file, options), to, (how & 8u) != 0);
    } catch (const image_error& e) { must(std::string(e.what()).starts_with("fuzz: ")); }
    return 0;
}
