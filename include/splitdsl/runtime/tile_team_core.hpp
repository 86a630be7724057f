// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_team_core.hpp
/// One frame's tiles on several devices, within its deadline: who takes which, what is awaited how long, and what is made up for here.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/graph/tile_shares.hpp>
#include <splitdsl/runtime/breaker.hpp>
#include <splitdsl/runtime/edge_options.hpp>
#include <splitdsl/runtime/recent_times.hpp>
#include <splitdsl/runtime/session.hpp>
#include <splitdsl/runtime/tile_agreement.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace splitdsl {

/// Everything a user may set on a team. Refused (option_error): a deadline of 0 or less or above 24 hours, a negative `reserve` or `speed_memory`, a `patience` below 1, a `least_gain` that is
/// not below 1, a `helper_speed` that is not above 0, negative `calibration_runs`, probes above 64 KiB, `fixed_shares` of another number than the helpers', or of more tiles than there are.
struct tile_team_options {
    duration deadline{std::chrono::milliseconds{100}}; ///< of a frame, from `infer` on
    /// Kept for what is missing: never less than twice the p99 of the missing tiles and of all behind them, or of the whole run if that is less.
    duration reserve{};
    int calibration_runs{20};    ///< at construction, of the whole network and of all tiles; 0: `reserve` is taken at its word, and without times only `fixed_shares` shares frames out
    double patience{2};          ///< a tile that is not there by so many times its modelled time is computed here, once there is nothing else to do
    double least_gain{0.05};     ///< share of the time alone that the model has to promise; else the frame stays here in one piece
    /// How many tiles each helper takes, in place of the model; the last tiles are this device's. A frame is then shared out with whichever of them is there.
    std::vector<int> fixed_shares{};
    duration speed_memory{std::chrono::seconds{5}}; ///< a helper's measured speed is believed for so long, then it is tried anew
    breaker_options breaker{};                      ///< for a helper whose tiles do not come
    session_options link{.probe_bytes = 16 * 1024}; ///< probes of a question's order: smaller ones show no more than some 30 Mbit/s of a fast link
    double helper_speed{1};                         ///< of a helper in this device's own, assumed while it is not measured
    thread_options threads{};
    std::string tenant_token{};
};

/// How a frame was computed; the values are the same.
enum class tile_way : std::uint8_t {
    none,     ///< refused: an input or the values' room of another size than the network's
    shared,   ///< every tile of a helper came
    mended,   ///< some did not, and were computed here
    alone,    ///< in one piece from the begin: no helper is there, the model says that it does not pay, or there is no time for tiles
    given_up  ///< so many were missing that the whole network here was quicker than they
};
constexpr const char* to_text(tile_way w) {
    constexpr const char* names[]{"none", "shared", "mended", "alone", "given up"};
    return names[static_cast<int>(w)];
}
struct tile_answer {
    tile_way way{};
    bool on_time{};
    int sent{};      ///< tiles asked of helpers
    int came{};      ///< of these, in time
    duration total{};
};

struct tile_team_counters {
    std::uint64_t frames{}, refused{}, on_time{};
    std::uint64_t shared{}, mended{}, alone{}, given_up{};
    std::uint64_t sent{}, came{}; ///< tiles
    std::uint64_t overdue{};      ///< tiles awaited long enough: computed here, one by one or in the whole run
    std::uint64_t late{};         ///< answers behind that, or of an earlier frame: dropped
    std::uint64_t lost{};         ///< tiles whose connection ended
    std::uint64_t shed{};         ///< tiles that a helper gave back
    std::uint64_t corrupt{}, not_finite{}, wrong_size{};        ///< answers: dropped, the tile is computed here
    std::array<std::uint64_t, link::tile_faults> bad_answers{}; ///< the same, by `link::tile_fault`
};

/// What the device itself can do with the network; called on `infer`'s thread.
class tile_runs {
public:
    virtual void ask(int k, const void* const* inputs, std::span<std::byte> question) = 0;
    virtual void run_here(int k, const void* const* inputs) = 0;
    virtual void gather(int k, std::span<const std::byte> answer) = 0;
    virtual void run_behind(const void* const* inputs, float* outputs) = 0;
    virtual void run_whole(const void* const* inputs, float* outputs) = 0;

protected:
    ~tile_runs() = default;
};

