// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file kernel_cases.hpp
/// Random tensors in blocks with garbage around them, and comparison with plain loops: the ground of simd_kernels_test.cpp and simd_values_test.cpp.
///
/// Around and between the tensors stand values that would show: padded lanes hold garbage, halos of results a mark that must stay.
#pragma once

#include "../catch.hpp"

#include <kernels/reference/reference.hpp>
#include <kernels/simd/simd.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

namespace { // functions are inline: not every file needs all of them

namespace simd = splitdsl::kernels::simd;
namespace reference = splitdsl::kernels::reference;
using reference::planar;
using simd::lanes;

constexpr float garbage = 7.0e5F; // in padded lanes
constexpr float mark = -123.25F;  // in the halo of results

struct blocked {
    simd::extent e;
    simd::halo h;
    std::vector<float> data;
    std::ptrdiff_t row, block;

    blocked(simd::extent extent, simd::halo around, float outside)
        : e(extent), h(around), row(std::ptrdiff_t{h.left + e.width + h.right} * lanes), block(row * (h.top + e.height + h.bottom)) {
        data.assign(static_cast<std::size_t>(block * simd::blocks_of(e.channels)), outside);
    }
    std::ptrdiff_t index(int c, int y, int x) const {
        return (c / lanes) * block + (y + h.top) * row + std::ptrdiff_t{x + h.left} * lanes + c % lanes;
    }
    float& at(int c, int y, int x) { return data[static_cast<std::size_t>(index(c, y, x))]; }
    float at(int c, int y, int x) const { return data[static_cast<std::size_t>(index(c, y, x))]; }
    simd::view view() { return {data.data() + index(0, 0, 0), row, block}; }
    simd::const_view read() const { return {data.data() + index(0, 0, 0), row, block}; }
    int padded() const { return simd::blocks_of(e.channels) * lanes; }
    bool frame_is(float outside) const {
        for (int c = 0; c < padded(); ++c)
            for (int y = -h.top; y < e.height + h.bottom; ++y)
                for (int x = -h.left; x < e.width + h.right; ++x)
                    if ((y < 0 || x < 0 || y >= e.height || x >= e.width) && !(at(c, y, x) == outside)) return false;
        return true;
    }
};

inline simd::extent extent_of(const planar& p) { return {p.channels, p.height, p.width}; }

inline std::mt19937& engine() {
    static std::mt19937 g(20231);
    return g;
}
inline float uniform() { return std::uniform_real_distribution<float>(-1, 1)(engine()); }
inline int whole(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine()); }
inline std::vector<float> uniforms(std::size_t n) {
    std::vector<float> v(n);
    for (float& x : v) x = uniform();
    return v;
}
inline planar image(int c, int h, int w) {
    planar p(c, h, w);
    for (float& x : p.data) x = uniform();
    return p;
}
inline blocked to_blocked(const planar& p, simd::halo h) {
    blocked b(extent_of(p), h, 0);
    for (int c = 0; c < b.padded(); ++c)
        for (int y = 0; y < p.height; ++y)
            for (int x = 0; x < p.width; ++x) b.at(c, y, x) = c < p.channels ? p.at(c, y, x) : garbage;
    return b;
}
/// An empty result with a marked frame of its own.
inline blocked result(simd::extent e) { return blocked(e, {whole(0, 2), whole(0, 2), whole(0, 2), whole(0, 2)}, mark); }

/// Largest difference, in units of the expected values' range (at least 1).
inline double difference(const blocked& got, const planar& want) {
    double worst = 0, range = 1;
    for (const float v : want.data) range = std::max(range, std::abs(static_cast<double>(v)));
    for (int c = 0; c < want.channels; ++c)
        for (int y = 0; y < want.height; ++y)
            for (int x = 0; x < want.width; ++x) {
                const double d = std::abs(static_cast<double>(got.at(c, y, x)) - static_cast<double>(want.at(c, y, x)));
                if (!(d <= worst)) worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
            }
    return worst / range;
}

/// Runs tasks [0, n) in random runs, in random order: results must not depend on it.
inline void run_tasks(int n, const std::function<void(int, int)>& run) {
    std::vector<std::pair<int, int>> parts;
    for (int at = 0; at < n;) {
        const int next = std::min(n, at + whole(1, whole(0, 3) > 0 ? 5 : n));
        parts.emplace_back(at, next);
        at = next;
    }
    std::shuffle(parts.begin(), parts.end(), engine());
    for (const auto& [first, last] : parts) run(first, last);
}

