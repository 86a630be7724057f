// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_byte_tiles_test.cpp
/// Products of bytes on tensor cores: every tile's kernel makes the bytes of the kernel without them, whatever the shape and the order in which warps and copies run.
#include "../catch.hpp"
#include "fake_device.hpp"
#include "own_device.hpp"

#include <splitdsl/gpu/byte_tiles.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;
using namespace kernels::cudnn;

struct case_of {
    const char* name;
    int channels, height, width, outputs, kernel_h, kernel_w, stride, pad, dilation, images;
    bool is_picture{}, adds{};
    int curve{};
};
/// Less than a piece and a slice, and many slices; windows that lie around the input altogether; rows that no tile divides, of several images.
constexpr case_of cases[]{{"a point of 64 channels", 64, 5, 4, 16, 1, 1, 1, 0, 1, 1},
                          {"strided 3x3 of three images", 13, 9, 7, 37, 3, 3, 2, 1, 1, 3, false, true},
                          {"dilated, padded by more than the window", 40, 6, 8, 20, 3, 3, 1, 7, 3, 2, false, false, 4},
                          {"one row of seven", 16, 3, 33, 12, 1, 7, 1, 3, 1, 2, false, false, 5},
                          {"a deep point", 600, 3, 5, 70, 1, 1, 1, 0, 1, 3, false, true},
                          {"a deep window", 130, 5, 6, 66, 3, 3, 1, 1, 1, 1},
                          {"a picture", 3, 23, 19, 64, 7, 7, 2, 3, 1, 2, true},
                          {"a grey picture", 1, 12, 12, 9, 3, 3, 1, 1, 1, 1, true}};

/// One layer with bytes of its own, for both kernels.
struct subject {
    case_of of;
    int out_height, out_width, in_pixel, out_pixel;
    std::vector<unsigned char> in, addend;
    std::vector<signed char> tiles, quads;
    std::vector<int> bias;
    std::vector<float> factor;
    std::vector<byte_terms> terms;

    subject(const case_of& c, unsigned seed) : of{c} {
        const auto extent = [&](int size, int kernel) { return (size + 2 * c.pad - c.dilation * (kernel - 1) - 1) / c.stride + 1; };
        out_height = extent(c.height, c.kernel_h), out_width = extent(c.width, c.kernel_w);
        in_pixel = c.is_picture ? 4 : (c.channels + 15) / 16 * 16, out_pixel = (c.outputs + 15) / 16 * 16;
        std::mt19937 bits{seed};
        const auto bytes = [&](std::size_t n) {
            std::vector<unsigned char> v(n);
            for (auto& x : v) x = static_cast<unsigned char>(bits() % 5 == 0 ? (bits() % 2 == 0 ? 0 : 255) : bits() & 255U);
            return v;
        };
        in = bytes(static_cast<std::size_t>(c.images * c.height * c.width * in_pixel));
        addend = bytes(out_bytes());
        const int taps = c.kernel_h * c.kernel_w, fours = (c.outputs + 3) / 4 * 4, in_fours = (c.channels + 3) / 4 * 4;
        const std::size_t depth = gpu::sixty_fours(static_cast<std::size_t>(taps * in_pixel));
        tiles.assign(static_cast<std::size_t>(c.outputs) * depth, 0);
        quads.assign(static_cast<std::size_t>(taps * in_fours * fours), 0);
        for (int o = 0; o < c.outputs; ++o)
            for (int t = 0; t < taps; ++t)
                for (int k = 0; k < c.channels; ++k) {
                    const auto w = static_cast<signed char>(bits() % 7 == 0 ? (bits() % 2 == 0 ? -128 : 127) : static_cast<int>(bits() % 255) - 127);
                    tiles[static_cast<std::size_t>(o) * depth + static_cast<std::size_t>(t * in_pixel + k)] = w;
                    quads[static_cast<std::size_t>(((t * in_fours / 4 + k / 4) * fours + o) * 4 + k % 4)] = w;
                }
        for (int o = 0; o < fours; ++o) {
            bias.push_back(static_cast<int>(bits() % 200001) - 100000);
            factor.push_back(static_cast<float>(bits() % 400 + 100) * (c.curve ? 1e-6F : 2e-5F) / std::sqrt(static_cast<float>(taps * c.channels)));
        }
        const unsigned zero = 93;
        terms.push_back({11, c.curve ? 0 : 11, 250, 7, 0.37F, c.is_picture ? 0x00307b68U : 0x01010101U * zero, c.curve, c.curve == 5 ? 40.0F : 13.0F});
    }
    std::size_t out_bytes() const { return static_cast<std::size_t>(of.images * out_height * out_width * out_pixel); }
    /// `place`: where a vector's values lie for the kernel.
    template <class Place>
    byte_window_job job(Place place, bool in_tiles, void* out) {
        const auto tensor = [](void* at, int height, int width, int pixel) { return device_tensor{at, static_cast<long long>(height) * width * pixel, pixel}; };
        return {tensor(place(in), of.height, of.width, in_pixel), tensor(out, out_height, out_width, out_pixel), of.adds ? tensor(place(addend), out_height, out_width, out_pixel) : device_tensor{},
                in_tiles ? place(tiles) : place(quads), static_cast<int*>(place(bias)), static_cast<float*>(place(factor)), static_cast<byte_terms*>(place(terms)), of.channels, of.height, of.width, of.outputs, out_height, out_width,
                of.kernel_h, of.kernel_w, of.stride, of.stride, of.pad, of.pad, of.dilation, of.dilation};
    }
};
void* here(auto& v) { return v.data(); }
constexpr std::size_t guard = 64;           // bytes behind a result that stay as they are
constexpr unsigned char untouched = 0xa5;

