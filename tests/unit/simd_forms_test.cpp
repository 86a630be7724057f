// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simd_forms_test.cpp
/// Convolutions that some shapes have kernels of their own for, against plain loops and, bit for bit, against the tiles that they replace. Once per instruction set.
#include "kernel_cases.hpp"

namespace {
using pack_function = void (*)(const simd::conv_shape&, const float*, const float*, const float*, float*);
using run_function = void (*)(const simd::conv_shape&, const simd::const_view&, const simd::view&, const float*, const simd::epilogue&, int, int);
struct conv_form {
    std::size_t (*floats)(const simd::conv_shape&);
    int (*tasks)(const simd::conv_shape&);
    pack_function pack;
    run_function run;
};
constexpr conv_form tiles{simd::tiled_conv_packed_floats, simd::tiled_conv_tasks, simd::pack_tiled_conv, simd::tiled_conv};
constexpr conv_form picture{simd::picture_conv_packed_floats, simd::picture_conv_tasks, simd::pack_picture_conv, simd::picture_conv};

simd::halo around(const simd::conv_shape& s) {
    return {s.pad_top, s.pad_left, std::max(0, (s.out_height - 1) * s.stride_h + s.kernel_h - s.pad_top - s.in_height), std::max(0, (s.out_width - 1) * s.stride_w + s.kernel_w - s.pad_left - s.in_width)};
}

/// A picture with four floats a pixel and zeros around it; the fourth float is garbage.
struct quads {
    simd::halo h;
    std::ptrdiff_t row;
    std::vector<float> data;
    quads(const planar& p, simd::halo halo) : h(halo), row(std::ptrdiff_t{4} * (h.left + p.width + h.right)), data(static_cast<std::size_t>(row * (h.top + p.height + h.bottom)), mark) {
        for (int y = 0; y < p.height; ++y)
            for (int x = 0; x < p.width; ++x)
                for (int c = 0; c < 4; ++c) at()[y * row + 4 * x + c] = c < 3 ? p.at(c, y, x) : garbage;
        simd::zero_halo_of_quads({at(), row, 0}, extent_of(p), h);
    }
    float* at() { return data.data() + h.top * row + std::ptrdiff_t{4} * h.left; }
};

/// `form` on `in`, in random runs of its tasks, has the bits of tiles on `blocks`, and agrees with plain loops on `from`.
void check_form(const simd::conv_shape& s, const conv_form& form, const planar& from, const simd::const_view& in, const blocked& blocks) {
    const std::size_t values = static_cast<std::size_t>(s.in_channels * s.kernel_h * s.kernel_w);
    auto weight = uniforms(static_cast<std::size_t>(s.out_channels) * values);
    for (float& x : weight) x *= 2 / std::sqrt(static_cast<float>(values));
    const auto shift = uniforms(static_cast<std::size_t>(s.out_channels));
    const planar addend = image(s.out_channels, s.out_height, s.out_width);
    const bool adds = whole(0, 1) == 1, shifts = whole(0, 2) > 0, is_gapless = whole(0, 1) == 1;
    const simd::activation act = activations[whole(0, 7)];
    const blocked more = to_blocked(addend, is_gapless ? simd::halo{} : simd::halo{1, 0, 0, 2});
    const simd::epilogue then{act, slope, adds ? more.read() : simd::const_view{}};
    const float* const sh = shifts ? shift.data() : nullptr;
    INFO("in " << s.in_channels << "x" << s.in_height << "x" << s.in_width << " out " << s.out_channels << "x" << s.out_height << "x" << s.out_width << " kernel " << s.kernel_h << "x" << s.kernel_w
               << " stride " << s.stride_h << " pad " << s.pad_top << "," << s.pad_left << " act " << static_cast<int>(act) << " adds " << adds);

    planar want = reference::conv(from, s.out_channels, s.out_height, s.out_width, {s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.pad_top, s.pad_left, 1, 1, 1}, weight.data(), sh);
    if (adds) want = reference::add(want, addend);
    want = activated(want, act);
    blocked got = is_gapless ? blocked(extent_of(want), {}, mark) : result(extent_of(want)), tiled = got;
    std::vector<float> packed(form.floats(s) + 1, mark), packed_tiles(tiles.floats(s));
    form.pack(s, weight.data(), nullptr, sh, packed.data());
    REQUIRE(packed.back() == mark);
    run_tasks(form.tasks(s), [&](int first, int last) { form.run(s, in, got.view(), packed.data(), then, first, last); });
    tiles.pack(s, weight.data(), nullptr, sh, packed_tiles.data());
    tiles.run(s, blocks.read(), tiled.view(), packed_tiles.data(), then, 0, tiles.tasks(s));
    REQUIRE(difference(got, want) < 2e-6 + 6e-8 * std::sqrt(static_cast<double>(values)));
    REQUIRE(got.frame_is(mark));
    bool same = true;
    for (int c = 0; c < s.out_channels; ++c)
        for (int y = 0; y < s.out_height; ++y)
            for (int x = 0; x < s.out_width; ++x) same = same && got.at(c, y, x) == tiled.at(c, y, x);
    REQUIRE(same);
}
} // namespace

