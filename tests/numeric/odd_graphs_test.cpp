// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file odd_graphs_test.cpp
/// The networks of odd_networks.hpp against the reference: whole, cut in two, on threads and in batches.
#include "../catch.hpp"
#include "case_runner.hpp"
#include "odd_networks.hpp"

#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <type_traits>

namespace {
using namespace numeric;
using namespace odd;

/// On bytes what gives floats to the reader behind a fan is a step of a part's layer.
struct parts_on_bytes : int8<fan_that_ends_in_a_chain> {};
struct parts_joined_as_floats_net {
    static constexpr auto graph() { return picture() | layer("s", 4) | fan_in("parts", layer("a", 4), layer("b", 4) | sigmoid()) | global_pool(); }
};
struct parts_joined_as_floats : int8<parts_joined_as_floats_net> {};
struct cut_that_travels_on_bytes : int8<cut_that_travels> {};
/// Its dense layers run on bytes, its dilated depthwise one does not.
struct window_around_sums_of_bytes : int8<window_around_sums> {};

template <class Network>
void examine() {
    const graph::description d = graph::description_of<Network>();
    const loaded n(d, pipeline_of<Network>());
    for (unsigned k = 0; k < 3; ++k) {
        const frame f(d, n.p, k);
        const std::vector<float> whole = n.whole(f);
        INFO(n.p.network << ", frame " << k);
        CHECK(error_of(n.p, n.reference(f), whole) <= (n.has_codec() ? codec_tolerance : tolerance));
        CHECK(runner_fault(n, f, whole).empty());
        for (int cut = 0; cut < static_cast<int>(n.p.cuts.size()); ++cut) CHECK(split_fault(n, f, cut, whole).empty());
    }
    CHECK(batch_fault(n).empty());
}
} // namespace

TEST_CASE("an input that branches read is there in whichever runs, and behind them, " SPLITDSL_ARCH_NAME) {
    examine<branches_read_values>();
    examine<values_read_behind_branches>();
}

TEST_CASE("of a branch that holds a fan nothing runs but when it is chosen, and a chain in a fan's part runs once, " SPLITDSL_ARCH_NAME) {
    examine<fan_in_a_branch>();
    examine<fan_that_ends_in_a_chain>();
}

TEST_CASE("a concat takes as many branches as are given, " SPLITDSL_ARCH_NAME) {
    examine<joins_many<61>>();
    examine<joins_many<62>>();
    examine<joins_many<63>>();
    examine<joins_many<130>>();
}

TEST_CASE("a carried tap or input is what behind the cut is computed from, whatever reads it there, " SPLITDSL_ARCH_NAME) {
    examine<tap_that_travels<0>>();
    examine<tap_that_travels<1>>();
    examine<tap_that_travels<2>>();
    examine<input_that_is_carried>();
    CHECK(payload_bytes<input_that_is_carried>("up") == 2 * 4 * 4 + 3 * 16 * 16);
}

TEST_CASE("what crossed a lossless cut crosses the next one, however many of the stages before it ran as one, " SPLITDSL_ARCH_NAME) {
    examine<cut_that_travels>();
    examine<cuts_of_a_fan_that_travel>();
    examine<rounded_cut_that_travels<half_f16()>>();
    examine<rounded_cut_that_travels<affine_u8()>>();
    examine<cut_that_travels_past_an_exit>();
    examine<cuts_of_a_fan_around_an_exit>();
    const auto weights = seeded_weights<cut_that_travels_on_bytes>(1);
    const pipeline& net = weights.net();
    const frame f(graph::description_of<cut_that_travels_on_bytes>(), net, 1);
    const aligned_buffer nowhere;
    side whole(net, nowhere, 0);
    whole.memory.packed_weights = weights.bytes().data();
    whole.memory.inputs = f.pointers.data();
    run_whole(net, whole.memory);
    for (int cut = 0; cut < 3; ++cut) {
        side edge(net, nowhere, 2), cloud(net, nowhere, 3);
        edge.memory.packed_weights = cloud.memory.packed_weights = weights.bytes().data();
        edge.memory.inputs = f.pointers.data();
        const cut_info& c = net.cuts[static_cast<std::size_t>(cut)];
        std::vector<std::byte> payload(c.payload_bytes);
        net.run(edge.memory, 0, c.stage + 1, nullptr);
        REQUIRE(net.store_payload(edge.memory, cut, payload.data()) == payload.size());
        REQUIRE(net.load_payload(cloud.memory, cut, payload));
        net.run(cloud.memory, c.stage + 1, net.stages, nullptr);
        CHECK(same_bits(cloud.outputs, whole.outputs));
    }
}

TEST_CASE("a window reads a vector and zeros around it, whatever made the vector, " SPLITDSL_ARCH_NAME) {
    examine<window_around_a_flattened_map>();
    examine<window_around_sums>();
    std::vector<std::vector<float>> values = random_weights(parameters<window_around_sums_of_bytes>(), 1);
    const std::size_t own = parameters<window_around_sums>().size();
    REQUIRE(values.size() == own + 2); // ranges and shifts behind
    for (std::size_t i = 0; i < values[own].size(); ++i) values[own][i] = i % 2 == 0 ? -3.0F : 3.0F;
    values[own + 1].assign(values[own + 1].size(), 0);
    const network_weights<window_around_sums_of_bytes> in_bytes{values};
    values.resize(own);
    const network_weights<window_around_sums> in_floats{values};
    const frame f(graph::description_of<window_around_sums>(), in_floats.net(), 1);
    const auto answer_of = [&](const auto& weights, int garbage) {
        const aligned_buffer nowhere;
        side s(weights.net(), nowhere, garbage);
        s.memory.packed_weights = weights.bytes().data();
        s.memory.inputs = f.pointers.data();
        run_whole(weights.net(), s.memory);
        return s.outputs;
    };
    const std::vector<float> answer = answer_of(in_bytes, 0);
    CHECK(same_bits(answer, answer_of(in_bytes, 1)));
    CHECK(error_of(in_bytes.net(), answer_of(in_floats, 0), answer) < 0.15); // bytes of ranges that were guessed
}

TEST_CASE("parts of a fan that read each other's values wait for them on threads, " SPLITDSL_ARCH_NAME) {
    examine<parts_that_meet>();
    const auto on_bytes = []<class Network>(std::type_identity<Network>) {
        const auto weights = seeded_weights<Network>(1);
        const frame f(graph::description_of<Network>(), weights.net(), 1);
        const aligned_buffer nowhere;
        const auto values = [&](const task_runner* workers) {
            side s(weights.net(), nowhere, 0);
            s.memory.packed_weights = weights.bytes().data();
            s.memory.inputs = f.pointers.data();
            s.memory.workers = workers;
            run_whole(weights.net(), s.memory);
            return s.outputs;
        };
        const std::vector<float> alone = values(nullptr);
        CHECK(same_bits(values(&backwards), alone));
        CHECK(same_bits(values(&in_uneven_pieces), alone));
    };
    on_bytes(std::type_identity<parts_on_bytes>{});
    on_bytes(std::type_identity<parts_joined_as_floats>{});
}
