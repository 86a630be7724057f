// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file op.hpp
/// What a declaration is made of: small op records in a flat array, and named ranges over them.
///
/// A word such as `conv(32, {.kernel = 3})` returns a `body` of one op; `|` concatenates bodies. Only the *number* of ops
/// and ranges is in a body's type, so types and symbols stay short however deep a network is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace splitdsl {

using text = std::string_view;

/// A text inside a record. Records stay trivial (no default initialisers): clang's evaluator then creates arrays of them in no steps.
struct text_ref {
    const char* begin;
    std::size_t length;
    constexpr operator text() const { return {begin, length}; }
    constexpr bool empty() const { return length == 0; }
    constexpr const char* data() const { return begin; }
    constexpr std::size_t size() const { return length; }
    friend constexpr bool operator==(const text_ref& x, const text_ref& y) { return text(x) == text(y); }
    friend constexpr bool operator==(const text_ref& x, const text& y) { return text(x) == y; }
};
constexpr text_ref refer(text t) { return {t.data(), t.size()}; }

/// Type of a network input as the application hands it over.
enum class element_type : std::uint8_t { f32, u8 };
inline constexpr element_type f32 = element_type::f32;
inline constexpr element_type u8 = element_type::u8;

/// Memory order of an image input: planes (channels, height, width) or interleaved (height, width, channels).
enum class image_layout : std::uint8_t { chw, hwc };

/// A tensor's size. Vectors are (n, 1, 1).
struct shape {
    int channels, height, width;
    constexpr bool operator==(const shape&) const = default;
    constexpr std::int64_t size() const { return std::int64_t{channels} * height * width; }
    constexpr bool is_vector() const { return height == 1 && width == 1; }
};

/// Height and width of something; one number means a square.
struct extent {
    int height, width;
    extent() = default;
    constexpr extent(int both) : height(both), width(both) {}
    constexpr extent(int h, int w) : height(h), width(w) {}
    constexpr bool operator==(const extent&) const = default;
};

/// Rows and columns added around an image: one number for all sides, two for (vertical, horizontal), or each side.
struct padding {
    int top, left, bottom, right;
    padding() = default;
    constexpr padding(int all) : padding(all, all, all, all) {}
    constexpr padding(int vertical, int horizontal) : padding(vertical, horizontal, vertical, horizontal) {}
    constexpr padding(int t, int l, int b, int r) : top(t), left(l), bottom(b), right(r) {}
    constexpr bool operator==(const padding&) const = default;
};

/// How a tensor becomes bytes where it leaves a place. Part of the network: a cut's codec is applied also when nothing is sent.
enum class codec_id : std::uint8_t { float32, float16, affine8, affine16, pooled, entropy };
struct codec_choice {
    codec_id id;
    bool is_calibrated;                 ///< an affine codec whose range comes with the weights
    constexpr codec_choice(codec_id what = {}, bool calibrated_range = false) : id(what), is_calibrated(calibrated_range) {}
};
/// What an affine codec takes in place of a range per frame: the range that "<label>.range" of the weights file holds (its cut's, tap's or stream's label),
/// as calibration found it. Same bytes on the wire; values beyond the range become its ends; a convolution in front quantises in its own epilogue.
struct calibrated_range {};
inline constexpr calibrated_range calibrated{};
constexpr codec_choice lossless_f32() { return {codec_id::float32}; }     ///< 4 bytes a value, exact
constexpr codec_choice half_f16() { return {codec_id::float16}; }         ///< 2 bytes a value
constexpr codec_choice affine_u8() { return {codec_id::affine8}; }  ///< 1 byte a value + 8; BottleFit's quantizer, range per frame
constexpr codec_choice affine_u16() { return {codec_id::affine16}; } ///< 2 bytes a value + 8
constexpr codec_choice affine_u8(calibrated_range) { return {codec_id::affine8, true}; }   ///< the same bytes, range from the weights
constexpr codec_choice affine_u16(calibrated_range) { return {codec_id::affine16, true}; } ///< the same bytes, range from the weights
/// Rounds about a median for each channel and codes the whole numbers by a learned factorised prior (Ballé et al. 2018, as CompressAI's EntropyBottleneck): a
/// payload's size depends on the frame, at most 2 bytes a value + 8. The prior is four tensors of the weights file, `entropy_bottleneck._quantized_cdf`,
/// `._offset`, `._cdf_length` and `.quantiles` in the scope where the codec's cut or tap stands.
constexpr codec_choice entropy_bottleneck() { return {codec_id::entropy}; }
/// Bytes of an encoded tensor of `values` elements; the most where a codec's payloads vary.
constexpr std::int64_t encoded_size(codec_id c, std::int64_t values) {
    switch (c) {
    case codec_id::float32: return 4 * values;
    case codec_id::float16: return 2 * values;
    case codec_id::affine8: return values + 8;
    case codec_id::affine16: return 2 * values + 8;
    case codec_id::pooled: return 4 * values;           // in working memory; on the wire its levels (codec/dynamic_pool_stream.hpp)
    case codec_id::entropy: return 2 * values + 8;      // of whole numbers in 16 bits, which no coding of them may exceed
    }
    return 0;
}
/// Bytes it takes between a frame's encoder and decoder: what a prior codes stands there as floats, rounded.
constexpr std::int64_t working_size(codec_id c, std::int64_t values) { return c == codec_id::entropy ? 4 * values : encoded_size(c, values); }