/// The device that has the input. Frames are answered on the calling thread, one at a time; after the first it allocates nothing and locks nothing. Each helper has a session with a thread of
/// its own (runtime/session.hpp), which connects again and again, measures the link and receives.
///
/// The promise: as long as the tiles that stay here and twice what the missing ones take here fit into the deadline, the frame is answered by it, whatever helpers and links do. Where they do
/// not fit, nothing is sent and the network runs in one piece. No other thread watches: a host that does not let the caller run makes it late.
class tile_team_core {
public:
    /// `net` for its inputs' and outputs' sizes.
    tile_team_core(tile_runs& own, const tile_agreement& agreed, const tile_figures& grid, std::uint64_t weights_digest, const pipeline& net, tile_team_options o,
                   std::vector<std::unique_ptr<link::connector>> where)
        : runs{own}, terms{agreed}, figures{grid}, options{checked(std::move(o), where.size(), agreed.tiles())} {
        calibrate(net);
        session_setup setup{.identity = introduction_for(terms.described(), weights_digest),
                            .payload_max = terms.question_bytes(),
                            .output_floats = terms.answer_bytes() / sizeof(float),
                            .options = options.link,
                            .threads = options.threads};
        setup.identity.tenant = options.tenant_token;
        for (auto& connector : where) {
            if (!connector) throw option_error("tile team: a connector for each helper was expected, found none");
            auto& h = helpers.emplace_back(std::make_unique<helper>());
            h->breaker = circuit_breaker{options.breaker};
            h->line = std::make_unique<session>(std::move(connector), setup, work);
        }
    }
    tile_team_core(const tile_team_core&) = delete;
    tile_team_core& operator=(const tile_team_core&) = delete;
    ~tile_team_core() {
        for (auto& h : helpers) h->line->quit(), h->line->wake();
    }

    tile_answer infer(const void* const* inputs, float* outputs) noexcept {
        const instant begun = clock();
        frame = {.begun = begun, .due = begun + options.deadline, .inputs = inputs, .outputs = outputs};
        for (auto& h : helpers) receive(*h); // what came behind its time
        choose_helpers(begun);
        ++counts.frames;
        tile_answer a{.way = frame.shares.sent > 0 ? run_shared() : run_alone(tile_way::alone)};
        ++(a.way == tile_way::shared ? counts.shared : a.way == tile_way::mended ? counts.mended : a.way == tile_way::alone ? counts.alone : counts.given_up);
        const instant ended = clock();
        a.total = ended - begun, a.on_time = ended <= frame.due, a.sent = frame.sent, a.came = frame.came;
        counts.on_time += a.on_time, counts.sent += static_cast<std::uint64_t>(a.sent), counts.came += static_cast<std::uint64_t>(a.came);
        return a;
    }
    void refuse() noexcept { ++counts.refused; }

    /// As the last frame left them; for the thread that calls `infer`.
    const tile_team_counters& counters() const noexcept { return counts; }
    /// Who took which tile of the last frame, and what the model expected of it.
    const tile_shares& shares() const noexcept { return frame.shares; }
    /// What the next frame's shares are made of, as measured now.
    tile_times here() const noexcept {
        return {.macs_per_second = tile_macs() / std::max(mean[tile_kind], 1e-9), .behind = mean[behind_kind], .alone = mean[whole_kind]};
    }
    tile_worker worker(int k) const noexcept { return worker_of(*helpers[static_cast<std::size_t>(k)], clock()); }
    int helpers_there() const noexcept {
        int n = 0;
        for (const auto& h : helpers) n += h->line->status().up;
        return n;
    }
    /// Why helper `k` is not there, for people; empty if it is.
    std::string helper_failure(int k) const { return helpers[static_cast<std::size_t>(k)]->line->last_failure(); }
    /// Kept for `missing` tiles and everything behind them.
    duration reserve(int missing) const noexcept {
        if (options.calibration_runs == 0) return options.reserve;
        return std::max(options.reserve, 2 * std::min(p99(whole_kind), missing * p99(tile_kind) + p99(behind_kind)));
    }

private:
    enum kind : int { whole_kind, tile_kind, behind_kind, kinds };
    static instant clock() noexcept { return std::chrono::steady_clock::now(); }