/// What the kernel without tensor cores makes, image after image.
std::vector<unsigned char> wanted_of(subject& s) {
    std::vector<unsigned char> out(s.out_bytes() + guard, untouched);
    byte_window_job j = s.job([](auto& v) { return here(v); }, false, out.data());
    for (int i = 0; i < s.of.images; ++i) {
        fake::run_kernel("convolve_bytes", &j);
        j.in.at = static_cast<unsigned char*>(j.in.at) + j.in.image, j.out.at = static_cast<unsigned char*>(j.out.at) + j.out.image;
        if (j.addend.at) j.addend.at = static_cast<unsigned char*>(j.addend.at) + j.addend.image;
    }
    return out;
}
/// Bytes behind a pixel's last channel may hold anything, to fours.
bool same_bytes(const subject& s, const std::vector<unsigned char>& a, const std::vector<unsigned char>& b) {
    bool same = a.size() == b.size() && std::equal(a.begin() + static_cast<std::ptrdiff_t>(s.out_bytes()), a.end(), b.begin() + static_cast<std::ptrdiff_t>(s.out_bytes()));
    for (std::size_t i = 0; same && i < s.out_bytes(); ++i) same = static_cast<int>(i % static_cast<std::size_t>(s.out_pixel)) >= s.of.outputs || a[i] == b[i];
    return same;
}
std::vector<gpu::byte_tile> tiles_for(const case_of& c) {
    if (c.is_picture) return {gpu::picture_tile};
    return {std::begin(gpu::byte_tiles), std::end(gpu::byte_tiles)};
}
/// Calls `act` in every order in which the warps of a block, and copies into shared memory, may run.
void in_every_order(const std::function<void()>& act) {
    for (const bool last_warp_first : {false, true})
        for (const bool copies_are_late : {false, true}) {
            fake::now = {};
            fake::now.last_warp_first = last_warp_first, fake::now.copies_are_late = copies_are_late;
            INFO("last warp first: " << last_warp_first << ", late copies: " << copies_are_late);
            act();
        }
    fake::now = {};
}
void* address(device_address a) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(a)); }

