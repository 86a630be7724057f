// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_core.hpp
/// The other side: serves the tails of many edges, earliest deadline first, and says so when it cannot be in time.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/cloud_connection.hpp>
#include <splitdsl/runtime/cloud_options.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/runtime/request_queue.hpp>
#include <splitdsl/runtime/threads.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace splitdsl {

/// Serves `net` on a listener until destroyed. One thread a connection reads; whichever of them has work runs the most urgent
/// request of all, at most `parallel` at once, so that an idle cloud answers without a hop between threads.
///
/// A peer of another graph, other weights or other codec parameters is refused with a sentence naming the difference. Malformed input ends
/// its connection with a counted reason (`ending_names`); memory a connection is bounded by the network's own sizes, never by
/// what the wire says. A request that could not be answered in time, going by measured tail times, is shed: the edge hears at once.
///
/// ```cpp
/// cloud_core cloud{net, packed, {.weights_digest = digest}, std::make_unique<link::tcp_listener>(7447, "0.0.0.0")};
/// ```
class cloud_core final : private request_sink {
public:
    cloud_core(const pipeline& net, std::span<const std::byte> packed_weights, cloud_options o, std::unique_ptr<link::listener> where)
        : network{net},
          packed{packed_weights.data()},
          options{std::move(o)},
          listener{std::move(where)},
          limits{limits_of(net, options)},
          queue{static_cast<std::size_t>(std::max(options.queue_max, 1))},
          tail_time(net.cuts.size() + 1) {
        if (options.parallel < 1 || options.connections_max < 1)
            throw option_error("cloud: parallel and connections_max of at least 1 were expected");
        if (!listener) throw option_error("cloud: a listener was expected");
        for (int i = 0; i < options.parallel; ++i) idle_benches.push_back(std::make_unique<bench>(net, limits));
        warm_up();
        acceptor = detail::start_thread<&cloud_core::accept_all>(this);
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
        dropped.clear(); // outside the lock: each may be the last owner of its connection
        for (auto& c : guests) c->stop();
        for (auto& c : guests) c->join(); // not left to the destructor: a running request may be the last owner
        guests.clear();
    }

    std::uint16_t port() const { return listener->port(); }
    cloud_counters counters() const {
        const std::lock_guard hold{mutex};
        return counts;
    }
    /// Measured time of the tail behind `cut` (-1: the whole network), a moving average.
    duration tail_of(int cut) const { return duration{tail_time[static_cast<std::size_t>(cut + 1)].load(std::memory_order_relaxed)}; }

private:
    /// What one running request needs; as many as run at once.
    struct bench {
        bench(const pipeline& p, const message_sizes& m) : arena{p.arena_bytes}, reply{m.reply}, outputs(p.output_floats) {
            for (const auto& t : p.inputs) {
                stores.emplace_back(t.bytes);
                inputs.push_back(stores.back().data());
                spans.push_back(stores.back().bytes());
            }
        }
        aligned_buffer arena, reply;
        std::vector<float> outputs;
        std::vector<aligned_buffer> stores;
        std::vector<const void*> inputs;
        std::vector<std::span<std::byte>> spans;
    };
    static constexpr std::size_t max_payload = std::size_t{256} << 20;
    static instant clock() { return std::chrono::steady_clock::now(); }

    static message_sizes limits_of(const pipeline& p, const cloud_options& o) {
        message_sizes m{.reply = link::header_bytes + p.output_floats * sizeof(float)};
        std::size_t whole{};
        for (const auto& t : p.inputs) whole += t.bytes;
        m.request = o.decode_input ? (o.encoded_input_max ? o.encoded_input_max : whole + 1024) : whole;
        m.input = static_cast<std::uint32_t>(m.request);
        for (const auto& c : p.cuts) {
            m.cuts.push_back(static_cast<std::uint32_t>(c.payload_bytes));
            m.request = std::max(m.request, c.payload_bytes);
        }
        if (o.streams != nullptr) {
            m.streams = o.streams->streams();
            m.stream_packet = o.streams->packet_bytes();
        }
        if (m.cuts.size() > static_cast<std::size_t>(max_cuts) || m.request > max_payload)
            throw option_error("cloud: at most " + std::to_string(max_cuts) + " cuts of at most " + std::to_string(max_payload)
                               + " bytes were expected");
        return m;
    }

    void warm_up() {
        bench& b = *idle_benches.front();
        const std::atomic<bool> never{};
        for (int round = 0; round < 3; ++round) {
            std::vector<duration> stage(static_cast<std::size_t>(network.stages));
            for (int k = 0; k < network.stages; ++k) {
                const instant begun = clock();
                network.run({b.arena.data(), packed, b.inputs.data(), b.outputs.data(), options.workers}, k, k + 1, &never);
                stage[static_cast<std::size_t>(k)] = clock() - begun;
            }
            for (int cut = -1; cut < static_cast<int>(network.cuts.size()); ++cut) {
                duration tail{};
                for (int k = first_stage(cut); k < network.stages; ++k) tail += stage[static_cast<std::size_t>(k)];
                tail_time[static_cast<std::size_t>(cut + 1)].store(tail.count(), std::memory_order_relaxed);
            }
        }
        std::fill(b.outputs.begin(), b.outputs.end(), 0.0F);
    }
    int first_stage(int cut) const { return cut < 0 ? 0 : network.cuts[static_cast<std::size_t>(cut)].stage + 1; }

