// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file middle_core.hpp
/// A tier between device and cloud: serves those who ask as a cloud does, and asks the next tier as an edge does.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/runtime/calibration.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/onward_place.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace splitdsl {

/// Everything a user may set on a middle tier. Refused by its constructor (option_error): what a cloud refuses of `serving`, a batch of more than
/// one, several tenants, streams, a `longest_wait` out of its bounds, and what an edge refuses of the rest.
struct middle_options {
    /// Towards those who ask. `parallel`: frames under way at once, those that wait for the next tier included, each with a connection of its own to
    /// it; at least the number of devices that ask at the same time.
    cloud_options serving{};
    duration reserve{};                          ///< time kept for finishing here, as `edge_options::reserve`
    duration lead{std::chrono::microseconds{500}}; ///< an answer is to be ready this long before it is due
    /// A place is kept waiting for the next tier so long at most, whatever time whoever asks says it has: behind that the rest is finished here. Above 0, at most 24 hours.
    duration longest_wait{std::chrono::seconds{10}};
    int calibration_runs{100};                   ///< as an edge's, as is the rest
    duration calibration_time{std::chrono::seconds{1}};
    breaker_options breaker{};
    session_options link{};
    thread_options threads{};                    ///< `processors`: of the threads that keep the connections to the next tier
    std::string tenant_token{};                  ///< said to the next tier
};

/// What a middle tier counts: towards those who ask, of its frames, and of its connections to the next tier, all places together.
struct middle_counters {
    cloud_counters serving{};
    tier_counters answers{};
    frame_counters frame{};
    link_counters link{};
};

namespace detail {

template <class Counters>
Counters sum_of(const Counters& a, const Counters& b) {
    using words = std::array<std::uint64_t, sizeof(Counters) / sizeof(std::uint64_t)>;
    auto x = std::bit_cast<words>(a);
    const auto y = std::bit_cast<words>(b);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
    return std::bit_cast<Counters>(x);
}

inline edge_options towards_next_tier(const middle_options& o, const pipeline& net) {
    edge_options e{.reserve = o.reserve,
                   .last_resort_lead = o.lead,
                   .calibration_runs = o.calibration_runs,
                   .calibration_time = o.calibration_time,
                   .breaker = o.breaker,
                   .link = o.link,
                   .threads = o.threads,
                   .workers = o.serving.workers,
                   .weights_digest = o.serving.weights_digest,
                   .tenant_token = o.tenant_token};
    try {
        checked(e, net);
    } catch (const option_error& why) {
        constexpr std::string_view from = "edge: ";
        const std::string_view said = why.what();
        throw option_error("middle tier: " + std::string{said.starts_with(from) ? said.substr(from.size()) : said});
    }
    return e;
}

} // namespace detail

/// Serves the part of `net` behind the cut at which a request comes in. It runs stages itself; `Policy` decides at every further cut, and when the
/// request comes in, whether the next tier gets the rest. `deployment`s are reckoned from the cut at which requests come in (policy::behind_cut).
///
/// A device that asks says how long it will wait; from this the answer's way back, the reserve for finishing here and `lead` are kept. Where the next tier is
/// slow, lost or refuses, the rest runs here and the answer leaves in time. Where neither can be in time, whoever asked hears it at once.
/// A tier may ask another middle tier; each says with its replies how far up they were computed (`answer::tier`).
///
/// Costs, beside a cloud's: a thread and a connection to the next tier for each of `serving.parallel`. A request allocates nothing and takes no lock
/// that a cloud's does not.
///
/// ```cpp body
/// const middle_core<policy::sage> roadside{net, packed, policy::sage{costs, {.cut = 1}}, {.serving = {.parallel = 4}},
///                                          std::make_unique<link::tcp_listener>(7447, "0.0.0.0"), [] { return std::make_unique<link::tcp>("cloud.local", 7447); }};
/// ```
template <scheduler_policy Policy>
class middle_core final : private onward_hooks {
public:
    /// `next` makes a connector to the next tier; called once for each of `serving.parallel`.
    middle_core(const pipeline& net, std::span<const std::byte> packed_weights, const Policy& policy, middle_options o, std::unique_ptr<link::listener> where,
                const std::function<std::unique_ptr<link::connector>()>& next)
        : network{net},
          places{make_places(net, packed_weights, policy, o, next)},
          serving{net, packed_weights, (o.serving.onward = this, std::move(o.serving)), std::move(where)} {}
    middle_core(const middle_core&) = delete;
    middle_core& operator=(const middle_core&) = delete;
    ~middle_core() { places.stop(); } // then the connections' threads, which may wait there, can end

