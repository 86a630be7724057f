// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_layers.hpp
/// How long convolutions of bytes take on a GPU, layer by layer: without tensor cores, and in tiles of every size beside the one that is chosen.
#pragma once

#include <splitdsl/gpu/byte_tiles.hpp>
#include <splitdsl/gpu/recorder.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

namespace on_gpu {

struct byte_layer {
    int side, channels, outputs, kernel, stride;
    bool is_picture{};
};
/// ResNet-50's, then MobileNetV2's.
inline constexpr byte_layer byte_layers[]{{224, 3, 64, 7, 2, true}, {56, 64, 64, 1, 1},   {56, 64, 64, 3, 1},   {56, 64, 256, 1, 1},  {28, 128, 128, 3, 1},       {28, 512, 128, 1, 1}, {14, 256, 256, 3, 1},
                                          {14, 256, 1024, 1, 1},    {14, 1024, 256, 1, 1}, {7, 512, 512, 3, 1},  {7, 512, 2048, 1, 1}, {7, 2048, 512, 1, 1},       {224, 3, 32, 3, 2, true},
                                          {112, 32, 16, 1, 1},      {56, 24, 144, 1, 1},   {56, 144, 24, 1, 1}, {14, 96, 576, 1, 1},  {14, 576, 96, 1, 1},        {7, 960, 320, 1, 1}, {7, 320, 1280, 1, 1}};

/// Prints a line for each layer and number of frames: microseconds of a launch among twenty, the least of some replays.
inline nlohmann::json time_byte_layers(const splitdsl::kernels::cudnn::device& on) {
    using namespace splitdsl::kernels::cudnn;
    using splitdsl::gpu::byte_tile;
    using clock_type = std::chrono::steady_clock;
    constexpr int launches = 20, threads = splitdsl::gpu::recorder::threads;
    const device_stream stream{on};
    const auto pointer = [](const device_memory& m) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(m.at())); };
    const auto microseconds = [&](kernel k, auto job, long long blocks, int images) {
        void* parameters[]{&job};
        const auto wide = static_cast<unsigned>(std::clamp<long long>(blocks, 1, 65535));
        const device_graph graph{on, stream, [&] {
            for (int i = 0; i < launches; ++i) on.expect(on.driver().launch(on.function(k, element::f32), wide, static_cast<unsigned>(images), 1, threads, 1, 1, 0, stream.get(), parameters, nullptr), "starting a kernel");
            return true;
        }};
        double least = 1e300;
        for (int round = 0; round < 6; ++round) {
            const auto begun = clock_type::now();
            on.expect(graph.launch(stream), "replaying a graph");
            on.expect(on.driver().wait(stream.get()), "waiting");
            if (round > 0) least = std::min(least, std::chrono::duration<double, std::micro>(clock_type::now() - begun).count() / launches);
        }
        return least;
    };
    nlohmann::json rows = nlohmann::json::array();
    std::printf("%-28s %6s %9s  tiles: microseconds (* chosen)\n", "layer", "frames", "dp4a");
    for (const int images : {1, 32})
        for (const byte_layer& l : byte_layers) {
            const int pixel = l.is_picture ? 4 : (l.channels + 15) / 16 * 16, out_pixel = (l.outputs + 15) / 16 * 16, side = (l.side - 1) / l.stride + 1, taps = l.kernel * l.kernel;
            const auto count = [](auto... n) { return (static_cast<std::size_t>(n) * ...); };
            const device_memory in{on, count(images, l.side, l.side, pixel)}, out{on, count(images, side, side, out_pixel)}, sums{on, count(8, out_pixel)}, terms{on, sizeof(byte_terms)},
                weight{on, count(out_pixel, splitdsl::gpu::sixty_fours(count(taps, pixel)))};
            const byte_window_job w{{pointer(in), 1LL * l.side * l.side * pixel, pixel}, {pointer(out), 1LL * side * side * out_pixel, out_pixel}, {}, pointer(weight), static_cast<int*>(pointer(sums)),
                                    static_cast<float*>(pointer(sums)) + out_pixel, static_cast<byte_terms*>(pointer(terms)), l.channels, l.side, l.side, l.outputs, side, side, l.kernel, l.kernel, l.stride, l.stride,
                                    l.kernel / 2, l.kernel / 2, 1, 1};
            const byte_tile_job j = splitdsl::gpu::byte_tile_job_of(w, images);
            const std::string name = std::to_string(l.kernel) + "x" + std::to_string(l.kernel) + (l.stride > 1 ? "s2 " : " ") + std::to_string(l.channels) + ">" + std::to_string(l.outputs) + " @" + std::to_string(l.side);
            const long long items = (static_cast<long long>(side) * side + 3) / 4 * ((l.outputs + 3) / 4);
            const double plain = microseconds(kernel::convolve_bytes, w, std::min<long long>((items + threads - 1) / threads, std::max(1, 32 * on.multiprocessors() / images)), images);
            nlohmann::json row{{"layer", name}, {"frames", images}, {"dp4a_us", plain}, {"tiles_us", nlohmann::json::object()}};
            std::printf("%-28s %6d %9.2f ", name.c_str(), images, plain);
            const auto timed = [&](const byte_tile& t, bool is_chosen) {
                const double us = on.compute_capability() < splitdsl::gpu::tiles_need ? 0 : microseconds(t.is, j, splitdsl::gpu::tiles_of(t, j.rows, l.outputs), 1);
                const std::string tile = std::to_string(t.rows) + "x" + std::to_string(t.columns);
                row["tiles_us"][tile] = us;
                if (is_chosen) row["chosen"] = tile;
                std::printf(" %s %.2f%s", tile.c_str(), us, is_chosen ? "*" : "");
            };
            if (l.is_picture) timed(splitdsl::gpu::picture_tile, true);
            else
                for (const byte_tile& t : splitdsl::gpu::byte_tiles) timed(t, t.is == splitdsl::gpu::byte_tile_for(j.rows, l.outputs, j.depth, on.multiprocessors()).is);
            std::printf("\n");
            rows.push_back(row);
        }
    return rows;
}

} // namespace on_gpu
