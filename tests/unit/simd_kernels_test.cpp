// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simd_kernels_test.cpp
/// Every SIMD kernel with weights against plain loops, on odd sizes. Compiled once per instruction set; the name of each test carries it.
#include "kernel_cases.hpp"

TEST_CASE("a direct convolution equals plain loops for every kernel in use, " SPLITDSL_ARCH_NAME) {
    struct window {
        int kh, kw, stride, pad, dilation;
    };
    for (const window w : {window{1, 1, 1, 0, 1}, {1, 1, 2, 0, 1}, {2, 2, 1, 1, 1}, {2, 2, 2, 0, 1}, {3, 3, 1, 1, 1}, {3, 3, 2, 1, 1}, {5, 5, 1, 2, 1},
                           {5, 5, 2, 2, 1}, {7, 7, 2, 3, 1}, {1, 7, 1, 3, 1}, {3, 3, 1, 2, 2}, {4, 4, 4, 0, 1}})
        for (const int in : {1, 3, 5, 16, 40})
            for (const int out : {1, 3, 8, 17, 40}) {
                simd::conv_shape s;
                s.in_channels = in, s.out_channels = out;
                s.in_height = whole(1, 17), s.in_width = whole(1, 17);
                s.kernel_h = w.kh, s.kernel_w = w.kw, s.stride_h = s.stride_w = w.stride;
                s.pad_top = w.kh == 1 ? 0 : w.pad, s.pad_left = w.kw == 1 ? 0 : w.pad, s.dilation_h = s.dilation_w = w.dilation;
                if (complete(s)) check_convolution(s, family::direct);
            }
}

TEST_CASE("a direct convolution equals plain loops at every width from 1 to 33, " SPLITDSL_ARCH_NAME) {
    for (int width = 1; width <= 33; ++width)
        for (const int kernel : {1, 3}) {
            simd::conv_shape s;
            s.in_channels = width, s.out_channels = 34 - width;
            s.in_height = whole(1, 9), s.in_width = width;
            s.kernel_h = s.kernel_w = kernel, s.pad_top = s.pad_left = kernel / 2;
            if (complete(s)) check_convolution(s, family::direct);
        }
}

TEST_CASE("a direct convolution equals plain loops on random shapes with stride, dilation and padding of either axis, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 250; ++i) {
        simd::conv_shape s;
        s.in_channels = whole(1, 40), s.out_channels = whole(1, 70);
        s.in_height = whole(1, 14), s.in_width = whole(1, 33);
        s.kernel_h = whole(1, 5), s.kernel_w = whole(1, 5), s.stride_h = whole(1, 3), s.stride_w = whole(1, 3);
        s.pad_top = whole(0, 2), s.pad_left = whole(0, 2), s.dilation_h = whole(1, 2), s.dilation_w = whole(1, 3);
        if (complete(s)) check_convolution(s, family::direct);
    }
}

TEST_CASE("a 1x1 convolution of whole and broken channel blocks equals plain loops, whether its results touch or have a halo between rows, " SPLITDSL_ARCH_NAME) {
    for (const int width : {5, 7, 14, 28, 47})
        for (const int in : {16, 24, 42, 48})
            for (const int out : {8, 24, 65}) {
                simd::conv_shape s;
                s.in_channels = in, s.out_channels = out, s.in_height = whole(1, 5), s.in_width = width;
                REQUIRE(complete(s));
                for (int i = 0; i < 4; ++i) check_convolution(s, family::direct);
            }
}

TEST_CASE("a direct convolution to up to four channels equals plain loops at every width, with any kernel, stride, dilation and padding, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 240; ++i) {
        simd::conv_shape s;
        s.in_channels = 16 * whole(1, 5), s.out_channels = 1 + i % 4;
        s.in_height = whole(1, 14), s.in_width = 1 + i % 40;
        s.kernel_h = whole(1, 5), s.kernel_w = whole(1, 5), s.stride_h = whole(1, 3), s.stride_w = whole(1, 3);
        if (i % 3 == 0) s.kernel_h = s.kernel_w = whole(2, 3), s.stride_h = s.stride_w = whole(1, 2);
        s.pad_top = whole(0, 3), s.pad_left = whole(0, 3), s.dilation_h = whole(1, 2), s.dilation_w = whole(1, 3);
        REQUIRE(simd::has_few_outputs(s));
        if (complete(s)) check_convolution(s, family::direct);
    }
}

