// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exit_cuts_test.cpp
/// Cuts and stages are numbered apart: early exits in front of a cut and between two, simulated, for every policy that sends at a cut.
#include "../catch.hpp"
#include "fleet_cases.hpp"

#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/one_of.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/policy/spinn.hpp>
#include <splitdsl/policy/weighted.hpp>
#include <splitdsl/radio/cellular.hpp>
#include <splitdsl/sim/simulate.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

/// A user's own: sends at one cut whenever the link is there.
struct at_cut {
    int cut{};
    constexpr action on(frame_start, const link_view&, const budget&) noexcept { return action::go_on(); }
    constexpr action on(stage_done s, const link_view& l, const budget&) noexcept {
        return s.cut == cut && l.up ? action::offload_at(cut) : action::go_on();
    }
    constexpr verdict on(reply_arrived, const link_view&, const budget&) noexcept { return verdict::accept; }
    constexpr action on(link_event, const link_view&, const budget&) noexcept { return action::nothing(); }
};
/// The mistake of taking a stage's number for a cut's.
struct at_stage : at_cut {
    constexpr action on(stage_done s, const link_view&, const budget&) noexcept {
        return s.stage == cut ? action::offload_at(cut) : action::go_on();
    }
    using at_cut::on;
};
using any = policy::one_of<policy::sage, policy::weighted, policy::neurosurgeon, policy::clio, policy::cascade, policy::local_early_exit,
                           policy::spinn, at_cut, at_stage>;

/// What ends each stage, in order: a cut (its number), an exit, or the network (-1 both).
struct place {
    int cut{-1}, exit{-1};
};
struct layout {
    const char* name;
    std::vector<place> ends;
};
const layout exit_first{"an exit before the cut", {{.exit = 0}, {.cut = 0}, {}}};
const layout exit_between{"an exit between two cuts", {{.cut = 0}, {.exit = 0}, {.cut = 1}, {}}};
const layout many{"exits on all sides", {{.exit = 0}, {.cut = 0}, {.exit = 1}, {.exit = 2}, {.cut = 1}, {.exit = 3}, {}}};

constexpr duration head_stage = 4ms, last_stage = 30ms, cloud_time = 2ms;
constexpr std::size_t small_payload = 984, large_payload = 500'000;

frame_rules rules_of(const layout& l) {
    const int stages = static_cast<int>(l.ends.size());
    frame_rules r{.stages = stages, .deadline = 150ms, .last_resort_lead = 500us};
    for (int k = stages - 1; k >= 0; --k) {
        if (l.ends[static_cast<std::size_t>(k)].cut >= 0) r.stage_of_cut[l.ends[static_cast<std::size_t>(k)].cut] = k, ++r.cuts;
        r.remaining[k] = r.remaining[k + 1] + (k == stages - 1 ? 40ms : 5ms);
    }
    return r;
}
/// Only `wanted` is worth sending at: its payload takes 8 ms, the others' seconds.
deployment costs_of(const layout& l, int wanted) {
    const frame_rules r = rules_of(l);
    deployment d{.cuts = r.cuts,
                 .edge_total = (r.stages - 1) * head_stage + last_stage,
                 .input = {large_payload},
                 .cloud_total = cloud_time,
                 .reply = {100},
                 .idle_power = watts{1.25},
                 .radio = radio::lte,
                 .deadline = r.deadline};
    d.edge_energy = watts{4.3} * d.edge_total;
    for (int c = 0; c < r.cuts; ++c) {
        const duration head = r.stage_behind(c) * head_stage, tail = d.edge_total - head;
        d.cut[c] = {{static_cast<double>(c == wanted ? small_payload : large_payload)},
                    head,
                    tail,
                    cloud_time,
                    watts{4.3} * head,
                    watts{4.3} * tail};
    }
    return d;
}
/// SPINN by a profile in which no exit answers.
policy::spinn spinn_of(const layout& l, const deployment& d) {
    policy::exit_profile p{.thresholds = 1, .threshold = {0.8F}};
    policy::spinn_options o;
    for (std::size_t k = 0; k < l.ends.size(); ++k) {
        if (l.ends[k].exit >= 0) o.exit_after[static_cast<std::size_t>(p.exits++)] = static_cast<int>(k + 1) * head_stage;
        if (l.ends[k].cut >= 0) o.exits_before[static_cast<std::size_t>(l.ends[k].cut)] = static_cast<std::int8_t>(p.exits);
    }
    return {d, p, o};
}
/// Fixed times; exits that are never sure enough for a policy here, unless `sure` says so.
struct with_exits : sim::plain_world {
    layout of{};
    float sure{0.1F};
    sim::exit_seen exit_of(std::uint32_t, int k) const {
        return {of.ends[static_cast<std::size_t>(k)].exit, of.ends[static_cast<std::size_t>(k)].exit < 0 ? 0 : sure};
    }
};

