// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_core.hpp
/// The other side: serves the tails of many edges, each in its turn and the earliest deadline first, and says so when it cannot be in time.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/runtime/batch_choice.hpp>
#include <splitdsl/runtime/batch_times.hpp>
#include <splitdsl/runtime/cloud_bench.hpp>
#include <splitdsl/runtime/cloud_checks.hpp>
#include <splitdsl/runtime/cloud_connection.hpp>
#include <splitdsl/runtime/cloud_options.hpp>
#include <splitdsl/runtime/onward.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/runtime/request_queue.hpp>
#include <splitdsl/runtime/threads.hpp>
#include <splitdsl/runtime/turned_away.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace splitdsl {

/// Serves `net` on a listener until destroyed, at most `parallel` requests at once. One thread a connection reads; it also runs a request that it brought and that
/// nobody else waits beside, so that an idle cloud answers without a hop between threads. What waits is run, the most urgent first, by threads of
/// the cloud's own, `parallel` of them, so that a connection is read however much others ask for.
///
/// A peer of another graph, other weights or other codec parameters is refused with a sentence naming the difference. Malformed input ends
/// its connection with a counted reason (`ending_names`); memory a connection is bounded by the network's own sizes, never by
/// what the wire says. A request that could not be answered in time, going by measured tail times, is shed: the edge hears at once.
///
/// With `cloud_options::batch` above 1, requests that wait at the same cut, of any connections, run together (`choose_batch`): only as many as make
/// nobody late who would be in time without. Their answers are those they get alone; one that lies ends its own connection and leaves the batch.
/// Costs that many arenas for each of `parallel`; construction runs every size of batch twice and, for each of `parallel` but the first, once.
///
/// With `cloud_options::tenants` only edges with one of their tokens are served. Tenants take turns by their shares, are never batched together, and a place
/// to compute in is zeroed before another tenant's frame runs there.
///
/// ```cpp
/// cloud_core cloud{net, packed, {.weights_digest = digest}, std::make_unique<link::tcp_listener>(7447, "0.0.0.0")};
/// ```
class cloud_core final : private request_sink {
public:
    cloud_core(const pipeline& net, std::span<const std::byte> packed_weights, cloud_options o, std::unique_ptr<link::listener> where)
        : network{net},
          packed{packed_weights.data()},
          options{detail::checked(std::move(o))},
          listener{std::move(where)},
          limits{detail::sizes_of(net, options)},
          queue{static_cast<std::size_t>(options.queue_max), shares_of(options.tenants)},
          admitted(options.tenants.size()),
          most{std::max(1, std::min(options.batch, net.batch_limit))},
          tail_times{net.cuts.size() + 1, most} {
        if (!listener) throw option_error("cloud: a listener was expected");
        if (options.tenants.size() > 1 && (options.streams != nullptr || net.functions.forget != nullptr))
            throw option_error("cloud: at most one tenant was expected where frames leave bytes outside the cloud's arenas (streams, a GPU), found "
                               + std::to_string(options.tenants.size()));
        for (int i = 0; i < options.parallel; ++i) idle_benches.push_back(std::make_unique<bench>(net, limits, most, packed, options.workers, i));
        seen.reserve(static_cast<std::size_t>(options.queue_max));
        warm_up();
        reliefs.reserve(static_cast<std::size_t>(options.parallel)); // a thread that finds no place in it could not be ended
        try {
            for (int i = 0; i < options.parallel; ++i) reliefs.push_back(detail::start_thread<&cloud_core::relieve>(this));
            acceptor = detail::start_thread<&cloud_core::accept_all>(this);
        } catch (...) { // no thread left
            stopping.store(true, std::memory_order_release);
            end_reliefs();
            throw;
        }
    }
    cloud_core(const cloud_core&) = delete;
    cloud_core& operator=(const cloud_core&) = delete;
    ~cloud_core() {
        stopping.store(true, std::memory_order_release);
        listener->close();
        acceptor.join();
        std::vector<cloud_request> dropped;
        {
            const std::lock_guard hold{mutex};
            while (!queue.empty()) dropped.push_back(queue.take());
        }
        came.notify_all();
        dropped.clear(); // outside the lock: each may be the last owner of its connection
        for (auto& c : guests) c->stop();
        for (auto& c : guests) c->join(); // not left to the destructor: a running request may be the last owner
        end_reliefs();
        guests.clear();
    }

