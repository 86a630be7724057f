// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file subjects.hpp
/// What the GPU's tests run: made-up devices, the compiled test networks, and the comparison with the reference.
#pragma once

#include "../catch.hpp"
#include "../numeric/case_runner.hpp"
#include "../numeric/compiled_networks.hpp"
#include "fake_device.hpp"

#include <splitdsl/gpu/gpu_pipeline.hpp>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

namespace gpu_tests {
using namespace numeric;
using gpu::precision;

inline kernels::cudnn::libraries with_cudnn() { return {fake::driver(), fake::compiler(), fake::network(), ""}; }
inline kernels::cudnn::libraries without_cudnn() { return {fake::driver(), fake::compiler(), {}, "left out"}; }
inline kernels::cudnn::device_options options() { return {.needs_cudnn = false, .code_folder = "", .chooses_by_time = false}; }

/// Nothing that a real device would refuse, and nothing left behind.
inline void check_clean() {
    const fake::state& f = fake::now;
    CHECK(f.wrong == "");
    CHECK(f.memory.empty());
    CHECK(f.pinned.empty());
    CHECK(f.streams + f.events + f.graphs + f.executables + f.modules + f.contexts + f.descriptors + f.handles == 0);
}

struct subject {
    const graph::description& d;
    const gpu::program& program;
    const pipeline& host;
};
inline std::vector<subject> subjects(std::span<const graph::description> described, std::span<const gpu::program> programs, const std::vector<compiled_row>& rows) {
    std::vector<subject> all;
    for (std::size_t i = 0; i < described.size(); ++i) {
        const pipeline* best = nullptr;
        for (const compiled_row& r : rows)
            if (runs_here(r.set)) best = r.first[i];
        REQUIRE(best);
        all.push_back({described[i], programs[i], *best});
    }
    return all;
}
inline std::vector<subject> words_here() { return subjects(word_descriptions(), word_programs(), word_rows()); }
inline std::vector<subject> shapes_here() { return subjects(shape_descriptions(), shape_programs(), shape_rows()); }

/// Those of a few million multiplications, for tests that run a network many times.
inline std::vector<subject> small_shapes() {
    std::vector<subject> small;
    for (const subject& s : shapes_here()) {
        std::uint64_t macs = 0;
        for (int k = 0; k < s.host.stages; ++k) macs += s.host.stage_macs[k];
        if (macs < 12'000'000) small.push_back(s);
    }
    REQUIRE(small.size() >= 3);
    return small;
}

/// Runs every frame whole and cut in two; `limit` where no codec stands between.
inline void compare(const kernels::cudnn::device& on, const subject& s, precision how, double limit, double codec_limit, unsigned frames = 1) {
    const gpu::gpu_engine engine(on, s.program, s.host, {.precision = how});
    const pipeline& p = engine.net_here();
    const loaded n(s.d, p);
    for (unsigned seed = 1; seed <= frames; ++seed) {
        const frame f(s.d, p, seed);
        INFO(p.network << ", frame " << seed);
        const auto whole = n.whole(f);
        CHECK(error_of(p, n.reference(f), whole) <= (n.has_codec() ? codec_limit : limit));
        for (std::size_t c = 0; c < p.cuts.size(); ++c)
            if (seed == 1) CHECK(split_fault(n, f, static_cast<int>(c), whole) == "");
    }
    CHECK(engine.counters().reason == "");
    CHECK(engine.counters().on_cpu == 0);
}
} // namespace gpu_tests
