// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file servers.hpp
/// Several servers for one edge: each with a connection of its own, one chosen for every frame.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/energy/equations.hpp>
#include <splitdsl/runtime/calibration.hpp>
#include <splitdsl/runtime/report.hpp>
#include <splitdsl/runtime/server_board.hpp>
#include <splitdsl/runtime/session.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace splitdsl {

/// What is a server's own. What is left out is the edge's.
struct server_terms {
    radio_power radio{};                       ///< of the link to it, for choosers and reports
    std::optional<session_options> link{};     ///< in place of `edge_options::link`: how often it is pinged and probed, when it counts as gone
    std::optional<std::string> tenant_token{}; ///< in place of `edge_options::tenant_token`, which is said to every server without one of its own
};

/// One server: what it is called in reports, how to reach it, what is its own.
///
/// ```cpp body
/// const server over_wifi{"depot", link::tcp{"depot.local", 7447}, {.radio = radio::wifi}};
/// ```
struct server {
    template <std::derived_from<link::connector> Connector>
        requires std::copy_constructible<Connector>
    server(std::string called, Connector where, server_terms own = {})
        : name{std::move(called)}, way{[where = std::move(where)] { return std::make_unique<Connector>(where); }}, terms{std::move(own)} {}

    std::string name;
    std::function<std::unique_ptr<link::connector>()> way; ///< called once by each edge
    server_terms terms;
};

/// One of an edge's servers as it is now, and what it did.
struct server_report {
    std::string name;
    link_view link{};         ///< not up while its circuit breaker is open
    std::string link_failure; ///< why it is not up, for people; empty while it is
    server_counters counters{};
    link_counters connection{}; ///< of its connections: pings, probes, handshakes included
    radio_power radio{};

    /// Modelled: the link's own radio (Eq. 3 of SAGE) over the bytes of frames and of their copies at the rates measured then. Pings and rate probes
    /// (`connection.probe_bytes_up`), and a radio's tail, are not in it.
    joules radio_energy() const {
        const auto time = [](std::uint64_t ns) { return duration{static_cast<std::int64_t>(ns)}; };
        return communication_energy(radio, bytes{static_cast<double>(counters.bytes_up)}, time(counters.air_ns), bytes{static_cast<double>(counters.bytes_down)}, time(counters.air_down_ns));
    }
};

/// The connections of an edge to several servers: what `edge` takes in place of its one connection.
///
/// For every frame that the policy may send, `Choice` names a server; the policy sees that one's link (`link_view::server` tells which). Whoever is asked, the
/// edge waits as long as for one server and then answers itself. If the chosen one fails within the frame another that can still be in time is asked, and if it is
/// late a second one (`servers_options`). Answers are those of any server with the same network and weights: the handshake of each compares them.
///
/// Refused (option_error): no server or more than `max_servers`, a name that is empty or there twice, options out of range, a network's streams, a policy
/// with costs for another number of servers. The compute thread's calls are `session`'s: no lock, no allocation.
///
/// ```cpp body
/// edge<lane_keeper, policy::sage, servers<>> robot{weights, policy::sage{costs}, {.deadline = 100ms},
///                                                  {{"depot", link::tcp{"depot.local", 7447}}, {"public", link::tcp{"tail.example.org", 7447}}}};
/// const answer a = robot.infer(camera_bytes, control);       // a.server: 0 the depot, 1 the public cloud
/// for (const server_report& s : robot.server_reports()) std::printf("%s answered %llu\n", s.name.c_str(), (unsigned long long)s.counters.answered);
/// ```
template <class Choice = policy::earliest_answer>
class servers {
    static_assert(server_choice<Choice>,
                  "splitdsl: servers: a server_choice was expected: a copyable type with `int choose(const server_question&, std::span<const server_view>) noexcept`");

    using chooser = std::conditional_t<server_choice<Choice>, Choice, policy::earliest_answer>; // of a type that is none, the sentence alone is said

public:
    using several_servers = Choice;

    /// Which servers, how they are used, who chooses.
    struct place {
        place() = default; ///< none: every frame is answered here
        place(std::initializer_list<server> to, servers_options o = {}, chooser c = chooser{}) : place{std::vector<server>{to}, o, std::move(c)} {}
        place(std::vector<server> to, servers_options o = {}, chooser c = chooser{}) : all{std::move(to)}, options{o}, choice{std::move(c)} {
            if (all.empty()) throw option_error("servers: 1 to " + std::to_string(max_servers) + " servers were expected, found none");
        }
        explicit operator bool() const { return !all.empty(); }

