// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_lanes_test.cpp
/// Branches of a network that run beside each other: the same answers in whatever order the device takes them, and a chain where there are none.
#include "described_host.hpp"
#include "subjects.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>

using namespace gpu_tests;

namespace {
/// Four branches of several steps each that meet in a concatenation, twice; then two of which the second adds the first one's result, and so waits for it.
struct branched {
    static constexpr auto block(text name) {
        return named(name, concat(named("a", conv(8, {.kernel = 1})) | relu(), named("b", conv(16, {.kernel = 1})) | relu() | named("c", conv(8, {.kernel = 3})),
                                  named("d", conv(8, {.kernel = 1})) | named("e", conv(16, {.kernel = 3})) | relu() | named("f", conv(8, {.kernel = 3})),
                                  max_pool({.kernel = 3, .stride = 1, .pad = 1}) | named("g", conv(8, {.kernel = 1}))));
    }
    static constexpr auto graph() {
        return input("picture", f32, {.channels = 3, .height = 13, .width = 9}) | named("stem", conv(16, {.kernel = 3})) | relu() | block("one") | block("two")
             | add(named("thin", conv(8, {.kernel = 1})) | relu() | named("wide", conv(24, {.kernel = 3, .stride = 2})), named("side", conv(24, {.kernel = 1, .stride = 2}))) | relu() | global_pool()
             | named("classes", dense(5));
    }
};
/// One step reads what the one before it wrote.
struct chained {
    static constexpr auto graph() {
        return input("picture", f32, {.channels = 3, .height = 9, .width = 9}) | named("a", conv(16, {.kernel = 3})) | relu() | add(identity(), named("b", conv(16, {.kernel = 3})) | relu() | named("c", conv(16, {.kernel = 3})))
             | global_pool() | named("classes", dense(5));
    }
};
template <class Network>
struct of_network {
    graph::description d = graph::description_of<Network>();
    gpu::program program = gpu::program_of<Network>();
    described_host host{d, program};
    subject as_subject() const { return {d, program, host.net}; }
};
} // namespace

TEST_CASE("GPU: branches run beside each other, and agree with the reference whichever of them the device runs first") {
    const of_network<branched> of;
    for (const bool has_cudnn : {false, true})
        for (const precision how : {precision::f32, precision::f16})
            for (const fake::stream_order order : {fake::stream_order::issued, fake::stream_order::others_first, fake::stream_order::others_last}) {
                fake::now = {};
                fake::now.order = order;
                {
                    const kernels::cudnn::device on(has_cudnn ? with_cudnn() : without_cudnn(), options());
                    INFO("cuDNN " << has_cudnn << ", " << gpu::name_of(how) << ", order " << static_cast<int>(order));
                    const double limit = how == precision::f32 ? 2e-5 : 1e-2;
                    {
                        const gpu::gpu_engine engine(on, of.program, of.host.net, {.precision = how});
                        const loaded n(of.d, engine.net_here());
                        const frame f(of.d, engine.net_here(), 7);
                        CHECK(error_of(of.host.net, n.reference(f), n.whole(f)) <= limit);
                        CHECK(fake::now.kernels_beside == 2 * 8);           // all of the branches
                    }
                    compare(on, of.as_subject(), how, limit, codec_tolerance, 2);
                    CHECK(gpu::layers(on, of.program, how).lanes() == gpu::lane_plan::most);
                    CHECK(gpu::layers(on, of.program, how, 2).lanes() == 1);
                }
                check_clean();
            }
}

TEST_CASE("GPU: cuDNN's convolutions beside each other work in memory of their own, and what is chosen by time changes no answer") {
    const of_network<branched> of;
    for (const fake::stream_order order : {fake::stream_order::others_first, fake::stream_order::others_last}) {
        fake::now = {};
        fake::now.order = order;
        {
            const kernels::cudnn::device on(with_cudnn(), {.needs_cudnn = false, .code_folder = "", .seconds_to_choose = 60});
            const gpu::layers l(on, of.program, precision::f16);
            REQUIRE(l.workspace() >= 1000);          // the made-up engines' own, to whole 256
            CHECK(l.workspace() % 256 == 0);
            const gpu::frame_store store(on, std::vector<const gpu::layers*>{&l}, of.host.net, std::nullopt);
            CHECK(store.workspace.size() == static_cast<std::size_t>(l.lanes()) * l.workspace());
            compare(on, of.as_subject(), precision::f16, 1e-2, codec_tolerance);
        }
        check_clean();
    }
}

TEST_CASE("GPU: steps that read one after another stay a chain") {
    const of_network<chained> of;
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        const gpu::layers l(on, of.program, precision::f16);
        CHECK(l.lanes() == 1);
        compare(on, of.as_subject(), precision::f16, 1e-2, codec_tolerance);
        CHECK(fake::now.kernels_beside == 0);
    }
    check_clean();
}

TEST_CASE("GPU: where branches run beside each other their tensors keep memory of their own") {
    const of_network<branched> of;
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        const gpu::layers l(on, of.program, precision::f32);
        int beside = 0;
        for (std::size_t i = 0; i < of.program.steps.size(); ++i)
            for (std::size_t k = 0; k < i; ++k) {
                if (l.lane_of(i) == l.lane_of(k) || l.is_in_place(of.program.steps[i]) || l.is_in_place(of.program.steps[k])) continue;
                const graph::step &first = of.program.steps[k].plan, &then = of.program.steps[i].plan;
                // The first steps of two branches read one tensor and write two.
                if (first.in != then.in || first.out == then.out || first.in < 0) continue;
                ++beside;
                CHECK(!l.must_wait(i, k));
            }
        CHECK(beside >= 2 * 6);
    }
    check_clean();
}
