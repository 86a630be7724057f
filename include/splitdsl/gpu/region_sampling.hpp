// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file region_sampling.hpp
/// RoIAlign on the device that made the maps: they are read where the network left them, only boxes go there and samples come back.
#pragma once

#include <splitdsl/detect/region_sampler.hpp>
#include <splitdsl/detect/two_stage.hpp>
#include <splitdsl/gpu/gpu_pipeline.hpp>

#include <algorithm>
#include <cstring>

namespace splitdsl::gpu {

/// What a `region_sampling` has room for.
struct region_room {
    std::size_t regions{1000};
    int channels{256}, cells{7};            ///< of the maps; of a region's side
};

/// Samples maps among the outputs of the last frame that ran in `arena`. Memory is taken at construction, which throws `device_error`; `sample`
/// allocates nothing. It must not outlive the engine.
///
/// ```cpp
/// const gpu::gpu_pipeline<zoo::faster_rcnn_resnet50_fpn<>> first{gpu};
/// gpu::region_sampling sampler{first.runs_on(), arena.data()};
/// run(first.net(), picture, pyramid);
/// const auto regions = post.regions(pyramid.data(), columns.data(), &sampler);
/// ```
class region_sampling final : public detect::region_sampler {
public:
    region_sampling(const gpu_engine& of, const std::byte* in_arena, const region_room& most = {})
        : engine{of}, arena{in_arena}, room{most}, boxes{of.device(), sizeof(detect::box) * most.regions}, places{of.device(), sizeof(int) * most.regions},
          samples{of.device(), sizeof(float) * values() * most.regions}, boxes_here{of.device(), sizeof(detect::box) * most.regions}, places_here{of.device(), sizeof(int) * most.regions},
          samples_here{of.device(), sizeof(float) * values() * most.regions} {}

    bool sample(std::span<const detect::feature_map> maps, std::span<const detect::box> regions, const detect::roi_align& how, float* out, std::size_t capacity) noexcept override {
        if (regions.empty()) return true;
        if (maps.empty() || regions.size() > room.regions || how.cells() > room.cells) return false;
        for (const detect::feature_map& m : maps)
            if (m.channels != maps[0].channels || m.channels > room.channels || engine.left_at(arena, m.values, values_of(m)) == 0) return false;
        const std::size_t n = regions.size(), rows = static_cast<std::size_t>(maps[0].channels) * static_cast<std::size_t>(how.cells()) * static_cast<std::size_t>(how.cells());
        if (const int status = start(maps, regions, how, rows); status != cudnn::driver_ok) {
            engine.fail(status, "sampling regions");
            return false;
        }
        const auto* from = reinterpret_cast<const float*>(samples_here.data());
        for (std::size_t k = 0; k < rows; ++k) std::memcpy(out + k * capacity, from + k * n, sizeof(float) * n);
        return true;
    }

private:
    static std::size_t values_of(const detect::feature_map& m) { return static_cast<std::size_t>(m.channels) * static_cast<std::size_t>(m.height) * static_cast<std::size_t>(m.width); }
    std::size_t values() const { return static_cast<std::size_t>(room.channels) * static_cast<std::size_t>(room.cells) * static_cast<std::size_t>(room.cells); }
    static void* pointer(cudnn::device_address at) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(at)); }

    /// One launch a map, of the regions that its level fits; samples come back as (values, regions).
    int start(std::span<const detect::feature_map> maps, std::span<const detect::box> regions, const detect::roi_align& how, std::size_t rows) const noexcept {
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
            job.in = static_cast<const float*>(pointer(engine.left_at(arena, m.values, values_of(m)))), job.out = static_cast<float*>(pointer(samples.at()));
            job.boxes = static_cast<const float*>(pointer(boxes.at() + sizeof(detect::box) * first)), job.place = static_cast<const int*>(pointer(places.at() + sizeof(int) * first));
            job.step = static_cast<long long>(n);
            job.channels = m.channels, job.height = m.height, job.width = m.width, job.scale = m.scale;
            job.regions = static_cast<int>(last - first), job.rows = job.columns = how.cells(), job.samples = how.samples_a_side(), job.aligned = how.half_pixel();
            void* parameters[]{&job};
            const std::size_t items = rows * (last - first), most = 32 * static_cast<std::size_t>(std::max(gpu.multiprocessors(), 1));
            const auto blocks = static_cast<unsigned>(std::clamp<std::size_t>((items + 255) / 256, 1, most));
            go_on(driver.launch(gpu.function(cudnn::kernel::align_regions, cudnn::element::f32), blocks, 1, 1, 256, 1, 1, 0, stream, parameters, nullptr));
            first = last;
        }
        go_on(driver.copy_out_async(samples_here.data(), samples.at(), sizeof(float) * rows * n, stream));
        go_on(driver.wait(stream));
        return status;
    }

    const gpu_engine& engine;
    const std::byte* arena;
    region_room room;
    cudnn::device_memory boxes, places, samples;
    cudnn::pinned_memory boxes_here, places_here, samples_here;
};

} // namespace splitdsl::gpu
