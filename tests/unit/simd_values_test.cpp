// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simd_values_test.cpp
/// Every SIMD kernel without weights, and the codecs, against plain loops and the scalar codec, on odd sizes. Compiled once per instruction set; the name of each test carries it.
#include "kernel_cases.hpp"

#include <splitdsl/codec/affine.hpp>
#include <splitdsl/codec/dynamic_pool_stream.hpp>
#include <splitdsl/runtime/pool_code.hpp>

TEST_CASE("maximum and average pooling equal plain loops, with windows over the edge, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 200; ++i) {
        simd::pool_shape s;
        s.channels = whole(1, 40), s.in_height = whole(1, 14), s.in_width = whole(1, 33);
        s.kernel_h = whole(1, std::min(3, s.in_height)), s.kernel_w = whole(1, std::min(3, s.in_width)), s.stride_h = whole(1, 3), s.stride_w = whole(1, 3);
        if (i % 3 == 0 && s.in_height > 2 && s.in_width > 2) s.kernel_h = s.kernel_w = 3, s.stride_h = s.stride_w = 2; // whole windows have a way of their own
        s.pad_top = s.pad_bottom = whole(0, s.kernel_h / 2), s.pad_left = s.pad_right = whole(0, s.kernel_w / 2);
        const auto size = [&](int in, int pad, int k, int stride) { // every second one rounds up, as ceil mode does
            int n = (in + 2 * pad - k + (i % 2 ? stride - 1 : 0)) / stride + 1;
            if ((n - 1) * stride >= in + pad) --n;
            return n;
        };
        s.out_height = size(s.in_height, s.pad_top, s.kernel_h, s.stride_h), s.out_width = size(s.in_width, s.pad_left, s.kernel_w, s.stride_w);
        s.count_include_pad = whole(0, 1) == 1;
        planar in = image(s.channels, s.in_height, s.in_width);
        for (float& x : in.data) x -= 2; // all negative: a zero of the halo would win
        const blocked from = to_blocked(in, {1, 1, 2, 2});
        const reference::window w{s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.pad_top, s.pad_left};
        check_rows(reference::pool(in, reference::pooling::maximum, s.out_height, s.out_width, w, s.pad_bottom, s.pad_right, false), simd::max_pool_tasks(s), 0,
                   [&](const simd::view& out, int first, int last) { simd::max_pool(s, from.read(), out, first, last); });
        check_rows(reference::pool(in, reference::pooling::average, s.out_height, s.out_width, w, s.pad_bottom, s.pad_right, s.count_include_pad),
                   simd::avg_pool_tasks(s), 1e-6, [&](const simd::view& out, int first, int last) { simd::avg_pool(s, from.read(), out, first, last); });
    }
}

TEST_CASE("global average pooling equals plain loops, " SPLITDSL_ARCH_NAME) {
    for (int channels = 1; channels <= 40; ++channels) {
        const planar in = image(channels, whole(1, 33), whole(1, 33));
        const blocked from = to_blocked(in, {1, 1, 1, 1});
        check_rows(reference::global_pool(in), simd::global_avg_pool_tasks(extent_of(in)), 1e-6,
                   [&](const simd::view& out, int first, int last) { simd::global_avg_pool(extent_of(in), from.read(), out, first, last); });
    }
}