    struct helper {
        std::unique_ptr<session> line{};
        circuit_breaker breaker{};
        double macs_per_second{}; ///< measured; 0: never
        instant measured{};
        int open{};               ///< questions without an answer
        bool in_frame{}, failed{};
    };
    /// What becomes of one tile in this frame.
    struct asked_tile {
        int by{};                 ///< 0: here; k: helper k - 1
        bool done{}, sent{}, back{}; ///< back: no answer is to come any more
        std::uint32_t sequence{}, epoch{};
        instant give_up{};        ///< then it is computed here
    };
    struct running {
        instant begun{}, due{};
        const void* const* inputs{};
        float* outputs{};
        tile_shares shares{};
        int sent{}, came{};
        std::array<asked_tile, max_tiles> tiles{};
    };

    static tile_team_options checked(tile_team_options o, std::size_t helpers, int tiles) {
        const auto ms = [](duration d) { return detail::number_text(to_milliseconds(d)) + " ms"; };
        if (o.deadline <= duration{} || o.deadline > std::chrono::hours{24}) throw option_error("tile team: a deadline above 0 and of at most 24 hours was expected, found " + ms(o.deadline));
        if (o.reserve < duration{} || o.speed_memory < duration{}) throw option_error("tile team: a reserve and a speed_memory of 0 or more were expected, found " + ms(std::min(o.reserve, o.speed_memory)));
        if (!(o.patience >= 1)) throw option_error("tile team: a patience of at least 1 was expected, found " + detail::number_text(o.patience));
        if (!(o.least_gain < 1)) throw option_error("tile team: a least_gain below 1 was expected, found " + detail::number_text(o.least_gain));
        if (!(o.helper_speed > 0)) throw option_error("tile team: a helper_speed above 0 was expected, found " + detail::number_text(o.helper_speed));
        if (o.calibration_runs < 0) throw option_error("tile team: calibration_runs of 0 or more were expected, found " + std::to_string(o.calibration_runs));
        if (constexpr std::size_t most = link::frame_limits::extras{}.probe_bytes; o.link.probe_bytes > most)
            throw option_error("tile team: probe_bytes of at most " + std::to_string(most) + " were expected, found " + std::to_string(o.link.probe_bytes));
        if (helpers > static_cast<std::size_t>(max_devices)) throw option_error("tile team: at most " + std::to_string(max_devices) + " helpers were expected, found " + std::to_string(helpers));
        if (o.fixed_shares.empty()) return o;
        if (o.fixed_shares.size() != helpers) throw option_error("tile team: fixed_shares for " + std::to_string(helpers) + " helpers were expected, found " + std::to_string(o.fixed_shares.size()));
        int sum = 0;
        for (const int n : o.fixed_shares) {
            if (n < 0 || n > tiles - sum) throw option_error("tile team: fixed_shares of together at most " + std::to_string(tiles) + " tiles were expected, found one of " + std::to_string(n));
            sum += n;
        }
        return o;
    }