    std::uint16_t port() const { return serving.port(); }
    middle_counters counters() const {
        middle_counters c{.serving = serving.counters()};
        for (const auto& p : places.all) {
            c.answers = detail::sum_of(c.answers, p->answers());
            c.frame = detail::sum_of(c.frame, p->frames());
            c.link = detail::sum_of(c.link, p->link());
        }
        return c;
    }
    /// Connections to the next tier over which a frame may be sent now, of `serving.parallel`.
    int links_up() const {
        int up = 0;
        for (const auto& p : places.all) up += p->link_now().up;
        return up;
    }
    /// Why one of them is not up, for people; empty if all are.
    std::string link_failure() const {
        for (const auto& p : places.all)
            if (std::string why = p->link_failure(); !why.empty()) return why;
        return {};
    }
    /// Kept for finishing here what comes in behind `cut`, of the slowest place.
    duration reserve_behind(int cut) const {
        duration most{};
        for (const auto& p : places.all) most = std::max(most, p->reserve_behind(cut));
        return most;
    }

private:
    using place = onward_place<Policy>;
    /// They end together: while the next tier cannot be reached each may be in an attempt to connect, and one's end waits for it.
    struct place_list {
        place_list() = default;
        place_list(place_list&&) = default;
        ~place_list() { stop(); }
        void stop() const noexcept {
            for (const auto& p : all) p->stop();
        }
        std::vector<std::unique_ptr<place>> all{};
    };

    static place_list make_places(const pipeline& net, std::span<const std::byte> packed, const Policy& policy, const middle_options& o,
                                  const std::function<std::unique_ptr<link::connector>()>& next) {
        if (net.stream_count > 0) throw option_error("middle tier: a network without streams was expected, found " + std::to_string(net.stream_count));
        if (o.serving.tenants.size() > 1) // frames leave bytes in the connections to the next tier
            throw option_error("middle tier: at most one tenant was expected, found " + std::to_string(o.serving.tenants.size()));
        if (o.serving.parallel < 1 || o.serving.parallel > most_parallel)
            throw option_error("middle tier: parallel of 1 to " + std::to_string(most_parallel) + " was expected, found " + std::to_string(o.serving.parallel));
        if (o.longest_wait <= duration{} || o.longest_wait > detail::longest_frame_time)
            throw option_error("middle tier: a longest_wait above 0 and of at most 24 hours was expected, found " + detail::number_text(to_milliseconds(o.longest_wait)) + " ms");
        const edge_options e = detail::towards_next_tier(o, net);
        const frame_arena arena{net};
        std::vector<float> outputs(net.output_floats);
        const stage_profile measured =
            detail::calibrate(net, packed.data(), arena.data(), outputs.data(), e.workers, {}, e.calibration_runs, e.calibration_time);
        session_setup setup = detail::setup_for(net, e);
        // A whole input is sent on in the encoding in which it came.
        if (o.serving.decode_input) setup.payload_max = std::max(setup.payload_max, encoded_input_room(net.inputs, o.serving.encoded_input_max));
        place_list made;
        for (int i = 0; i < o.serving.parallel; ++i) {
            auto way = next();
            if (!way) throw option_error("middle tier: a connector to the next tier was expected");
            made.all.push_back(std::make_unique<place>(net, policy, e, o.longest_wait, measured, setup, std::move(way)));
        }
        return made;
    }

    onward_end finish(int which, const onward_request& r, const frame_memory& memory) override { return places.all[static_cast<std::size_t>(which)]->finish(r, memory); }
    duration least_elsewhere(int which) const override { return places.all[static_cast<std::size_t>(which)]->least_elsewhere(); }

    const pipeline network;
    place_list places;
    cloud_core serving; // ends first: its connections' threads use the places
};

} // namespace splitdsl