TEST_CASE("affine, sum, product and activation equal plain loops for every activation, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 80; ++i) {
        const simd::activation act = activations[i % 8];
        planar a = image(whole(1, 40), whole(1, 9), whole(1, 33)), b = image(a.channels, a.height, a.width), gain = image(a.channels, 1, 1);
        for (float& x : a.data) x *= 5;
        const simd::extent e = extent_of(a);
        const blocked at = to_blocked(a, {1, 0, 0, 1}), bt = to_blocked(b, {}), gt = to_blocked(gain, {});
        const int tasks = simd::row_tasks(e);
        check_rows(activated(reference::add(a, b), act), tasks, 1e-6,
                   [&](const simd::view& out, int first, int last) { simd::add(e, at.read(), bt.read(), out, act, slope, first, last); });
        check_rows(activated(reference::multiply(a, b), act), tasks, 1e-6,
                   [&](const simd::view& out, int first, int last) { simd::multiply(e, at.read(), bt.read(), out, act, slope, first, last); });
        check_rows(activated(reference::multiply(a, gain), act), tasks, 1e-6,
                   [&](const simd::view& out, int first, int last) { simd::multiply_by_channel(e, at.read(), gt.read(), out, act, slope, first, last); });
        check_rows(activated(a, act), tasks, 1e-6, [&](const simd::view& out, int first, int last) { simd::activate(e, at.read(), out, act, slope, first, last); });

        const auto scale = uniforms(static_cast<std::size_t>(a.channels)), shift = uniforms(static_cast<std::size_t>(a.channels));
        std::vector<float> packed(simd::affine_packed_floats(a.channels));
        simd::pack_affine(a.channels, scale.data(), shift.data(), packed.data());
        const std::vector<float> mean(scale.size(), 0.0F), variance(scale.size(), 1.0F);
        check_rows(activated(reference::batch_norm(a, scale.data(), shift.data(), mean.data(), variance.data(), 0), act), tasks, 1e-6,
                   [&](const simd::view& out, int first, int last) { simd::affine(e, at.read(), out, packed.data(), act, slope, first, last); });
    }
}

TEST_CASE("an elementwise kernel may write over its input, " SPLITDSL_ARCH_NAME) {
    const planar a = image(11, 5, 7), b = image(11, 5, 7);
    blocked at = to_blocked(a, {});
    const blocked bt = to_blocked(b, {});
    simd::add(extent_of(a), at.read(), bt.read(), at.view(), simd::activation::relu, 0, 0, simd::row_tasks(extent_of(a)));
    CHECK(difference(at, activated(reference::add(a, b), simd::activation::relu)) == 0);
}

TEST_CASE("sigmoid and tanh err by at most 1e-6, the exponential by 2 units in the last place, " SPLITDSL_ARCH_NAME) {
    double worst_sigmoid = 0, worst_tanh = 0, worst_exponential = 0;
    for (int i = -400000; i <= 400000; i += lanes) {
        float x[lanes], s[lanes], t[lanes], e[lanes];
        for (int l = 0; l < lanes; ++l) x[l] = static_cast<float>(i + l) * 2.2e-4F;
        simd::store(s, simd::sigmoid_of(simd::load(x)));
        simd::store(t, simd::tanh_of(simd::load(x)));
        simd::store(e, simd::exponential(simd::load(x)));
        for (int l = 0; l < lanes; ++l) {
            const double v = static_cast<double>(x[l]);
            worst_sigmoid = std::max(worst_sigmoid, std::abs(static_cast<double>(s[l]) - 1 / (1 + std::exp(-v))));
            worst_tanh = std::max(worst_tanh, std::abs(static_cast<double>(t[l]) - std::tanh(v)));
            if (v < -87 || v > 88) continue;
            const float exact = static_cast<float>(std::exp(v));
            const double unit = static_cast<double>(std::nextafter(exact, std::numeric_limits<float>::infinity())) - static_cast<double>(exact);
            worst_exponential = std::max(worst_exponential, std::abs(static_cast<double>(e[l]) - std::exp(v)) / unit);
        }
    }
    CHECK(worst_sigmoid < 1e-6);
    CHECK(worst_tanh < 1e-6);
    CHECK(worst_exponential < 2);
    float far[lanes];
    for (const float huge : {1e4F, -1e4F, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
        simd::store(far, simd::tanh_of(simd::broadcast(huge)));
        CHECK(far[0] == Approx(huge > 0 ? 1.0F : -1.0F));
        simd::store(far, simd::sigmoid_of(simd::broadcast(huge)));
        CHECK(std::abs(far[lanes - 1] - (huge > 0 ? 1.0F : 0.0F)) < 1e-6F);
    }
}

TEST_CASE("softmax over channels equals plain loops, large values included, " SPLITDSL_ARCH_NAME) {
    for (int channels = 1; channels <= 40; ++channels)
        for (const float size : {1.0F, 40.0F, 3000.0F}) {
            planar in = image(channels, whole(1, 3), whole(1, 5));
            for (float& x : in.data) x *= size;
            const blocked from = to_blocked(in, {});
            check_rows(reference::softmax(in), simd::softmax_tasks(extent_of(in)), 1e-6,
                       [&](const simd::view& out, int first, int last) { simd::softmax(extent_of(in), from.read(), out, first, last); });
        }
}

TEST_CASE("softmax over splits equals plain loops, whole vectors or not, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 90; ++i) {
        const int radix = whole(1, 4), cardinality = whole(1, 3), each = i % 3 == 0 ? lanes * whole(1, 2) : whole(1, 20);
        planar in = image(radix * cardinality * each, whole(1, 3), whole(1, 3));
        for (float& x : in.data) x *= i % 2 == 0 ? 1.0F : 500.0F;
        const blocked from = to_blocked(in, {0, 1, 0, 0});
        const simd::extent e = extent_of(in);
        check_rows(reference::radix_softmax(in, radix, cardinality), simd::radix_softmax_tasks(e), 1e-6,
                   [&](const simd::view& out, int first, int last) { simd::radix_softmax(e, radix, cardinality, from.read(), out, first, last); });
    }
}