    std::uint16_t port() const { return listener->port(); }
    cloud_counters counters() const {
        cloud_counters c;
        {
            const std::lock_guard hold{mutex};
            c = counts;
        }
        c.bytes_in = traffic.bytes_in.load(std::memory_order_relaxed);
        c.bytes_out = traffic.bytes_out.load(std::memory_order_relaxed);
        c.pings = traffic.pings.load(std::memory_order_relaxed);
        return c;
    }
    /// Measured time of `together` tails behind `cut` (-1: the whole network) in one batch, a moving average.
    duration tail_of(int cut, int together = 1) const { return tail_times.of(kind(cut), together); }

private:
    using bench = detail::cloud_bench;
    using seat = detail::cloud_seat;
    static instant clock() { return std::chrono::steady_clock::now(); }

    void warm_up() {
        bench& b = *idle_benches.front();
        const std::atomic<bool> never{};
        for (int together = 1; together <= most; ++together) {
            std::vector<duration> stage(static_cast<std::size_t>(network.stages), duration::max());
            for (int round = together == 1 ? 0 : 1; round < 3; ++round)
                for (int k = 0; k < network.stages; ++k) {
                    const instant begun = clock();
                    network.run_batch(b.first(static_cast<std::size_t>(together)), k, k + 1, &never);
                    duration& least = stage[static_cast<std::size_t>(k)]; // what else runs on the machine only ever adds
                    least = std::min<duration>(least, clock() - begun);
                }
            for (int cut = -1; cut < static_cast<int>(network.cuts.size()); ++cut) {
                duration tail{};
                for (int k = first_stage(cut); k < network.stages; ++k) tail += stage[static_cast<std::size_t>(k)];
                tail_times.begin(kind(cut), together, tail);
            }
        }
        // The others' memory is touched, and their sessions opened, before a request is the first to run there.
        for (std::size_t i = 1; i < idle_benches.size(); ++i)
            for (int together = 1; together <= most; ++together)
                network.run_batch(idle_benches[i]->first(static_cast<std::size_t>(together)), 0, network.stages, &never);
        for (auto& one : idle_benches)
            for (auto& s : one->seats) std::fill(s->outputs.begin(), s->outputs.end(), 0.0F);
    }
    static std::size_t kind(int cut) { return static_cast<std::size_t>(cut + 1); }
    int first_stage(int cut) const { return cut < 0 ? 0 : network.cuts[static_cast<std::size_t>(cut)].stage + 1; }

    void accept_all() {
        while (!stopping.load(std::memory_order_acquire)) {
            try {
                accept_one();
            } catch (...) { // no descriptor, memory or thread for a newcomer is no reason to leave those who are here
                note(counts.endings[static_cast<std::size_t>(ending::no_resources)]);
                std::this_thread::sleep_for(std::chrono::milliseconds{10}); // what is short is not there again at once, and the newcomer may still wait
            }
        }
    }
    void accept_one() {
        leaving.see_off();
        guests.remove_if([](const auto& c) { return c->over(); }); // before and behind the wait: what they held may be what a newcomer needs
        auto s = listener->accept(std::chrono::milliseconds{200});
        guests.remove_if([](const auto& c) { return c->over(); });
        if (!s) return;
        note(counts.connections);
        if (guests.size() >= static_cast<std::size_t>(options.connections_max) && !make_room()) {
            note(counts.endings[static_cast<std::size_t>(ending::full)]);
            return leaving.turn_away(std::move(s), "the cloud has " + std::to_string(guests.size()) + " of " + std::to_string(options.connections_max) + " connections");
        }
        link::handshake me = introduction_for(network, options.weights_digest);
        if (options.streams != nullptr) options.streams->introduce(me);
        auto guest = std::make_shared<cloud_connection>(std::move(s), me, limits, options, static_cast<request_sink&>(*this));
        guest->start(guest);
        guests.push_back(std::move(guest)); // behind its start: a guest without a thread would never be over
    }

