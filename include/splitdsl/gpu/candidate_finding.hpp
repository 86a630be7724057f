// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file candidate_finding.hpp
/// A detector's candidates, found on the device that made its outputs: only those that suppression looks at come back.
#pragma once

#include <splitdsl/detect/candidates.hpp>
#include <splitdsl/gpu/gpu_pipeline.hpp>

#include <algorithm>
#include <cstring>
#include <string>

namespace splitdsl::gpu {

/// Finds candidates in the outputs of the last frame that ran in `arena`: softmax, threshold, the surest of each class or level, decoding, cutting to the
/// picture. Memory is taken at construction, which throws `device_error`, or `option_error` for a head of more than 8 levels; `find` allocates nothing. It must
/// not outlive the engine. The candidates have the processor's bits where its code is compiled without contraction of a * b + c.
///
/// With `gpu_options::outputs_stay` nothing but candidates comes back. The processor finds them where the last frame of that arena did not run on the device, and where
/// the device fails.
///
/// ```cpp
/// auto post = zoo::ssd300_postprocess();
/// const gpu::gpu_pipeline<zoo::ssd300_vgg16<>> on_gpu{gpu, {.outputs_stay = true}};
/// gpu::candidate_finding finder{on_gpu.runs_on(), arena.data(), post.shot.plan()};
/// run(on_gpu.net(), picture, outputs);
/// for (const detect::detection& d : post(outputs.data(), &finder)) draw(d);
/// ```
class candidate_finding final : public detect::candidate_finder {
public:
    candidate_finding(const gpu_engine& of, const std::byte* in_arena, const detect::candidate_plan& what)
        : engine{of}, arena{in_arena}, plan{what}, most{std::min(what.items(), static_cast<std::size_t>(what.most))}, header{(sizeof(int) * groups() + 7) / 8 * 8} {
        if (plan.levels.size() > cudnn::most_head_parts)
            throw option_error("candidate_finding: a head of at most " + std::to_string(static_cast<int>(cudnn::most_head_parts)) + " levels was expected, found " + std::to_string(plan.levels.size()));
        const cudnn::device& gpu = engine.device();
        const std::size_t boxes = plan.boxes();
        starts = {gpu, sizeof(detect::box) * boxes};
        if (of_regions()) starts_here = {gpu, sizeof(detect::box) * boxes};
        else starts.fill_from(plan.starts.data(), sizeof(detect::box) * boxes);
        if (has_classes()) scores = {gpu, sizeof(float) * boxes * static_cast<std::size_t>(plan.classes)};
        chosen = {gpu, sizeof(int) * most * groups()};
        values = {gpu, sizeof(float) * most * groups()};
        const std::size_t bytes = header + sizeof(detect::candidate) * plan.room();
        made = {gpu, bytes};
        here = {gpu, bytes};
    }

    bool find(const detect::candidate_plan& asked, std::span<const float* const> logits, std::span<const float* const> offsets, std::span<const detect::box> regions,
              detect::candidate_lists& found) noexcept override {
        const std::size_t boxes = of_regions() ? regions.size() : plan.boxes();
        cudnn::class_score_job all{};
        if (is_other(asked) || boxes > plan.boxes() || !place(logits, offsets, all.parts)) return engine.fetch_outputs(arena), false;
        found = {};
        if (boxes == 0) return true;
        all.part_count = static_cast<int>(plan.levels.size()), all.boxes = static_cast<int>(boxes), all.classes = plan.classes;
        if (const int status = start(all, regions); status != cudnn::driver_ok) {
            engine.fail(status, "finding candidates");
            return engine.fetch_outputs(arena), false;
        }
        found.counts = {reinterpret_cast<const int*>(here.data()), groups()};
        found.all = {reinterpret_cast<detect::candidate*>(here.data() + header), count()};
        return true;
    }

private:
    static constexpr int threads = 256, wide = 1024;
    static constexpr std::size_t first_copied = 1024;       ///< candidates that come with their counts; more are a second copy

    bool of_regions() const { return plan.what == detect::candidate_plan::rule::of_regions; }
    bool has_classes() const { return plan.what != detect::candidate_plan::rule::of_each_level; }
    std::size_t groups() const { return static_cast<std::size_t>(plan.groups()); }
    /// Of the last frame.
    std::size_t count() const noexcept {
        std::size_t n = 0;
        for (std::size_t g = 0; g < groups(); ++g) n += static_cast<std::size_t>(reinterpret_cast<const int*>(here.data())[g]);
        return n;
    }
    bool is_other(const detect::candidate_plan& asked) const noexcept {
        const auto same_box = [](const detect::head_level& a, const detect::head_level& b) { return a.height == b.height && a.width == b.width && a.shapes == b.shapes; };
        return asked.what != plan.what || asked.classes != plan.classes || asked.most != plan.most || asked.score != plan.score || asked.width != plan.width || asked.height != plan.height
            || !std::equal(asked.levels.begin(), asked.levels.end(), plan.levels.begin(), plan.levels.end(), same_box) || asked.starts.size() != plan.starts.size();
    }
    template <class T>
    static T* pointer(cudnn::device_address at) { return reinterpret_cast<T*>(static_cast<std::uintptr_t>(at)); }