TEST_CASE("unit length a pixel equals plain loops, pixels of zeros included, " SPLITDSL_ARCH_NAME) {
    for (int channels = 1; channels <= 40; ++channels) {
        planar in = image(channels, whole(1, 4), whole(1, 5));
        for (int c = 0; c < channels; ++c) in.at(c, 0, 0) = 0;
        const auto weight = uniforms(static_cast<std::size_t>(channels));
        std::vector<float> packed(simd::l2_normalise_packed_floats(channels));
        simd::pack_l2_normalise(channels, weight.data(), packed.data());
        const blocked from = to_blocked(in, {1, 0, 0, 1});
        for (const float least : {1e-12F, 0.5F})
            check_rows(reference::l2_normalise(in, weight.data(), least), simd::l2_normalise_tasks(extent_of(in)), 1e-6,
                       [&](const simd::view& out, int first, int last) { simd::l2_normalise(extent_of(in), from.read(), out, packed.data(), least, first, last); });
    }
}

TEST_CASE("the two ends of a generalised divisive normalisation equal plain loops, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 40; ++i) {
        const planar in = image(whole(1, 30), whole(1, 6), whole(1, 9));
        planar by = image(in.channels, in.height, in.width);
        for (float& x : by.data) x = 0.25F + std::abs(x);
        const blocked from = to_blocked(in, {}), divisor = to_blocked(by, {1, 1, 1, 1});
        const simd::extent e = extent_of(in);
        for (const bool squared : {false, true}) {
            planar want = in;
            for (float& x : want.data) x = squared ? x * x : std::abs(x);
            check_rows(want, simd::row_tasks(e), 0, [&](const simd::view& out, int first, int last) { simd::magnitude(e, from.read(), out, squared, first, last); });
            for (const bool inverse : {false, true}) {
                for (std::size_t k = 0; k < want.data.size(); ++k) {
                    const float d = squared ? std::sqrt(by.data[k]) : by.data[k];
                    want.data[k] = inverse ? in.data[k] * d : in.data[k] / d;
                }
                check_rows(want, simd::row_tasks(e), 1e-6,
                           [&](const simd::view& out, int first, int last) { simd::divisive(e, from.read(), divisor.read(), out, {squared, inverse}, first, last); });
            }
        }
    }
}

TEST_CASE("upsampling equals plain loops, nearest and bilinear, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 90; ++i) {
        simd::upsample_shape s;
        s.channels = whole(1, 20), s.in_height = whole(1, 9), s.in_width = whole(1, 12);
        s.out_height = i % 3 == 0 ? 2 * s.in_height : whole(1, 25), s.out_width = i % 3 == 0 ? 3 * s.in_width : whole(1, 25);
        s.bilinear = i % 2 == 1, s.align_corners = i % 4 == 3;
        const planar in = image(s.channels, s.in_height, s.in_width);
        const blocked from = to_blocked(in, {0, 1, 0, 1});
        check_rows(reference::upsample(in, s.out_height, s.out_width, s.bilinear, s.align_corners), simd::upsample_tasks(s), s.bilinear ? 1e-6 : 0,
                   [&](const simd::view& out, int first, int last) { simd::upsample(s, from.read(), out, first, last); });
    }
}

