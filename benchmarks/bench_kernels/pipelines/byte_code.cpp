// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_code.cpp
/// The kernels behind byte_code, compiled once per instruction set, and the choice among them.
#include "../byte_code.hpp"

#if defined(SPLITDSL_PIPELINE_ISA)

#include <kernels/simd/depthwise_u8.hpp>

namespace timed {
inline namespace SPLITDSL_ARCH {
namespace {
namespace simd = splitdsl::kernels::simd;

simd::conv_shape shape_of(const layer& l) {
    simd::conv_shape s;
    s.in_channels = l.in, s.in_height = l.height, s.in_width = l.width;
    s.out_channels = l.out, s.out_height = l.out_height(), s.out_width = l.out_width();
    s.kernel_h = s.kernel_w = l.kernel, s.stride_h = s.stride_w = l.stride, s.pad_top = s.pad_left = l.kernel / 2, s.groups = l.groups;
    return s;
}
int pitch(int channels) { return channels <= 4 ? 4 : (channels + 15) / 16 * 16; }
std::ptrdiff_t in_row(const layer& l) { return std::ptrdiff_t{l.width + 2 * (l.kernel / 2)} * pitch(l.in); }
std::ptrdiff_t out_pitch(const layer& l) { return (l.out + 15) / 16 * 16; }
std::ptrdiff_t origin(const layer& l) { return l.kernel / 2 * (in_row(l) + pitch(l.in)); }

std::size_t in_bytes(const layer& l) { return static_cast<std::size_t>(in_row(l) * (l.height + 2 * (l.kernel / 2)) + 64); } // a vector may reach behind the last pixel
std::size_t out_bytes(const layer& l) { return static_cast<std::size_t>(out_pitch(l) * l.out_height() * l.out_width()); }
std::size_t packed_floats(const layer& l) { return l.groups > 1 ? simd::depthwise_u8_packed_floats(shape_of(l)) : simd::conv_u8_packed_floats(shape_of(l)); }
void pack(const layer& l, const float* weight, float* packed) {
    simd::byte_layer numbers;
    numbers.weight = weight;
    for (float& s : numbers.in_scale) s = in_scale;
    numbers.out = {out_scale(l), 0};
    numbers.act = simd::activation::relu;
    if (l.groups > 1) simd::pack_depthwise_u8(shape_of(l), numbers, packed);
    else simd::pack_conv_u8(shape_of(l), numbers, packed);
}
void fill(const layer& l, const std::uint8_t* planar, std::uint8_t* in) {
    for (std::size_t i = 0; i < in_bytes(l); ++i) in[i] = 0;
    for (int c = 0; c < l.in; ++c)
        for (int y = 0; y < l.height; ++y)
            for (int x = 0; x < l.width; ++x) in[origin(l) + y * in_row(l) + std::ptrdiff_t{x} * pitch(l.in) + c] = *planar++;
}
void run(const layer& l, std::uint8_t* in, const float* packed, std::uint8_t* out) {
    const auto s = shape_of(l);
    const simd::const_byte_view from{in + origin(l), in_row(l), pitch(l.in)};
    const simd::byte_view to{out, out_pitch(l) * l.out_width(), out_pitch(l)};
    if (l.groups > 1) simd::depthwise_u8(s, from, to, packed, 0, simd::depthwise_u8_tasks(s));
    else simd::conv_u8(s, from, to, nullptr, {}, packed, 0, simd::conv_u8_tasks(s));
}
std::uint8_t at(const layer& l, const std::uint8_t* out, int c, int y, int x) { return out[(std::ptrdiff_t{y} * l.out_width() + x) * out_pitch(l) + c]; }

/// Twelve sums, which hide the latency of two products a cycle.
template <class Dot>
double multiply_adds_with(long times) {
    alignas(64) std::uint8_t bytes[8]{1, 2, 3, 4, 5, 6, 7, 8};
    alignas(64) std::int8_t weights[128]{1, -1};
    simd::ints sum[12];
    std::int32_t first[simd::sum_lanes]{};
    const auto x = Dot::spread(bytes), y = Dot::spread(bytes + 4);
#pragma GCC unroll 12
    for (int k = 0; k < 12; ++k) sum[k] = simd::load_ints(first);
    for (long i = 0; i < times; ++i) {
        if constexpr (Dot::holds_weights) {
            const simd::ints w = Dot::weights(weights);
#pragma GCC unroll 2
            for (int four = 0; four < 2; ++four)
#pragma GCC unroll 12
                for (int k = 0; k < 12; ++k) Dot::add(sum[k], x, w);
        } else {
#pragma GCC unroll 12
            for (int k = 0; k < 12; ++k) {
                asm volatile("" : : "r"(weights) : "memory"); // they are read, and the products made, for each sum anew
                sum[k] = Dot::eight(sum[k], x, y, weights, weights + simd::step_bytes / simd::group_vectors);
            }
        }
    }
    std::int32_t last[12][simd::sum_lanes];
#pragma GCC unroll 12
    for (int k = 0; k < 12; ++k) simd::store_ints(last[k], sum[k]);
    asm volatile("" : : "r"(last) : "memory");
    return 12.0 * 8 * simd::sum_lanes * static_cast<double>(times);
}
double multiply_adds(long times) { return simd::machine_has_dot() ? multiply_adds_with<simd::dot_by_four>(times) : 0; }
const char* products() {
#if defined(SPLITDSL_ARCH_NEON)
    return simd::machine_has_dot() ? "sdot" : "smlal";
#elif defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_AVX2_FMA)
    return simd::machine_has_dot() ? "vpdpbusd" : "vpmaddubsw";
#else
    return "pmaddwd";
#endif
}
} // namespace
} // namespace SPLITDSL_ARCH

template <>
const byte_code& byte_code_for<splitdsl::instruction_set::SPLITDSL_PIPELINE_ISA>() {
    static const byte_code code{simd::arch_name, products(), in_bytes, out_bytes, packed_floats, pack, fill, run, at, multiply_adds};
    return code;
}
} // namespace timed