TEST_CASE("a direct convolution of many values a sum to 5 to 15 channels equals plain loops at every width, in one pass over its input and in several, " SPLITDSL_ARCH_NAME) {
    int few = 0, passes = 0;
    for (int i = 0; i < 110; ++i) {
        simd::conv_shape s;
        s.in_channels = 16 * (i % 4 == 0 ? whole(20, 40) : whole(4, 8)), s.out_channels = 5 + i % 11;
        s.in_height = whole(1, 14), s.in_width = 1 + i % 44;
        s.kernel_h = s.kernel_w = whole(2, 3), s.stride_h = s.stride_w = whole(1, 2);
        s.pad_top = whole(0, 2), s.pad_left = whole(0, 2), s.dilation_h = whole(1, 2), s.dilation_w = whole(1, 3);
        if (!complete(s)) continue;
        few += simd::has_few_outputs(s), passes += simd::has_few_outputs(s) && simd::has_few_outputs_passes(s);
        check_convolution(s, family::direct);
    }
    if (lanes > 4) REQUIRE(passes > 0);
    REQUIRE((few > passes || lanes == 4));
}

TEST_CASE("a direct convolution leaves out exactly the kernel rows that lie outside its input, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 400; ++i) {
        simd::conv_shape s;
        s.in_channels = s.out_channels = 1, s.in_height = whole(1, 6), s.in_width = 1;
        s.kernel_h = whole(1, 6), s.stride_h = whole(1, 4), s.dilation_h = whole(1, 4);
        s.pad_top = whole(-9, 9); // negative: of a band of rows further down
        for (int y = 0; y < 12; ++y) {
            int begin = 0, end = s.kernel_h;
            const auto inside = [&](int row) { return y * s.stride_h - s.pad_top + row * s.dilation_h >= 0 && y * s.stride_h - s.pad_top + row * s.dilation_h < s.in_height; };
            while (begin < end && !inside(begin)) ++begin;
            while (end > begin && !inside(end - 1)) --end;
            const simd::kernel_rows found = simd::rows_inside(s, y);
            REQUIRE(found.begin >= 0);
            REQUIRE(found.end <= s.kernel_h);
            REQUIRE(found.end - found.begin == end - begin);
            if (end > begin) REQUIRE(found.begin == begin);
        }
    }
}

TEST_CASE("a 3x3 convolution with one column of padding equals plain loops at every width, though wide tiles leave the padding out, " SPLITDSL_ARCH_NAME) {
    for (int width = 1; width <= 31; ++width)
        for (const int in : {16, 35})
            for (const int out : {64, 70}) {
                simd::conv_shape s;
                s.in_channels = in, s.out_channels = out, s.in_height = whole(1, 4), s.in_width = width;
                s.kernel_h = whole(1, 3), s.kernel_w = 3, s.pad_top = whole(0, 1), s.pad_left = 1;
                if (complete(s)) check_convolution(s, family::direct);
            }
}

TEST_CASE("a convolution of stride 2 over a picture equals plain loops at widths around its tiles', " SPLITDSL_ARCH_NAME) {
    for (const int in : {1, 3, 4, 16, 24})
        for (const int out : {16, 32, 64})
            for (const int width : {11, 12, 23, 26, 28, 55, 56}) {
                simd::conv_shape s;
                s.in_channels = in, s.out_channels = out, s.in_height = whole(2, 7), s.in_width = width;
                s.kernel_h = s.kernel_w = 3, s.stride_h = s.stride_w = 2, s.pad_top = s.pad_left = 1;
                REQUIRE(complete(s));
                check_convolution(s, family::direct);
            }
}

TEST_CASE("a direct convolution with many input channels, in several passes over them, equals plain loops, " SPLITDSL_ARCH_NAME) {
    for (const int in : {250, 365, 512}) {
        simd::conv_shape s;
        s.in_channels = in, s.out_channels = 24, s.in_height = 7, s.in_width = 7;
        s.kernel_h = s.kernel_w = 3, s.pad_top = s.pad_left = 1;
        REQUIRE(complete(s));
        REQUIRE(simd::cut_of(s).channels < in);
        check_convolution(s, family::direct);
    }
}

