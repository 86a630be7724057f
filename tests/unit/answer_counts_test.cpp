// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file answer_counts_test.cpp
/// A frame's one answer and what is counted of answers: claims, exits, distributions, misses.
#include "../catch.hpp"

#include <splitdsl/runtime/answer_slot.hpp>
#include <splitdsl/runtime/distribution.hpp>
#include <splitdsl/runtime/edge_options.hpp>
#include <splitdsl/runtime/report.hpp>

#include <memory>
#include <span>
#include <utility>

using namespace splitdsl;
using namespace std::chrono_literals;

TEST_CASE("a frame can be claimed once, and only while it is the open one") {
    answer_slot slot;
    CHECK_FALSE(slot.claim(1, answer_source::edge));
    slot.open(1);
    CHECK(slot.is_open(1));
    CHECK(slot.taken_by(1).source == answer_source::none);
    CHECK(slot.claim(1, answer_source::cloud, 3));
    CHECK_FALSE(slot.claim(1, answer_source::held));
    CHECK(slot.taken_by(1).source == answer_source::cloud);
    CHECK(slot.taken_by(1).detail == 3);
    slot.open(2);
    CHECK_FALSE(slot.claim(1, answer_source::edge));
    CHECK(slot.taken_by(1).source == answer_source::none);
    CHECK(slot.claim(2, answer_source::held));
}

TEST_CASE("an exit's certainty is what it says itself, or else its largest value, and a stage without one has none") {
    const float outputs[]{0.1F, 0.7F, 0.2F, 0.4F};
    const exit_place exits[]{{.stage = 0, .first_float = 0, .floats = 3},
                             {.stage = 2, .first_float = 3, .floats = 1, .confidence = [](std::span<const float> v) { return v[0] / 2; }},
                             {.stage = 3, .first_float = 4}};
    CHECK(exit_behind(0, exits, outputs) == std::pair{0, 0.7F});
    CHECK(exit_behind(1, exits, outputs) == std::pair{-1, 0.0F});
    CHECK(exit_behind(2, exits, outputs) == std::pair{1, 0.2F});
    CHECK(exit_behind(3, exits, outputs) == std::pair{2, 0.0F}); // of no values
}

TEST_CASE("the whole input's room is its bytes, and for an encoding what was asked for, or a kilobyte more") {
    const tensor_info inputs[]{{.name = "left", .bytes = 300}, {.name = "right", .bytes = 200}};
    CHECK(input_bytes_of(inputs) == 500);
    CHECK(encoded_input_room(inputs, 0) == 1524);
    CHECK(encoded_input_room(inputs, 8) == 8);
}

TEST_CASE("quantiles of a distribution are right to within 3.2 percent") {
    auto d = std::make_unique<distribution>();
    CHECK(d->quantile(0.5) == 0ns);
    for (int i = 1; i <= 100'000; ++i) d->add(1us * i);
    for (const double q : {0.01, 0.5, 0.95, 0.99}) {
        const double exact = q * 100'000e3;
        CHECK(static_cast<double>(d->quantile(q).count()) == Approx(exact).epsilon(0.032));
    }
    CHECK(d->max() == 100ms);
    CHECK(d->quantile(1.0) == 100ms);
    CHECK(d->count() == 100'000);
    CHECK(to_milliseconds(d->mean()) == Approx(50.0).epsilon(0.01));
    d->add(-5ms);
    CHECK(d->quantile(0.000001) < 1us);
    d->add(std::chrono::hours{100});
    CHECK(d->max() == std::chrono::hours{100});
}

TEST_CASE("latency is of own answers: held and preset ones are counted by source only") {
    auto spread = std::make_unique<edge_distributions>();
    for (int i = 0; i < 10; ++i) {
        spread->add({.source = answer_source::cloud, .timings = {.total = 40ms}});
        spread->add({.source = answer_source::held, .timings = {.total = 10us}});
        spread->add({.source = answer_source::preset, .timings = {.total = 10us}});
        spread->add({.source = answer_source::exit, .timings = {.total = 30ms}});
    }
    CHECK(spread->latency.count() == 20);
    CHECK(spread->latency.quantile(0.0) > 29ms);
    CHECK(spread->by_source[static_cast<std::size_t>(answer_source::held)].count() == 10);
}

TEST_CASE("a miss counts every answer after the deadline, and held ones too where no fallback was promised") {
    answer_counters c;
    c.settle({.source = answer_source::held, .on_time = true}, true);
    CHECK(c.misses == 0);
    c.settle({.source = answer_source::held, .on_time = true}, false);
    CHECK(c.misses == 1);
    c.settle({.source = answer_source::edge, .on_time = false, .host_stall = true}, true);
    CHECK(c.misses == 2);
    CHECK(c.host_stalls == 1);
    CHECK(c.answered == 3);
}