constexpr simd::activation activations[] = {simd::activation::none,       simd::activation::relu,         simd::activation::relu6,
                                            simd::activation::leaky_relu, simd::activation::hard_swish,   simd::activation::hard_sigmoid,
                                            simd::activation::sigmoid,    simd::activation::tanh};
constexpr float slope = 0.125F;

inline float activated(float x, simd::activation a) {
    switch (a) {
    case simd::activation::none: return x;
    case simd::activation::relu: return reference::relu(x);
    case simd::activation::relu6: return reference::relu6(x);
    case simd::activation::leaky_relu: return reference::leaky_relu(x, slope);
    case simd::activation::hard_swish: return reference::hard_swish(x);
    case simd::activation::hard_sigmoid: return reference::hard_sigmoid(x);
    case simd::activation::sigmoid: return reference::sigmoid(x);
    case simd::activation::tanh: return reference::tanh(x);
    }
    return x;
}
inline planar activated(planar p, simd::activation a) {
    for (float& x : p.data) x = activated(x, a);
    return p;
}

enum class family { direct, grouped, depthwise, transposed, winograd_2x2, winograd_4x4, strided_4x4, strided_3x3, winograd_line, winograd_5x5 };

/// Calls `f` with a Winograd family's form.
template <class F>
auto with_form(family kind, F f) {
    switch (kind) {
    case family::winograd_2x2: return f(simd::winograd_2x2{});
    case family::strided_4x4: return f(simd::winograd_4x4_strided{});
    case family::strided_3x3: return f(simd::winograd_3x3_strided{});
    case family::winograd_5x5: return f(simd::winograd_2x2_of_5x5{});
    case family::winograd_line: return f(simd::winograd_line{});
    default: return f(simd::winograd_4x4{});
    }
}