    // ---- times --------------------------------------------------------------------------------------------------------------
    double tile_macs() const noexcept { return static_cast<double>(figures.macs) / std::max(figures.count(), 1); }
    duration p99(int what) const noexcept { return times.p99(what, first_p99[static_cast<std::size_t>(what)]); }
    template <class Run>
    void timed(int what, Run&& run) noexcept {
        const std::int64_t before = detail::preemptions(false);
        const instant begun = clock();
        run();
        const duration took = clock() - begun;
        times.add(what, took, detail::preemptions(false) != before);
        double& m = mean[static_cast<std::size_t>(what)];
        m = m == 0 ? to_seconds(took) : 0.8 * m + 0.2 * to_seconds(took);
    }
    void calibrate(const pipeline& net) {
        std::vector<aligned_buffer> zeros;
        std::vector<const void*> inputs;
        for (const tensor_info& t : net.inputs) inputs.push_back(zeros.emplace_back(t.bytes).data());
        std::vector<float> outputs(net.output_floats);
        const auto once = [&](auto run) { // memory is touched for the first time in a run that does not count
            run(whole_kind, [&] { runs.run_whole(inputs.data(), outputs.data()); });
            for (int k = 0; k < terms.tiles(); ++k) run(tile_kind, [&] { runs.run_here(k, inputs.data()); });
            run(behind_kind, [&] { runs.run_behind(inputs.data(), outputs.data()); });
        };
        once([](int, auto body) { body(); });
        for (int n = 0; n < options.calibration_runs; ++n) once([this](int what, auto body) { timed(what, body); });
        for (int k = 0; k < kinds; ++k) first_p99[static_cast<std::size_t>(k)] = times.p99(k, {});
    }

    // ---- who takes what -----------------------------------------------------------------------------------------------------
    tile_worker worker_of(const helper& h, instant now) const noexcept {
        const link_view v = h.line->view(now);
        const bool known = h.macs_per_second > 0 && now - h.measured < options.speed_memory;
        return {.macs_per_second = known ? h.macs_per_second : options.helper_speed * here().macs_per_second, .rate_up = v.up ? v.rate_up : bits_per_second{}, .rate_down = v.rate_down, .round_trip = v.rtt};
    }
    void choose_helpers(instant now) noexcept {
        std::array<tile_worker, max_devices> workers{};
        std::array<bool, max_devices> there{};
        for (std::size_t k = 0; k < helpers.size(); ++k) {
            helper& h = *helpers[k];
            h.in_frame = h.failed = false, h.open = 0;
            there[k] = h.line->status().up && h.breaker.allows(now);
            if (there[k]) workers[k] = worker_of(h, now);
        }
        const tile_times own = here();
        tile_shares& s = frame.shares;
        if (options.fixed_shares.empty()) {
            s = share_tiles(figures, own, std::span{workers}.first(helpers.size()));
            if (!s.pays(own, options.least_gain)) s.device.fill(0), s.sent = 0;
        } else {
            int next = 0;
            for (std::size_t k = 0; k < helpers.size(); ++k)
                for (int n = 0; there[k] && n < options.fixed_shares[k]; ++n) s.device[static_cast<std::size_t>(next++)] = static_cast<int>(k) + 1;
            for (tile_worker& w : workers) // for the times alone
                if (!(w.rate_up.value > 0)) w.rate_up = megabits_per_second(1), w.macs_per_second = own.macs_per_second;
            graph::time_shares(figures, own, std::span{workers}.first(helpers.size()), s);
        }
        // Covered: what stays here, then twice what is missing.
        if (s.sent > 0 && now + (terms.tiles() - s.sent) * (options.calibration_runs > 0 ? p99(tile_kind) : duration{}) + reserve(s.sent) > frame.due) s.device.fill(0), s.sent = 0;
        for (int k = 0; k < terms.tiles(); ++k) {
            const auto i = static_cast<std::size_t>(k);
            frame.tiles[i].by = s.device[i];
            // A millisecond for a host's timers and threads. Without measured times there is nothing to be patient by: then until the reserve begins.
            frame.tiles[i].give_up = options.calibration_runs > 0 ? frame.begun + from_seconds(options.patience * s.back[i]) + std::chrono::milliseconds{1} : frame.due;
        }
    }