struct dense_subject {
    int inputs{150}, units{19}, frames{11};
    std::vector<unsigned char> in;
    std::vector<signed char> weight;
    std::vector<int> bias;
    std::vector<float> factor;
    explicit dense_subject(unsigned seed) {
        std::mt19937 bits{seed};
        const std::size_t pixel = 160, depth = 192;
        for (std::size_t i = 0; i < pixel * static_cast<std::size_t>(frames); ++i) in.push_back(static_cast<unsigned char>(bits()));
        weight.assign(depth * static_cast<std::size_t>(units), 0);
        for (int u = 0; u < units; ++u)
            for (int k = 0; k < inputs; ++k) weight[static_cast<std::size_t>(u) * depth + static_cast<std::size_t>(k)] = static_cast<signed char>(bits());
        for (int u = 0; u < (units + 3) / 4 * 4; ++u) {
            bias.push_back(static_cast<int>(bits() % 2001) - 1000);
            factor.push_back(static_cast<float>(bits() % 1000 + 1) * 1e-6F);
        }
    }
};
} // namespace

TEST_CASE("GPU: tiles of every size make the bytes of the kernel without tensor cores, in every order of warps and copies") {
    unsigned seed = 1;
    for (const case_of& c : cases) {
        subject s(c, ++seed);
        const auto wanted = wanted_of(s);
        std::vector<int> seen(256);
        for (std::size_t i = 0; i < s.out_bytes(); ++i) ++seen[wanted[i]];
        CHECK(std::count_if(seen.begin(), seen.end(), [](int n) { return n > 0; }) > 20);
        for (const gpu::byte_tile& t : tiles_for(c))
            in_every_order([&] {
                INFO(c.name << ", " << kernel_names[static_cast<int>(t.is)]);
                std::vector<unsigned char> out(s.out_bytes() + guard, untouched);
                const byte_tile_job j = gpu::byte_tile_job_of(s.job([](auto& v) { return here(v); }, true, out.data()), c.images);
                fake::run_kernel(kernel_names[static_cast<int>(t.is)], &j, 3);
                CHECK(same_bytes(s, wanted, out));
            });
    }
}

TEST_CASE("GPU: a dense layer of several frames in tiles has the values of the kernel for one frame") {
    dense_subject s(3);
    for (const std::string type : {"_f32", "_f16", "_bf16"}) {
        const std::size_t each = type == "_f32" ? 4 : 2, frame = each * static_cast<std::size_t>(s.units);
        std::vector<std::byte> wanted(frame * static_cast<std::size_t>(s.frames) + guard, std::byte{untouched});
        for (int i = 0; i < s.frames; ++i) {
            const byte_dense_job d{{s.in.data() + 160 * i, 160, 160}, {wanted.data() + frame * static_cast<std::size_t>(i), s.units, s.units}, s.weight.data(), s.bias.data(), s.factor.data(), s.inputs, s.units, 1, 0};
            fake::run_kernel(("multiply_rows_of_bytes" + type).c_str(), &d);
        }
        in_every_order([&] {
            std::vector<std::byte> out(wanted.size(), std::byte{untouched});
            byte_tile_job j = gpu::byte_tile_job_of({{s.in.data(), 160, 160}, {out.data(), s.units, s.units}, {}, s.weight.data(), s.bias.data(), s.factor.data(), nullptr, s.inputs, 1, 1, s.units, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1}, s.frames);
            j.activation = 1;
            fake::run_kernel(("multiply_row_tiles" + type).c_str(), &j);
            CHECK(out == wanted);
        });
    }
}