TEST_CASE("padding and subsampling equal plain loops, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 60; ++i) {
        const planar in = image(whole(1, 20), whole(1, 9), whole(1, 12));
        const blocked from = to_blocked(in, {0, 1, 0, 1});
        const simd::pad_shape s{in.channels, in.height, in.width, {whole(0, 3), whole(0, 3), whole(0, 3), whole(0, 3)}, 0.5F};
        check_rows(reference::pad(in, s.by.top, s.by.left, s.by.bottom, s.by.right, s.value), simd::pad_tasks(s), 0,
                   [&](const simd::view& out, int first, int last) { simd::pad(s, from.read(), out, first, last); });
        const int every_h = whole(1, 3), every_w = whole(1, 3);
        const planar few = reference::subsample(in, every_h, every_w);
        check_rows(few, simd::row_tasks(extent_of(few)), 0,
                   [&](const simd::view& out, int first, int last) { simd::subsample(extent_of(few), every_h, every_w, from.read(), out, first, last); });
    }
}

TEST_CASE("channels of zeros stand where plain loops put them, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 60; ++i) {
        const planar in = image(i % 3 == 0 ? lanes * whole(1, 3) : whole(1, 40), whole(1, 6), whole(1, 9));
        const int before = i % 2 == 0 ? lanes * whole(0, 2) : whole(0, 20), after = whole(0, 40);
        const planar want = reference::pad_channels(in, before, after);
        const blocked from = to_blocked(in, {0, 1, 0, 1});
        check_rows(want, simd::row_tasks(extent_of(want)), 0,
                   [&](const simd::view& out, int first, int last) { simd::pad_channels(extent_of(want), in.channels, before, from.read(), out, first, last); });
    }
}

TEST_CASE("a concatenation at any channel offset, and a slice from any, copy exactly their channels, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 120; ++i) {
        const planar a = image(i % 3 == 0 ? lanes * whole(1, 3) : whole(1, 30), whole(1, 6), whole(1, 9)), b = image(whole(1, 30), a.height, a.width);
        const planar joined = reference::concat(a, b);
        const blocked at = to_blocked(a, {1, 1, 0, 0}), bt = to_blocked(b, {});
        blocked out = result(extent_of(joined));
        run_tasks(simd::row_tasks(extent_of(b)), [&](int first, int last) { simd::copy_channels(extent_of(b), bt.read(), 0, out.view(), a.channels, first, last); });
        run_tasks(simd::row_tasks(extent_of(a)), [&](int first, int last) { simd::copy_channels(extent_of(a), at.read(), 0, out.view(), 0, first, last); });
        REQUIRE(difference(out, joined) == 0);
        REQUIRE(out.frame_is(mark));
        blocked back = result(extent_of(b));
        simd::copy_channels(extent_of(b), out.read(), a.channels, back.view(), 0, 0, simd::row_tasks(extent_of(b)));
        REQUIRE(difference(back, b) == 0);
    }
}

TEST_CASE("planar images go to blocks and back unchanged, " SPLITDSL_ARCH_NAME) {
    for (int channels = 1; channels <= 40; ++channels) {
        const planar in = image(channels, whole(1, 9), whole(1, 33));
        const simd::extent e = extent_of(in);
        check_rows(in, simd::row_tasks(e), 0, [&](const simd::view& out, int first, int last) { simd::planar_to_blocked(e, in.data.data(), out, first, last); });
        const blocked from = to_blocked(in, {2, 1, 0, 1});
        std::vector<float> back(in.data.size() + 1, mark);
        run_tasks(simd::row_tasks(e), [&](int first, int last) { simd::blocked_to_planar(e, from.read(), back.data(), first, last); });
        REQUIRE(back.back() == mark);
        REQUIRE(std::equal(in.data.begin(), in.data.end(), back.begin()));
    }
}

