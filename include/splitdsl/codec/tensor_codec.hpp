// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tensor_codec.hpp
/// A cut's codec: a tensor's values as payload bytes and back, for every `codec_id` of the language.
///
/// Layouts, little-endian: f32, f16: the values; affine u8, u16: scale (f32), zero point (i32), the values. Rows of (channels, height, width). A learned prior's
/// payload is made of tables, which entropy_bottleneck.hpp has; here its values are taken as they stand in working memory.
/// Forced inline: kernels for several instruction sets include this file, and an out-of-line copy built for one must not exist.
#pragma once

#include <splitdsl/codec/affine.hpp>
#include <splitdsl/codec/half.hpp>
#include <splitdsl/lang/op.hpp>

#define SPLITDSL_CODEC_INLINE [[gnu::always_inline]] inline

namespace splitdsl {

/// Bytes of an encoded tensor.
constexpr std::size_t encoded_bytes(codec_id kind, std::size_t values) { return static_cast<std::size_t>(encoded_size(kind, static_cast<std::int64_t>(values))); }

namespace detail {

template <class Integer>
SPLITDSL_CODEC_INLINE void put_little(std::byte* to, Integer v) {
    for (std::size_t i = 0; i < sizeof(Integer); ++i) to[i] = static_cast<std::byte>(v >> (8 * i));
}
template <class Integer>
SPLITDSL_CODEC_INLINE Integer get_little(const std::byte* from) {
    Integer v = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i) v = static_cast<Integer>(v | static_cast<Integer>(static_cast<Integer>(from[i]) << (8 * i)));
    return v;
}

SPLITDSL_CODEC_INLINE void put_affine_parameters(std::byte* to, affine_parameters p) {
    put_little(to, std::bit_cast<std::uint32_t>(p.scale));
    put_little(to + 4, static_cast<std::uint32_t>(p.zero_point));
}
template <affine_level Q>
SPLITDSL_CODEC_INLINE void encode_affine(finite_range range, const float* values, std::size_t count, std::byte* to) {
    const affine_parameters p = affine_parameters_of<Q>(range);
    put_affine_parameters(to, p);
    for (std::size_t i = 0; i < count; ++i) put_little(to + 8 + sizeof(Q) * i, quantise<Q>(values[i], p));
}
SPLITDSL_CODEC_INLINE affine_parameters affine_parameters_in(const std::byte* from) {
    return {std::bit_cast<float>(get_little<std::uint32_t>(from)), static_cast<std::int32_t>(get_little<std::uint32_t>(from + 4))};
}
template <affine_level Q>
SPLITDSL_CODEC_INLINE void decode_affine(const std::byte* from, std::size_t count, float* values) {
    const affine_parameters p = affine_parameters_in(from);
    for (std::size_t i = 0; i < count; ++i) values[i] = dequantise<Q>(get_little<Q>(from + 8 + sizeof(Q) * i), p);
}

} // namespace detail

/// Writes `working_size(kind, count)` bytes. Never fails: values that are not finite clamp (affine) or travel as they are (f32, f16); in f16 also
/// what is 65,520 or more, as an infinity.
SPLITDSL_CODEC_INLINE void encode(codec_id kind, const float* values, std::size_t count, std::byte* to) {
    switch (kind) {
    case codec_id::entropy:
    case codec_id::pooled: // as it stands in working memory; the wire has dynamic_pool_stream.hpp
    case codec_id::float32:
        for (std::size_t i = 0; i < count; ++i) detail::put_little(to + 4 * i, std::bit_cast<std::uint32_t>(values[i]));
        break;
    case codec_id::float16:
        for (std::size_t i = 0; i < count; ++i) detail::put_little(to + 2 * i, half_from_float(values[i]));
        break;
    case codec_id::affine8: detail::encode_affine<std::uint8_t>(range_of({values, count}), values, count, to); break;
    case codec_id::affine16: detail::encode_affine<std::uint16_t>(range_of({values, count}), values, count, to); break;
    }
}
/// The affine codecs with a range that was known before: values beyond it become its ends. One pass.
SPLITDSL_CODEC_INLINE void encode_calibrated(codec_id kind, finite_range range, const float* values, std::size_t count, std::byte* to) {
    if (kind == codec_id::affine16) detail::encode_affine<std::uint16_t>(range, values, count, to);
    else detail::encode_affine<std::uint8_t>(range, values, count, to);
}

/// Whether bytes can be an encoded tensor: a size of whole values, a usable scale and zero point. Every f32 and every f16 is a value: a frame's NaN has
/// to arrive as it left, or the two halves of a network would differ from the whole.
SPLITDSL_CODEC_INLINE bool decodes(codec_id kind, const std::byte* from, std::size_t size) {
    switch (kind) {
    case codec_id::entropy:
    case codec_id::pooled:
    case codec_id::float32: return size % 4 == 0;
    case codec_id::float16: return size % 2 == 0;
    case codec_id::affine8: return size >= 8 && usable<std::uint8_t>(detail::affine_parameters_in(from));
    case codec_id::affine16: return size >= 8 && size % 2 == 0 && usable<std::uint16_t>(detail::affine_parameters_in(from));
    }
    return false;
}

/// Reads `count` values from `working_size(kind, count)` bytes that `encode` wrote or `decodes` has seen.
SPLITDSL_CODEC_INLINE void decode_sound(codec_id kind, const std::byte* from, float* values, std::size_t count) {
    switch (kind) {
    case codec_id::entropy:
    case codec_id::pooled:
    case codec_id::float32:
        for (std::size_t i = 0; i < count; ++i) values[i] = std::bit_cast<float>(detail::get_little<std::uint32_t>(from + 4 * i));
        break;
    case codec_id::float16:
        for (std::size_t i = 0; i < count; ++i) values[i] = float_from_half(detail::get_little<std::uint16_t>(from + 2 * i));
        break;
    case codec_id::affine8: detail::decode_affine<std::uint8_t>(from, count, values); break;
    case codec_id::affine16: detail::decode_affine<std::uint16_t>(from, count, values); break;
    }
}

/// Reads `count` values; false (and nothing written) if the size is not `encoded_bytes(kind, count)`, the bytes do not decode, or a prior is wanted.
SPLITDSL_CODEC_INLINE bool decode(codec_id kind, const std::byte* from, std::size_t size, float* values, std::size_t count) {
    if (kind == codec_id::entropy || size != encoded_bytes(kind, count) || !decodes(kind, from, size)) return false;
    decode_sound(kind, from, values, count);
    return true;
}

} // namespace splitdsl
