// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exits_test.cpp
/// Declared networks with early exits, live: in front of a cut and between two, offloaded over an in-process link by every policy that
/// sends there.
#include "../catch.hpp"
#include "exit_networks.hpp"

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/one_of.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/policy/weighted.hpp>
#include <splitdsl/runtime/cloud.hpp>
#include <splitdsl/runtime/edge.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/plan.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/stage_table.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

using namespace exit_networks;

using exits_edge = edge<exit_first, policy::all_edge>; // not built, only asked
template <class Frame>
concept goes_in = requires(exits_edge& e, const Frame& frame, std::span<float> out) {
    e.infer(frame, out);
    e.submit(frame);
};
using bytes = std::vector<std::uint8_t>;
using view = std::span<const std::byte>;
static_assert(goes_in<bytes> && goes_in<std::vector<std::byte>> && goes_in<view> && goes_in<std::span<std::byte>>);
static_assert(goes_in<std::array<std::uint8_t, 4>> && goes_in<std::array<view, 1>>);
static_assert(goes_in<std::array<std::span<std::byte>, 1>> && goes_in<std::array<bytes, 1>>);
static_assert(!goes_in<int> && !goes_in<std::vector<double>> && !goes_in<std::array<double, 1>> && !goes_in<std::vector<bytes>>);

template <class Network, class... Inputs>
concept goes_in_braces = requires(edge<Network, policy::all_edge>& e, const Inputs&... of, std::span<float> out) { e.infer({of...}, out); };
using speed = std::array<float, 1>;
static_assert(exits_edge::inputs == 1 && edge<two_inputs, policy::all_edge>::inputs == 2);
static_assert(goes_in_braces<exit_first, bytes> && goes_in_braces<two_inputs, bytes, speed>);
static_assert(!goes_in_braces<exit_first, bytes, bytes>); // one too many
static_assert(!goes_in_braces<two_inputs, bytes>);        // one too few
static_assert(!goes_in_braces<two_inputs, bytes, speed, speed>);

static_assert(steps_of<exit_first>.cut_stage[0] == 1); // the exit ends stage 0
static_assert(steps_of<exit_between>.cut_stage[0] == 0 && steps_of<exit_between>.cut_stage[1] == 2);

/// A user's own: sends at one cut whenever the link is there; `by_stage`: with the mistake of taking the stage's number for the cut's;
/// `inputs_too`: every other frame as a whole.
struct at_cut {
    int cut{};
    bool by_stage{}, inputs_too{};
    constexpr action on(frame_start f, const link_view&, const budget&) noexcept {
        return inputs_too && f.frame % 2 == 1 ? action::offload_at(-1) : action::go_on();
    }
    constexpr action on(stage_done s, const link_view& l, const budget&) noexcept {
        const bool here = by_stage ? s.stage == cut : s.cut == cut && l.up;
        return here ? action::offload_at(cut) : action::go_on();
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};
using any =
    policy::one_of<policy::sage, policy::weighted, policy::neurosurgeon, policy::clio, policy::local_early_exit, policy::all_edge, at_cut>;

std::vector<std::byte> picture(unsigned seed) {
    std::vector<std::byte> p(picture_bytes);
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = static_cast<std::byte>((i * 2654435761U + seed * 40503U) >> 7);
    return p;
}
/// All that the network says: its answer, then its exit's.
template <class Network>
std::array<float, 2 * classes> whole(const network_weights<Network>& w, const std::vector<std::byte>& p) {
    const frame_arena arena{w.net()};
    std::array<float, 2 * classes> out{};
    const void* const in[]{p.data()};
    w.net().run({arena.data(), w.bytes().data(), in, out.data()}, 0, w.net().stages, nullptr);
    return out;
}
/// A device that takes a second, so that the cloud pays at any cut; only `wanted` has a payload that any link could carry.
template <class Network>
deployment costs_of(const network_weights<Network>& w, int wanted) {
    const double macs = static_cast<double>(std::accumulate(w.net().stage_macs, w.net().stage_macs + w.net().stages, std::uint64_t{}));
    const device_profile device{.name = "robot", .macs_per_second = macs, .active_watts = watts{4.3}, .idle_watts = watts{1.25}};
    const std::vector<duration> cloud_stages(static_cast<std::size_t>(w.net().stages), 100us);
    deployment d = plan_deployment(w.net(), device, cloud_stages, {.deadline = 5s});
    for (int k = 0; k < d.cuts; ++k)
        if (k != wanted) d.cut[k].payload = {1e15};
    return d;
}
edge_options terms() {
    edge_options o{.deadline = 5s, .calibration_runs = 20};
    o.link.probe_interval = 20ms;
    return o;
}

/// Sends frames until one was answered by the cloud, 500 at most, and looks at that one: at this cut, with the local run's values.
template <class Network>
edge_counters expect_offload(const network_weights<Network>& w, const any& p, int wanted) {
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process wire{*listener};
    const cloud<Network> there{w, {}, std::move(listener)};
    edge<Network, any> here{w, p, terms(), std::move(wire)};
    const auto seen = picture(7);
    const auto want = whole(w, seen);
    for (int k = 0; k < 500; ++k) {
        std::array<float, classes> out{};
        const answer a = here.infer(std::array{std::span<const std::byte>{seen}}, out);
        CHECK(std::memcmp(out.data(), want.data(), sizeof out) == 0);
        if (a.source == answer_source::cloud) {
            CHECK(a.cut == wanted);
            break;
        }
        std::this_thread::sleep_for(2ms);
    }
    return here.counters();
}
template <class Network>
void offload_everywhere(const network_weights<Network>& w) {
    for (int k = 0; k < static_cast<int>(w.net().cuts.size()); ++k) {
        const deployment d = costs_of(w, k);
        const std::pair<const char*, any> policies[]{
            {"sage", any{policy::sage{d, {.cut = k}}}},
            {"weighted", any{policy::weighted{d, {.may_send_input = false}}}},
            {"neurosurgeon", any{policy::neurosurgeon{d, {}}}},
            {"clio", any{policy::clio{{.cut = k}}}},
            {"a user's own", any{at_cut{k}}},
        };
        for (const auto& [name, p] : policies) {
            INFO("cut " << k << ", " << name);
            const edge_counters c = expect_offload(w, p, k);
            CHECK(c.answer.offloaded == 1);
            CHECK(c.frame.invalid_actions == 0);
        }
    }
}

} // namespace

