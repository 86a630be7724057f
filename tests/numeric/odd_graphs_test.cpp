// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file odd_graphs_test.cpp
/// Words inside each other that networks seldom put there: what a branch reads, fans in branches, taps that only travel, concats of very many.
#include "../catch.hpp"
#include "case_runner.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <type_traits>
#include <utility>

namespace {
using namespace numeric;

constexpr auto picture() { return input("picture", u8, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet); }
constexpr auto layer(text name, int channels) { return named(name, conv(channels, {.kernel = 3})); }

struct branches_read_values {
    static constexpr auto graph() { return input("x", f32, 4) | select("command", named("a", dense(3)), named("b", dense(3)), named("c", dense(3))); }
};
struct values_read_behind_branches {
    static constexpr auto graph() {
        return picture() | head("car", layer("s", 4)) | cut("up")
             | tail("cloud", select("command", multiply(identity(), input("y", f32, 4) | named("p", dense(4))), layer("q", 4)) | multiply(identity(), input("y", f32, 4)));
    }
};
struct fan_in_a_branch {
    static constexpr auto graph() {
        return picture() | layer("s", 4) | select("command", layer("x", 4), fan_in("parts", layer("a", 2), layer("b", 2)), layer("y", 4) | fan_in("others", layer("c", 1), layer("d", 3))) | global_pool();
    }
};
struct fan_that_ends_in_a_chain {
    static constexpr graph::chain_costs chains{.least_map = 1'000, .band = 20'000};
    static constexpr auto graph() { return picture() | layer("s", 8) | fan_in("parts", layer("a", 16) | layer("a2", 16), layer("b", 16) | layer("b2", 16)) | global_pool(); }
};
template <int Pairs>
struct joins_many {
    static constexpr auto graph() {
        return []<int... I>(std::integer_sequence<int, I...>) {
            return input("x", f32, 4) | named("a", dense(5)) | concat((I % 2 == 0 ? relu() : tanh())..., identity());
        }(std::make_integer_sequence<int, Pairs>{});
    }
};
/// The tap is made in front of the cut and read by one op behind it, which could melt into what makes it if nothing stood between them.
template <int Reader>
struct tap_that_travels {
    static constexpr auto made() {
        if constexpr (Reader == 0) return concat(relu(), tanh());
        else return layer("u", 4);
    }
    static constexpr auto read() {
        if constexpr (Reader == 0) return concat(identity(), from("t"));
        else if constexpr (Reader == 1) return add(identity(), from("t") | relu());
        else return concat(identity(), from("t") | named("n", batch_norm()));
    }
    static constexpr auto graph() {
        return picture() | head("car", tap("y", layer("s", 4)) | tap("t", made()) | from("y")) | cut("up", lossless_f32(), carry("t"))
             | stage("hub", layer("w", 4)) | cut("on", lossless_f32(), carry("t")) | tail("cloud", read() | global_pool());
    }
};
struct input_that_is_carried {
    static constexpr auto graph() {
        return picture() | head("car", layer("s", 2) | max_pool({.kernel = 4})) | bottleneck("up", named("b", conv(1)), half_f16(), carry("picture"))
             | tail("cloud", concat(global_pool(), from("picture") | normalise(imagenet) | global_pool()));
    }
};

/// Parts that read each other's taps: threads have to wait for them.
struct parts_that_meet {
    static constexpr auto graph() {
        return picture() | layer("s", 4) | fan_in("parts", tap("t", layer("a", 4)) | relu(), layer("b", 4) | add(identity(), from("t")), from("t") | tanh())
             | fan_out(task("x", tap("u", layer("c", 4)) | relu()), task("y", layer("d", 4) | add(identity(), from("u"))));
    }
};
/// On bytes what gives floats to the reader behind a fan is a step of a part's layer.
struct parts_on_bytes : int8<fan_that_ends_in_a_chain> {};
struct parts_joined_as_floats_net {
    static constexpr auto graph() { return picture() | layer("s", 4) | fan_in("parts", layer("a", 4), layer("b", 4) | sigmoid()) | global_pool(); }
};
struct parts_joined_as_floats : int8<parts_joined_as_floats_net> {};

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