struct outcome {
    std::uint64_t at_wanted{}, elsewhere{}, local{}, exit{}, invalid{}, blocked{}, broken{};
};
constexpr std::uint32_t frames = 50;
outcome drive(const layout& l, any policy, int wanted, float sure = 0.1F) {
    sim::edge_settings s{.rules = rules_of(l), .reply_bytes = 100};
    with_exits w{{}, l, sure};
    s.payload_bytes.fill(large_payload);
    s.payload_bytes[static_cast<std::size_t>(wanted + 1)] = small_payload;
    w.edge_stage.fill(head_stage);
    w.edge_stage[l.ends.size() - 1] = last_stage;
    w.cloud_tail.fill(cloud_time);
    const auto rate = [](std::uint64_t bits) {
        return std::make_shared<const link::link_trace>(std::vector<link::trace_slot>{{duration{}, bits}}, 1s);
    };
    outcome o;
    const auto r = sim::simulate(std::move(policy), s, {.rate_up = rate(1'000'000), .rate_down = rate(10'000'000)}, w,
                                 {.frames = frames, .period = 200ms}, [&](const sim::frame_record& f, const link_view&) {
                                     const bool sent = f.source == answer_source::cloud;
                                     o.at_wanted += sent && f.cut == wanted;
                                     o.elsewhere += f.cut != wanted && f.cut != -2;
                                     o.local += f.source == answer_source::edge;
                                     o.exit += f.source == answer_source::exit;
                                 });
    o.invalid = r.counters.frame.invalid_actions;
    o.blocked = r.counters.frame.blocked;
    o.broken = r.broken_promises;
    return o;
}

constexpr frame_rules numbered{.stages = 5, .cuts = 2, .stage_of_cut = {1, 3}};
static_assert(numbered.cut_behind(0) == -1 && numbered.cut_behind(1) == 0 && numbered.cut_behind(2) == -1 && numbered.cut_behind(3) == 1
              && numbered.cut_behind(4) == -1);
static_assert(numbered.stage_behind(0) == 2 && numbered.stage_behind(1) == 4);
constexpr frame_rules streaming{.stages = 3, .streams_behind = {0, 1, 0}};
static_assert(streaming.cut_behind(0) == -1 && streaming.cut_behind(1) == 1 && streaming.cut_behind(2) == -1); // a stream in place of a cut
static_assert(stage_done{}.cut == -1 && stage_done{.stage = 3}.cut == -1);
static_assert([] {
    at_cut p{1};
    const link_view up{.up = true};
    return p.on(stage_done{.stage = 1, .exit = 0}, up, {}).what == action::kind::proceed
           && p.on(stage_done{.stage = 3, .cut = 1}, up, {}).cut == 1;
}());

} // namespace