TEST_CASE("a direct convolution's tasks, from rows to rows and where weights outweigh the input from group to group, have the same bits in any runs, " SPLITDSL_ARCH_NAME) {
    struct layer { int in, out, side, kernel; bool by_groups; };
    for (const layer l : {layer{160, 200, 7, 1, true}, {40, 150, 5, 3, true}, {96, 300, 14, 1, true}, {16, 144, 28, 1, false}, {24, 96, 40, 3, false}})
        for (int k = 0; k < 10; ++k) {
            simd::conv_shape s;
            s.in_channels = l.in, s.out_channels = l.out, s.in_height = s.in_width = l.side;
            s.kernel_h = s.kernel_w = l.kernel, s.pad_top = s.pad_left = l.kernel / 2;
            REQUIRE(complete(s));
            REQUIRE(simd::cut_of(s).by_groups == l.by_groups);
            REQUIRE(simd::direct_conv_tasks(s) > 4);
            check_convolution(s, family::direct);
        }
}

TEST_CASE("a direct convolution of a wide image is cut into row tasks that cover it once, " SPLITDSL_ARCH_NAME) {
    simd::conv_shape s;
    s.in_channels = 3, s.out_channels = 10, s.in_height = 61, s.in_width = 83;
    s.kernel_h = s.kernel_w = 5, s.stride_h = s.stride_w = 2, s.pad_top = s.pad_left = 2;
    REQUIRE(complete(s));
    REQUIRE(simd::direct_conv_tasks(s) > 1);
    check_convolution(s, family::direct);
}

TEST_CASE("a Winograd convolution equals plain loops at every size from 1 to 17, with any padding, cut and number of tasks, " SPLITDSL_ARCH_NAME) {
    for (const family kind : {family::winograd_2x2, family::winograd_4x4, family::winograd_5x5})
        for (int height = 1; height <= 17; ++height)
            for (int pad = 0; pad <= 2; ++pad) {
                simd::conv_shape s;
                s.in_channels = whole(1, 40), s.in_height = height, s.in_width = whole(1, 17);
                s.out_channels = whole(1, 40);
                s.kernel_h = s.kernel_w = kind == family::winograd_5x5 ? 5 : 3;
                s.pad_top = pad, s.pad_left = whole(0, 2);
                if (complete(s)) check_convolution(s, kind);
            }
}

TEST_CASE("a Winograd convolution of one row or one column of seven taps equals plain loops, with any padding, cut and number of tasks, " SPLITDSL_ARCH_NAME) {
    for (const bool is_column : {false, true})
        for (int along = 1; along <= 26; ++along)
            for (int pad = 0; pad <= 3; ++pad) {
                const int beside = whole(1, 9), pad_beside = whole(0, 3) == 0;
                simd::conv_shape s;
                s.in_channels = whole(1, 40), s.out_channels = whole(1, 40);
                s.in_height = is_column ? along : beside, s.in_width = is_column ? beside : along;
                (is_column ? s.kernel_h : s.kernel_w) = 7;
                s.pad_top = is_column ? pad : pad_beside, s.pad_left = is_column ? pad_beside : pad;
                if (complete(s)) check_convolution(s, family::winograd_line);
            }
}

TEST_CASE("a Winograd convolution to a handful of channels equals plain loops, and has the same bits in any cut, " SPLITDSL_ARCH_NAME) {
    for (const family kind : {family::winograd_2x2, family::winograd_4x4})
        for (const int in : {16, 64, 70})
            for (int out = 1; out <= 5; ++out) {
                simd::conv_shape s;
                s.in_channels = in, s.out_channels = out;
                s.in_height = whole(15, 25), s.in_width = whole(15, 25);
                s.kernel_h = s.kernel_w = 3, s.pad_top = s.pad_left = 1;
                REQUIRE(complete(s));
                check_convolution(s, kind);
            }
}

TEST_CASE("a picture's first layer equals plain loops as a Winograd convolution of its phases, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 60; ++i) {
        simd::conv_shape s;
        s.in_channels = whole(1, 4), s.in_height = whole(5, 40), s.in_width = whole(5, 60), s.out_channels = i % 3 == 0 ? whole(1, 70) : whole(1, 20);
        s.kernel_h = s.kernel_w = 5 + i % 4;
        s.stride_h = s.stride_w = 2;
        s.pad_top = whole(0, 3), s.pad_left = whole(0, 3);
        if (complete(s)) check_convolution(s, s.kernel_h <= 6 ? family::strided_4x4 : family::strided_3x3);
    }
}

