// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file rans.hpp
/// Range coding by asymmetric numeral systems (Duda 2013): a state of 64 bits, words of 32, probabilities of 16 bits. Integers only.
///
/// A symbol that owns [start, start + frequency) of 65 536 takes the state x to (x / frequency) * 65536 + x % frequency + start, and back. The state
/// stays in [2^31, 2^63): before it would leave, its low word goes to the stream; below, the next word comes in. Symbols come back in the opposite
/// order, so the encoder begins with the last one and fills its room from the end. The stream is the final state (8 bytes) and the words, all
/// little-endian; a decoder that has read everything stands at 2^31 again, which tells a damaged stream. Cost: 4 to 8 bytes beside the symbols' own bits.
///
/// Forced inline: kernels for several instruction sets include this file, and an out-of-line copy built for one must not exist.
#pragma once

#include <splitdsl/codec/tensor_codec.hpp>

#include <cstddef>
#include <cstdint>

namespace splitdsl {

inline constexpr int rans_precision = 16;                       ///< bits of a probability
inline constexpr std::uint64_t rans_least = std::uint64_t{1} << 31;
inline constexpr std::size_t rans_state_bytes = 8;

/// Last symbol first. Writes nothing in front of `begin`.
class rans_encoder {
public:
    SPLITDSL_CODEC_INLINE rans_encoder(std::byte* begin, std::byte* end) noexcept : first{begin}, at{end} {}
    /// `frequency`: 1 to 65 535.
    SPLITDSL_CODEC_INLINE void put(std::uint32_t start, std::uint32_t frequency) noexcept {
        if (state >= std::uint64_t{frequency} << 47) spill();
        state = (state / frequency << rans_precision) + state % frequency + start;
    }
    /// Plain bits, at most 16.
    SPLITDSL_CODEC_INLINE void put_bits(std::uint32_t value, int bits) noexcept {
        if (state >> (63 - bits) != 0) spill();
        state = state << bits | value;
    }
    /// Where the stream begins, which ends where the room does; null if there was no room.
    SPLITDSL_CODEC_INLINE std::byte* finish() noexcept {
        if (is_full || at - first < static_cast<std::ptrdiff_t>(rans_state_bytes)) return nullptr;
        at -= rans_state_bytes;
        detail::put_little(at, state);
        return at;
    }
    SPLITDSL_CODEC_INLINE bool full() const noexcept { return is_full; }

private:
    SPLITDSL_CODEC_INLINE void spill() noexcept {
        if (at - first >= 4) detail::put_little(at -= 4, static_cast<std::uint32_t>(state));
        else is_full = true;
        state >>= 32;
    }
    std::byte *first, *at;
    std::uint64_t state{rans_least};
    bool is_full{false};
};

/// Reads nothing beyond `end`. `stream`: at least `rans_state_bytes`, of a state that `sound` has seen.
class rans_decoder {
public:
    SPLITDSL_CODEC_INLINE static bool sound(const std::byte* stream) noexcept {
        const auto x = detail::get_little<std::uint64_t>(stream);
        return x >= rans_least && x < std::uint64_t{1} << 63;
    }
    SPLITDSL_CODEC_INLINE rans_decoder(const std::byte* stream, const std::byte* end) noexcept
        : at{stream + rans_state_bytes}, last{end}, state{detail::get_little<std::uint64_t>(stream)} {}
    /// Whose range holds this number is the next symbol.
    SPLITDSL_CODEC_INLINE std::uint32_t slot() const noexcept { return static_cast<std::uint32_t>(state & 0xffff); }
    SPLITDSL_CODEC_INLINE void drop(std::uint32_t start, std::uint32_t frequency) noexcept {
        state = frequency * (state >> rans_precision) + (state & 0xffff) - start;
        fill();
    }
    SPLITDSL_CODEC_INLINE std::uint32_t bits(int count) noexcept {
        const auto value = static_cast<std::uint32_t>(state & ((std::uint64_t{1} << count) - 1));
        state >>= count;
        fill();
        return value;
    }
    /// A word was wanted that is not there; what was read since means nothing.
    SPLITDSL_CODEC_INLINE bool starved() const noexcept { return ran_out; }
    /// One past the last byte read if all symbols of a whole stream are out, else null.
    SPLITDSL_CODEC_INLINE const std::byte* finish() const noexcept { return !ran_out && state == rans_least ? at : nullptr; }

private:
    SPLITDSL_CODEC_INLINE void fill() noexcept {
        if (state >= rans_least) return;
        std::uint32_t word = 0;
        if (last - at >= 4) word = detail::get_little<std::uint32_t>(at), at += 4;
        else ran_out = true;
        state = state << 32 | word;
    }
    const std::byte *at, *last;
    std::uint64_t state;
    bool ran_out{false};
};

} // namespace splitdsl