TEST_CASE("a convolution over a picture of four floats a pixel equals plain loops and has the tiles' bits, at widths around its own tiles', " SPLITDSL_ARCH_NAME) {
    for (const int out : {1, 8, 16, 20, 32, 40, 64})
        for (const int kernel : {1, 2, 3, 5, 7})
            for (const int stride : {1, 2})
                for (int i = 0; i < 3; ++i) {
                    simd::conv_shape s;
                    s.in_channels = 3, s.out_channels = out, s.in_height = whole(1, 11), s.in_width = whole(1, 70);
                    s.kernel_h = kernel, s.kernel_w = whole(1, kernel), s.stride_h = s.stride_w = stride, s.pad_top = whole(0, kernel / 2), s.pad_left = whole(0, s.kernel_w / 2);
                    if (!complete(s)) continue;
                    const planar from = image(3, s.in_height, s.in_width);
                    quads in(from, around(s));
                    check_form(s, picture, from, {in.at(), in.row, 0}, to_blocked(from, around(s)));
                }
}

TEST_CASE("the zeros around a picture of four floats a pixel are written, and nothing else is, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 40; ++i) {
        const planar p = image(3, whole(1, 6), whole(1, 9));
        quads q(p, {whole(0, 2), whole(0, 2), whole(0, 2), whole(0, 2)});
        bool good = true;
        for (int y = -q.h.top; y < p.height + q.h.bottom; ++y)
            for (int x = -q.h.left; x < p.width + q.h.right; ++x)
                for (int c = 0; c < 4; ++c) {
                    const bool is_inside = y >= 0 && x >= 0 && y < p.height && x < p.width;
                    good = good && q.at()[y * q.row + std::ptrdiff_t{4} * x + c] == (!is_inside ? 0.0F : c < 3 ? p.at(c, y, x) : garbage);
                }
        REQUIRE(good);
    }
}

TEST_CASE("a 1x1 convolution to one or two blocks and a part of a half equals plain loops and has the tiles' bits, " SPLITDSL_ARCH_NAME) {
    constexpr conv_form direct{simd::direct_conv_packed_floats, simd::direct_conv_tasks, simd::pack_direct_conv, simd::direct_conv};
    for (const int width : {14, 15, 27, 28, 33, 56})
        for (const int in : {16, 24, 40, 67, 72})
            for (const int out : {17, 20, 24, 33, 40}) {
                simd::conv_shape s;
                s.in_channels = in, s.out_channels = out, s.in_height = whole(1, 40), s.in_width = width;
                REQUIRE(complete(s));
                REQUIRE(simd::has_half_block(s) == (lanes == 16 && simd::has_row_tiles));
                const planar from = image(in, s.in_height, width);
                const blocked blocks = to_blocked(from, whole(0, 1) == 1 ? simd::halo{} : simd::halo{1, 1, 0, 2});
                check_form(s, direct, from, blocks.read(), blocks);
            }
}
