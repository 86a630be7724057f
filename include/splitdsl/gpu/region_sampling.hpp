// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file region_sampling.hpp
/// RoIAlign on the device that made the maps: they are read where the network left them, only boxes go there, and samples come back or into the next network.
#pragma once

#include <splitdsl/detect/region_sampler.hpp>
#include <splitdsl/detect/two_stage.hpp>
#include <splitdsl/gpu/gpu_pipeline.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

namespace splitdsl::gpu {

/// What a `region_sampling` has room for.
struct region_room {
    std::size_t regions{1000};
    int channels{256}, cells{7};            ///< of the maps; of a region's side
};
/// The network that reads the samples, with `gpu_options::outputs_stay` and on the same device: from its second frame in `arena` on they go straight into its input.
struct region_target {
    const gpu_engine* network{};
    const std::byte* arena{};
    std::size_t input{};
};

/// Samples maps among the outputs of the last frame that ran in `arena`. Memory is taken at construction, which throws `device_error`; `sample`
/// allocates nothing. It must not outlive the engines. The frame stays in `arena` until the outputs of the network that reads the samples were used: where the processor runs
/// that one, it samples again.
///
/// ```cpp
/// const gpu::gpu_pipeline<zoo::faster_rcnn_resnet50_fpn<>> first{gpu, {.outputs_stay = true}};
/// const gpu::gpu_pipeline<zoo::faster_rcnn_regions<>> second{gpu, {.outputs_stay = true}};
/// gpu::region_sampling sampler{first.runs_on(), arena.data(), {}, {&second.runs_on(), second_arena.data()}};
/// run(first.net(), picture, pyramid);
/// const auto regions = post.regions(pyramid.data(), columns.data(), &sampler);
/// ```
class region_sampling final : public detect::region_sampler, private input_source {
public:
    region_sampling(const gpu_engine& of, const std::byte* in_arena, const region_room& most = {}, const region_target& into = {})
        : engine{of}, arena{in_arena}, room{most}, target{into}, boxes{of.device(), sizeof(detect::box) * most.regions}, places{of.device(), sizeof(int) * most.regions},
          samples{of.device(), sizeof(float) * values() * most.regions}, boxes_here{of.device(), sizeof(detect::box) * most.regions}, places_here{of.device(), sizeof(int) * most.regions},
          samples_here{of.device(), sizeof(float) * values() * most.regions} {}