TEST_CASE("an early exit in front of the cut keeps no policy from the cloud") { offload_everywhere(seeded_weights<exit_first>(1)); }

TEST_CASE("an early exit between two cuts keeps no policy from the second one") { offload_everywhere(seeded_weights<exit_between>(2)); }

TEST_CASE("a policy that takes the stage's number for the cut's stays here, and the counter says why") {
    const auto w = seeded_weights<exit_first>(1);
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process wire{*listener};
    const cloud<exit_first> there{w, {}, std::move(listener)};
    edge<exit_first, any> here{w, any{at_cut{0, true}}, terms(), std::move(wire)};
    for (int k = 0; k < 5000 && !here.link_now().up; ++k) std::this_thread::sleep_for(1ms);
    REQUIRE(here.link_now().up);
    const auto seen = picture(1);
    std::array<float, classes> out{};
    for (int k = 0; k < 10; ++k) CHECK(here.infer(std::array{std::span<const std::byte>{seen}}, out).source == answer_source::edge);
    for (int k = 0; k < 1000 && here.counters().frame.frames < 10; ++k) std::this_thread::sleep_for(1ms); // they follow the answer
    CHECK(here.report().counters.frame.invalid_actions == 10);
    CHECK((here.counters().frame.blocked == 0 && here.counters().frame.offload_tries == 0));
}

TEST_CASE("the cloud's answer holds the exits that the cloud computed, and the device's own for those in front of the cut") {
    const auto w = seeded_weights<exit_first>(1);
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process wire{*listener};
    const cloud<exit_first> there{w, {}, std::move(listener)};
    edge<exit_first, any> here{w, any{at_cut{.inputs_too = true}}, terms(), std::move(wire)};
    const auto seen = picture(5);
    const auto want = whole(w, seen);
    int inputs = 0, payloads = 0;
    for (int k = 0; k < 500 && (inputs < 2 || payloads < 2); ++k) {
        std::array<float, 2 * classes> out{};
        const answer a = here.infer(seen, out);
        CHECK(std::memcmp(out.data(), want.data(), sizeof(float) * classes) == 0);
        std::this_thread::sleep_for(2ms);
        if (a.source != answer_source::cloud) continue;
        ++(a.cut < 0 ? inputs : payloads);
        CHECK(out == want);
    }
    CHECK((inputs >= 2 && payloads >= 2));
}

TEST_CASE("a pipeline tells its early exits: the stage of each and where its values lie") {
    const pipeline& first = pipeline_of<exit_first>();
    REQUIRE(first.exits.size() == 1);
    CHECK(std::string{first.exits[0].name} == "quick");
    CHECK((first.exits[0].stage == 0 && first.exits[0].first_float == classes && first.exits[0].floats == classes));
    const pipeline& between = pipeline_of<exit_between>();
    REQUIRE(between.exits.size() == 1);
    CHECK((between.exits[0].stage == 1 && between.exits[0].first_float == classes));
    const std::vector<duration> times(3, 1ms);
    const auto shares = stage_shares(first, times);
    CHECK((shares[0].ends_at == "quick" && shares[1].ends_at == "uplink" && shares[2].ends_at == "output"));
    // A choice of one's own goes before them, and one may have none.
    const exit_place own[]{{.stage = 2}, {.stage = 1}};
    CHECK(exits_of(first, {}).size() == 1);
    CHECK(exits_of(first, own).size() == 2);
    CHECK(exits_of(first, own, false).empty());
}

