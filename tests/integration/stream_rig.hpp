// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_rig.hpp
/// What the tests of streams drive: an edge under FLEET's policy, perhaps a relay, a cloud, and the same answers computed without a link.
#pragma once

#include "../same_bits.hpp"
#include "live_rig.hpp"
#include "stream_network.hpp"

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/runtime/cloud_streams.hpp>
#include <splitdsl/runtime/edge_streams.hpp>

#include <cstring>
#include <map>
#include <optional>

namespace streamed {

using namespace live;

/// What each exit says of a picture for each pair of complete sizes (0: none), computed here without any link.
struct reference {
    explicit reference(const picture& of)
        : net{network()},
          terms{*net.net},
          arena{net.net->arena_bytes},
          outputs(net.net->output_floats) {
        const void* in = of.bytes.data();
        const frame_memory m{arena.data(), net.packed.data(), &in, outputs.data()};
        for (int stage = 0; stage < net.net->stages; ++stage) {
            net.net->run(m, stage, stage + 1, nullptr);
            for (std::size_t s = 0; s < terms.info.size(); ++s) {
                if (terms.info[s].stage != stage) continue;
                dynamic_pool_encoder from{terms.ladders[s]};
                from.pool(reinterpret_cast<const float*>(arena.data() + terms.info[s].map));
                std::vector<std::vector<std::byte>> levels;
                for (int l = 0; l < terms.ladders[s].levels; ++l) levels.emplace_back(from.encode(l).begin(), from.encode(l).end());
                coded.push_back(levels);
            }
        }
        trunk.assign(outputs.begin(), outputs.begin() + classes);
    }
    std::vector<float> answer(int stream, int before, int here) {
        const stream_exit_info& e = *terms.answering(stream);
        for (int s = 0; s <= stream; ++s) {
            if ((e.reads >> s & 1U) == 0) continue;
            const auto k = static_cast<std::size_t>(s);
            const int whole = s == stream ? here : before;
            dynamic_pool_decoder to{terms.ladders[k]};
            to.start();
            for (int l = 0; l < whole; ++l) REQUIRE(to.take(l, coded[k][static_cast<std::size_t>(l)]) == level_fault::none);
            to.rebuild_from(whole - 1, terms.ladders[k].levels - 1, reinterpret_cast<float*>(arena.data() + terms.info[k].pooled));
        }
        if (e.here_sizes > 0) arena.data()[e.sizes] = static_cast<std::byte>((std::max(before, 1) - 1) * e.here_sizes + here - 1);
        net.net->run({arena.data(), net.packed.data(), nullptr, outputs.data()}, e.stage, e.stage + 1, nullptr);
        const auto values = std::span{outputs}.subspan(e.first_float, e.floats);
        return {values.begin(), values.end()};
    }
    subject net;
    stream_terms terms;
    aligned_buffer arena;
    std::vector<float> outputs, trunk;
    std::vector<std::vector<std::vector<std::byte>>> coded;
};
/// FLEET as it is or, to save the radio what nobody needs, with each size pulled by the acknowledgement of the one before.
struct fleet_or_pull {
    static constexpr bool streams = true;
    policy::fleet inner;
    bool pulls{};
    action on(frame_start f, const link_view& l, const budget& b) noexcept { return inner.on(f, l, b); }
    action on(stage_done d, const link_view& l, const budget& b) noexcept {
        action a = inner.on(d, l, b);
        if (pulls && a.what == action::kind::stream) a.level = 0;
        return a;
    }
    verdict on(reply_arrived r, const link_view& l, const budget& b) noexcept { return inner.on(r, l, b); }
    action on(link_event e, const link_view& l, const budget& b) noexcept {
        if (pulls && e.what == link_event::kind::acknowledged && e.level + 1 < sizes)
            return {.what = action::kind::send_next, .stream = e.stream, .level = e.level + 1};
        return inner.on(e, l, b);
    }
};
static_assert(scheduler_policy<fleet_or_pull> && streams_v<fleet_or_pull>);

/// Only stream `which` may be accepted; -1: all.
inline fleet_or_pull accepting(int which, float threshold = 0) {
    auto plan = policy::fleet_plan(streams, sizes, threshold);
    for (int s = 0; which >= 0 && s < streams; ++s)
        if (s != which) plan.threshold[static_cast<std::size_t>(s)] = policy::never_sure;
    return {policy::fleet{plan}};
}

/// Stages of `each` at least; the trunk takes four of them.
inline edge_options paced(std::array<duration, 4>& times, duration each, edge_streams& with) {
    times.fill(each);
    edge_options o = impatient();
    o.deadline = 9 * each + 60ms;
    o.reserve = 4 * each + 15ms;
    o.stage_times = times;
    o.streams = &with;
    o.weights_digest = network().digest;
    o.link.silence = 400ms;
    o.link.dead = 1500ms;
    return o;
}

/// Edge, perhaps a relay, and cloud.
struct stream_rig {
    stream_rig(fleet_or_pull p, duration each, std::optional<radio::ble_setting> air, bool over_tcp = true,
               cloud_stream_options at_cloud = {}, edge_stream_options at_edge = {}, bool events_told = false)
        : net{network()},
          above{*net.net, net.packed, std::move(at_cloud)},
          way{connect(air, over_tcp)},
          here{*net.net, with_events(at_edge, events_told)} {
        edge.emplace(*net.net, net.packed, std::move(p), paced(times, each, here), std::move(way));
    }
    std::unique_ptr<link::connector> connect(std::optional<radio::ble_setting> air, bool over_tcp) {
        std::unique_ptr<link::connector> to;
        const cloud_options o{.weights_digest = net.digest, .streams = &above};
        if (over_tcp) {
            cloud.emplace(*net.net, net.packed, o, std::make_unique<link::tcp_listener>(std::uint16_t{0}));
            relay.emplace(link::relay_options{.port = cloud->port(), .ble = air});
            to = std::make_unique<watched_tcp>(relay->port(), use);
        } else {
            auto door = std::make_unique<link::in_process_listener>();
            to = std::make_unique<link::in_process>(*door);
            cloud.emplace(*net.net, net.packed, o, std::move(door));
        }
        return to;
    }
    edge_stream_options with_events(edge_stream_options o, bool told) const {
        if (told) o.radio = relay->gauge();
        return o;
    }
    ~stream_rig() {
        edge.reset();
        CHECK(use.two_readers == 0);
        CHECK(use.two_writers == 0);
        CHECK(use.destroyed_in_use == 0);
    }
    /// One frame; what it answers must be what the trunk or the named exit says of this very picture.
    answer frame(std::uint32_t seed, tally& t, std::array<float, classes>& out) {
        const picture in{seed};
        std::vector<float> values(net.net->output_floats);
        const auto stolen = processes::stolen_ticks();
        const answer a = edge->infer(in.spans, values);
        t.judge(a, stolen);
        std::copy_n(values.begin(), out.size(), out.begin());
        t.answered += a.frame != 0;
        t.own += a.source != answer_source::held && a.source != answer_source::preset;
        return a;
    }
    bool right(std::uint32_t seed, const answer& a, std::span<const float> out, int* before = nullptr, int* here_sizes = nullptr) {
        auto& r = known.try_emplace(seed, picture{seed}).first->second;
        if (a.source == answer_source::edge) return same_bits(out, r.trunk);
        if (a.source != answer_source::cloud || a.exit < 0 || a.exit >= streams) return false;
        for (int b = a.exit == 0 ? 0 : sizes; b >= 0; --b)
            for (int h = sizes; h > 0; --h)
                if (same_bits(out, r.answer(a.exit, b, h))) {
                    if (before) *before = b;
                    if (here_sizes) *here_sizes = h;
                    return true;
                }
        return false;
    }
    stream_use use{};
    subject net;
    cloud_streams above;
    std::optional<cloud_core> cloud;
    std::optional<link::relay> relay;
    std::unique_ptr<link::connector> way;
    edge_streams here;
    std::array<duration, 4> times{};
    std::optional<edge_core<fleet_or_pull>> edge;
    std::map<std::uint32_t, reference> known;
};

inline int stream_frames() { return std::max(12, frames_wanted() / 3); }

/// What came of frames through a rig, each answer held against what it must be.
struct seen_frames {
    tally t{};
    int by_cloud{}, wrong{};
};
/// `frames` pictures one after another; `each(i, answer, complete sizes of the stream before, of the answered one)` behind each, `before(i)`
/// before it. Held and preset answers are no frame's own and right by nature.
template <class Each, class Before>
seen_frames show(stream_rig& r, int frames, Each each, Before before_each) {
    seen_frames s;
    for (int i = 0; i < frames; ++i) {
        before_each(i);
        std::array<float, classes> out{};
        const answer a = r.frame(static_cast<std::uint32_t>(i), s.t, out);
        int before = 0, here = 0;
        s.wrong += is_own(a.source) && !r.right(static_cast<std::uint32_t>(i), a, out, &before, &here);
        s.by_cloud += a.source == answer_source::cloud;
        each(a, before, here);
    }
    return s;
}
inline seen_frames show(stream_rig& r, int frames) {
    return show(r, frames, [](const answer&, int, int) {}, [](int) {});
}

} // namespace streamed
