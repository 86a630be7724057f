// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_value_tiles_test.cpp
/// Convolutions of 16-bit values in tiles: every tile's kernel makes what the plain kernels make, whatever the shape, what melts in, and the order in which warps and copies run.
#include "../catch.hpp"
#include "fake_device.hpp"

#include <splitdsl/codec/half.hpp>
#include <splitdsl/gpu/value_tiles.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;
using namespace kernels::cudnn;

enum class front { nothing, norm, rectified_norm, factors };
struct case_of {
    const char* name;
    int channels, height, width, outputs, kernel_h, kernel_w, stride, pad, dilation, images;
    int activation{};
    bool adds{};
    front before{front::nothing};
};
/// Less than a slice and a tile, and many slices; windows that lie around the input altogether; rows that no tile divides, of several images; slices whose end is no number's.
constexpr case_of cases[]{{"a point of 64 channels", 64, 5, 4, 16, 1, 1, 1, 0, 1, 1},
                          {"strided 3x3 of three images", 24, 9, 7, 36, 3, 3, 2, 1, 1, 3, 1, true},
                          {"dilated, padded by more than the window", 40, 6, 8, 20, 3, 3, 1, 7, 3, 2, 4},
                          {"one row of seven", 16, 3, 33, 12, 1, 7, 1, 3, 1, 2, 6},
                          {"a deep point", 600, 3, 5, 72, 1, 1, 1, 0, 1, 3, 2, true},
                          {"a deep window", 136, 5, 6, 68, 3, 3, 1, 1, 1, 1, 4, true},
                          {"behind a norm", 88, 7, 7, 40, 1, 1, 1, 0, 1, 2, 1, false, front::norm},
                          {"behind a norm and relu, of every other pixel", 320, 7, 5, 128, 1, 1, 2, 0, 1, 1, 1, false, front::rectified_norm},
                          {"behind factors", 72, 7, 7, 24, 1, 1, 1, 0, 1, 1, 0, true, front::factors}};

/// One layer of 16-bit values, with room behind each of its input's and its result's pixels.
struct subject {
    case_of of;
    element type;
    int out_height, out_width, in_pixel, out_pixel;
    std::vector<std::uint16_t> in, weight, addend, factor;
    std::vector<float> bias, scale, shift;

    subject(const case_of& c, element e, unsigned seed) : of{c}, type{e} {
        const auto extent = [&](int size, int kernel) { return (size + 2 * c.pad - c.dilation * (kernel - 1) - 1) / c.stride + 1; };
        out_height = extent(c.height, c.kernel_h), out_width = extent(c.width, c.kernel_w);
        in_pixel = c.channels + 8, out_pixel = c.outputs + 4;
        std::mt19937 bits{seed};
        std::normal_distribution<float> normal;
        const auto values = [&](int n, float deviation) {
            std::vector<std::uint16_t> v(static_cast<std::size_t>(n));
            for (auto& x : v) x = short_of(deviation * normal(bits));
            return v;
        };
        const auto floats = [&](int n) {
            std::vector<float> v(static_cast<std::size_t>(n));
            for (float& x : v) x = normal(bits);
            return v;
        };
        in = values(c.images * c.height * c.width * in_pixel, 1);
        for (std::size_t i = 0; i < in.size(); ++i)
            if (static_cast<int>(i % static_cast<std::size_t>(in_pixel)) >= c.channels) in[i] = 0x7fff;       // no number
        weight = values(c.outputs * c.kernel_h * c.kernel_w * c.channels, 1 / std::sqrt(static_cast<float>(c.kernel_h * c.kernel_w * c.channels)));
        weight.resize(weight.size() + 64, 0x7fff);
        addend = values(c.images * out_height * out_width * out_pixel, 1);
        factor = values(c.channels, 1);
        bias = floats(c.outputs), scale = floats(c.channels), shift = floats(c.channels);
    }
    std::uint16_t short_of(float x) const { return type == element::f16 ? half_from_float(x) : bfloat_from_float(x); }
    float value_of(std::uint16_t x) const { return type == element::f16 ? float_from_half(x) : float_from_bfloat(x); }
    static device_tensor tensor(const std::vector<std::uint16_t>& v, int height, int width, int pixel) {
        return {const_cast<std::uint16_t*>(v.data()), static_cast<long long>(height) * width * pixel, pixel};
    }
    window_job job(const std::vector<std::uint16_t>& from, const std::vector<std::uint16_t>& out) const {
        return {tensor(from, of.height, of.width, in_pixel), tensor(out, out_height, out_width, out_pixel), weight.data(), bias.data(),
                {of.activation, 0, of.adds ? tensor(addend, out_height, out_width, out_pixel) : device_tensor{}}, of.channels, of.height, of.width, of.outputs, out_height, out_width, of.kernel_h, of.kernel_w,
                of.stride, of.stride, of.pad, of.pad, of.pad, of.pad, of.dilation, of.dilation, 1, 0, 0};
    }
    std::vector<std::uint16_t> result() const { return std::vector<std::uint16_t>(static_cast<std::size_t>(of.images * out_height * out_width * out_pixel), 0xa5a5); }
    /// What the kernels make that no tile is in: the step in front, then the convolution, image after image.
    std::vector<std::uint16_t> wanted() const {
        const auto named = [&](const char* kernel) { return std::string(kernel) + (type == element::f16 ? "_f16" : "_bf16"); };
        std::vector<std::uint16_t> between = in, out = result();
        combine_job c{tensor(in, of.height, of.width, in_pixel), tensor(factor, 1, 1, of.channels), tensor(between, of.height, of.width, in_pixel), scale.data(), shift.data(),
                      {of.before == front::rectified_norm, 0, {}}, of.height * of.width, of.channels, of.before == front::factors ? op_multiply : op_affine, 1};
        window_job j = job(between, out);
        const auto next = [](device_tensor& t) {
            if (t.at) t.at = static_cast<std::uint16_t*>(t.at) + t.image;
        };
        for (int i = 0; i < of.images; ++i) {
            if (of.before != front::nothing) fake::run_kernel(named("combine").c_str(), &c);
            fake::run_kernel(named("convolve").c_str(), &j);
            next(c.a), next(c.out), next(j.in), next(j.out), next(j.then.addend);
        }
        return out;
    }
    std::vector<std::uint16_t> in_tiles(const gpu::value_tile& t, int blocks) const {
        std::vector<std::uint16_t> out = result();
        value_tile_job j = gpu::value_tile_job_of(job(in, out), of.images);
        if (of.before == front::factors) j.factor = factor.data();
        else if (of.before != front::nothing) j.scale = scale.data(), j.shift = shift.data(), j.entry_rectifies = of.before == front::rectified_norm;
        fake::run_kernel(kernel_names[static_cast<int>(t.is(type))], &j, blocks);
        return out;
    }
    /// Largest difference as a share of the range; infinite where something else than a result's channels was written.
    double error(const std::vector<std::uint16_t>& a, const std::vector<std::uint16_t>& b) const {
        float low = std::numeric_limits<float>::infinity(), high = -low, worst = 0;
        for (std::size_t i = 0; i < a.size(); ++i) {
            if (static_cast<int>(i % static_cast<std::size_t>(out_pixel)) >= of.outputs) {
                if (b[i] != 0xa5a5) return std::numeric_limits<double>::infinity();
                continue;
            }
            const float x = value_of(a[i]), d = std::abs(x - value_of(b[i]));
            low = std::min(low, x), high = std::max(high, x), worst = std::isfinite(d) ? std::max(worst, d) : std::numeric_limits<float>::infinity();
        }
        return static_cast<double>(worst) / std::max(1e-6, static_cast<double>(high - low));
    }
};
} // namespace

