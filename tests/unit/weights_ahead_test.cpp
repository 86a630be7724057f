// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file weights_ahead_test.cpp
/// Which weights a convolution brings into the caches for the layers behind it. That changes no result, so what is asked for is looked at.
#include "../catch.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <algorithm>
#include <vector>

namespace {
using namespace splitdsl;

/// Squeeze-and-excite between 1x1 convolutions, a map too large for weights beside it, and weights larger than what is brought.
struct narrowing {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 64, .height = 56, .width = 56}) | named("large", conv(64, {})) | relu() | named("down", conv(64, {.kernel = 3, .stride = 4, .groups = 64}))
             | named("small", conv(320, {})) | relu()
             | multiply(identity(), global_pool() | named("squeeze", conv(80, {})) | relu() | named("excite", conv(320, {})) | hard_sigmoid())
             | named("project", conv(160, {})) | global_pool() | named("out", dense(1000));
    }
};
using engine = execution::engine<narrowing>;
constexpr bool brings = splitdsl::kernels::simd::brings_by_tap;
} // namespace

TEST_CASE("a convolution of small maps brings what lies behind its own weights up to the next one's, 256 KiB at most, " SPLITDSL_ARCH_NAME) {
    const auto weights = random_weights(parameters<narrowing>(), 1);
    std::vector<const float*> pointers;
    for (const auto& v : weights) pointers.push_back(v.data());
    const pipeline& net = execution::compiled<narrowing>();
    const aligned_buffer packed{net.packed_bytes_for(pointers.data())};
    net.pack(pointers.data(), packed.data());
    const frame_memory m{.packed_weights = packed.data()};
    const auto* const end = reinterpret_cast<const float*>(packed.data() + packed.size());

    int found = 0;
    for (int i = 0; i < engine::count; ++i) {
        const instruction& c = engine::at(i);
        const auto ahead = engine::ahead_of(m, i);
        INFO("step " << i);
        REQUIRE((ahead.lines >= 0 && ahead.lines * 64 <= 256 * 1024));
        if (ahead.lines > 0) REQUIRE((ahead.at == engine::packed_of(m, i + 1) && ahead.at + ahead.lines * 16 <= end));
        if (c.kind != graph::step_kind::conv) REQUIRE(ahead.lines == 0);
        else if (c.in.of.height == 56) REQUIRE(ahead.lines == 0); // 1.6 MB of maps
        else ++found;
        if (c.kind == graph::step_kind::conv && c.out.of.channels == 320) { // both dense layers' 25,600 weights, then as many of the projection's 51,200 as are brought
            REQUIRE(engine::at(i + 2).kind == graph::step_kind::dense);
            REQUIRE(ahead.lines == (brings ? 256 * 1024 / 64 : 0));
        }
        if (c.kind == graph::step_kind::conv && c.out.of.channels == 160) REQUIRE((ahead.lines > 0) == brings);
    }
    REQUIRE(found == 2);
}

TEST_CASE("tasks share what is brought, each line once, " SPLITDSL_ARCH_NAME) {
    namespace simd = splitdsl::kernels::simd;
    for (const std::ptrdiff_t lines : {0, 1, 7, 4096})
        for (const int tasks : {1, 3, 60})
            for (const int run : {1, 2, 60})
                for (const int parts : {1, 2, 5}) {
                    std::ptrdiff_t next = 0;
                    static float some_weights[4096 * 16 + 1];
                    const float* const at = some_weights;
                    for (int first = 0; first < tasks; first += run)
                        for (int part = 0; part < parts; ++part) {
                            const simd::weights_ahead some = simd::part_of({at, lines}, first, std::min(tasks, first + run), tasks, part, parts);
                            REQUIRE(some.at - at == next * 16);
                            next += some.lines;
                        }
                    REQUIRE(next == lines);
                }
}