    /// Ends the oldest connection that has not introduced itself, so that who says nothing does not keep out who would; if all have, the one silent
    /// longest, which an edge that is there never is for `idle_least`. False: neither exists.
    bool make_room() {
        auto out = std::find_if(guests.begin(), guests.end(), [](const auto& c) { return !c->introduced(); });
        ending why = ending::full;
        if (out == guests.end()) {
            const instant now = clock();
            out = std::max_element(guests.begin(), guests.end(), [now](const auto& a, const auto& b) { return a->silent_for(now) < b->silent_for(now); });
            if ((*out)->silent_for(now) <= options.idle_least) return false;
            why = ending::silent;
        }
        (*out)->end(why);
        (*out)->join(); // here: a request under way may be the last owner, on that very thread, which still has members to touch
        guests.erase(out);
        return true;
    }

    // ---- connections' threads ---------------------------------------------------------------------------------------------
    std::string admit(std::string_view token, std::size_t& tenant) override {
        if (options.tenants.empty()) return {};
        const auto found = tenant_of(token, options.tenants);
        if (!found) return token.empty() ? "the cloud serves known tenants: a tenant_token was expected, found none" : "the cloud knows no tenant with this token";
        const cloud_tenant& t = options.tenants[*found];
        {
            const std::lock_guard hold{mutex};
            if (t.connections_max == 0 || admitted[*found] < t.connections_max) return ++admitted[*found], tenant = *found, std::string{};
        }
        return "tenant " + link::handshake_words::peer_text(t.name) + " has " + std::to_string(t.connections_max) + " of " + std::to_string(t.connections_max)
               + " connections";
    }
    void left(std::size_t tenant) override {
        const std::lock_guard hold{mutex};
        if (!admitted.empty()) --admitted[tenant];
    }
    void request_came(cloud_request r) override {
        std::optional<cloud_request> homeless;
        std::unique_ptr<bench> own;
        {
            std::unique_lock hold{mutex};
            if (stopping.load(std::memory_order_relaxed)) return;
            ++counts.requests;
            queue_turn& turn = r.from->turn();
            const instant deadline = r.deadline;
            homeless = queue.put(deadline, turn, std::move(r));
            counts.shed_full += homeless.has_value();
            // Alone in the queue: else another connection's request might be run here, while nobody reads this one.
            if (queue.size() == 1 && !homeless && options.batch_wait == duration{}) own = seat_next(hold);
        }
        if (homeless) {
            homeless->from->free_place(homeless->place);
            homeless->from->shed(homeless->head);
            homeless.reset(); // perhaps the last owner of its connection
        }
        if (options.batch_wait > duration{}) came.notify_all(); // waiting is a relief's
        if (own) serve(std::move(own));
        {
            const std::lock_guard hold{mutex};
            if (queue.empty() || idle_benches.empty()) return;
        }
        left_over.notify_one();
    }
    void no_place() override {
        const std::lock_guard hold{mutex};
        ++counts.requests, ++counts.shed_full;
    }
    void payload_damaged() override {
        const std::lock_guard hold{mutex};
        ++counts.damaged;
    }
    void connection_over(ending why) override { note(counts.endings[static_cast<std::size_t>(why)]); }