TEST_CASE("a Winograd convolution keeps its error budget up to the most channels it is chosen for, " SPLITDSL_ARCH_NAME) {
    for (const family kind : {family::winograd_2x2, family::winograd_4x4, family::winograd_5x5})
        for (const int channels : {64, 130, 512, 1024, 1024, 1024}) { // the largest error differs from draw to draw
            simd::conv_shape s;
            s.in_channels = channels, s.in_height = 11, s.in_width = 14, s.out_channels = 70;
            s.kernel_h = s.kernel_w = kind == family::winograd_5x5 ? 5 : 3, s.pad_top = s.pad_left = s.kernel_h / 2;
            REQUIRE(complete(s));
            check_convolution(s, kind, kind == family::winograd_2x2 ? 0 : 6e-5);
        }
    for (const bool is_column : {false, true})
        for (const int channels : {64, 130, 512, 1024, 1024, 1024}) {
            simd::conv_shape s;
            s.in_channels = channels, s.in_height = 11, s.in_width = 14, s.out_channels = 70;
            (is_column ? s.kernel_h : s.kernel_w) = 7, (is_column ? s.pad_top : s.pad_left) = 3;
            REQUIRE(complete(s));
            check_convolution(s, family::winograd_line, 6e-5);
        }
}

TEST_CASE("a grouped convolution equals plain loops, " SPLITDSL_ARCH_NAME) {
    struct groups {
        int count, in, out;
    };
    for (const groups g : {groups{2, 3, 5}, {32, 4, 4}, {4, 16, 16}, {3, 1, 2}, {5, 7, 3}, {2, 20, 33}, {8, 8, 8}})
        for (const int kernel : {1, 3})
            for (const int stride : {1, 2}) {
                simd::conv_shape s;
                s.groups = g.count, s.in_channels = g.count * g.in, s.out_channels = g.count * g.out;
                s.in_height = whole(3, 13), s.in_width = whole(3, 19);
                s.kernel_h = s.kernel_w = kernel, s.pad_top = s.pad_left = kernel / 2, s.stride_h = s.stride_w = stride;
                if (complete(s)) check_convolution(s, family::grouped);
            }
}

TEST_CASE("a depthwise convolution equals plain loops, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 120; ++i) {
        simd::conv_shape s;
        s.groups = s.in_channels = s.out_channels = whole(1, 40);
        s.in_height = whole(1, 12), s.in_width = whole(1, 33);
        s.kernel_h = s.kernel_w = i % 4 == 3 ? whole(1, 7) : 3 + 2 * (i % 2);
        if (i % 4 == 3) s.kernel_w = whole(1, 5), s.dilation_w = whole(1, 2), s.dilation_h = whole(1, 2);
        s.stride_h = s.stride_w = whole(1, i % 4 == 3 ? 3 : 2);
        s.pad_top = s.kernel_h / 2, s.pad_left = s.kernel_w / 2;
        if (complete(s)) check_convolution(s, family::depthwise);
    }
}

TEST_CASE("a transposed convolution equals plain loops for any stride, padding, dilation and output padding, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 250; ++i) {
        simd::conv_shape s;
        s.in_channels = whole(1, 20), s.out_channels = whole(1, 40);
        s.in_height = whole(1, 9), s.in_width = whole(1, 13);
        s.kernel_h = whole(1, 5), s.kernel_w = whole(1, 5), s.stride_h = whole(1, 4), s.stride_w = whole(1, 4);
        s.dilation_h = whole(1, 3), s.dilation_w = whole(1, 3);
        s.pad_top = whole(0, 2), s.pad_left = whole(0, 2);
        s.out_height = (s.in_height - 1) * s.stride_h - 2 * s.pad_top + s.dilation_h * (s.kernel_h - 1) + 1 + whole(0, std::max(s.stride_h, s.dilation_h) - 1);
        s.out_width = (s.in_width - 1) * s.stride_w - 2 * s.pad_left + s.dilation_w * (s.kernel_w - 1) + 1 + whole(0, std::max(s.stride_w, s.dilation_w) - 1);
        if (s.out_height > 0 && s.out_width > 0) check_convolution(s, family::transposed);
    }
}

