// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_odd_graphs_test.cpp
/// The networks of odd_networks.hpp on the made-up device: whole, cut in two, and in batches whose frames each choose a branch of their own.
#include "../numeric/odd_networks.hpp"
#include "subjects.hpp"

#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/executor.hpp>

#include <tuple>

using namespace gpu_tests;

namespace {
/// A select in a branch, each with a command of its own, and inputs that both read.
struct select_in_a_branch {
    static constexpr auto graph() {
        using namespace odd;
        return picture() | layer("s", 8)
             | select("outer", layer("a", 8) | select("inner", relu(), multiply(identity(), input("y", f32, 8))), multiply(identity(), input("y", f32, 8) | named("p", dense(8))) | layer("b", 8), layer("c", 8))
             | multiply(identity(), input("y", f32, 8)) | global_pool();
    }
};
/// A picture that is normalised in each branch and behind them.
struct picture_that_branches_read {
    static constexpr auto eyes() { return input("picture", u8, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet); }
    static constexpr auto graph() {
        using namespace odd;
        return input("x", f32, 4) | select("command", concat(identity(), eyes() | layer("a", 4) | global_pool()), concat(eyes() | layer("b", 4) | global_pool(), identity()))
             | concat(identity(), eyes() | layer("c", 8) | global_pool()) | named("last", dense(5));
    }
};

/// Each frame of a batch gets what it gets alone, from the begin and from behind every cut.
void check_batches(const pipeline& p, const loaded& n, double limit) {
    constexpr std::size_t together = 3;
    REQUIRE(p.batch_limit >= static_cast<int>(together));
    side head(p, n.packed, 2);
    for (int c = -1; c < static_cast<int>(p.cuts.size()); ++c) {
        const int first = c < 0 ? 0 : p.cuts[static_cast<std::size_t>(c)].stage + 1;
        std::vector<frame> frames;
        frames.reserve(together);
        std::vector<std::vector<float>> alone;
        std::vector<std::unique_ptr<side>> sides;
        std::vector<frame_memory> memory;
        for (unsigned i = 0; i < together; ++i) {
            frames.emplace_back(n.d, p, i + 1);
            sides.push_back(std::make_unique<side>(p, n.packed, 4));
            head.memory.inputs = frames.back().pointers.data();
            if (c < 0) {
                sides.back()->memory.inputs = frames.back().pointers.data();
            } else {
                std::vector<std::byte> payload(p.cuts[static_cast<std::size_t>(c)].payload_bytes);
                REQUIRE(p.run(head.memory, 0, first, nullptr));
                REQUIRE(p.store_payload(head.memory, c, payload.data()) == payload.size());
                REQUIRE(p.load_payload(sides.back()->memory, c, payload));
            }
            run_whole(p, head.memory);
            alone.push_back(head.outputs);
            memory.push_back(sides.back()->memory);
        }
        REQUIRE(p.run_batch(memory, first, p.stages, nullptr));
        for (std::size_t i = 0; i < together; ++i) CHECK(error_of(p, alone[i], sides[i]->outputs) <= limit);
        for (const auto& s : sides) p.forget(s->memory.arena);      // their arenas go
    }
}

template <class Network>
void examine() {
    const graph::description described = graph::description_of<Network>();
    const gpu::program program = gpu::program_of<Network>();
    const pipeline& host = pipeline_of<Network>();
    for (const auto& [has_cudnn, order, how] : {std::tuple{false, fake::stream_order::others_first, precision::f32}, {false, fake::stream_order::others_last, precision::f32},
                                                {true, fake::stream_order::others_last, precision::f16}}) {
        fake::now = {};
        fake::now.order = order;
        {
            const kernels::cudnn::device on(has_cudnn ? with_cudnn() : without_cudnn(), options());
            INFO(host.network << ", cuDNN " << has_cudnn);
            const double limit = how == precision::f32 ? tolerance : 2e-2;
            compare(on, {described, program, host}, how, limit, std::max(limit, codec_tolerance), 3);
            const gpu::gpu_engine engine(on, program, host, {.precision = how, .batch = 3});
            check_batches(engine.net_here(), {described, engine.net_here()}, has_cudnn ? 2e-2 : 0);
            CHECK(engine.counters().on_cpu == 0);
            CHECK(engine.counters().reason == "");
            CHECK(engine.counters().batches > 0);
        }
        check_clean();
    }
}
} // namespace

TEST_CASE("GPU: an input that branches read is loaded in whichever runs, and behind them, for each frame of a batch") {
    examine<odd::branches_read_values>();
    examine<odd::values_read_behind_branches>();
    examine<select_in_a_branch>();
    examine<picture_that_branches_read>();
}

TEST_CASE("GPU: fans in branches, parts that read each other's taps, and concats of very many give what the reference gives") {
    examine<odd::fan_in_a_branch>();
    examine<odd::parts_that_meet>();
    examine<odd::joins_many<63>>();
}

TEST_CASE("GPU: carried taps and inputs are what behind the cut is computed from") {
    examine<odd::tap_that_travels<0>>();
    examine<odd::tap_that_travels<1>>();
    examine<odd::tap_that_travels<2>>();
    examine<odd::input_that_is_carried>();
}

TEST_CASE("GPU: what crossed a cut crosses the next one, however many of the stages before it ran as one") {
    examine<odd::cut_that_travels>();
    examine<odd::cuts_of_a_fan_that_travel>();
    examine<odd::rounded_cut_that_travels<odd::half_f16()>>();
}