    /// The next request and those that join it, on a bench; null if there is none free or nothing waits.
    std::unique_ptr<bench> seat_next(std::unique_lock<std::mutex>& hold) {
        if (queue.empty() || idle_benches.empty()) return nullptr;
        auto free = idle_benches.rbegin(); // the newest, whose memory is in the caches
        if (options.onward != nullptr) {   // of a middle tier: the newest that may ask the next tier
            const auto up = std::find_if(free, idle_benches.rend(), [this](const auto& b) { return options.onward->least_elsewhere(b->number) < duration::max(); });
            if (up != idle_benches.rend()) free = up;
        }
        std::swap(*free, idle_benches.back());
        std::unique_ptr<bench> b = std::move(idle_benches.back());
        idle_benches.pop_back();
        if (most > 1) take_together(b->taken, hold);
        else b->taken.push_back(queue.take());
        return b;
    }
    void serve(std::unique_ptr<bench> b) {
        compute(*b);
        b->taken.clear(); // outside the lock: each may be the last owner of its connection
        const std::lock_guard hold{mutex};
        idle_benches.push_back(std::move(b));
    }
    /// A relief: as long as there are requests and benches.
    void relieve() {
        ::pthread_setname_np(::pthread_self(), "sd-cloud-next");
        while (true) {
            std::unique_ptr<bench> b;
            {
                std::unique_lock hold{mutex};
                left_over.wait(hold, [this] { return stopping.load(std::memory_order_relaxed) || (!queue.empty() && !idle_benches.empty()); });
                if (stopping.load(std::memory_order_relaxed)) return;
                b = seat_next(hold);
            }
            serve(std::move(b));
        }
    }
    void end_reliefs() {
        { const std::lock_guard hold{mutex}; } // none is between its look at `stopping` and its wait
        left_over.notify_all();
        for (std::thread& t : reliefs) t.join();
    }
    /// The next request and those to be run with it; none if others took them all while it waited for more.
    void take_together(std::vector<cloud_request>& to, std::unique_lock<std::mutex>& hold) {
        const auto time = [this](int cut, int count) { return tail_of(cut, count); };
        while (!queue.empty()) {
            seen.clear();
            for (const std::uint32_t p : queue.in_order()) seen.push_back(seen_as(queue[p]));
            const instant now = clock();
            const batch_choice next = choose_batch(now, seen, most, options.batch_wait, time);
            if (next.start > now) {
                came.wait_until(hold, next.start);
                continue;
            }
            const waiting_request first = seen.front();
            int wanted = next.count;
            queue.take(to, [&](const cloud_request& r) {
                const bool chosen = wanted > 0 && (to.empty() || joins(first, seen_as(r), now, time));
                wanted -= chosen;
                return chosen;
            });
            return;
        }
    }
    static waiting_request seen_as(const cloud_request& r) { return {r.deadline, r.arrived, r.cut(), r.tenant()}; }
    /// Before the message that tells of it, so that who has read the message finds it counted.
    void note(std::uint64_t& which) {
        const std::lock_guard hold{mutex};
        ++which;
    }