    // ---- a frame ------------------------------------------------------------------------------------------------------------
    tile_way run_alone(tile_way why) noexcept {
        timed(whole_kind, [this] { runs.run_whole(frame.inputs, frame.outputs); });
        return why;
    }
    tile_way run_shared() noexcept {
        bool mended = false, whole = false;
        while (true) {
            const std::uint32_t heard = work.now(); // what comes from here on ends the wait below
            for (auto& h : helpers) receive(*h);
            ask_next();
            const instant now = clock();
            const next_step n = look(now);
            if (n.missing == 0) break;
            if (n.made_up > 0 && quicker_whole(n.own + n.made_up)) {
                for (const asked_tile& t : tiles())
                    if (t.by > 0 && !t.done && !t.back && std::min(t.give_up, n.latest) <= now) ++counts.overdue, helpers[static_cast<std::size_t>(t.by - 1)]->failed = true;
                whole = true;
                break;
            }
            if (n.tile >= 0) {
                asked_tile& t = frame.tiles[static_cast<std::size_t>(n.tile)];
                mended = mended || t.by > 0;
                if (n.overdue && t.by > 0) ++counts.overdue, helpers[static_cast<std::size_t>(t.by - 1)]->failed = true;
                timed(tile_kind, [&] { runs.run_here(n.tile, frame.inputs); });
                t.done = true;
                continue;
            }
            work.wait(heard, std::min<instant>(n.until, now + std::chrono::milliseconds{1})); // no bell tells of room for the next question
        }
        for (auto& h : helpers) {
            if (!h->in_frame) continue;
            if (h->failed) h->breaker.failed(clock());
            else h->breaker.succeeded();
        }
        if (whole) return run_alone(tile_way::given_up);
        timed(behind_kind, [this] { runs.run_behind(frame.inputs, frame.outputs); });
        return mended ? tile_way::mended : tile_way::shared;
    }
    bool quicker_whole(int missing) const noexcept {
        return options.calibration_runs > 0 && mean[whole_kind] < missing * mean[tile_kind] + mean[behind_kind];
    }