enum class op_kind : std::uint8_t {
    input, normalise, conv, conv_transpose, dense, batch_norm,
    relu, relu6, leaky_relu, hard_swish, hard_sigmoid, sigmoid, tanh, softmax,
    max_pool, avg_pool, global_pool, upsample, pad, subsample, flatten, identity,
    add, multiply, concat, select, quantise, from, output,
    pad_channels,                       // later kinds go to the end: their numbers are part of fingerprints
    l2_normalise, slice_channels, radix_softmax, gdn,
    sizes                               // which sizes of an exit's streams are complete, as the command of a select
};
inline constexpr int op_kinds = static_cast<int>(op_kind::sizes) + 1;

/// Whether a layer has a bias. `automatic`: yes, unless a batch_norm is its only reader (PyTorch's usual `bias=False`).
enum class bias : std::uint8_t { automatic, yes, no };

enum class op_flag : std::uint16_t {
    none = 0, ceil = 1, count_include_pad = 2, bilinear = 4, align_corners = 8, is_cut = 16, is_exit = 32, is_stream = 64,
    is_hwc = 128, inverse = 256, squared = 512, by_width = 1024,
    is_calibrated = 2048,               ///< of a quantise: its range is a parameter
    is_measured = 4096                  ///< of a quantise while calibration looks for that range
};
constexpr op_flag operator|(op_flag a, op_flag b) { return static_cast<op_flag>(static_cast<unsigned>(a) | static_cast<unsigned>(b)); }
constexpr bool has(op_flag set, op_flag one) { return (static_cast<unsigned>(set) & static_cast<unsigned>(one)) != 0; }

/// One op. Operands are relative: how many ops back the producer stands (0: none). What enters a body stands at position -1.
struct op {
    op_kind kind;
    element_type element;
    codec_id codec;
    bias with_bias;
    op_flag flags;
    extent kernel, stride, dilation;
    padding pad;
    int a, b;
    int out;                            ///< output channels or units; of select: the number of branches; of a stream: of its widths
    int groups;
    shape size;                         ///< of an input; target of an upsample (0: by `stride`); output padding of a conv_transpose; first channel, radix
    std::array<float, 8> values;        ///< slope, epsilon, pad value; normalise: four means, four deviations; a stream's widths
    text_ref label;                     ///< of an input, tap, cut, stream, exit or task; what `from` asks for
};

enum class scope_kind : std::uint8_t {
    name,           ///< part of a weight's name
    place,          ///< a stage: its ops run there
    bottleneck,     ///< its ops run where the stage before it ran
    branch,         ///< one alternative of a select
    part,           ///< one independent part of a fan_in or fan_out
    fan,            ///< the whole fan_in or fan_out
    carry           ///< a tap that may cross the cut at `begin`
};
/// Which word declared a stage: a frame goes through them in this order (SD321). What stands beside the trunk has none.
namespace stage_order {
inline constexpr int beside = -1, head = 0, between = 1, tail = 2;
}
/// A named range [begin, end) of ops. Inner ranges stand before the ranges around them.
struct scope {
    scope_kind kind;
    text_ref name;
    int index;                          ///< a number as a name, or -1; of a place: its `stage_order`
    int begin, end;
};

