// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file layer_code.cpp
/// The kernels behind layer_code, compiled once per instruction set, and the choice among them.
#include "../layer_code.hpp"

#if defined(SPLITDSL_PIPELINE_ISA)

#include <kernels/simd/simd.hpp>

namespace timed {
inline namespace SPLITDSL_ARCH {
namespace {
namespace simd = splitdsl::kernels::simd;

simd::conv_shape shape_of(const layer& l) {
    simd::conv_shape s;
    s.in_channels = l.in, s.in_height = l.height, s.in_width = l.width;
    s.out_channels = l.out, s.out_height = l.out_height(), s.out_width = l.out_width();
    s.kernel_h = l.rows, s.kernel_w = l.kernel, s.stride_h = s.stride_w = l.stride, s.pad_top = l.rows / 2, s.pad_left = l.kernel / 2, s.groups = l.groups;
    return s;
}
std::ptrdiff_t in_row(const layer& l) { return std::ptrdiff_t{l.width + 2 * (l.kernel / 2)} * simd::lanes; }
std::ptrdiff_t in_block(const layer& l) { return in_row(l) * (l.height + 2 * (l.rows / 2)); }
std::ptrdiff_t out_row(const layer& l) { return std::ptrdiff_t{l.out_width()} * simd::lanes; }
std::ptrdiff_t out_block(const layer& l) { return out_row(l) * l.out_height(); }
std::ptrdiff_t origin(const layer& l) { return l.rows / 2 * in_row(l) + l.kernel / 2 * simd::lanes; }

std::size_t in_floats(const layer& l) { return static_cast<std::size_t>(in_block(l) * simd::blocks_of(l.in) + simd::lanes); }
std::size_t out_floats(const layer& l) { return static_cast<std::size_t>(out_block(l) * simd::blocks_of(l.out)); }
/// Calls `f` with the form of a plan that is not direct.
template <class F>
auto with_form(const winograd_plan& p, F f) {
    if (p.taps == 7) return f(simd::winograd_line{});
    if (p.taps == 5) return f(simd::winograd_2x2_of_5x5{});
    if (p.tile == 2) return f(simd::winograd_2x2{});
    if (p.tile == 3) return f(simd::winograd_3x3_strided{});
    return p.strided ? f(simd::winograd_4x4_strided{}) : f(simd::winograd_4x4{});
}
std::size_t packed_floats(const layer& l, const winograd_plan& p) {
    if (l.groups > 1) return simd::depthwise_conv_packed_floats(shape_of(l));
    if (p.tile == 0) return p.strided ? simd::picture_conv_packed_floats(shape_of(l)) : simd::direct_conv_packed_floats(shape_of(l));
    return with_form(p, [&]<class Form>(Form) { return simd::winograd_conv_packed_floats<Form>(shape_of(l)); });
}
std::size_t scratch_floats(const layer& l, const winograd_plan& p) {
    if (p.tile == 0) return 0;
    const auto s = shape_of(l);
    return static_cast<std::size_t>(with_form(p, [&]<class Form>(Form) { return simd::winograd_frame<Form>{s}.scratch(p.chunk); }) * p.tasks);
}
void pack(const layer& l, const winograd_plan& p, const float* weight, float* packed) {
    const auto s = shape_of(l);
    if (l.groups > 1) simd::pack_depthwise_conv(s, weight, nullptr, nullptr, packed);
    else if (p.tile == 0) (p.strided ? simd::pack_picture_conv : simd::pack_direct_conv)(s, weight, nullptr, nullptr, packed);
    else with_form(p, [&]<class Form>(Form) { simd::pack_winograd_conv<Form>(s, weight, nullptr, nullptr, packed); });
}
void fill(const layer& l, const float* planar, float* in) {
    for (std::size_t i = 0; i < in_floats(l); ++i) in[i] = 0;
    for (int c = 0; c < l.in; ++c)
        for (int y = 0; y < l.height; ++y)
            for (int x = 0; x < l.width; ++x)
                in[c / simd::lanes * in_block(l) + origin(l) + y * in_row(l) + std::ptrdiff_t{x} * simd::lanes + c % simd::lanes] = *planar++;
}
std::ptrdiff_t quads_row(const layer& l) { return in_row(l) / simd::lanes * 4; }
std::ptrdiff_t quads_origin(const layer& l) { return l.kernel / 2 * (quads_row(l) + 4); }
std::size_t quads_floats(const layer& l) { return static_cast<std::size_t>(in_block(l) / simd::lanes * 4); }
void fill_quads(const layer& l, const float* planar, float* in) {
    for (std::size_t i = 0; i < quads_floats(l); ++i) in[i] = 0;
    for (int c = 0; c < l.in; ++c)
        for (int y = 0; y < l.height; ++y)
            for (int x = 0; x < l.width; ++x) in[quads_origin(l) + y * quads_row(l) + std::ptrdiff_t{4} * x + c] = *planar++;
}
void run(const layer& l, const winograd_plan& p, const float* in, const float* packed, float* scratch, float* out) {
    const auto s = shape_of(l);
    const simd::const_view from = p.strided ? simd::const_view{in + quads_origin(l), quads_row(l), 0} : simd::const_view{in + origin(l), in_row(l), in_block(l)};
    const simd::view to{out, out_row(l), out_block(l)};
    const simd::epilogue then{simd::activation::relu, 0, {}};
    const simd::winograd_cut cut{p.chunk, p.tasks, p.strided ? 4 : simd::lanes};
    if (l.groups > 1) simd::depthwise_conv(s, from, to, packed, then, 0, simd::depthwise_conv_tasks(s));
    else if (p.tile == 0 && p.strided) simd::picture_conv(s, from, to, packed, then, 0, simd::picture_conv_tasks(s));
    else if (p.tile == 0) simd::direct_conv(s, from, to, packed, then, 0, simd::direct_conv_tasks(s));
    else with_form(p, [&]<class Form>(Form) { simd::winograd_conv<Form>(s, cut, from, to, packed, scratch, then, 0, p.tasks); });
}
float at(const layer& l, const float* out, int c, int y, int x) {
    return out[c / simd::lanes * out_block(l) + y * out_row(l) + std::ptrdiff_t{x} * simd::lanes + c % simd::lanes];
}
double multiply_adds(long times) {
    simd::vec sum[12];          // in registers: every index below is a constant once unrolled
#pragma GCC unroll 12
    for (int k = 0; k < 12; ++k) sum[k] = simd::broadcast(static_cast<float>(k));
    const simd::vec a = simd::broadcast(0.5F), b = simd::broadcast(1.0F);
    for (long i = 0; i < times; ++i) {
#pragma GCC unroll 12
        for (int k = 0; k < 12; ++k) sum[k] = simd::multiply_add(a, sum[k], b);
    }
    float store[12 * simd::lanes];
#pragma GCC unroll 12
    for (int k = 0; k < 12; ++k) simd::store(store + k * simd::lanes, sum[k]);
    asm volatile("" : : "r"(store) : "memory");
    return 12.0 * simd::lanes * static_cast<double>(times);
}
constexpr layer_code code{simd::arch_name, in_floats, out_floats, packed_floats, scratch_floats, pack, fill, quads_floats, fill_quads, run, at, multiply_adds};
} // namespace
} // namespace SPLITDSL_ARCH

template <>
const layer_code& code_for<splitdsl::instruction_set::SPLITDSL_PIPELINE_ISA>() {
    return code;
}
} // namespace timed

#elif defined(SPLITDSL_PIPELINE_DISPATCHER)

#include "../../chosen_set.hpp"

namespace timed {
const layer_code& chosen_code() {
    return chosen_set([](auto set) -> const layer_code& { return code_for<decltype(set)::value>(); });
}
} // namespace timed

#endif