    /// Sheds what is late by now or fails, ends who lies, and answers the rest.
    void compute(bench& b) {
        clear_for_tenant(b);
        const instant begun = clock();
        std::size_t count = 0; // of those that run, in the first seats
        for (std::size_t i = 0; i < b.taken.size(); ++i) {
            const cloud_request& r = b.taken[i];
            if (clock() + least_time(b, r.cut()) > r.deadline) {
                note(counts.shed_late);
                r.from->shed(r.head);
                continue;
            }
            b.seats[count]->hand_to(r.tenant());
            try {
                if (!load(*b.seats[count], b.frames[count], r)) {
                    r.from->end(ending::bad_payload);
                    continue;
                }
            } catch (...) { // a decode_input's
                fail(r);
                continue;
            }
            if (count != i) std::swap(b.taken[count], b.taken[i]);
            ++count;
        }
        if (count > 0) run(b, count, begun);
        for (const cloud_request& r : b.taken) r.from->free_place(r.place);
    }
    duration least_time(const bench& b, int cut) const {
        return options.onward == nullptr ? tail_of(cut) : std::min(tail_of(cut), options.onward->least_elsewhere(b.number));
    }
    /// Zeroes before the clock is looked at, so that it counts among what a request has waited for, and not as a part of its tail. For what is late
    /// already nothing is zeroed.
    void clear_for_tenant(bench& b) {
        const instant now = clock();
        std::size_t count = 0;
        for (const cloud_request& r : b.taken)
            if (now + least_time(b, r.cut()) <= r.deadline) b.seats[count++]->hand_to(r.tenant());
    }
    /// The edge is told, so that it falls back at once; others and the connection are as they were.
    void fail(const cloud_request& r) {
        note(counts.failed);
        r.from->shed(r.head, link::shed_reason::failed);
    }
    bool load(seat& s, frame_memory& m, const cloud_request& r) const {
        const int cut = r.cut();
        m.inputs = cut < 0 ? s.inputs.data() : nullptr;
        return cut < 0 ? load_input(s, r.payload) && network.bad_input(m) < 0 : network.load_payload(m, cut, r.payload);
    }
    void run(bench& b, std::size_t count, instant begun) {
        const int cut = b.taken.front().cut();
        onward_end end{.what = onward_end::kind::answered, .alone = true};
        try {
            if (options.onward == nullptr) network.run_batch(b.first(count), first_stage(cut), network.stages, &stopping);
            else end = finish_onward(b, b.taken.front());
        } catch (...) { // a task_runner's
            for (std::size_t i = 0; i < count; ++i) fail(b.taken[i]);
            return;
        }
        if (stopping.load(std::memory_order_relaxed)) return;
        if (end.what == onward_end::kind::failed) return fail(b.taken.front());
        if (end.what == onward_end::kind::unanswered) {
            note(counts.shed_late);
            return b.taken.front().from->shed(b.taken.front().head);
        }
        const instant ended = clock();
        if (end.alone) tail_times.learn(kind(cut), static_cast<int>(count), ended - begun);
        {
            const std::lock_guard hold{mutex}; // before the messages that tell of it, so that who has read one finds it counted
            counts.answered += count;
            if (count > 1) ++counts.batches, counts.batched += count;
        }
        for (std::size_t i = 0; i < count; ++i) {
            seat& s = *b.seats[i];
            const cloud_request& r = b.taken[i];
            for (const exit_info& e : network.exits) // computed on the edge: what is there is another frame's
                if (e.stage < first_stage(cut)) std::fill_n(s.outputs.begin() + static_cast<std::ptrdiff_t>(e.first_float), e.floats, 0.0F);
            if (!s.outputs.empty()) std::memcpy(s.reply.data() + link::header_bytes, s.outputs.data(), s.outputs.size() * sizeof(float));
            r.from->send(s.reply.bytes(), {.kind = link::message_kind::reply,
                                           .cut = r.head.cut,
                                           .codec = r.head.codec,
                                           .epoch = r.head.epoch,
                                           .sequence = r.head.sequence,
                                           .budget_us = static_cast<std::uint32_t>(end.tier),
                                           .stamp_us = r.head.stamp_us,
                                           .service_us = link::wire_microseconds(ended - r.arrived),
                                           .arrival_us = link::wire_microseconds(r.arrival),
                                           .first_bytes = static_cast<std::uint32_t>(r.first_bytes)});
        }
    }
    /// One request, where frames do not run together.
    onward_end finish_onward(bench& b, const cloud_request& r) {
        return options.onward->finish(b.number,
                                      {.cut = r.cut(), .codec = r.head.codec, .payload = r.payload, .due = r.deadline - std::chrono::microseconds{r.head.service_us}},
                                      b.frames.front());
    }
    bool load_input(seat& s, std::span<const std::byte> payload) const {
        if (options.decode_input) return options.decode_input(payload, s.spans);
        std::size_t at{};
        for (const auto to : s.spans) {
            if (payload.size() - at < to.size()) return false;
            std::memcpy(to.data(), payload.data() + at, to.size());
            at += to.size();
        }
        return at == payload.size();
    }

    const pipeline network;
    const std::byte* packed;
    const cloud_options options;
    const std::unique_ptr<link::listener> listener;
    const message_sizes limits;

    mutable std::mutex mutex; // queue, benches, counts: nothing slow happens under it
    request_queue<cloud_request> queue;
    std::vector<int> admitted; // connections, by tenant
    std::vector<std::unique_ptr<bench>> idle_benches;
    std::vector<waiting_request> seen; // as the queue's last batch was chosen
    std::condition_variable came;      // a request, for a bench that waits for more
    std::condition_variable left_over; // requests behind the one that a connection's thread ran
    cloud_counters counts{};
    const int most; // requests in a batch
    batch_times tail_times; // by `kind`
    std::atomic<bool> stopping{};
    std::list<std::shared_ptr<cloud_connection>> guests; // acceptor's; after it, the destructor's
    turned_away leaving;                                 // acceptor's
    std::vector<std::thread> reliefs;
    std::thread acceptor;
};

} // namespace splitdsl
