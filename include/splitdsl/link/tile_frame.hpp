// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_frame.hpp
/// What stands in front of a tile's bytes on the wire: of which plan it is and of which part of the map it speaks. And everything that can be wrong with it.
///
/// A question is a `payload` message of cut 0 (link/frame.hpp), an answer its `reply`. Both begin with these 48 bytes, little-endian words:
///
/// | at | bytes | field                                                        |
/// |----|-------|--------------------------------------------------------------|
/// |  0 | 4     | version of this form, 1                                      |
/// |  4 | 4     | tile, row by row                                             |
/// |  8 | 16    | fingerprint of the plan, four words of 16 bits, lowest first |
/// | 24 | 20    | part of the map: channels, top, left, rows, columns          |
/// | 44 | 4     | answers: microseconds of computing; questions: 0             |
///
/// Behind them: a question's crops of the raw inputs, an answer's planar floats. All answers of a plan are as long as its longest, zeros at the end: a reply has one
/// size. Each word is that of a finite float, for a reply's values are looked through for others.
#pragma once

#include <splitdsl/detail/byte_order.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace splitdsl::link {

inline constexpr std::size_t tile_head_bytes = 48;
inline constexpr std::uint32_t tile_version = 1;
inline constexpr std::uint32_t longest_tile_work = 0x40000000; ///< us, 18 minutes: words above it may be no finite floats

/// A part of the map that tiles give.
struct tile_part {
    std::uint32_t channels{}, top{}, left{}, rows{}, columns{};
    friend constexpr bool operator==(const tile_part&, const tile_part&) = default;
};
struct tile_head {
    std::uint32_t version{tile_version};
    std::uint32_t tile{};
    std::uint64_t plan{};
    tile_part part{};
    std::uint32_t work_us{};
    friend constexpr bool operator==(const tile_head&, const tile_head&) = default;
};
/// What both sides have by their plan, never by the wire.
struct tile_terms {
    tile_part part{};
    std::uint32_t question_bytes{}, answer_bytes{}; ///< without the head
};
struct tile_contract {
    std::uint64_t plan{};
    std::span<const tile_terms> tiles{};
};

/// Everything that can be wrong with a tile's message, in the order in which it is looked at.
enum class tile_fault : std::uint8_t { none, truncated, other_version, other_plan, unknown_tile, other_part, wrong_size };
inline constexpr int tile_faults = 7;

/// What to say about it: one sentence for a log.
constexpr const char* sentence(tile_fault fault) noexcept {
    switch (fault) {
    case tile_fault::none: return "the tile's message is sound";
    case tile_fault::truncated: return "the message is shorter than a tile's head of 48 bytes";
    case tile_fault::other_version: return "the version of the tile's message is not 1: update the older side";
    case tile_fault::other_plan: return "the tile is of another plan: both sides need the same network, grid, place where it ends and instruction set";
    case tile_fault::unknown_tile: return "the tile's number is beyond the plan's grid";
    case tile_fault::other_part: return "the tile's channels, place or size are not those of its number in the plan";
    case tile_fault::wrong_size: return "the bytes behind the tile's head are not as many as its part of the plan has";
    }
    return "unknown fault";
}

inline void encode_tile_head(const tile_head& h, std::span<std::byte, tile_head_bytes> to) noexcept {
    std::byte* at = to.data();
    const auto word = [&at](std::uint32_t v) {
        splitdsl::detail::store_u32(at, v);
        at += 4;
    };
    word(h.version), word(h.tile);
    for (int k = 0; k < 4; ++k) word(static_cast<std::uint32_t>(h.plan >> (16 * k) & 0xffffU));
    word(h.part.channels), word(h.part.top), word(h.part.left), word(h.part.rows), word(h.part.columns);
    word(h.work_us < longest_tile_work ? h.work_us : longest_tile_work);
}

/// Reads a head and holds it against the contract; `exact`: nothing may stand behind the tile's own bytes. `h` is written unless the message is truncated.
inline tile_fault check_tile(std::span<const std::byte> message, const tile_contract& contract, std::uint32_t tile_terms::* bytes, bool exact, tile_head& h) noexcept {
    if (message.size() < tile_head_bytes) return tile_fault::truncated;
    const auto word = [&message](std::size_t k) { return splitdsl::detail::load_u32(message.data() + 4 * k); };
    h = {.version = word(0), .tile = word(1), .part = {word(6), word(7), word(8), word(9), word(10)}, .work_us = word(11)};
    bool halves = true;
    for (std::size_t k = 0; k < 4; ++k) halves = halves && word(2 + k) <= 0xffffU, h.plan |= std::uint64_t{word(2 + k) & 0xffffU} << (16 * k);
    if (h.version != tile_version) return tile_fault::other_version;
    if (!halves || h.plan != contract.plan) return tile_fault::other_plan;
    if (h.tile >= contract.tiles.size()) return tile_fault::unknown_tile;
    const tile_terms& t = contract.tiles[h.tile];
    if (h.part != t.part) return tile_fault::other_part;
    const std::size_t behind = message.size() - tile_head_bytes;
    return behind < t.*bytes || (exact && behind > t.*bytes) ? tile_fault::wrong_size : tile_fault::none;
}
inline tile_fault check_question(std::span<const std::byte> message, const tile_contract& contract, tile_head& h) noexcept { return check_tile(message, contract, &tile_terms::question_bytes, true, h); }
inline tile_fault check_answer(std::span<const std::byte> message, const tile_contract& contract, tile_head& h) noexcept { return check_tile(message, contract, &tile_terms::answer_bytes, false, h); }

} // namespace splitdsl::link