#elif defined(SPLITDSL_PIPELINE_DISPATCHER)

#include <cmath>

namespace timed {
/// Weights are uniform in [-1, 1], bytes in [0, 255]: five deviations of their products' sum.
float out_scale(const layer& l) { return 5 * std::sqrt(static_cast<float>(l.in / l.groups * l.kernel * l.kernel)) / 3 / 255; }

const byte_code& chosen_byte_code() {
    using splitdsl::instruction_set;
    struct candidate {
        instruction_set set;
        const byte_code& (*get)();
    };
    constexpr candidate candidates[]{
#if defined(SPLITDSL_PIPELINE_HAS_avx512)
        {instruction_set::avx512, &byte_code_for<instruction_set::avx512>},
#endif
#if defined(SPLITDSL_PIPELINE_HAS_avx2_fma)
        {instruction_set::avx2_fma, &byte_code_for<instruction_set::avx2_fma>},
#endif
#if defined(SPLITDSL_PIPELINE_HAS_neon)
        {instruction_set::neon, &byte_code_for<instruction_set::neon>},
#endif
#if defined(SPLITDSL_PIPELINE_HAS_baseline)
        {instruction_set::baseline, &byte_code_for<instruction_set::baseline>},
#endif
    };
    const char* wanted = std::getenv("SPLITDSL_ISA");
    for (const candidate& c : candidates)
        if (splitdsl::runs_here(c.set) && (!wanted || !*wanted || std::string{wanted} == name_of(c.set))) return c.get();
    throw splitdsl::option_error(std::string{"SPLITDSL_ISA: expected an instruction set that was built and runs here, found \""} + wanted + "\"");
}
} // namespace timed

#endif