        std::vector<server> all;
        servers_options options{};
        chooser choice{};
    };

    template <class Policy>
    servers(place where, const session_setup& setup, bell& compute, const breaker_options& breaker, const pipeline& net, const Policy& p)
        : known{names_and_radios(where)}, board{count(), radios(), checked(where, setup), breaker, std::move(where.choice)}, work{compute}, spare{setup.payload_max} {
        if constexpr (requires { { p.servers() } -> std::same_as<int>; })
            if (p.servers() != count()) throw option_error("servers: a policy with costs for " + std::to_string(count()) + " servers was expected, found one for " + std::to_string(p.servers()));
        for (const tensor_info& t : net.inputs) payloads[0].value += static_cast<double>(t.bytes);
        for (std::size_t k = 0; k < net.cuts.size(); ++k) payloads[k + 1].value = static_cast<double>(net.cuts[k].payload_bytes);
        for (bytes& b : payloads) b.value += static_cast<double>(link::header_bytes);
        reply.value = static_cast<double>(link::header_bytes + net.output_floats * sizeof(float));
        for (const server& s : where.all) lines.push_back(std::make_unique<session>(s.way(), setup_of(s, setup, net), work));
    }
    servers(const servers&) = delete;
    servers& operator=(const servers&) = delete;
    ~servers() { quit(); } // of all, before the first one's thread is waited for

    // ---- compute thread ---------------------------------------------------------------------------------------------------
    /// Before the policy is asked about `cut`: an answer would be awaited for `window` at most.
    void choose(int cut, duration window, instant now) noexcept {
        watch(now);
        question = {.cut = cut, .payload = payloads[static_cast<std::size_t>(cut + 1)], .reply = reply, .window = window, .now = now};
        chosen.store(board.choose(question, links(now)), std::memory_order_relaxed);
        publish();
    }
    /// Up: a frame may go to somebody, or one that waits may still be answered.
    link_status status() noexcept {
        const instant now = clock();
        watch(now);
        const bool up = board.waiting() ? board.owing() > 0 : std::any_of(lines.begin(), lines.end(), [](const auto& l) { return l->status().up; });
        if (up && !shown.up) ++shown.times_up;
        shown.up = up;
        return shown;
    }
    std::span<std::byte> payload_room() noexcept {
        const int k = target();
        payload = line(k).status().up && !line(k).view(clock()).busy ? line(k).payload_room() : spare.bytes();
        return payload;
    }
    session::sent send(const session::sending& p, instant now) noexcept {
        frame = p;
        sent_at = now;
        until = now + p.left - p.kept;
        session::sent s = hand(target(), role::first, now);
        if (!s.taken) { // it went since it was chosen
            question.now = now;
            question.window = until - now;
            const int other = board.choose(question, links(now));
            chosen.store(other, std::memory_order_relaxed);
            if (other >= 0) s = hand(other, role::first, now);
        }
        if (!s.taken) return s;
        if (const int other = board.probe(now, links(now)); other >= 0) hand(other, role::probe, now);
        awaited = false;
        return s;
    }
    /// As a session's, but never false: waits at the one connection from which an answer may come, or for the bell if there are several.
    bool listen(std::uint32_t heard, instant at_last) noexcept {
        awaited = true;
        const instant now = clock();
        if (now >= board.late_at()) {
            board.was_late();
            if (const int other = board.second(now, links(now)); other >= 0) hand(other, role::second, now);
        }
        const instant next = std::min(at_last, board.late_at());
        int only = -1, owing = 0;
        for (int k = 0; k < count(); ++k)
            if (board.owes(k)) only = k, owing += 1;
        if (owing == 1 && line(only).listen(heard, next)) return true;
        work.wait(heard, next);
        return true;
    }
    void look() noexcept {
        for (const auto& l : lines) l->look();
    }
    void leave() noexcept {
        board.ended(awaited, clock());
        awaited = false;
        for (const auto& l : lines) l->leave();
        publish();
    }
    /// The frame is answered, by whomever.
    void over() noexcept { board.over(); }
    /// A reply for the frame machine; `values` lie in the connection's memory until `pop_reply`.
    struct told_reply {
        reply_facts facts{};
        std::span<const float> values{};
    };
    const told_reply* oldest_reply() noexcept {
        for (int k = 0; k < count(); ++k)
            while (const incoming_reply* r = line(k).oldest_reply()) {
                const instant now = clock();
                told = {.facts = r->facts, .values = r->values};
                auto what = board.heard(k, told.facts, now, links(now));
                if (what == fate::failing) what = stand_in(now) ? fate::drop : fate::hand_on;
                if (what == fate::hand_on) {
                    teller = k;
                    return &told;
                }
                line(k).pop_reply();
            }
        return nullptr;
    }
    void pop_reply() noexcept { line(teller).pop_reply(); }

