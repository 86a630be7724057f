// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_coder.hpp
/// Small integers to bits and back: at a fixed width, or as adaptive Golomb-Rice codes; never beyond the room there is.
///
/// A Rice code of a folded difference (0, -1, 1, -2, 2, ... to 0, 1, 2, 3, 4, ...) is its quotient by 2^k in unary and k bits; k follows a
/// running mean, which needs a handful of values to settle. That is why it is here and no context-modelling arithmetic coder: a level has a
/// few hundred values, and such a coder, tried on the same features, spent more on learning than it saved (docs/dynamic_pooling.md).
/// Bits stand least significant first. A reader given only the first bytes knows when it needs one that it does not have (`starved`).
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace splitdsl::detail {

class bit_packer {
public:
    static constexpr bool writes = true;
    bit_packer(std::byte* to, std::byte* end) noexcept : at{to}, last{end} {}
    /// At most 32 bits.
    void put(std::uint32_t value, int width) noexcept {
        held |= static_cast<std::uint64_t>(value) << count;
        count += width;
        if (std::endian::native == std::endian::little && last - at >= 8) { // eight bytes, of which the whole ones stay: no branch on how many
            std::memcpy(at, &held, 8);
            at += static_cast<unsigned>(count) / 8;
            held >>= count & 0x38;
            count &= 7;
        } else
            for (; count >= 8; count -= 8, held >>= 8) byte();
    }
    /// One past the last byte written; null if there was no room.
    std::byte* finish() noexcept {
        if (count > 0) byte();
        return full ? nullptr : at;
    }

private:
    void byte() noexcept {
        if (at == last)
            full = true;
        else
            *at++ = static_cast<std::byte>(held & 0xffu);
    }
    std::byte *at, *last;
    std::uint64_t held{};
    int count{};
    bool full{false};
};

class bit_unpacker {
public:
    static constexpr bool writes = false;
    bit_unpacker(const std::byte* from, const std::byte* end) noexcept : at{from}, last{end} {}
    /// At most 32 bits; 0 if they are not there.
    std::uint32_t get(int width) noexcept {
        fill();
        if (count < width) return starve();
        const auto value = static_cast<std::uint32_t>(held & ((std::uint64_t{1} << width) - 1));
        drop(width);
        return value;
    }
    /// Zeros before the next one, which is dropped as well; `most` zeros end without a one.
    std::uint32_t zeros(int most) noexcept {
        fill();
        const int n = std::min(std::countr_zero(held), most);
        if (count < n + (n < most ? 1 : 0)) return starve();
        drop(n + (n < most ? 1 : 0));
        return static_cast<std::uint32_t>(n);
    }
    bool starved() const noexcept { return ran_out; }

private:
    /// More than 32 bits, or all there are. Above `count` there may be those that come next.
    void fill() noexcept {
        if (std::endian::native == std::endian::little && last - at >= 8) {
            std::uint64_t next{};
            std::memcpy(&next, at, 8);
            held |= next << count;
            at += static_cast<unsigned>(63 - count) / 8;
            count |= 56;
        } else
            for (; count <= 32 && at != last; count += 8) held |= static_cast<std::uint64_t>(*at++) << count;
    }
    void drop(int width) noexcept {
        held >>= width;
        count -= width;
    }
    std::uint32_t starve() noexcept {
        ran_out = true;
        return 0;
    }
    const std::byte *at, *last;
    std::uint64_t held{};
    int count{};
    bool ran_out{false};
};

/// Codes differences of -255 to 255, each in at most 21 bits.
class rice_model {
public:
    [[gnu::always_inline]] void write(bit_packer& to, int difference) noexcept {
        const std::uint32_t folded = static_cast<std::uint32_t>(difference) << 1 ^ static_cast<std::uint32_t>(difference >> 31);
        const int k = parameter();
        const std::uint32_t quotient = folded >> k;
        if (quotient < longest)
            to.put(((folded & ((1u << k) - 1)) << 1 | 1u) << quotient, static_cast<int>(quotient) + 1 + k);
        else
            to.put(folded << longest, longest + 9);
        learn(folded);
    }
    [[gnu::always_inline]] int read(bit_unpacker& from) noexcept {
        const int k = parameter();
        const std::uint32_t quotient = from.zeros(longest);
        const std::uint32_t folded = quotient < longest ? quotient << k | from.get(k) : from.get(9);
        learn(folded);
        const int half = static_cast<int>(folded >> 1);
        return (folded & 1u) != 0 ? -half - 1 : half;
    }

private:
    static constexpr int longest = 12; ///< zeros that say: 9 plain bits follow
    int parameter() const noexcept { return static_cast<int>(std::bit_width(mean / 16 | 1u)) - 1; }
    void learn(std::uint32_t folded) noexcept { mean += folded - mean / 16; }
    std::uint32_t mean{64}; ///< 16 times the running mean
};

} // namespace splitdsl::detail
