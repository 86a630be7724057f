// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file prior_payload_fuzz.cpp
/// Any bytes as the payload of a learned prior: nothing is read or written outside, what decodes is within bounds, and encodes to what decodes to it again.
///
/// Input: prior (1), values a channel (1), then the payload; with the prior's high bit set, values as f32 in place of it.
#include <splitdsl/codec/entropy_bottleneck.hpp>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace {
using namespace splitdsl;

void must(bool condition) {
    if (!condition) std::abort();
}

struct prior {
    int channels;
    std::vector<std::uint32_t> words;

    prior(const std::vector<std::vector<float>>& rows, std::vector<float> offset, const std::vector<float>& medians) : channels{static_cast<int>(rows.size())} {
        std::size_t columns = 0;
        for (const auto& r : rows) columns = r.size() > columns ? r.size() : columns;
        std::vector<float> length, quantiles, cumulative(rows.size() * columns);
        for (std::size_t c = 0; c < rows.size(); ++c) {
            length.push_back(static_cast<float>(rows[c].size()));
            quantiles.insert(quantiles.end(), {0, medians[c], 0});
            for (std::size_t k = 0; k < rows[c].size(); ++k) cumulative[c * columns + k] = rows[c][k];
        }
        words.resize(packed_prior::words_of(channels, length.data()));
        packed_prior::pack({length.data(), offset.data(), quantiles.data(), cumulative.data(), static_cast<int>(columns)}, channels, words.data());
    }
};
/// As many numbers as there may be of frequency 4.
std::vector<float> wide_row() {
    std::vector<float> row;
    for (int k = 0; k <= 16384; ++k) row.push_back(static_cast<float>(3 * k));
    row.push_back(65536);
    return row;
}
const prior& prior_of(unsigned which) {
    static const prior all[]{{{{0, 1, 65536}, {0, 65535, 65536}}, {0, -5}, {0.5F, -3}},
                             {{{0, 100, 20000, 50000, 65000, 65500, 65536}, {0, 30000, 65535, 65536}, {0, 255, 256, 257, 65536}}, {-2, 0, 30000}, {0, 7.25F, 32767}},
                             {{wide_row()}, {-8192}, {0.125F}},
                             {{{0, 65534, 65535, 65536}}, {-32767}, {-32767}}};
    return all[which % 4];
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const prior& p = prior_of(data[0] & 0x7fU);
    const packed_prior tables{p.words.data()};
    const std::size_t plane = 1 + data[1] % 64, count = static_cast<std::size_t>(p.channels) * plane;
    std::vector<float> values(count), again(count);
    if ((data[0] & 0x80U) != 0) {
        std::memcpy(values.data(), data + 2, size - 2 < 4 * count ? size - 2 : 4 * count);
    } else {
        const std::unique_ptr<std::byte[]> payload{new std::byte[size - 2]}; // of exactly this size: the sanitizer sees what is read behind it
        std::memcpy(payload.get(), data + 2, size - 2);
        const std::size_t read = decode_by_prior(tables, p.channels, plane, payload.get(), size - 2, values.data());
        must(read <= size - 2);
        if (read == 0) return 0;
        for (std::size_t i = 0; i < count; ++i) must(std::fabs(values[i] - tables.of(static_cast<int>(i / plane)).median) <= 32767);
    }
    const std::size_t room = 2 * count + rans_state_bytes;
    const std::unique_ptr<std::byte[]> coded{new std::byte[room]};
    const std::size_t written = encode_by_prior(tables, p.channels, plane, values.data(), coded.get());
    must(written <= room);
    must(decode_by_prior(tables, p.channels, plane, coded.get(), written, again.data()) == written);
    round_about_medians(tables, p.channels, plane, values.data());
    must(std::memcmp(values.data(), again.data(), 4 * count) == 0);
    return 0;
}