    struct next_step {
        int missing{};
        int own{}, made_up{}; ///< of them: this device's, and helpers' that are to be computed here
        int tile{-1};    ///< to be computed here now; -1: none
        bool overdue{};  ///< it is a helper's that was awaited long enough
        instant until{}; ///< else: when the next tile is
        instant latest{}; ///< until then a tile may be awaited, however patient this device is
    };
    std::span<asked_tile> tiles() noexcept { return std::span{frame.tiles}.first(static_cast<std::size_t>(terms.tiles())); }
    /// This device's own tiles first, then those that will not come, then those awaited long enough.
    next_step look(instant now) noexcept {
        next_step n{.until = instant::max()};
        int own = -1, given_back = -1, overdue = -1;
        for (const asked_tile& t : tiles()) n.missing += !t.done;
        n.latest = frame.due - reserve(n.missing);
        for (int k = 0; k < terms.tiles(); ++k) {
            const asked_tile& t = frame.tiles[static_cast<std::size_t>(k)];
            if (t.done) continue;
            if (t.by == 0) own = own < 0 ? k : own, ++n.own;
            else if (t.back || is_lost(t)) given_back = k, ++n.made_up;
            else if (const instant until = std::min(t.give_up, n.latest); until <= now) overdue = k, ++n.made_up;
            else n.until = std::min(n.until, until);
        }
        n.tile = own >= 0 ? own : given_back >= 0 ? given_back : overdue;
        n.overdue = n.tile >= 0 && n.tile == overdue;
        return n;
    }
    /// Its connection ended, before or behind the question.
    bool is_lost(const asked_tile& t) const noexcept {
        const session& line = *helpers[static_cast<std::size_t>(t.by - 1)]->line;
        return t.sent ? line.connection() != t.epoch : !line.status().up;
    }
    /// Two questions at a time to each helper: one is on its way, or waits there, while the other one is computed.
    void ask_next() noexcept {
        for (std::size_t d = 0; d < helpers.size(); ++d) {
            helper& h = *helpers[d];
            for (int k = 0; k < terms.tiles() && h.open < 2; ++k) {
                asked_tile& t = frame.tiles[static_cast<std::size_t>(k)];
                if (t.by != static_cast<int>(d) + 1 || t.sent || t.done || t.back) continue;
                const instant now = clock();
                if (h.line->view(now).busy) break;
                const auto room = h.line->payload_room().first(link::tile_head_bytes + terms.contract().tiles[static_cast<std::size_t>(k)].question_bytes);
                link::encode_tile_head(terms.head(k), room.first<link::tile_head_bytes>());
                runs.ask(k, frame.inputs, room.subspan(link::tile_head_bytes));
                if (++sequence == 0) sequence = 1;
                const auto s = h.line->send({.sequence = sequence, .cut = 0, .bytes = room.size(), .left = frame.due - reserve(1) - now}, now);
                h.line->leave(); // its thread receives
                if (!s.taken) {
                    t.back = true;
                    break;
                }
                if (!h.in_frame) h.breaker.sent();
                h.in_frame = true;
                t.sent = true, t.sequence = sequence, t.epoch = s.epoch;
                ++h.open, ++frame.sent;
            }
        }
    }
    void receive(helper& h) noexcept {
        h.line->look();
        while (const incoming_reply* r = h.line->oldest_reply()) {
            settle(h, *r);
            h.line->pop_reply();
        }
        for (asked_tile& t : frame.tiles)
            if (t.sent && !t.done && !t.back && helpers[static_cast<std::size_t>(t.by - 1)].get() == &h && is_lost(t)) t.back = h.failed = true, h.open = 0, ++counts.lost;
    }
    void settle(helper& h, const incoming_reply& r) noexcept {
        const reply_facts& f = r.facts;
        const std::span<const std::byte> message = std::as_bytes(std::span{r.values});
        link::tile_head head;
        const bool whole = !f.shed && f.crc_ok && f.size_ok;
        const link::tile_fault fault = whole ? link::check_answer(message, terms.contract(), head) : link::tile_fault::none;
        if (whole && fault == link::tile_fault::none && head.work_us > 0) learn(h, static_cast<int>(head.tile), head.work_us); // one that is late says how fast it was too
        asked_tile* mine = nullptr;
        int k = 0;
        for (int i = 0; i < terms.tiles(); ++i)
            if (asked_tile& t = frame.tiles[static_cast<std::size_t>(i)]; t.sent && !t.back && t.sequence == f.sequence && helpers[static_cast<std::size_t>(t.by - 1)].get() == &h) mine = &t, k = i;
        if (mine == nullptr) {
            ++counts.late;
            return;
        }
        mine->back = true;
        --h.open;
        if (mine->done) {
            ++counts.late;
            return;
        }
        const bool other_tile = whole && fault == link::tile_fault::none && head.tile != static_cast<std::uint32_t>(k);
        if (f.shed) ++counts.shed;
        else if (!f.size_ok) ++counts.wrong_size;
        else if (!f.crc_ok) ++counts.corrupt;
        else if (other_tile) ++counts.bad_answers[static_cast<std::size_t>(link::tile_fault::other_part)];
        else if (fault != link::tile_fault::none) ++counts.bad_answers[static_cast<std::size_t>(fault)];
        else if (!f.finite) ++counts.not_finite;
        else {
            runs.gather(k, message.subspan(link::tile_head_bytes, terms.contract().tiles[static_cast<std::size_t>(k)].answer_bytes));
            mine->done = true;
            ++frame.came;
            return;
        }
        h.failed = true; // and the tile is computed here
    }
    void learn(helper& h, int tile, std::uint32_t work_us) noexcept {
        const double speed = static_cast<double>(figures.tiles[tile].macs) / (1e-6 * work_us);
        const instant now = clock();
        const bool known = h.macs_per_second > 0 && now - h.measured < options.speed_memory;
        h.macs_per_second = known ? 0.75 * h.macs_per_second + 0.25 * speed : speed;
        h.measured = now;
    }
    tile_runs& runs;
    const tile_agreement& terms;
    const tile_figures figures;
    const tile_team_options options;
    recent_times times{kinds};
    std::array<duration, kinds> first_p99{};
    std::array<double, kinds> mean{}; ///< seconds, moving
    running frame{};
    std::uint32_t sequence{};
    tile_team_counters counts{};
    bell work;
    std::vector<std::unique_ptr<helper>> helpers; // last: their sessions ring `work`
};

} // namespace splitdsl