TEST_CASE("GPU: on this machine's own device tiles of every size make the host's bytes") {
    auto& on = gpu_tests::own_device();
    if (!on) return;
    if (on->compute_capability() < gpu::tiles_need) {
        std::puts("SKIPPED: no tensor cores for bytes");
        return;
    }
    on->use();
    const device_stream stream{*on};
    unsigned seed = 50;
    for (const case_of& c : cases) {
        subject s(c, ++seed);
        const auto wanted = wanted_of(s);
        for (const gpu::byte_tile& t : tiles_for(c)) {
            INFO(c.name << ", " << kernel_names[static_cast<int>(t.is)]);
            std::vector<device_memory> there;
            std::vector<unsigned char> out(wanted.size(), untouched);
            const auto place = [&](auto& v) {
                const std::size_t bytes = v.size() * sizeof v[0];
                there.emplace_back(*on, bytes).fill_from(v.data(), bytes);
                return address(there.back().at());
            };
            void* const result = place(out);
            byte_tile_job j = gpu::byte_tile_job_of(s.job(place, true, result), c.images);
            void* parameters[]{&j};
            const auto blocks = static_cast<unsigned>(gpu::tiles_of(t, j.rows, c.outputs));
            on->expect(on->driver().launch(on->function(t.is, element::f32), blocks, 1, 1, 256, 1, 1, 0, stream.get(), parameters, nullptr), "starting a kernel");
            const pinned_memory back{*on, out.size()};
            on->expect(on->driver().copy_out_async(back.data(), there.front().at(), out.size(), stream.get()), "copying");
            on->expect(on->driver().wait(stream.get()), "waiting");
            std::memcpy(out.data(), back.data(), out.size());
            CHECK(same_bytes(s, wanted, out));
        }
    }
}

TEST_CASE("GPU: the made-up device multiplies fragments as the PTX manual lays them out") {
    std::mt19937 bits{17};
    fake::warp_product p{};
    for (auto& row : p.a)
        for (auto& x : row) x = static_cast<unsigned char>(bits());
    for (auto& row : p.b)
        for (auto& x : row) x = static_cast<signed char>(bits());
    for (auto& row : p.c)
        for (auto& x : row) x = static_cast<int>(bits() % 1000);
    const fake::warp_product before = p;
    fake::multiply_in_warp(p);
    for (int r = 0; r < 16; ++r)
        for (int c = 0; c < 8; ++c) {
            int wanted = before.c[r][c];
            for (int k = 0; k < 32; ++k) wanted += before.a[r][k] * before.b[k][c];
            CHECK(p.c[r][c] == wanted);
        }
}

TEST_CASE("GPU: a layer's tile is the one that keeps the multiprocessors busy, and always the same") {
    const auto tile = [](int side, int images, int columns, int depth, int multiprocessors) {
        const gpu::byte_tile& t = gpu::byte_tile_for(static_cast<long long>(images) * side * side, columns, depth, multiprocessors);
        return std::pair{t.rows, t.columns};
    };
    using pair = std::pair<int, int>;
    CHECK(tile(7, 1, 512, 4608, 132) == pair{16, 16});      // 128 blocks
    CHECK(tile(14, 1, 256, 2304, 132) == pair{16, 32});     // 104
    CHECK(tile(28, 1, 128, 1152, 132) == pair{32, 32});     // 100
    CHECK(tile(56, 1, 64, 576, 132) == pair{64, 32});       // 98
    CHECK(tile(56, 32, 64, 576, 132) == pair{128, 64});     // 784
    CHECK(tile(7, 1, 512, 4608, 0) == tile(7, 1, 512, 4608, 1));
    for (const gpu::byte_tile& t : gpu::byte_tiles) {       // as the kernel's name says
        const std::string name = kernel_names[static_cast<int>(t.is)];
        CHECK(name == "convolve_tiles_" + std::to_string(t.rows) + "x" + std::to_string(t.columns));
    }
}

TEST_CASE("GPU: divisions by a layer's taps are exact wherever a layer may run in tiles") {
    std::mt19937 bits{7};
    for (int by = 1; by < 3000; by += by < 70 ? 1 : 61) {
        const unsigned r = gpu::reciprocal(by);
        const auto check = [&](long long i) { return static_cast<long long>((static_cast<unsigned long long>(i) * r) >> 31) == i / by; };
        const long long end = (1LL << 31) / by;
        bool exact = true;
        for (long long i = 0; i < std::min(end, 3000LL); ++i) exact = exact && check(i);
        for (int k = 0; k < 200; ++k) {
            const long long i = static_cast<long long>(bits()) % end;
            exact = exact && check(i) && check(i / by * by) && check(std::max(0LL, i / by * by - 1));
        }
        CHECK(exact);
    }
}
