// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file entropy_bottleneck.hpp
/// A tensor's whole numbers about its channels' medians as bytes, by a factorised prior (Ballé et al. 2018) and rANS.
///
/// A channel's prior is a row of 16-bit cumulative frequencies: `levels` whole numbers from `offset` up, and one entry that stands for all others. Such
/// an outlier's distance from the row, folded (below: odd, above: even), follows in plain nibbles, lowest first, behind their count. These are
/// CompressAI's tables and its stream, so a payload is also what its EntropyBottleneck makes of the tensor, byte for byte.
///
/// A value is limited to 32 767 steps from its median; NaN becomes the median. A payload never takes more than 2 bytes a value and 8: where coding would, all
/// ones stand in place of the state, which no coder ends in, and the whole numbers follow as they are (16 bits).
/// Forced inline: as rans.hpp.
#pragma once

#include <splitdsl/codec/rans.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace splitdsl {

inline constexpr int most_steps = 32767;                        ///< from a median
inline constexpr std::uint64_t no_rans_state = ~std::uint64_t{0};

/// A prior as a file has it. A row's entries behind its length mean nothing.
struct prior_tensors {
    const float* length{};      ///< (channels): entries of each row
    const float* offset{};      ///< (channels): the whole number of the first entry
    const float* quantiles{};   ///< (channels, 1, 3): the middle one is the median
    const float* cumulative{};  ///< (channels, columns)
    int columns{};
};

/// What coding reads, as 32-bit words: a header a channel; then for each channel where a slot's search begins, by its high byte, and the row. `words`: 4-byte aligned.
class packed_prior {
public:
    struct header {
        float median;
        std::int32_t offset;
        std::uint32_t levels;   ///< also the number of the entry that stands for all others
        std::uint32_t at;       ///< words from the begin
    };
    static constexpr std::size_t header_words = sizeof(header) / 4, search_words = 129; // 257 numbers of 16 bits

    SPLITDSL_CODEC_INLINE explicit packed_prior(const void* words) noexcept : base{static_cast<const std::byte*>(words)} {}

    static constexpr std::size_t most_words(int channels, int columns) {
        return static_cast<std::size_t>(channels) * (header_words + search_words + static_cast<std::size_t>(columns + 1) / 2);
    }
    SPLITDSL_CODEC_INLINE static std::size_t words_of(int channels, const float* length) noexcept {
        std::size_t words = 0;
        for (int c = 0; c < channels; ++c) words += header_words + search_words + (static_cast<std::size_t>(length[c]) + 1) / 2;
        return words;
    }
    /// `from`: a prior without fault (runtime/prior_weights.hpp).
    SPLITDSL_CODEC_INLINE static void pack(const prior_tensors& from, int channels, void* words) noexcept {
        auto* const to = static_cast<std::byte*>(words);
        std::size_t next = static_cast<std::size_t>(channels) * header_words;
        for (int c = 0; c < channels; ++c) {
            const auto length = static_cast<std::uint32_t>(from.length[c]);
            const header h{from.quantiles[3 * c + 1], static_cast<std::int32_t>(from.offset[c]), length - 2, static_cast<std::uint32_t>(next)};
            std::memcpy(to + static_cast<std::size_t>(c) * sizeof h, &h, sizeof h);
            const float* const row = from.cumulative + static_cast<std::ptrdiff_t>(c) * from.columns;
            std::byte* const search = to + 4 * next;
            std::uint32_t symbol = 0;
            for (std::uint32_t b = 0; b < 256; ++b) {
                while (symbol < h.levels && row[symbol + 1] <= static_cast<float>(256 * b)) ++symbol;
                put16(search + 2 * b, symbol);
            }
            put16(search + 512, h.levels);
            for (std::uint32_t k = 0; k < length; ++k) put16(search + 4 * search_words + 2 * k, static_cast<std::uint32_t>(row[k])); // the last, 65 536, as 0
            next += search_words + (length + 1) / 2;
        }
    }

