// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_order.hpp
/// Little-endian loads and stores, spelled byte by byte so that no host's own order can leak onto the wire.
///
/// Compilers turn each of these into one move; a struct is never copied to or from bytes as a whole.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace splitdsl::detail {

constexpr void store_u16(std::byte* to, std::uint16_t v) noexcept {
    to[0] = static_cast<std::byte>(v & 0xffu);
    to[1] = static_cast<std::byte>(v >> 8);
}
constexpr void store_u32(std::byte* to, std::uint32_t v) noexcept {
    for (int i = 0; i < 4; ++i) to[i] = static_cast<std::byte>((v >> (8 * i)) & 0xffu);
}
constexpr void store_u64(std::byte* to, std::uint64_t v) noexcept {
    for (int i = 0; i < 8; ++i) to[i] = static_cast<std::byte>((v >> (8 * i)) & 0xffu);
}
constexpr void store_f32(std::byte* to, float v) noexcept { store_u32(to, std::bit_cast<std::uint32_t>(v)); }

constexpr std::uint16_t load_u16(const std::byte* from) noexcept {
    return static_cast<std::uint16_t>(static_cast<unsigned>(from[0]) | static_cast<unsigned>(from[1]) << 8);
}
constexpr std::uint32_t load_u32(const std::byte* from) noexcept {
    return static_cast<std::uint32_t>(from[0]) | static_cast<std::uint32_t>(from[1]) << 8 | static_cast<std::uint32_t>(from[2]) << 16
           | static_cast<std::uint32_t>(from[3]) << 24;
}
constexpr std::uint64_t load_u64(const std::byte* from) noexcept {
    return static_cast<std::uint64_t>(load_u32(from)) | static_cast<std::uint64_t>(load_u32(from + 4)) << 32;
}
constexpr float load_f32(const std::byte* from) noexcept { return std::bit_cast<float>(load_u32(from)); }

} // namespace splitdsl::detail