TEST_CASE("bytes are normalised exactly as the scalar formula, in both orders, " SPLITDSL_ARCH_NAME) {
    for (const int channels : {1, 3, 4, 9, 17}) {
        const simd::extent e{channels, 37, 41};
        std::vector<std::uint8_t> chw(static_cast<std::size_t>(channels * e.height * e.width)), hwc(chw.size());
        const auto mean = uniforms(static_cast<std::size_t>(channels));
        std::vector<float> deviation(mean.size());
        for (float& d : deviation) d = 0.2F + std::abs(uniform());
        planar plain(channels, e.height, e.width), want = plain;
        for (int c = 0; c < channels; ++c)
            for (int y = 0; y < e.height; ++y)
                for (int x = 0; x < e.width; ++x) {
                    const auto v = static_cast<std::uint8_t>(whole(0, 255));
                    chw[static_cast<std::size_t>((c * e.height + y) * e.width + x)] = hwc[static_cast<std::size_t>((y * e.width + x) * channels + c)] = v;
                    plain.at(c, y, x) = static_cast<float>(v);
                    want.at(c, y, x) = (static_cast<float>(v) / 255.0F - mean[static_cast<std::size_t>(c)]) / deviation[static_cast<std::size_t>(c)];
                }
        using simd::byte_order;
        check_rows(want, simd::row_tasks(e), 0, [&](const simd::view& out, int first, int last) {
            simd::bytes_to_blocked(e, chw.data(), byte_order::planar, mean.data(), deviation.data(), out, first, last);
        });
        check_rows(want, simd::row_tasks(e), 0, [&](const simd::view& out, int first, int last) {
            simd::bytes_to_blocked(e, hwc.data(), byte_order::interleaved, mean.data(), deviation.data(), out, first, last);
        });
        check_rows(plain, simd::row_tasks(e), 0, [&](const simd::view& out, int first, int last) {
            simd::bytes_to_blocked(e, hwc.data(), byte_order::interleaved, nullptr, nullptr, out, first, last);
        });
        if (channels > 4) continue;
        // four floats a pixel, zeros behind its channels
        for (const byte_order order : {byte_order::planar, byte_order::interleaved}) {
            const std::ptrdiff_t row = 4 * e.width + 8;
            std::vector<float> quads(static_cast<std::size_t>(row * e.height), mark);
            run_tasks(simd::row_tasks(e), [&](int first, int last) {
                simd::bytes_to_blocked(e, order == byte_order::planar ? chw.data() : hwc.data(), order, mean.data(), deviation.data(), {quads.data(), row, 0}, first, last, 0, 4);
            });
            bool same = true;
            for (int y = 0; y < e.height; ++y)
                for (int i = 0; i < row; ++i) {
                    const int x = i / 4, c = i % 4;
                    same = same && quads[static_cast<std::size_t>(y * row + i)] == (x >= e.width ? mark : c < channels ? want.at(c, y, x) : 0.0F);
                }
            REQUIRE(same);
        }
    }
}

TEST_CASE("zero_halo writes the halo and nothing else, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 40; ++i) {
        const planar in = image(whole(1, 20), whole(1, 6), whole(1, 6));
        blocked b = to_blocked(in, {whole(0, 3), whole(0, 3), whole(0, 3), whole(0, 3)});
        for (int c = 0; c < b.padded(); ++c)
            for (int y = -b.h.top; y < in.height + b.h.bottom; ++y)
                for (int x = -b.h.left; x < in.width + b.h.right; ++x)
                    if (y < 0 || x < 0 || y >= in.height || x >= in.width) b.at(c, y, x) = mark;
        REQUIRE(b.frame_is(mark));
        simd::zero_halo(b.view(), extent_of(in), b.h);
        REQUIRE(b.frame_is(0));
        REQUIRE(difference(b, in) == 0);
    }
}