    void accept_all() {
        while (!stopping.load(std::memory_order_acquire)) {
            auto s = listener->accept(std::chrono::milliseconds{200});
            guests.remove_if([](const auto& c) { return c->over(); });
            if (!s) continue;
            {
                const std::lock_guard hold{mutex};
                ++counts.connections;
                if (guests.size() >= static_cast<std::size_t>(options.connections_max)) {
                    ++counts.endings[static_cast<std::size_t>(ending::full)];
                    continue;
                }
            }
            link::handshake me = introduction_for(network, options.weights_digest);
            if (options.streams != nullptr) options.streams->introduce(me);
            guests.push_back(
                std::make_shared<cloud_connection>(std::move(s), me, limits, options.handshake_timeout, static_cast<request_sink&>(*this), options.streams));
            guests.back()->start(guests.back());
        }
    }

    // ---- connections' threads ---------------------------------------------------------------------------------------------
    void request_came(cloud_request r) override {
        {
            const std::lock_guard hold{mutex};
            if (stopping.load(std::memory_order_relaxed)) return;
            ++counts.requests;
            const auto who = r.from;
            const link::frame_header head = r.head;
            const int place = r.place;
            if (!queue.put(r.deadline, std::move(r))) {
                ++counts.shed_full;
                who->free_place(place);
                who->shed(head);
                return;
            }
        }
        run_waiting();
    }
    void payload_damaged() override {
        const std::lock_guard hold{mutex};
        ++counts.damaged;
    }
    void connection_over(ending why, std::uint64_t bytes_in, std::uint64_t bytes_out, std::uint64_t pings) override {
        const std::lock_guard hold{mutex};
        ++counts.endings[static_cast<std::size_t>(why)];
        counts.bytes_in += bytes_in;
        counts.bytes_out += bytes_out;
        counts.pings += pings;
    }

    /// Runs requests as long as there are any and a bench is free.
    void run_waiting() {
        while (true) {
            std::unique_ptr<bench> b;
            cloud_request r{};
            {
                const std::lock_guard hold{mutex};
                if (queue.empty() || idle_benches.empty()) return;
                b = std::move(idle_benches.back());
                idle_benches.pop_back();
                r = queue.take();
            }
            if (clock() + tail_of(r.cut()) <= r.deadline) {
                compute(*b, r);
            } else {
                count(counts.shed_late);
                r.from->shed(r.head);
            }
            r.from->free_place(r.place);
            const std::lock_guard hold{mutex};
            idle_benches.push_back(std::move(b));
        }
    }
    /// Before the message that tells of it, so that who has read the message finds it counted.
    void count(std::uint64_t& which) {
        const std::lock_guard hold{mutex};
        ++which;
    }

    void compute(bench& b, const cloud_request& r) {
        const int cut = r.cut();
        const frame_memory memory{b.arena.data(), packed, cut < 0 ? b.inputs.data() : nullptr, b.outputs.data(), options.workers};
        if (!(cut < 0 ? load_input(b, r.payload) && sound(memory) : network.load_payload(memory, cut, r.payload))) {
            r.from->end(ending::bad_payload);
            return;
        }
        const instant begun = clock();
        network.run(memory, first_stage(cut), network.stages, &stopping);
        if (stopping.load(std::memory_order_relaxed)) return;
        const instant ended = clock();
        auto& average = tail_time[static_cast<std::size_t>(cut + 1)];
        const auto before = average.load(std::memory_order_relaxed);
        average.store(before + ((ended - begun).count() - before) / 8, std::memory_order_relaxed);
        if (!b.outputs.empty()) std::memcpy(b.reply.data() + link::header_bytes, b.outputs.data(), b.outputs.size() * sizeof(float));
        count(counts.answered);
        r.from->send(b.reply.bytes(), {.kind = link::message_kind::reply,
                                       .cut = r.head.cut,
                                       .codec = r.head.codec,
                                       .epoch = r.head.epoch,
                                       .sequence = r.head.sequence,
                                       .stamp_us = r.head.stamp_us,
                                       .service_us = link::wire_microseconds(ended - r.arrived),
                                       .arrival_us = link::wire_microseconds(r.arrival),
                                       .first_bytes = static_cast<std::uint32_t>(r.first_bytes)});
    }
    bool sound(const frame_memory& m) const { return !network.bad_input || network.bad_input(m) < 0; }
    bool load_input(bench& b, std::span<const std::byte> payload) const {
        if (options.decode_input) return options.decode_input(payload, b.spans);
        std::size_t at{};
        for (const auto s : b.spans) {
            if (payload.size() - at < s.size()) return false;
            std::memcpy(s.data(), payload.data() + at, s.size());
            at += s.size();
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
    std::vector<std::unique_ptr<bench>> idle_benches;
    cloud_counters counts{};
    std::vector<std::atomic<std::int64_t>> tail_time;
    std::atomic<bool> stopping{};
    std::list<std::shared_ptr<cloud_connection>> guests; // acceptor's; after it, the destructor's
    std::thread acceptor;
};

} // namespace splitdsl