    SPLITDSL_CODEC_INLINE header of(int channel) const noexcept {
        header h;
        std::memcpy(&h, base + static_cast<std::size_t>(channel) * sizeof h, sizeof h);
        return h;
    }
    SPLITDSL_CODEC_INLINE const std::uint16_t* search(const header& h) const noexcept { return reinterpret_cast<const std::uint16_t*>(base + 4 * std::size_t{h.at}); }
    SPLITDSL_CODEC_INLINE const std::uint16_t* row(const header& h) const noexcept { return search(h) + 2 * search_words; }

private:
    SPLITDSL_CODEC_INLINE static void put16(std::byte* to, std::uint32_t v) noexcept {
        const auto small = static_cast<std::uint16_t>(v);
        std::memcpy(to, &small, 2);
    }
    const std::byte* base;
};

namespace detail {

/// The nearest whole number of steps from the median, ties to even.
SPLITDSL_CODEC_INLINE float steps_from(float x, float median) {
    float steps = x - median;
    steps = steps == steps ? steps : 0.0F;
    steps = steps < -static_cast<float>(most_steps) ? -static_cast<float>(most_steps) : steps;
    steps = steps > static_cast<float>(most_steps) ? static_cast<float>(most_steps) : steps;
    constexpr float whole = 12582912; // 1.5 * 2^23, where a step of f32 is 1: the sum rounds
    return (steps + whole) - whole;
}

/// Codes one channel's row entry, and the nibbles behind it. In the opposite order: the encoder begins at the end.
SPLITDSL_CODEC_INLINE void put_steps(rans_encoder& to, const packed_prior::header& h, const std::uint16_t* row, std::int32_t steps) {
    const std::int32_t from_row = steps - h.offset, levels = static_cast<std::int32_t>(h.levels);
    std::uint32_t symbol = static_cast<std::uint32_t>(from_row);
    if (from_row < 0 || from_row >= levels) {
        const std::uint32_t folded = from_row < 0 ? 2 * static_cast<std::uint32_t>(-from_row) - 1 : 2 * static_cast<std::uint32_t>(from_row - levels);
        const int nibbles = (static_cast<int>(std::bit_width(folded)) + 3) / 4; // at most 5
        for (int k = nibbles; k-- > 0;) to.put_bits(folded >> (4 * k) & 15, 4);
        to.put_bits(static_cast<std::uint32_t>(nibbles), 4);
        symbol = h.levels;
    }
    to.put(row[symbol], static_cast<std::uint16_t>(row[symbol + 1] - row[symbol]));
}
/// False where no encoder's steps stand.
SPLITDSL_CODEC_INLINE bool get_steps(rans_decoder& from, const packed_prior::header& h, const std::uint16_t* search, const std::uint16_t* row, std::int32_t& steps) {
    const std::uint32_t slot = from.slot();
    std::uint32_t low = search[slot >> 8], high = search[(slot >> 8) + 1];
    while (low < high) {
        const std::uint32_t middle = (low + high + 1) / 2;
        if (row[middle] <= slot) low = middle;
        else high = middle - 1;
    }
    from.drop(row[low], static_cast<std::uint16_t>(row[low + 1] - row[low]));
    steps = h.offset + static_cast<std::int32_t>(low);
    if (low == h.levels) {
        const std::uint32_t nibbles = from.bits(4);
        if (nibbles > 5) return false;
        std::uint32_t folded = 0;
        for (std::uint32_t k = 0; k < nibbles; ++k) folded |= from.bits(4) << (4 * k);
        const auto half = static_cast<std::int32_t>(folded >> 1);
        steps = (folded & 1) != 0 ? h.offset - half - 1 : steps + half;
    }
    return !from.starved() && steps >= -most_steps && steps <= most_steps;
}

} // namespace detail