/// One convolution with random weights, scale, shift, addend and activation. Checks values, frame and that a second split agrees.
inline void check_convolution(simd::conv_shape s, family kind, double budget = 0) {
    const bool transposed = kind == family::transposed;
    const planar in = image(s.in_channels, s.in_height, s.in_width);
    const int per_group = s.in_channels / s.groups;
    auto weight = uniforms(static_cast<std::size_t>(s.out_channels) * static_cast<std::size_t>(per_group * s.kernel_h * s.kernel_w));
    auto scale = uniforms(static_cast<std::size_t>(s.out_channels)), shift = uniforms(static_cast<std::size_t>(s.out_channels));
    // sums of about 1, so that an activation that saturates does not narrow the range errors are measured against
    for (float& x : weight) x *= 2 / std::sqrt(static_cast<float>(per_group * s.kernel_h * s.kernel_w));
    const bool scales = whole(0, 1) == 1, shifts = whole(0, 2) != 0, adds = whole(0, 1) == 1;
    const simd::activation drawn = activations[whole(0, 7)];
    const simd::activation act = budget > 0 ? simd::activation::none : drawn; // a budget is of the sums' range, which tanh narrows

    auto folded = weight;
    const std::size_t taps = static_cast<std::size_t>(s.kernel_h * s.kernel_w);
    for (std::size_t i = 0; i < folded.size() && scales; ++i) {
        const std::size_t o = transposed ? i / taps % static_cast<std::size_t>(s.out_channels) : i / (taps * static_cast<std::size_t>(per_group));
        folded[i] = static_cast<float>(static_cast<double>(folded[i]) * static_cast<double>(scale[o]));
    }
    const reference::window w{s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.pad_top, s.pad_left, s.dilation_h, s.dilation_w, s.groups};
    planar want = transposed ? reference::conv_transpose(in, s.out_channels, s.out_height, s.out_width, w, folded.data(), shifts ? shift.data() : nullptr)
                             : reference::conv(in, s.out_channels, s.out_height, s.out_width, w, folded.data(), shifts ? shift.data() : nullptr);
    const planar addend = image(s.out_channels, s.out_height, s.out_width);
    if (adds) want = reference::add(want, addend);
    want = activated(want, act);

    simd::halo around{};
    if (!transposed)
        around = {s.pad_top, s.pad_left, std::max(0, (s.out_height - 1) * s.stride_h + s.dilation_h * (s.kernel_h - 1) + 1 - s.pad_top - s.in_height),
                  std::max(0, (s.out_width - 1) * s.stride_w + s.dilation_w * (s.kernel_w - 1) + 1 - s.pad_left - s.in_width)};
    around.top += whole(0, 1), around.right += whole(0, 1);
    const blocked from = to_blocked(in, around);
    const blocked more = to_blocked(addend, {1, 0, 0, 2});
    const simd::epilogue then{act, slope, adds ? more.read() : simd::const_view{}};
    const float* const sc = scales ? scale.data() : nullptr;
    const float* const sh = shifts ? shift.data() : nullptr;

    std::size_t size = 0;
    int tasks = 0;
    switch (kind) {
    case family::direct: size = simd::direct_conv_packed_floats(s), tasks = simd::direct_conv_tasks(s); break;
    case family::grouped: size = simd::grouped_conv_packed_floats(s), tasks = simd::grouped_conv_tasks(s); break;
    case family::depthwise: size = simd::depthwise_conv_packed_floats(s), tasks = simd::depthwise_conv_tasks(s); break;
    case family::transposed: size = simd::conv_transpose_packed_floats(s), tasks = simd::conv_transpose_tasks(s); break;
    default: size = with_form(kind, [&]<class Form>(Form) { return simd::winograd_conv_packed_floats<Form>(s); }), tasks = whole(1, 5); break;
    }
    std::vector<float> packed(size + 1, mark);
    blocked once = result(extent_of(want)), twice = once;
    // any cut gives the same bits: `once` runs in one, `twice` in another
    const simd::winograd_cut cut{whole(1, 40), tasks}, other{whole(1, 40), tasks};
    std::vector<float> scratch;
    const auto winograd = [&]<class Form>(Form, blocked& out, int first, int last) {
        const simd::winograd_cut& how = &out == &once ? cut : other;
        const auto floats = static_cast<std::size_t>(simd::winograd_frame<Form>{s}.scratch(how.chunk) * how.tasks);
        scratch.assign(floats + 1, mark);
        simd::winograd_conv<Form>(s, how, from.read(), out.view(), packed.data(), scratch.data(), then, first, last);
        REQUIRE(scratch[floats] == mark);
    };
    const auto run = [&](blocked& out, int first, int last) {
        switch (kind) {
        case family::direct: return simd::direct_conv(s, from.read(), out.view(), packed.data(), then, first, last);
        case family::grouped: return simd::grouped_conv(s, from.read(), out.view(), packed.data(), then, first, last);
        case family::depthwise: return simd::depthwise_conv(s, from.read(), out.view(), packed.data(), then, first, last);
        case family::transposed: return simd::conv_transpose(s, from.read(), out.view(), packed.data(), then, first, last);
        default: return with_form(kind, [&](auto form) { winograd(form, out, first, last); });
        }
    };
    switch (kind) {
    case family::direct: simd::pack_direct_conv(s, weight.data(), sc, sh, packed.data()); break;
    case family::grouped: simd::pack_grouped_conv(s, weight.data(), sc, sh, packed.data()); break;
    case family::depthwise: simd::pack_depthwise_conv(s, weight.data(), sc, sh, packed.data()); break;
    case family::transposed: simd::pack_conv_transpose(s, weight.data(), sc, sh, packed.data()); break;
    default: with_form(kind, [&]<class Form>(Form) { simd::pack_winograd_conv<Form>(s, weight.data(), sc, sh, packed.data()); }); break;
    }
    INFO("kind " << static_cast<int>(kind) << " in " << s.in_channels << "x" << s.in_height << "x" << s.in_width << " out " << s.out_channels << "x" << s.out_height << "x"
                 << s.out_width << " kernel " << s.kernel_h << "x" << s.kernel_w << " stride " << s.stride_h << "," << s.stride_w << " pad " << s.pad_top << ","
                 << s.pad_left << " dilation " << s.dilation_h << "," << s.dilation_w << " groups " << s.groups << " act " << static_cast<int>(act) << " adds " << adds);
    run(once, 0, tasks);
    run_tasks(tasks, [&](int first, int last) { run(twice, first, last); });
    REQUIRE(packed[size] == mark);
    // f32 sums against double ones; Winograd's transforms lose a few bits more
    const double loss = kind < family::winograd_2x2 ? 1 : kind == family::winograd_2x2 ? 2 : 12;
    REQUIRE(difference(once, want) < (budget > 0 ? budget : loss * (2e-6 + 6e-8 * std::sqrt(per_group * s.kernel_h * s.kernel_w))));
    REQUIRE(once.frame_is(mark));
    bool same = true;
    for (int c = 0; c < s.out_channels; ++c)
        for (int y = 0; y < s.out_height; ++y)
            for (int x = 0; x < s.out_width; ++x) same = same && once.at(c, y, x) == twice.at(c, y, x);
    REQUIRE(same);
    if (kind < family::winograd_2x2) return;
    // several frames together: each has the bits it has alone
    with_form(kind, [&]<class Form>(Form) {
        if constexpr (Form::stride == 1) {
            blocked negative = from, alone = result(extent_of(want)), first = alone, second = alone;
            for (float& x : negative.data) x = -x;
            const auto floats = static_cast<std::size_t>(simd::winograd_frame<Form>{s}.scratch(cut.chunk) * cut.tasks);
            std::vector<float> one(floats), two(floats);
            simd::winograd_conv<Form>(s, cut, negative.read(), alone.view(), packed.data(), one.data(), then, 0, tasks);
            const simd::frame_tensors frames[]{{negative.read().at, first.view().at, then.addend.at, one.data()}, {from.read().at, second.view().at, then.addend.at, two.data()}};
            run_tasks(tasks, [&](int begin, int end) { simd::winograd_conv_frames<Form>(s, cut, frames, 2, from.read(), first.view(), packed.data(), then, begin, end); });
            REQUIRE(first.frame_is(mark));
            bool each = true;
            for (int c = 0; c < s.out_channels; ++c)
                for (int y = 0; y < s.out_height; ++y)
                    for (int x = 0; x < s.out_width; ++x) each = each && first.at(c, y, x) == alone.at(c, y, x) && second.at(c, y, x) == once.at(c, y, x);
            REQUIRE(each);
        } else { // the picture with four floats a pixel: the same bits
            std::vector<float> quads(static_cast<std::size_t>(4 * s.in_height * s.in_width), garbage);
            for (int c = 0; c < s.in_channels; ++c)
                for (int y = 0; y < s.in_height; ++y)
                    for (int x = 0; x < s.in_width; ++x) quads[static_cast<std::size_t>(4 * (y * s.in_width + x) + c)] = in.at(c, y, x);
            blocked again = result(extent_of(want));
            const simd::winograd_cut how{cut.chunk, cut.tasks, 4};
            scratch.assign(static_cast<std::size_t>(simd::winograd_frame<Form>{s}.scratch(cut.chunk) * cut.tasks), mark);
            simd::winograd_conv<Form>(s, how, {quads.data(), std::ptrdiff_t{4} * s.in_width, 0}, again.view(), packed.data(), scratch.data(), then, 0, tasks);
            REQUIRE(again.frame_is(mark));
            bool each = true;
            for (int c = 0; c < s.out_channels; ++c)
                for (int y = 0; y < s.out_height; ++y)
                    for (int x = 0; x < s.out_width; ++x) each = each && again.at(c, y, x) == once.at(c, y, x);
            REQUIRE(each);
        }
    });
}