    // ---- any thread -------------------------------------------------------------------------------------------------------
    link_view view(instant now) const noexcept {
        const int k = chosen.load(std::memory_order_relaxed);
        if (k == nobody) return {};
        if (k >= 0 && line(k).status().up) return view_of(k, now);
        for (int i = 0; i < count(); ++i)
            if (line(i).status().up && now >= of(i).breaker.load().opens_at()) return view_of(i, now);
        return view_of(std::max(k, 0), now);
    }
    void wake() noexcept {
        for (const auto& l : lines) l->wake();
    }
    void quit() noexcept {
        for (const auto& l : lines) l->quit();
    }
    std::uint64_t times_listened() const noexcept {
        std::uint64_t n = 0;
        for (const auto& l : lines) n += l->times_listened();
        return n;
    }
    /// Of all connections together.
    link_counters counters() const noexcept {
        using words = std::array<std::uint64_t, sizeof(link_counters) / sizeof(std::uint64_t)>;
        words all{};
        for (const auto& l : lines) {
            const auto one = std::bit_cast<words>(l->counters());
            for (std::size_t i = 0; i < all.size(); ++i) all[i] += one[i];
        }
        return std::bit_cast<link_counters>(all);
    }
    /// Why nobody can be asked; for people. Empty while somebody can. Not for the frame path: locks.
    std::string last_failure() const {
        std::string all;
        for (const server_report& r : reports()) {
            if (r.link_failure.empty()) return {};
            all += (all.empty() ? "" : "; ") + r.name + ": " + r.link_failure;
        }
        return all;
    }
    /// Not for the frame path: allocates and locks.
    std::vector<server_report> reports() const {
        const instant now = clock();
        std::vector<server_report> all;
        for (int k = 0; k < count(); ++k) {
            const breaker_note b = of(k).breaker.load();
            link_view v = view_of(k, now);
            v.up = v.up && now >= b.opens_at();
            std::string why = line(k).last_failure();
            if (why.empty()) why = b.sentence(now);
            all.push_back({.name = of(k).name, .link = v, .link_failure = std::move(why), .counters = of(k).counts.load(), .connection = line(k).counters(), .radio = of(k).radio});
        }
        return all;
    }

private:
    using role = typename server_board<chooser>::role;
    using fate = typename server_board<chooser>::fate;
    static constexpr int nobody = -1, not_yet = -2;
    struct entry {
        std::string name;
        radio_power radio{};
        link_status status{}; // compute thread's
        shared_counters<server_counters> counts{};
        shared_counters<breaker_note> breaker{};
    };

    static instant clock() { return std::chrono::steady_clock::now(); }
    int count() const noexcept { return static_cast<int>(known->size()); }
    session& line(int k) const noexcept { return *lines[static_cast<std::size_t>(k)]; }
    entry& of(int k) const noexcept { return (*known)[static_cast<std::size_t>(k)]; }
    int target() const noexcept { return std::max(chosen.load(std::memory_order_relaxed), 0); }

    static std::unique_ptr<std::vector<entry>> names_and_radios(const place& where) {
        auto all = std::make_unique<std::vector<entry>>(where.all.size()); // counters are not movable
        for (std::size_t k = 0; k < all->size(); ++k) {
            (*all)[k].name = where.all[k].name;
            (*all)[k].radio = where.all[k].terms.radio;
        }
        return all;
    }
    std::array<radio_power, max_servers> radios() const {
        std::array<radio_power, max_servers> all{};
        for (std::size_t k = 0; k < std::min(known->size(), all.size()); ++k) all[k] = (*known)[k].radio;
        return all;
    }
    static const servers_options& checked(const place& where, const session_setup& setup) {
        const auto refuse = [](const std::string& expected, const std::string& found) { throw option_error("servers: " + expected + " was expected, found " + found); };
        if (where.all.size() > static_cast<std::size_t>(max_servers)) refuse("a list of at most " + std::to_string(max_servers) + " servers", std::to_string(where.all.size()));
        for (const server& s : where.all) {
            if (s.name.empty()) refuse("a name for each server", "an empty one");
            if (std::count_if(where.all.begin(), where.all.end(), [&](const server& o) { return o.name == s.name; }) > 1) refuse("a name of its own for each server", "\"" + s.name + "\" more than once");
            if (!s.way) refuse("a way to server \"" + s.name + "\"", "none");
            for (const double x : {s.terms.radio.uplink_mw_per_mbps, s.terms.radio.downlink_mw_per_mbps, s.terms.radio.base_mw})
                if (!(std::isfinite(x) && x >= 0)) refuse("a radio power of 0 or more for \"" + s.name + "\"", detail::number_text(x));
        }
        const servers_options& o = where.options;
        const auto number = [&](const char* name, double v, double least, double most) {
            if (!(v >= least && v <= most)) refuse(std::string{"a "} + name + " of " + detail::number_text(least) + " to " + detail::number_text(most), detail::number_text(v));
        };
        number("second_share", o.second_share, 0, 1);
        number("second_burst", o.second_burst, 0, 1'000'000);
        number("late_factor", o.late_factor, 1, 1000);
        number("late_by (ms)", to_milliseconds(o.late_by), 0, 86'400'000);
        number("first_probe (ms)", to_milliseconds(o.first_probe), 0, 86'400'000);
        number("longest_probe (ms)", to_milliseconds(o.longest_probe), 0, 86'400'000);
        if (setup.streams != nullptr) refuse("a network without streams, which have one server,", "edge_options::streams");
        return o;
    }