TEST_CASE("GPU: tiles of every size make of 16-bit values what the plain kernels make, with norms and factors in front of them, in every order of warps and copies") {
    unsigned seed = 1;
    for (const case_of& c : cases)
        for (const element e : {element::f16, element::bf16}) {
            const subject s(c, e, ++seed);
            const auto wanted = s.wanted();
            for (const gpu::value_tile& t : gpu::value_tiles)
                for (const bool last_warp_first : {false, true})
                    for (const bool copies_are_late : {false, true}) {
                        if (last_warp_first != copies_are_late && e == element::bf16) continue;
                        fake::now = {};
                        fake::now.last_warp_first = last_warp_first, fake::now.copies_are_late = copies_are_late;
                        INFO(c.name << ", " << kernel_names[static_cast<int>(t.is(e))] << ", last warp first: " << last_warp_first << ", late copies: " << copies_are_late);
                        // A rounding of the result, and where sums in another order round the other way.
                        CHECK(s.error(wanted, s.in_tiles(t, last_warp_first ? 2 : 3)) <= (e == element::f16 ? 1e-3 : 8e-3));
                        CHECK(fake::now.wrong == "");
                    }
        }
    fake::now = {};
}

TEST_CASE("GPU: the kernels in tiles take no shapes that they would read or write beyond") {
    const convolution_shape fits{.in_channels = 16, .in_height = 7, .in_width = 7, .out_channels = 12, .out_height = 7, .out_width = 7, .in_pixel = 24, .out_pixel = 16, .addend_pixel = 12, .type = element::f16};
    CHECK(gpu::runs_in_value_tiles(fits, 90));
    CHECK(!gpu::runs_in_value_tiles(fits, 75));
    const auto without = [&](auto change) {
        convolution_shape c = fits;
        change(c);
        return !gpu::runs_in_value_tiles(c, 90);
    };
    CHECK(without([](auto& c) { c.type = element::f32; }));
    CHECK(without([](auto& c) { c.groups = 2; }));
    CHECK(without([](auto& c) { c.in_channels = 12; }));
    CHECK(without([](auto& c) { c.in_pixel = 28; }));
    CHECK(without([](auto& c) { c.out_channels = 10; }));
    CHECK(without([](auto& c) { c.out_pixel = 18; }));
    CHECK(without([](auto& c) { c.addend_pixel = 14; }));
    CHECK(without([](auto& c) { c.in_height = c.in_width = 1 << 15; }));
}

TEST_CASE("GPU: small maps are made in small tiles, of which there are enough for a device, and large ones in large tiles") {
    const convolution_shape small{.in_channels = 512, .in_height = 7, .in_width = 7, .out_channels = 512, .out_height = 7, .out_width = 7, .kernel_h = 3, .kernel_w = 3};
    CHECK(gpu::blocks_of(*gpu::value_tiles_for(small, 132).front(), small) == 128);
    const convolution_shape large{.images = 32, .in_channels = 256, .in_height = 56, .in_width = 56, .out_channels = 256, .out_height = 56, .out_width = 56, .kernel_h = 3, .kernel_w = 3};
    CHECK(gpu::value_tiles_for(large, 132).front()->rows == 128);
}
