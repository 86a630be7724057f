// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file not_finite_test.cpp
/// NaN, infinities and values too large for a codec at a cut: carried as they are, the same here and over a link, and never an answer.
#include "../catch.hpp"
#include "in_process_rig.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace {
using namespace splitdsl;
using namespace std::chrono_literals;

template <codec_choice Codec>
struct sensor {
    static constexpr auto graph() { return input("x", f32, 8) | named("a", dense(8)) | cut("c", Codec) | named("b", dense(2)); }
};
struct in_f32 : sensor<lossless_f32()> {};
struct in_f16 : sensor<half_f16()> {};
struct in_u8 : sensor<affine_u8()> {};
struct in_u16 : sensor<affine_u16()> {};

using readings = std::array<float, 8>;
using answers = std::array<float, 2>;
constexpr float no_number = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
constexpr readings good{1, 2, 3, 4}, other{5, 6, 3, 4};

/// One edge's or cloud's memory, kept over frames as theirs is.
template <class Network>
struct side {
    const network_weights<Network>& w;
    aligned_buffer arena{w.net().arena_bytes};
    answers out{};
    frame_memory memory(const readings& x) {
        in[0] = x.data();
        return {arena.data(), w.bytes().data(), in, out.data(), nullptr};
    }
    answers whole(const readings& x) {
        const frame_memory m = memory(x);
        for (int s = 0; s < w.net().stages; ++s) w.net().run(m, s, s + 1, nullptr);
        return out;
    }
    std::vector<std::byte> head(const readings& x) {
        const frame_memory m = memory(x);
        w.net().run(m, 0, w.net().cuts[0].stage + 1, nullptr);
        std::vector<std::byte> payload(w.net().cuts[0].payload_bytes);
        CHECK(w.net().store_payload(m, 0, payload.data()) == payload.size());
        return payload;
    }
    bool tail(const std::vector<std::byte>& payload) {
        const frame_memory m = memory(good);
        return w.net().load_payload(m, 0, payload) && w.net().run(m, w.net().cuts[0].stage + 1, w.net().stages, nullptr);
    }
    const void* in[1]{};
};
std::array<std::uint32_t, 2> bits(const answers& a) { return std::bit_cast<std::array<std::uint32_t, 2>>(a); }

template <class Edge>
answer infer(Edge& edge, const readings& x, answers& out) { return edge.infer(std::array{std::as_bytes(std::span<const float>{x})}, out); }
/// The compute thread's counters follow its answer.
template <class Edge>
bool counted(const Edge& edge, std::uint64_t not_finite) { return comes_true([&] { return edge.counters().frame.not_finite == not_finite; }); }
} // namespace

TEMPLATE_TEST_CASE("a frame that is not finite at a cut is the same whole and split, and nothing of the frame before it", "", in_f32, in_f16, in_u8, in_u16) {
    const auto w = seeded_weights<TestType>(1);
    side<TestType> here{w}, here_too{w}, there{w};
    for (const readings& x : {readings{1, no_number, 3, 4}, readings{infinite, 2, 3, 4}, readings{1, 2, -infinite, no_number}, readings{1, 3e7F, 3, 4}, readings{3e38F, -3e38F, 3e38F, 1}}) {
        for (const readings& before : {good, other}) {
            here.whole(before);
            REQUIRE(there.tail(here_too.head(before)));
            REQUIRE(bits(there.out) == bits(here.out));
            const auto wanted = bits(side<TestType>{w}.whole(x)); // in memory that no frame has used
            CHECK(bits(here.whole(x)) == wanted);
            REQUIRE(there.tail(here_too.head(x)));
            CHECK(bits(there.out) == wanted);
        }
    }
}

TEST_CASE("what a float cut does with NaN, infinities and overflow is what the arithmetic says") {
    const auto exact = seeded_weights<in_f32>(1);
    const auto halves = seeded_weights<in_f16>(1);
    side<in_f32> full{exact};
    side<in_f16> half{halves};
    for (const float v : full.whole({1, no_number, 3, 4})) CHECK(std::isnan(v));
    for (const float v : half.whole({1, no_number, 3, 4})) CHECK(std::isnan(v));
    for (const float v : full.whole({1, 3e7F, 3, 4})) CHECK(std::isfinite(v));
    for (const float v : half.whole({1, 3e7F, 3, 4})) CHECK_FALSE(std::isfinite(v)); // infinities met each other or stayed
}

TEMPLATE_TEST_CASE("an edge without a link holds the answer of a frame that comes out not finite, and counts it", "", in_f32, in_f16) {
    const auto w = seeded_weights<TestType>(1);
    edge_core<fake::quiet> edge{w.net(), w.bytes(), fake::quiet{}, unmeasured(500ms, w.digest()), nullptr};
    answers out{77, 77}, before{};
    REQUIRE(infer(edge, {1, no_number, 3, 4}, out).source == answer_source::preset);
    CHECK(out == answers{});
    const answer own = infer(edge, good, before);
    REQUIRE(own.source == answer_source::edge);
    const answer a = infer(edge, {1, no_number, 3, 4}, out);
    CHECK(a.source == answer_source::held);
    CHECK(a.on_time);
    CHECK(a.age > a.timings.total); // of the frame before
    CHECK(out == before);
    CHECK(infer(edge, other, out).source == answer_source::edge);
    CHECK(out != before);
    CHECK(counted(edge, 2));
    CHECK(edge.counters().answer.held == 2);
    CHECK(edge.counters().frame.uncovered == 2);
    CHECK(edge.counters().frame.covered_misses == 0);
}

TEMPLATE_TEST_CASE("a frame that is not finite at a cut does not end the connection, and its answer is held as without one", "", in_f32, in_f16) {
    const auto w = seeded_weights<TestType>(1);
    connected live{w, offload_when_up{}, 500ms};
    auto& edge = live.edge;
    const answers wanted = side<TestType>{w}.whole(good);
    answers out{};
    REQUIRE(infer(edge, good, out).source == answer_source::cloud);
    CHECK(bits(out) == bits(wanted));
    CHECK(infer(edge, {1, no_number, 3, 4}, out).source == answer_source::held);
    CHECK(bits(out) == bits(wanted));
    CHECK(counted(edge, 1)); // of the cloud's reply and the local tail that it fell back to, the first
    CHECK(infer(edge, other, out).source == answer_source::cloud);
    CHECK(edge.counters().frame.not_finite == 1);
    CHECK(infer(edge, {infinite, no_number, 3, 4}, out).source == answer_source::held);
    CHECK(counted(edge, 2)); // another frame
    CHECK(infer(edge, good, out).source == answer_source::cloud);
    CHECK(edge.counters().link.disconnects == 0);
    CHECK(live.cloud.counters().answered == 5);
    CHECK(live.cloud.counters().endings[static_cast<std::size_t>(ending::bad_payload)] == 0);
}

TEST_CASE("an early exit that is not finite is none") {
    const std::array<exit_place, 2> exits{exit_place{.stage = 0, .first_float = 2, .floats = 2}, exit_place{.stage = 1, .first_float = 4, .floats = 1}};
    std::array<float, 5> values{no_number, no_number, 0.25F, 0.75F, 0.5F};
    CHECK(exit_behind(0, exits, values) == std::pair{0, 0.75F});
    CHECK(exit_behind(1, exits, values) == std::pair{1, 0.5F});
    values[2] = infinite;
    CHECK(exit_behind(0, exits, values) == std::pair{-1, 0.0F});
    CHECK(exit_behind(1, exits, values) == std::pair{1, 0.5F});
}