    static session_setup setup_of(const server& s, session_setup setup, const pipeline& net) {
        edge_options of_one;
        of_one.link = s.terms.link.value_or(setup.options);
        of_one.tenant_token = s.terms.tenant_token.value_or(setup.identity.tenant);
        detail::checked(of_one, net); // as the edge's own are
        setup.options = of_one.link;
        setup.identity.tenant = of_one.tenant_token;
        return setup;
    }

    link_view view_of(int k, instant now) const noexcept {
        link_view v = line(k).view(now);
        v.server = k;
        return v;
    }
    std::span<const link_view> links(instant now) noexcept {
        for (int k = 0; k < count(); ++k) measured[static_cast<std::size_t>(k)] = view_of(k, now);
        return std::span{measured}.first(lines.size());
    }
    /// Connections that came or went. One that ends while the frame waits for it alone is made up for, if somebody can be.
    void watch(instant now) noexcept {
        bool alone = false;
        for (int k = 0; k < count(); ++k) {
            const link_status s = line(k).status();
            const bool other = board.is_asked(k) && line(k).connection() != board.asked_epoch(k);
            if (other || (board.is_asked(k) && !s.up)) alone = board.lost(k, now) || alone;
            if (s.up && s.times_up != of(k).status.times_up) board.returned(k, now);
            of(k).status = s;
        }
        if (alone) stand_in(now);
    }
    bool stand_in(instant now) noexcept {
        const int k = board.second(now, links(now));
        return k >= 0 && hand(k, role::stand_in, now).taken;
    }
    /// The frame's payload, or a copy of it, to `k`.
    session::sent hand(int k, role r, instant now) noexcept {
        if (frame.bytes > payload.size() || line(k).view(now).busy) return {}; // nothing to send, or no room for it
        if (const auto room = line(k).payload_room(); room.data() != payload.data()) std::memcpy(room.data(), payload.data(), frame.bytes);
        session::sending p = frame;
        p.left = frame.left - (now - sent_at);
        session::sent s = line(k).send(p, now);
        if (!s.taken) return s;
        s.server = k;
        board.asked(k, r, p.sequence, s.epoch, s.bytes, until, now, links(now));
        if (r != role::first)
            for (const auto& l : lines) l->leave(); // of several that owe an answer each is read by its own thread, which may nap since before it was asked
        return s;
    }
    void publish() noexcept {
        for (int k = 0; k < count(); ++k) {
            of(k).counts.store(board.counters(k));
            of(k).breaker.store(breaker_note::of(board.breaker(k)));
        }
    }

    std::unique_ptr<std::vector<entry>> known;
    server_board<chooser> board; // compute thread's
    bell& work;
    aligned_buffer spare;
    std::array<bytes, max_cuts + 1> payloads{}; // [cut + 1]
    bytes reply{};
    std::atomic<int> chosen{not_yet};

    std::array<link_view, max_servers> measured{}; // compute thread's from here
    link_status shown{};
    session::sending frame{};
    server_question question{};
    std::span<std::byte> payload{}; // of the running frame: the first server's room, or the spare one
    instant sent_at{}, until{};
    int teller{};
    bool awaited{};
    told_reply told{};

    std::vector<std::unique_ptr<session>> lines; // end first: their threads ring the bell
};

} // namespace splitdsl