/// Completes a shape by its output size; false if nothing comes out.
inline bool complete(simd::conv_shape& s) {
    const auto out = [](int in, int pad, int k, int stride, int dilation) { return (in + 2 * pad - dilation * (k - 1) - 1) / stride + 1; };
    if (s.in_height + 2 * s.pad_top < s.dilation_h * (s.kernel_h - 1) + 1 || s.in_width + 2 * s.pad_left < s.dilation_w * (s.kernel_w - 1) + 1) return false;
    s.out_height = out(s.in_height, s.pad_top, s.kernel_h, s.stride_h, s.dilation_h);
    s.out_width = out(s.in_width, s.pad_left, s.kernel_w, s.stride_w, s.dilation_w);
    return true;
}

/// A vector kernel over whole tensors: `run` is called for both splits, results must agree with `want` and leave the frame alone.
inline void check_rows(const planar& want, int tasks, double tolerance, const std::function<void(const simd::view&, int, int)>& run) {
    blocked once = result(extent_of(want)), twice = once;
    run(once.view(), 0, tasks);
    run_tasks(tasks, [&](int first, int last) { run(twice.view(), first, last); });
    REQUIRE(difference(once, want) <= tolerance);
    REQUIRE(difference(twice, want) <= tolerance);
    REQUIRE(once.frame_is(mark));
}

} // namespace
