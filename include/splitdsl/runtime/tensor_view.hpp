// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tensor_view.hpp
/// A named tensor of a weights file: type, shape and where its bytes lie.
#pragma once

#include <splitdsl/codec/half.hpp>
#include <splitdsl/detail/byte_order.hpp>
#include <splitdsl/detail/printable.hpp>
#include <splitdsl/error.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl {

/// The element types of safetensors files that this library knows; others are refused.
enum class tensor_type : std::uint8_t {
    boolean,
    uint8,
    int8,
    float8_e5m2,
    float8_e4m3,
    int16,
    uint16,
    float16,
    bfloat16,
    int32,
    uint32,
    float32,
    int64,
    uint64,
    float64
};
inline constexpr int tensor_types = 15;

/// As the file spells it, such as "F32".
constexpr std::string_view name_of(tensor_type type) noexcept {
    constexpr std::string_view names[tensor_types] = {"BOOL", "U8",  "I8",  "F8_E5M2", "F8_E4M3", "I16", "U16", "F16",
                                                      "BF16", "I32", "U32", "F32",     "I64",     "U64", "F64"};
    return names[static_cast<int>(type)];
}
constexpr std::size_t bytes_of(tensor_type type) noexcept {
    return type <= tensor_type::float8_e4m3 ? 1 : (type <= tensor_type::bfloat16 ? 2 : (type <= tensor_type::float32 ? 4 : 8));
}
constexpr std::optional<tensor_type> tensor_type_named(std::string_view name) noexcept {
    for (int i = 0; i < tensor_types; ++i)
        if (name_of(static_cast<tensor_type>(i)) == name) return static_cast<tensor_type>(i);
    return std::nullopt;
}

/// Row-major, little-endian. `bytes` belong to the file or the caller.
struct tensor_view {
    std::string name{};
    tensor_type type{tensor_type::float32};
    std::vector<std::uint64_t> shape{}; ///< empty: one value
    std::span<const std::byte> bytes{};
};

/// The product of the dimensions, or nothing if it exceeds 64 bits.
constexpr std::optional<std::uint64_t> elements_of(std::span<const std::uint64_t> shape) noexcept {
    std::uint64_t product = 1;
    bool zero = false;
    for (const std::uint64_t d : shape) {
        zero = zero || d == 0;
        if (d != 0 && product > UINT64_MAX / d) return std::nullopt;
        product *= d != 0 ? d : 1;
    }
    return zero ? 0 : product;
}

namespace detail {
/// A name from a file, fit for a message: printable ASCII, at most 128 bytes.
inline std::string shown(std::string_view name) { return quoted(name); }
inline std::string shown(std::span<const std::uint64_t> shape) {
    std::string s = "(";
    for (std::size_t i = 0; i < shape.size(); ++i) s += std::string(i ? ", " : "") + std::to_string(shape[i]);
    return s + ")";
}
} // namespace detail

/// The values as f32, exactly. Throws `weights_error` for types other than F32, F16 and BF16.
inline std::vector<float> to_floats(const tensor_view& tensor) {
    const std::byte* const from = tensor.bytes.data();
    if (tensor.type != tensor_type::float32 && tensor.type != tensor_type::float16 && tensor.type != tensor_type::bfloat16)
        throw weights_error("tensor " + detail::shown(tensor.name) + ": F32, F16 or BF16 was expected, found "
                            + std::string(name_of(tensor.type)));
    std::vector<float> values(tensor.bytes.size() / bytes_of(tensor.type));
    if (tensor.type == tensor_type::float32)
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = detail::load_f32(from + 4 * i);
    else if (tensor.type == tensor_type::float16)
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = float_from_half(detail::load_u16(from + 2 * i));
    else
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = float_from_bfloat(detail::load_u16(from + 2 * i));
    return values;
}

/// The bytes of f32 values as a file holds them. Only where the host itself is little-endian.
inline std::span<const std::byte> bytes_of_floats(std::span<const float> values) noexcept {
    static_assert(std::endian::native == std::endian::little);
    return std::as_bytes(values);
}

/// A digest of names, types, shapes and bytes, whatever the order of the tensors; not a defence against a forger.
/// Cost: about 0.3 ns a byte. Sums per-tensor digests, so that no sorted copy is needed.
inline std::uint64_t content_digest(std::span<const tensor_view> tensors) noexcept {
    const auto mix = [](std::uint64_t h, std::uint64_t v) {
        return std::rotl(h ^ (v * 0x9E3779B97F4A7C15u), 29) * 0xD6E8FEB86659FD93u + 0x632BE59BD9B4E019u;
    };
    const auto finish = [](std::uint64_t h) {
        h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;
        h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;
        return h ^ (h >> 32);
    };
    std::uint64_t sum = tensors.size();
    for (const tensor_view& t : tensors) {
        std::uint64_t h = mix(0x517CC1B727220A95u, t.name.size());
        for (const char c : t.name) h = mix(h, static_cast<unsigned char>(c));
        h = mix(h, static_cast<std::uint64_t>(t.type));
        h = mix(h, t.shape.size());
        for (const std::uint64_t d : t.shape) h = mix(h, d);
        const std::byte* p = t.bytes.data();
        std::size_t left = t.bytes.size();
        for (; left >= 8; left -= 8, p += 8) h = mix(h, detail::load_u64(p));
        for (; left > 0; --left, ++p) h = mix(h, static_cast<std::uint64_t>(*p));
        sum += finish(h);
    }
    return finish(sum);
}

} // namespace splitdsl