/// A run of ops: Ops records, Scopes ranges, and where its result stands (-1: what entered goes on).
template <std::size_t Ops, std::size_t Scopes = 0>
struct body {
    std::array<op, Ops> ops;
    std::array<scope, Scopes> scopes;
    int result;
};

namespace detail {

constexpr body<1> single(const op& o) { return {{o}, {}, 0}; }

/// An op that reads what stands before it.
constexpr op reading(op_kind kind) {
    op o{};
    o.kind = kind;
    o.a = 1;
    o.groups = 1;
    o.kernel = o.stride = o.dilation = {1, 1};
    return o;
}
/// An op that begins a branch.
constexpr op beginning(op_kind kind, text label) {
    op o = reading(kind);
    o.a = 0;
    o.label = refer(label);
    return o;
}

/// Writes y behind the `at` ops and `scopes_at` scopes already in r. `entry` is the position of what enters y.
template <std::size_t N, std::size_t S, std::size_t M, std::size_t T>
constexpr void append(body<N, S>& r, std::size_t at, std::size_t scopes_at, const body<M, T>& y, int entry) {
    // Plain pointers: every std::array::operator[] call would cost clang's evaluator several steps an op.
    const int shift = static_cast<int>(at) - 1 - entry;
    op* const ops_to = r.ops.data() + at;
    const op* const ops_from = y.ops.data();
    if (shift == 0) {                                   // usual bodies follow their entry directly and need no correction
        for (std::size_t i = 0; i < M; ++i) ops_to[i] = ops_from[i];
    } else {
        for (std::size_t i = 0; i < M; ++i) {
            op& o = ops_to[i] = ops_from[i];
            const int to_entry = static_cast<int>(i) + 1;
            if (o.a == to_entry) o.a += shift;
            if (o.b == to_entry) o.b += shift;
        }
    }
    scope* const scopes_to = r.scopes.data() + scopes_at;
    const scope* const scopes_from = y.scopes.data();
    const int moved = static_cast<int>(at);
    for (std::size_t i = 0; i < T; ++i) {
        const scope& s = scopes_from[i];
        scopes_to[i] = {s.kind, s.name, s.index, s.begin + moved, s.end + moved};
    }
}

/// One more scope over the whole of x.
template <std::size_t N, std::size_t S>
constexpr body<N, S + 1> enclose(const body<N, S>& x, scope_kind kind, text name, int index = -1) {
    body<N, S + 1> r;
    r.ops = x.ops;
    scope* const to = r.scopes.data();
    const scope* const from = x.scopes.data();
    for (std::size_t i = 0; i < S; ++i) to[i] = from[i];
    r.scopes[S] = {kind, refer(name), index, 0, static_cast<int>(N)};
    r.result = x.result;
    return r;
}

/// Two bodies with the same entry, joined by one op of the given kind.
template <std::size_t N, std::size_t S, std::size_t M, std::size_t T>
constexpr body<N + M + 1, S + T> join(op_kind kind, const body<N, S>& x, const body<M, T>& y) {
    body<N + M + 1, S + T> r;
    append(r, 0, 0, x, -1);
    append(r, N, S, y, -1);
    constexpr int here = static_cast<int>(N + M);
    op& o = r.ops[N + M] = reading(kind);
    o.a = here - x.result;
    o.b = y.result < 0 ? here + 1 : here - (static_cast<int>(N) + y.result);
    r.result = here;
    return r;
}

} // namespace detail

/// `x | y`: y reads x's result.
template <std::size_t N, std::size_t S, std::size_t M, std::size_t T>
constexpr body<N + M, S + T> operator|(const body<N, S>& x, const body<M, T>& y) {
    body<N + M, S + T> r;
    detail::append(r, 0, 0, x, -1);
    detail::append(r, N, S, y, x.result);
    r.result = y.result < 0 ? x.result : static_cast<int>(N) + y.result;
    return r;
}

} // namespace splitdsl