TEST_CASE("range, quantisation and dequantisation meet the scalar codec bit for bit, " SPLITDSL_ARCH_NAME) {
    const float infinite = std::numeric_limits<float>::infinity(), none = std::numeric_limits<float>::quiet_NaN();
    for (int i = 0; i < 200; ++i) {
        auto x = uniforms(static_cast<std::size_t>(whole(1, 77)));
        const float size = std::ldexp(1.0F, whole(-20, 20)), shift = i % 2 ? uniform() * size : 0;
        for (float& v : x) v = v * size + shift;
        if (i % 5 == 1) x[x.size() / 2] = none;
        if (i % 5 == 2) x.front() = infinite, x.back() = -infinite;
        if (i % 5 == 3) x.front() = -0.0F;
        if (i % 40 == 4) std::fill(x.begin(), x.end(), i % 80 == 4 ? none : infinite);
        const auto want = splitdsl::range_of(x);
        const auto got = simd::range_of(x.data(), x.size());
        REQUIRE(got.any == want.any);
        REQUIRE(std::memcmp(&got.low, &want.low, 4) == 0);
        REQUIRE(std::memcmp(&got.high, &want.high, 4) == 0);
        const auto check = [&]<class Q>(Q, auto quantise, auto dequantise) {
            auto p = splitdsl::affine_parameters_of<Q>(want);
            if (i % 4 == 0) p.scale = 1, p.zero_point = whole(0, 200); // then halves occur
            auto values = x;
            if (i % 4 == 0)
                for (float& v : values) v = static_cast<float>(whole(-600, 600)) / 2;
            std::vector<Q> q(values.size() + 1, Q{77});
            quantise(values.data(), values.size(), p.scale, static_cast<float>(p.zero_point), q.data());
            std::vector<float> back(values.size());
            dequantise(q.data(), values.size(), p.scale, static_cast<float>(p.zero_point), back.data());
            bool same = q.back() == Q{77};
            for (std::size_t k = 0; k < values.size(); ++k) {
                same = same && q[k] == splitdsl::quantise<Q>(values[k], p);
                const float expected = splitdsl::dequantise<Q>(q[k], p);
                same = same && std::memcmp(&back[k], &expected, 4) == 0;
            }
            REQUIRE(same);
        };
        check(std::uint8_t{}, simd::quantise_u8, simd::dequantise_u8);
        check(std::uint16_t{}, simd::quantise_u16, simd::dequantise_u16);
    }
}

TEST_CASE("8-bit levels are those of the division on either side of every tie, for scales of any size, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 60; ++i) {
        float scale = std::ldexp(1 + std::abs(uniform()), i % 3 == 0 ? whole(-125, 110) : whole(-20, 20));
        if (i % 8 == 5) scale = std::nextafter(std::ldexp(1.0F, whole(-4, 4)), i % 16 == 5 ? 0.0F : 1e9F);
        const splitdsl::affine_parameters p{scale, i % 4 == 0 ? 0 : i % 4 == 1 ? 255 : whole(0, 255)};
        std::vector<float> x;
        for (int level = -2; level < 258; ++level)
            for (const double half : {0.0, 0.5}) {
                float near = static_cast<float>((level + half - p.zero_point) * static_cast<double>(scale));
                for (int k = 0; k < 6; ++k) near = std::nextafter(near, -1e38F);
                for (int k = 0; k < 13; ++k, near = std::nextafter(near, 1e38F)) x.push_back(near);
            }
        for (int k = 0; k < 4000; ++k) x.push_back(static_cast<float>(150 + 200 * uniform() - static_cast<float>(p.zero_point)) * scale);
        for (int k = 0; k < 50; ++k) { // bits of any kind: NaN, infinities, far beyond the levels
            const auto bits = static_cast<std::uint32_t>(engine()());
            std::memcpy(&x[static_cast<std::size_t>(whole(0, static_cast<int>(x.size()) - 1))], &bits, 4);
        }
        x.resize(x.size() - static_cast<std::size_t>(whole(0, 40)));
        std::vector<std::uint8_t> q(x.size() + 1, 77);
        simd::quantise_u8(x.data(), x.size(), scale, static_cast<float>(p.zero_point), q.data());
        std::size_t wrong = q.back() != 77;
        for (std::size_t k = 0; k < x.size(); ++k) wrong += q[k] != splitdsl::quantise<std::uint8_t>(x[k], p);
        REQUIRE(wrong == 0);
    }
}