    /// Where each level's outputs stand on the device; false: not there.
    bool place(std::span<const float* const> logits, std::span<const float* const> offsets, cudnn::head_part* parts) const noexcept {
        if (logits.size() != plan.levels.size() || offsets.size() != plan.levels.size()) return false;
        std::size_t first = 0;
        for (std::size_t i = 0; i < plan.levels.size(); ++i) {
            const detect::head_level& l = plan.levels[i];
            const std::size_t classes = static_cast<std::size_t>(plan.classes), boxed = of_regions() ? classes : 1;
            const cudnn::device_address a = engine.left_at(arena, logits[i], l.boxes() * classes), b = engine.left_at(arena, offsets[i], l.boxes() * 4 * boxed);
            if (a == 0 || b == 0) return false;
            parts[i] = {pointer<const float>(a), pointer<const float>(b), static_cast<long long>(l.cells()), l.shapes, static_cast<int>(first)};
            first += l.boxes();
        }
        return true;
    }

    int start(const cudnn::class_score_job& all, std::span<const detect::box> regions) const noexcept {
        const cudnn::device& gpu = engine.device();
        const cudnn::driver_api& driver = gpu.driver();
        const cudnn::handle stream = engine.stream_of(arena);
        int status = gpu.use();
        const auto go_on = [&](int seen) { status = status == cudnn::driver_ok ? seen : status; };
        const auto launch = [&](cudnn::kernel k, auto job, std::size_t blocks, int of) {
            void* parameters[]{&job};
            if (status == cudnn::driver_ok)
                status = driver.launch(gpu.function(k, cudnn::element::f32), static_cast<unsigned>(blocks), 1, 1, static_cast<unsigned>(of), 1, 1, 0, stream, parameters, nullptr);
        };
        if (of_regions()) {
            std::memcpy(starts_here.data(), regions.data(), regions.size_bytes());
            go_on(driver.copy_in_async(starts.at(), starts_here.data(), regions.size_bytes(), stream));
        }
        if (has_classes()) {
            cudnn::class_score_job j = all;
            j.scores = pointer<float>(scores.at());
            j.box_step = of_regions() ? plan.classes : 1;
            j.class_step = of_regions() ? 1 : j.boxes;
            launch(cudnn::kernel::score_classes, j, (static_cast<std::size_t>(j.boxes) + threads - 1) / threads, threads);
        }
        cudnn::choice_job choice{};
        std::copy(std::begin(all.parts), std::end(all.parts), choice.parts);
        if (has_classes()) {
            // A class behind the other, the background's first; or all regions' classes, with no score of the background's.
            choice.scores = pointer<const float>(scores.at()) + (of_regions() ? 0 : all.boxes);
            choice.items = of_regions() ? all.boxes * plan.classes : all.boxes;
            choice.has_least = 1, choice.least = plan.score;
        }
        choice.most = static_cast<int>(most);
        choice.counts = pointer<int>(made.at()), choice.chosen = pointer<int>(chosen.at()), choice.values = pointer<float>(values.at());
        launch(cudnn::kernel::choose_candidates, choice, groups(), wide);

        cudnn::decode_job j{};
        std::copy(std::begin(all.parts), std::end(all.parts), j.parts);
        if (of_regions()) j.parts[0].shapes = plan.classes;         // a region's classes are shapes of one cell
        j.starts = pointer<const float>(starts.at());
        j.counts = choice.counts, j.chosen = choice.chosen, j.values = choice.values, j.most = choice.most;
        j.out = pointer<cudnn::found_candidate>(made.at() + header);
        j.part_count = all.part_count, j.group_is_part = !has_classes(), j.starts_are_cells = of_regions();
        j.weight[0] = plan.weights.x, j.weight[1] = plan.weights.y, j.weight[2] = plan.weights.width, j.weight[3] = plan.weights.height;
        j.width = plan.width, j.height = plan.height;
        launch(cudnn::kernel::decode_candidates, j, groups(), threads);

        const std::size_t ready = std::min(first_copied, plan.room());
        go_on(driver.copy_out_async(here.data(), made.at(), header + sizeof(detect::candidate) * ready, stream));
        go_on(driver.wait(stream));
        if (status != cudnn::driver_ok || count() <= ready) return status;
        const std::size_t behind = header + sizeof(detect::candidate) * ready;
        go_on(driver.copy_out_async(here.data() + behind, made.at() + behind, sizeof(detect::candidate) * (count() - ready), stream));
        go_on(driver.wait(stream));
        return status;
    }

    const gpu_engine& engine;
    const std::byte* arena;
    detect::candidate_plan plan;
    std::size_t most, header;                   ///< of a group; bytes of the counts
    cudnn::device_memory starts, scores, chosen, values, made;
    cudnn::pinned_memory starts_here, here;
};

static_assert(sizeof(detect::candidate) == sizeof(cudnn::found_candidate) && sizeof(detect::box) == 4 * sizeof(float));

} // namespace splitdsl::gpu