TEST_CASE("declared exits answer without a word in the options: for the policy, and as the first last resort") {
    const auto w = seeded_weights<exit_first>(1);
    const auto seen = picture(3);
    const auto want = whole(w, seen);
    const auto is_exit = [&](std::span<const float> out) {
        return std::memcmp(out.data(), want.data() + classes, sizeof(float) * classes) == 0;
    };
    std::array<float, classes> out{};
    const auto first_answer = [&](const any& p, edge_options o) {
        out = {};
        edge<exit_first, any> here{w, p, o};
        return here.infer(seen, out);
    };
    const any eager{policy::local_early_exit::shallow_deep(0, 1)}, stays{policy::all_edge{}};
    answer a = first_answer(eager, terms());
    CHECK((a.source == answer_source::exit && a.exit == 0 && is_exit(out)));
    edge_options o = terms();
    o.use_exits = false;
    CHECK(first_answer(eager, o).source == answer_source::edge);

    const duration slow[]{1ms, 1ms, 10s}; // the tail is never done in time
    o = {.deadline = 400ms, .stage_times = slow, .calibration_runs = 0};
    a = first_answer(stays, o);
    CHECK((a.source == answer_source::exit && is_exit(out)));
    o.use_exits = false;
    CHECK(first_answer(stays, o).source == answer_source::preset);
    // A confidence of one's own, for values that are no probabilities.
    const exit_place never[]{
        {.stage = 0, .first_float = classes, .floats = classes, .confidence = [](std::span<const float>) { return 0.0F; }}};
    o = terms();
    o.exits = never;
    CHECK(first_answer(any{policy::local_early_exit::shallow_deep(0.01F, 1)}, o).source == answer_source::edge);
}

TEST_CASE("an entropy in nats is compared with the entropy of the exit's probabilities, not with the largest of them") {
    const auto w = seeded_weights<exit_first>(1);
    const auto seen = picture(3);
    const auto want = whole(w, seen);
    double nats = 0;
    for (std::size_t i = classes; i < want.size(); ++i) nats -= static_cast<double>(want[i]) * std::log(static_cast<double>(want[i]));
    std::array<float, classes> out{};
    const auto source = [&](double most) {
        edge<exit_first, any> here{w, any{policy::local_early_exit::branchynet(std::array{most}, classes)}, terms()};
        return here.infer(seen, out).source;
    };
    CHECK(source(nats - 1e-3) == answer_source::edge);
    CHECK(source(nats + 1e-3) == answer_source::exit);
}

TEST_CASE("a frame goes in as bytes of any kind; what is no frame is refused, and says so") {
    const auto w = seeded_weights<exit_first>(1);
    edge<exit_first, any> here{w, any{policy::all_edge{}}, {.deadline = 5s, .calibration_runs = 0}};
    const auto seen = picture(4);
    const auto want = whole(w, seen);
    std::vector<std::uint8_t> camera(seen.size());
    std::memcpy(camera.data(), seen.data(), seen.size());
    std::array<float, classes> out{};
    const auto good = [&](const answer& a) {
        const bool same = a.source == answer_source::edge && a.values.data() == out.data() && a.values.size() == classes
                          && std::memcmp(out.data(), want.data(), sizeof out) == 0;
        out = {};
        return same;
    };
    CHECK(good(here.infer({seen}, out)));
    CHECK(good(here.infer({camera}, out)));
    CHECK(good(here.infer(camera, out)));
    CHECK(good(here.infer(std::span{camera}, out)));
    CHECK(good(here.infer(std::array{std::span{camera}}, out)));
    CHECK(good(here.infer(std::array{std::as_bytes(std::span{camera})}, out)));
    REQUIRE(here.submit(camera) != 0);
    answer polled{.values = out};
    while (!here.poll(polled)) std::this_thread::yield();
    CHECK(good(polled));

    // More room than the network has values: the answer's span ends where they do.
    std::array<float, 50> wide{};
    answer a = here.infer(camera, wide);
    CHECK((a.values.data() == wide.data() && a.values.size() == 2 * classes));
    CHECK(std::memcmp(wide.data(), want.data(), sizeof want) == 0);
    CHECK(here.infer(camera, std::span{wide}.first(2)).values.size() == 2);

    wide.fill(-1);
    a = here.infer(std::span{camera}.first(10), wide);
    CHECK((a.source == answer_source::none && a.refused == frame_refusal::wrong_size && a.frame == 0 && !a.on_time && a.values.empty()));
    CHECK(wide[0] == -1); // as it was
    CHECK(here.submit(std::span{camera}.first(0)) == 0);
    CHECK(here.counters().answer.refused == 2);
}

TEST_CASE("why there is no connection is said while there is none, and only then") {
    const auto w = seeded_weights<exit_first>(1);
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process wire{*listener};
    auto there = std::make_unique<cloud<exit_first>>(w, cloud_options{}, std::move(listener));
    edge<exit_first, any> here{w, any{at_cut{0}}, terms(), std::move(wire)};
    for (int k = 0; k < 5000 && !here.link_now().up; ++k) std::this_thread::sleep_for(1ms);
    REQUIRE(here.link_now().up);
    CHECK(here.link_failure().empty());
    there.reset();
    for (int k = 0; k < 5000 && here.link_now().up; ++k) std::this_thread::sleep_for(1ms);
    CHECK_FALSE(here.link_failure().empty());
    edge<exit_first, any> alone{w, any{at_cut{0}}, terms()};
    CHECK(alone.link_failure().empty()); // without a link there is nothing to say
}