TEST_CASE("a blocked tensor's range, bytes and way back equal the scalar codec's on the planar one, " SPLITDSL_ARCH_NAME) {
    for (int i = 0; i < 40; ++i) {
        planar in = image(whole(1, 37), whole(1, 20), whole(1, 70));
        if (i % 4 == 1) in.data[in.data.size() / 2] = std::numeric_limits<float>::quiet_NaN();
        if (i % 4 == 2) in.data.front() = std::numeric_limits<float>::infinity();
        if (i % 20 == 3) std::fill(in.data.begin(), in.data.end(), std::numeric_limits<float>::quiet_NaN());
        blocked b = to_blocked(in, {1, 2, 0, 1});
        for (int c = in.channels; c < b.padded(); ++c)
            for (int y = 0; y < in.height; ++y)
                for (int x = 0; x < in.width; ++x) b.at(c, y, x) = garbage;
        const auto want = splitdsl::range_of(in.data);
        const auto got = simd::range_of_blocked(extent_of(in), b.read());
        REQUIRE((got.any == want.any && got.low == want.low && got.high == want.high));
        const auto p = splitdsl::affine_parameters_of<std::uint8_t>(want);
        std::vector<float> room(in.data.size());
        std::vector<std::uint8_t> q(in.data.size() + 1, 77);
        simd::quantise_blocked<std::uint8_t>(extent_of(in), b.read(), {q.data(), in.width, std::ptrdiff_t{in.height} * in.width, p.scale, static_cast<float>(p.zero_point)});
        std::size_t wrong = q.back() != 77;
        planar back = in;
        for (std::size_t k = 0; k < in.data.size(); ++k) {
            wrong += q[k] != splitdsl::quantise<std::uint8_t>(in.data[k], p);
            back.data[k] = splitdsl::dequantise<std::uint8_t>(q[k], p);
        }
        REQUIRE(wrong == 0);
        blocked out(extent_of(in), b.h, mark);
        simd::dequantise_blocked(extent_of(in), q.data(), p.scale, static_cast<float>(p.zero_point), room.data(), out.view());
        REQUIRE(out.frame_is(mark));
        REQUIRE(difference(out, back) == 0);
    }
}

TEST_CASE("dynamic pooling by this instruction set gives the encoder's own bytes, " SPLITDSL_ARCH_NAME) {
    using namespace splitdsl;
    int ladders = 0;
    for (int i = 0; i < 120; ++i) {
        const int strides[]{2, 4, 8, 16, 6, 12}, stride = strides[i % 6], most = stride < 6 ? 40 : 9;
        const bool far = i < 3 || (i >= 6 && i < 10); // more than a second-level cache holds: written past the caches, or as rows and their number have it
        const int side = i < 3 ? 128 : 144, high = far ? side / stride : whole(1, most), wide = far || i % 3 ? high : whole(1, 19);
        const pool_shape shape{far ? (i == 9 ? 20 : (2 << 20) / (side * side) + 1) : whole(1, 5), high * stride, wide * stride, stride};
        const auto [ladder, fault] = try_pool_ladder(shape, {.largest = std::max(high, wide) << (far ? 1 : whole(1, 3)), .step = 3});
        if (fault != pool_fault::none) continue;
        ++ladders;
        auto map = uniforms(static_cast<std::size_t>(shape.channels * shape.height * shape.width));
        if (i % 4 == 1)
            for (float& v : map) v = v > 0 ? v : i % 8 == 1 ? 0.0F : -0.0F;
        if (i % 4 == 2)
            for (float& v : map) v = std::floor(v * 128); // ties
        if (i % 12 == 3) map[map.size() / 2] = std::numeric_limits<float>::quiet_NaN();
        if (i % 12 == 7) map.back() = std::numeric_limits<float>::infinity();
        for (const pool_form form : {pool_form::lifted, pool_form::means}) {
            dynamic_pool_encoder plain{ladder, {.form = form}}, fast{ladder, {.form = form}};
            plain.pool(map.data());
            fast.pool(map.data(), &execution::pool_code);
            REQUIRE(fast.parameters() == plain.parameters());
            for (int level = 0; level < ladder.levels; ++level) {
                const auto want = plain.encode(level), got = fast.encode(level);
                REQUIRE(std::vector<std::byte>(got.begin(), got.end()) == std::vector<std::byte>(want.begin(), want.end()));
            }
        }
    }
    CHECK(ladders > 40);
}