    bool sample(std::span<const detect::feature_map> maps, std::span<const detect::box> regions, const detect::roi_align& how, float* out, std::size_t capacity) noexcept override {
        if (target.network) target.network->withdraw_input(target.arena, target.input);
        if (regions.empty()) return true;
        if (!takes(maps, regions, how)) return engine.fetch_outputs(arena), false;
        const std::size_t n = regions.size(), rows = static_cast<std::size_t>(maps[0].channels) * static_cast<std::size_t>(how.cells()) * static_cast<std::size_t>(how.cells());
        const bool is_near = target.network && &target.network->device() == &engine.device() && maps.size() <= placed.maps.size();
        const cudnn::device_address into = is_near ? target.network->input_at(target.arena, target.input, sizeof(float) * rows * capacity) : 0;
        if (const int status = start(maps, regions, how, rows, into, capacity); status != cudnn::driver_ok) {
            engine.fail(status, "sampling regions");
            return engine.fetch_outputs(arena), false;
        }
        if (into != 0) {
            std::copy(maps.begin(), maps.end(), placed.maps.begin());
            placed.levels = maps.size(), placed.regions = n, placed.out = out, placed.capacity = capacity;
            placed.cells = how.cells(), placed.samples = how.samples_a_side(), placed.half_pixel = how.half_pixel();
            target.network->place_input(target.arena, target.input, out, *this);
            return true;
        }
        const auto* from = reinterpret_cast<const float*>(samples_here.data());
        for (std::size_t k = 0; k < rows; ++k) std::memcpy(out + k * capacity, from + k * n, sizeof(float) * n);
        return true;
    }

private:
    bool takes(std::span<const detect::feature_map> maps, std::span<const detect::box> regions, const detect::roi_align& how) const noexcept {
        if (maps.empty() || regions.size() > room.regions || how.cells() > room.cells) return false;
        return std::all_of(maps.begin(), maps.end(), [&](const detect::feature_map& m) {
            return m.channels == maps[0].channels && m.channels <= room.channels && engine.left_at(arena, m.values, values_of(m)) != 0;
        });
    }
    static std::size_t values_of(const detect::feature_map& m) { return static_cast<std::size_t>(m.channels) * static_cast<std::size_t>(m.height) * static_cast<std::size_t>(m.width); }
    std::size_t values() const { return static_cast<std::size_t>(room.channels) * static_cast<std::size_t>(room.cells) * static_cast<std::size_t>(room.cells); }
    static void* pointer(cudnn::device_address at) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(at)); }

    /// The processor runs the frame that was to read the samples there.
    void bring() noexcept override {
        engine.fetch_outputs(arena);
        try {
            detect::roi_align align(placed.cells, placed.samples, placed.half_pixel);
            for (std::size_t i = 0; i < placed.regions; ++i) {
                const detect::box& region = reinterpret_cast<const detect::box*>(boxes_here.data())[i];
                const int level = detect::pyramid_level(region, 2, 1 + static_cast<int>(placed.levels));
                align(placed.maps[static_cast<std::size_t>(level) - 2], region, placed.out + reinterpret_cast<const int*>(places_here.data())[i], placed.capacity);
            }
        } catch (const std::bad_alloc&) {
            engine.fail(cudnn::driver_out_of_memory, "sampling regions again");
        }
    }

    /// One launch a map, of the regions that its level fits; samples come back as (values, regions), or go to `into` as (values, capacity).
    int start(std::span<const detect::feature_map> maps, std::span<const detect::box> regions, const detect::roi_align& how, std::size_t rows, cudnn::device_address into,
              std::size_t capacity) const noexcept {
        const cudnn::device& gpu = engine.device();
        const cudnn::driver_api& driver = gpu.driver();
        const cudnn::handle stream = engine.stream_of(arena);
        auto* const box_at = reinterpret_cast<detect::box*>(boxes_here.data());
        auto* const place_at = reinterpret_cast<int*>(places_here.data());
        const int deepest = 1 + static_cast<int>(maps.size());
        std::size_t n = 0;
        const auto list = [&](std::size_t map) {
            for (std::size_t i = 0; i < regions.size(); ++i)
                if (static_cast<std::size_t>(detect::pyramid_level(regions[i], 2, deepest)) == map + 2) box_at[n] = regions[i], place_at[n++] = static_cast<int>(i);
        };
        for (std::size_t map = 0; map < maps.size(); ++map) list(map);
        int status = gpu.use();
        const auto go_on = [&](int seen) { status = status == cudnn::driver_ok ? seen : status; };
        go_on(driver.copy_in_async(boxes.at(), boxes_here.data(), sizeof(detect::box) * n, stream));
        go_on(driver.copy_in_async(places.at(), places_here.data(), sizeof(int) * n, stream));
        for (std::size_t map = 0, first = 0; map < maps.size(); ++map) {
            const detect::feature_map& m = maps[map];
            std::size_t last = first;
            while (last < n && static_cast<std::size_t>(detect::pyramid_level(box_at[last], 2, deepest)) == map + 2) ++last;
            if (last == first) continue;
            cudnn::region_job job{};
            job.in = static_cast<const float*>(pointer(engine.left_at(arena, m.values, values_of(m)))), job.out = static_cast<float*>(pointer(into != 0 ? into : samples.at()));
            job.boxes = static_cast<const float*>(pointer(boxes.at() + sizeof(detect::box) * first)), job.place = static_cast<const int*>(pointer(places.at() + sizeof(int) * first));
            job.step = static_cast<long long>(into != 0 ? capacity : n);
            job.channels = m.channels, job.height = m.height, job.width = m.width, job.scale = m.scale;
            job.regions = static_cast<int>(last - first), job.rows = job.columns = how.cells(), job.samples = how.samples_a_side(), job.aligned = how.half_pixel();
            void* parameters[]{&job};
            const std::size_t items = rows * (last - first), most = 32 * static_cast<std::size_t>(std::max(gpu.multiprocessors(), 1));
            const auto blocks = static_cast<unsigned>(std::clamp<std::size_t>((items + 255) / 256, 1, most));
            go_on(driver.launch(gpu.function(cudnn::kernel::align_regions, cudnn::element::f32), blocks, 1, 1, 256, 1, 1, 0, stream, parameters, nullptr));
            first = last;
        }
        if (into == 0) go_on(driver.copy_out_async(samples_here.data(), samples.at(), sizeof(float) * rows * n, stream));
        go_on(driver.wait(stream));
        return status;
    }

    const gpu_engine& engine;
    const std::byte* arena;
    region_room room;
    region_target target;
    /// What was sampled into the target.
    struct {
        std::array<detect::feature_map, 8> maps{};
        std::size_t levels{}, regions{}, capacity{};
        float* out{};
        int cells{}, samples{};
        bool half_pixel{};
    } placed;
    cudnn::device_memory boxes, places, samples;
    cudnn::pinned_memory boxes_here, places_here, samples_here;
};

} // namespace splitdsl::gpu
