// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tiers_rig.hpp
/// A device, middle tiers and a cloud on fake networks with two cuts; each machine's stages pass their time by a behaviour of their own.
#pragma once

#include "fake_network.hpp"
#include "in_process_rig.hpp"

#include <splitdsl/runtime/middle_core.hpp>

#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

namespace tiers {

using namespace splitdsl;
using namespace std::chrono_literals;

inline constexpr std::size_t narrow_bytes = 400; ///< of the second cut's payload
inline constexpr cut_info two_cuts[]{{"radio", fake::payload_bytes, 0}, {"backhaul", narrow_bytes, 1}};
inline fake::behaviour middle_behaviour{};

inline std::size_t store(const void*, const frame_memory& m, int cut, std::byte* to) {
    std::memcpy(to, m.arena, two_cuts[cut].payload_bytes);
    return two_cuts[cut].payload_bytes;
}
inline bool load(const void*, const frame_memory& m, int cut, std::span<const std::byte> from) {
    if (from.size() != two_cuts[cut].payload_bytes) return false;
    std::memcpy(m.arena, from.data(), from.size());
    return true;
}
template <fake::behaviour& B>
pipeline network() {
    pipeline p = fake::network<B>();
    p.cuts = two_cuts;
    p.functions.store_payload = store;
    p.functions.load_payload = load;
    return p;
}

/// Sends at one cut (-1: what came, at the frame's start; -2: never) whenever the link is up and there is time for an answer.
struct send_at : fake::quiet {
    int cut{-2};
    explicit send_at(int at) : cut{at} {}
    action on(frame_start, const link_view& l, const budget& b) noexcept { return decide(-1, l, b); }
    action on(stage_done s, const link_view& l, const budget& b) noexcept { return s.cut < 0 ? action::go_on() : decide(s.cut, l, b); }
    using fake::quiet::on;

private:
    action decide(int here, const link_view& l, const budget& b) const {
        return here == cut && l.up && b.for_reply() > duration{} ? action::offload_at(here) : action::go_on();
    }
};
/// The same without anything to fall back on.
struct send_alone_at : send_at {
    static constexpr bool falls_back = false;
    using send_at::send_at;
};

/// Long beside what a busy machine takes, short beside a test.
inline constexpr duration deadline = 1200ms, kept_here = 250ms;

inline session_options eager_link() {
    return {.ping_interval = 20ms, .probe_interval = 200ms, .probe_bytes = 512, .silence = 10s, .stuck = 10s, .dead = 20s, .connect_timeout = 500ms, .first_retry = 5ms, .longest_retry = 40ms};
}
inline edge_options device_terms() {
    edge_options o{.deadline = deadline, .reserve = kept_here, .calibration_runs = 0};
    o.link = eager_link();
    return o;
}
inline middle_options middle_terms(int parallel = 1) {
    middle_options o{.reserve = kept_here, .calibration_runs = 0, .link = eager_link()};
    o.serving.parallel = parallel;
    return o;
}
inline void calm() {
    fake::edge_behaviour.calm(0ms);
    fake::cloud_behaviour.calm(0ms);
    middle_behaviour.calm(0ms);
}

/// A listener and the way to it.
struct door {
    std::unique_ptr<link::in_process_listener> listener{std::make_unique<link::in_process_listener>()};
    link::in_process way{*listener};
    std::unique_ptr<link::connector> connector() const { return std::make_unique<link::in_process>(way); }
};

/// One frame. For any thread: nothing of the test framework is touched.
struct asked {
    asked(edge_core<send_at>& who, std::uint32_t tag) {
        const fake::tagged_input in{tag};
        a = who.infer(in.spans, out);
        for (std::size_t i = 0; i < out.size(); ++i) right = right && out[i] == fake::answer_to(tag) + static_cast<float>(i);
    }
    /// It is in time, and the values are the frame's own.
    answer judged() const {
        INFO("source " << to_text(a.source) << ", tier " << a.tier);
        CHECK(a.on_time);
        CHECK(is_own(a.source));
        CHECK(right);
        return a;
    }
    std::array<float, fake::outputs> out{};
    answer a{};
    bool right{true};
};
inline answer ask(edge_core<send_at>& who, std::uint32_t tag) { return asked{who, tag}.judged(); }

/// Device, middle tiers from the device's side on, cloud.
template <class Middle = send_at>
struct chain {
    chain(const std::vector<int>& middles, int device_sends_at = 0, middle_options terms = middle_terms(), cloud_options top_terms = {}) {
        calm();
        door at_top;
        link::in_process next = at_top.way;
        cloud.emplace(network<fake::cloud_behaviour>(), std::span<const std::byte>{}, std::move(top_terms), std::move(at_top.listener));
        for (auto cut = middles.rbegin(); cut != middles.rend(); ++cut) {
            door here;
            tier.emplace_front(network<middle_behaviour>(), std::span<const std::byte>{}, Middle{*cut}, terms, std::move(here.listener),
                               [&next] { return std::make_unique<link::in_process>(next); });
            REQUIRE(comes_true([&] { return tier.front().links_up() == terms.serving.parallel; }));
            next = here.way;
        }
        first = next;
        device = another(device_sends_at);
    }
    std::unique_ptr<edge_core<send_at>> another(int sends_at) const {
        auto d = std::make_unique<edge_core<send_at>>(network<fake::edge_behaviour>(), std::span<const std::byte>{}, send_at{sends_at}, device_terms(),
                                                      std::make_unique<link::in_process>(*first));
        REQUIRE(comes_true([&] { return d->link_now().up; }));
        return d;
    }
    answer ask(std::uint32_t tag) { return tiers::ask(*device, tag); }
    middle_counters counted() const { return tier.front().counters(); }

    std::optional<cloud_core> cloud;
    std::deque<middle_core<Middle>> tier; ///< the first is the one that the device asks
    std::optional<link::in_process> first;
    std::unique_ptr<edge_core<send_at>> device;
};

} // namespace tiers