TEST_CASE("a dense layer equals plain loops, " SPLITDSL_ARCH_NAME) {
    for (const int inputs : {1, 2, 7, 8, 9, 31, 33, 300})
        for (const int outputs : {1, 3, 8, 9, 16, 17, 33, 64, 65, 100}) {
            const simd::dense_shape s{inputs, outputs};
            const planar in = image(inputs, 1, 1);
            auto weight = uniforms(static_cast<std::size_t>(inputs * outputs));
            for (float& x : weight) x *= 2 / std::sqrt(static_cast<float>(inputs));
            const auto scale = uniforms(static_cast<std::size_t>(outputs)), shift = uniforms(static_cast<std::size_t>(outputs));
            auto folded = weight;
            for (std::size_t i = 0; i < folded.size(); ++i)
                folded[i] = static_cast<float>(static_cast<double>(folded[i]) * static_cast<double>(scale[i / static_cast<std::size_t>(inputs)]));
            const simd::activation act = activations[whole(0, 7)];
            const planar want = activated(reference::dense(in, outputs, folded.data(), shift.data()), act);
            const std::size_t size = simd::dense_packed_floats(s);
            std::vector<float> packed(size + 1, mark);
            simd::pack_dense(s, weight.data(), scale.data(), shift.data(), packed.data());
            REQUIRE(packed[size] == mark);
            const simd::halo around{whole(0, 1), whole(0, 1), whole(0, 1), whole(0, 1)}; // a convolution may read the same vector
            const blocked from = to_blocked(in, around);
            blocked out = result({outputs, 1, 1});
            run_tasks(simd::dense_tasks(s), [&](int first, int last) { simd::dense(s, from.read(), out.view(), packed.data(), {act, slope, {}}, first, last); });
            INFO("inputs " << inputs << " outputs " << outputs);
            REQUIRE(out.frame_is(mark));
            REQUIRE(difference(out, want) < 2e-6);
        }
}

TEST_CASE("a dense layer of several frames gives each the bits it has alone, " SPLITDSL_ARCH_NAME) {
    for (const int inputs : {1, 9, 512, 1030, 2051})
        for (const int outputs : {1, 9, 17, 33, 64, 100}) {
            const simd::dense_shape s{inputs, outputs};
            const auto weight = uniforms(static_cast<std::size_t>(inputs * outputs)), shift = uniforms(static_cast<std::size_t>(outputs));
            std::vector<float> packed(simd::dense_packed_floats(s));
            simd::pack_dense(s, weight.data(), nullptr, shift.data(), packed.data());
            const simd::halo around{whole(0, 1), whole(0, 1), whole(0, 1), whole(0, 1)};
            const blocked empty = result({outputs, 1, 1});
            std::vector<blocked> from, addend, alone, together;
            std::vector<simd::frame_tensors> frames;
            const simd::activation act = activations[whole(0, 7)];
            const bool adds = whole(0, 1) == 1;
            for (int f = 0; f < 3; ++f) {
                from.push_back(to_blocked(image(inputs, 1, 1), around));
                addend.push_back(to_blocked(image(outputs, 1, 1), around));
                alone.push_back(empty);
                together.push_back(empty);
            }
            const auto then = [&](std::size_t f) { return simd::epilogue{act, slope, adds ? addend[f].read() : simd::const_view{}}; };
            for (std::size_t f = 0; f < 3; ++f) {
                simd::dense(s, from[f].read(), alone[f].view(), packed.data(), then(f), 0, simd::dense_tasks(s));
                frames.push_back({from[f].read().at, together[f].view().at, then(f).addend.at, nullptr});
            }
            run_tasks(simd::dense_tasks(s), [&](int first, int last) { simd::dense_frames(s, frames.data(), 3, from[0].read(), together[0].view(), packed.data(), then(0), first, last); });
            INFO("inputs " << inputs << " outputs " << outputs);
            for (std::size_t f = 0; f < 3; ++f) REQUIRE(std::memcmp(together[f].data.data(), alone[f].data.data(), 4 * alone[f].data.size()) == 0);
        }
}