TEST_CASE("an early exit in front of a cut or between two keeps no policy from sending there") {
    const layout& l = GENERATE(std::cref(exit_first), std::cref(exit_between), std::cref(many)).get();
    const int wanted = GENERATE(0, 1);
    const deployment d = costs_of(l, wanted);
    if (wanted >= d.cuts) return;
    const std::pair<const char*, any> policies[]{
        {"sage", any{policy::sage{d, {.cut = wanted}}}},
        {"weighted", any{policy::weighted{d}}},
        {"neurosurgeon", any{policy::neurosurgeon{d, {}}}},
        {"clio", any{policy::clio{{.cut = wanted}}}},
        {"spinn", any{spinn_of(l, d)}},
        {"a user's own", any{at_cut{wanted}}},
    };
    for (const auto& [name, p] : policies) {
        INFO(l.name << ", cut " << wanted << ", " << name);
        const outcome o = drive(l, p, wanted);
        CHECK(o.at_wanted >= frames - 1); // one meets a rate probe on the air
        CHECK((o.elsewhere == 0 && o.invalid == 0 && o.blocked <= 1 && o.broken == 0));
    }
}

TEST_CASE("policies that send no cut's payload mind neither cuts nor the stages of exits") {
    for (const layout* l : {&exit_first, &exit_between, &many}) {
        INFO(l->name);
        const int exits = static_cast<int>(std::count_if(l->ends.begin(), l->ends.end(), [](const place& e) { return e.exit >= 0; }));
        const outcome stays = drive(*l, any{policy::local_early_exit::shallow_deep(0.8F, exits)}, 0);
        CHECK((stays.local == frames && stays.elsewhere == 0 && stays.invalid == 0));
        const outcome exits_there = drive(*l, any{policy::local_early_exit::shallow_deep(0.8F, exits)}, 0, 0.9F);
        CHECK((exits_there.exit == frames && exits_there.invalid == 0));
        const outcome spinn_exits = drive(*l, any{spinn_of(*l, costs_of(*l, 0))}, 0, 0.9F); // an exit comes before it or it sends
        CHECK((spinn_exits.exit + spinn_exits.at_wanted == frames && spinn_exits.exit >= (l == &exit_between ? 0 : frames) && spinn_exits.invalid == 0));
        const outcome unsure = drive(*l, any{policy::cascade{0.8F}}, -1); // the input, small enough here
        CHECK((unsure.at_wanted >= frames - 1 && unsure.invalid == 0));
    }
}

TEST_CASE("an offload at a cut that the stage does not end is not carried out, and is counted") {
    const outcome o = drive(exit_first, any{at_stage{{0}}}, 0); // stage 0 ends at the exit
    CHECK(o.local == frames);
    CHECK(o.invalid == frames);
    CHECK((o.blocked == 0 && o.broken == 0)); // the link has no part in it
    CHECK(drive(exit_between, any{at_stage{{1}}}, 1).invalid == frames);
    CHECK(drive(exit_between, any{at_stage{{0}}}, 0).invalid == 0); // there the two numbers agree
}

TEST_CASE("FLEET's simulator names a cut where a stage has a payload, whatever exits there are") {
    struct scribe : at_cut {
        std::shared_ptr<std::vector<std::pair<int, int>>> seen = std::make_shared<std::vector<std::pair<int, int>>>();
        action on(stage_done s, const link_view&, const budget&) noexcept {
            seen->emplace_back(s.stage, s.cut);
            return action::go_on();
        }
        using at_cut::on;
    };
    sim::fleet_world w = testing::large_world(); // exits everywhere, one cut behind stage 4
    w.local_exits = true;
    const scribe notes;
    testing::frames_of(notes, w, 1, 3);
    REQUIRE(notes.seen->size() == 3 * 12);
    for (const auto& [stage, cut] : *notes.seen) CHECK(cut == (stage == 4 ? 4 : -1));
    sim::fleet_simulator run{testing::any_policy{policy::clio{{.cut = 4, .widths = 4, .threshold = 0.9F}}}, w, testing::large_answers(), 1};
    for (std::size_t k = 0; k < 20; ++k) CHECK(run.run_frame(k).source == answer_source::cloud);
    CHECK(run.violations() == 0);
}