/// What a decoder gives for what an encoder was given, (channels, plane) values in place. A value that is one already stays.
SPLITDSL_CODEC_INLINE void round_about_medians(const packed_prior& prior, int channels, std::size_t plane, float* values) {
    for (int c = 0; c < channels; ++c, values += plane) {
        const float median = prior.of(c).median;
        for (std::size_t i = 0; i < plane; ++i) values[i] = detail::steps_from(values[i], median) + median;
    }
}

/// Codes (channels, plane) values into `to`, which has room for `encoded_size(codec_id::entropy, channels * plane)` bytes; returns those it took.
SPLITDSL_CODEC_INLINE std::size_t encode_by_prior(const packed_prior& prior, int channels, std::size_t plane, const float* values, std::byte* to) {
    const std::size_t count = static_cast<std::size_t>(channels) * plane, room = 2 * count + rans_state_bytes;
    rans_encoder coder{to, to + room};
    for (int c = channels; c-- > 0 && !coder.full();) {
        const packed_prior::header h = prior.of(c);
        const std::uint16_t* const row = prior.row(h);
        const float* const from = values + static_cast<std::size_t>(c) * plane;
        for (std::size_t i = plane; i-- > 0;) detail::put_steps(coder, h, row, static_cast<std::int32_t>(detail::steps_from(from[i], h.median)));
    }
    if (const std::byte* const begin = coder.finish()) {
        const auto size = static_cast<std::size_t>(to + room - begin);
        std::memmove(to, begin, size);
        return size;
    }
    detail::put_little(to, no_rans_state);
    for (int c = 0; c < channels; ++c) {
        const float median = prior.of(c).median;
        for (std::size_t i = static_cast<std::size_t>(c) * plane; i < (static_cast<std::size_t>(c) + 1) * plane; ++i)
            detail::put_little(to + rans_state_bytes + 2 * i, static_cast<std::uint16_t>(static_cast<std::int32_t>(detail::steps_from(values[i], median))));
    }
    return room;
}

/// Reads (channels, plane) values from at most `size` bytes; returns the bytes they took, 0 if these are no such payload (`values` then mean nothing). Any
/// bytes may come: nothing is read beyond `size`, and the time is that of a sound payload.
SPLITDSL_CODEC_INLINE std::size_t decode_by_prior(const packed_prior& prior, int channels, std::size_t plane, const std::byte* from, std::size_t size, float* values) {
    const std::size_t count = static_cast<std::size_t>(channels) * plane;
    if (size < rans_state_bytes) return 0;
    if (detail::get_little<std::uint64_t>(from) == no_rans_state) {
        if (size - rans_state_bytes < 2 * count) return 0;
        for (int c = 0; c < channels; ++c) {
            const float median = prior.of(c).median;
            for (std::size_t i = static_cast<std::size_t>(c) * plane; i < (static_cast<std::size_t>(c) + 1) * plane; ++i) {
                const auto steps = static_cast<std::int16_t>(detail::get_little<std::uint16_t>(from + rans_state_bytes + 2 * i));
                if (steps < -most_steps) return 0;
                values[i] = static_cast<float>(steps) + median;
            }
        }
        return rans_state_bytes + 2 * count;
    }
    if (!rans_decoder::sound(from)) return 0;
    rans_decoder coder{from, from + size};
    for (int c = 0; c < channels; ++c) {
        const packed_prior::header h = prior.of(c);
        const std::uint16_t *const search = prior.search(h), *const row = prior.row(h);
        float* const to = values + static_cast<std::size_t>(c) * plane;
        for (std::size_t i = 0; i < plane; ++i) {
            std::int32_t steps = 0;
            if (!detail::get_steps(coder, h, search, row, steps)) return 0;
            to[i] = static_cast<float>(steps) + h.median;
        }
    }
    const std::byte* const end = coder.finish();
    return end ? static_cast<std::size_t>(end - from) : 0;
}

} // namespace splitdsl
