// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_streams.hpp
/// The cloud's side of streams: what has arrived of a frame becomes the largest complete maps, an exit's answer, and a reply if it is sure.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/cloud_connection.hpp>
#include <splitdsl/runtime/exit_benches.hpp>
#include <splitdsl/runtime/message_reader.hpp>
#include <splitdsl/runtime/stream_hooks.hpp>
#include <splitdsl/runtime/stream_terms.hpp>

#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace splitdsl {

struct cloud_stream_options {
    /// An exit's answer for a stream is sent from this confidence on; streams beyond the list take the last one, an empty list sends all.
    std::vector<float> thresholds{};
    exit_confidence confidence{};
    pool_options coding{};              ///< as the edge's
    std::uint32_t packet_bytes{65'535}; ///< the largest packet taken
    int parallel{1};                    ///< places to compute in at once, for all connections
    int batch{1};                       ///< so many answers that wait for one place run together, at one exit; never more than the pipeline's `batch_limit`
    /// An answer waits until nothing came for so long, or for four times that: packets of one radio event come one after another. 0: it
    /// answers whatever is there.
    duration gap{};
    /// A radio whose events this side knows, by `steady_clock`: what came in one of them is a burst, however soon the next one brings more.
    instant first_event{};
    duration interval{}; ///< 0: not known
    /// A modelled cloud: an answer takes so long from its burst's last packet on, and not less. 0: as long as it takes.
    duration pace{};
    const task_runner* workers{};
};

/// What the cloud counted of its streams.
struct cloud_stream_counters {
    std::uint64_t frames{}, packets{}, bursts{}, predictions{}, replies{};
    std::uint64_t unsure{};                            ///< answers below the threshold: kept
    std::uint64_t stopped{};                           ///< frames whose edge said stop
    std::uint64_t late{};                              ///< news of frames that were over by their deadline: not computed
    std::uint64_t failed{};                            ///< answers whose exit's stage threw: the edge is told
    std::uint64_t batches{}, batched{};                ///< runs of several answers together, and those answers
    std::uint64_t waiting{};                           ///< answers that wait for a place now
    std::array<std::uint64_t, packet_faults> packet{}; ///< by `packet_fault`
    std::array<std::uint64_t, level_faults> level{};   ///< by `level_fault`
};

/// Keeps, for each connection, one frame's streams in memory of the network's own sizes. At the end of a burst (nothing more to read, for
/// `gap`) it acknowledges what came, and if a size was completed it answers the newest stream with the sizes complete now (Eq. 7 with k = 2
/// where the exit reads two streams): streams are rebuilt at their largest size from their largest complete one, 0 where there is none. The
/// connection's thread computes or waits for who does, so a burst that comes meanwhile is read afterwards, and the next answer is again of the newest
/// state. Answers of several connections that wait for a place run together where `batch` says so (exit_benches.hpp): nobody waits for others
/// to come, and nobody who would be in time gets late. Construction runs every exit in each of `parallel` places, in every size of batch.
///
/// A packet that lies (docs/dynamic_pooling.md) ends its connection, counted by name. Must outlive the cloud.
/// Refused (option_error): a network without such streams, options out of range.
///
/// ```cpp
/// cloud_streams streams{pipeline_of<wake_word>(), weights.bytes(), {.thresholds = {0.7F}}};
/// cloud<wake_word> gateway{weights, {.streams = &streams}, std::make_unique<link::tcp_listener>(7447)};
/// ```
/// Source: FLEET, sections 3.3 and 3.4, Eq. 7 and 8.
class cloud_streams final : public cloud_stream_hooks {
public:
    cloud_streams(const pipeline& net, std::span<const std::byte> packed_weights, cloud_stream_options chosen = {})
        : network{net},
          options{std::move(chosen)},
          terms{net, options.coding} {
        if (options.parallel < 1 || options.parallel > most_parallel)
            throw option_error("cloud streams: expected parallel of 1 to " + std::to_string(most_parallel) + ", found "
                               + std::to_string(options.parallel));
        if (options.batch < 1) throw option_error("cloud streams: expected a batch of at least 1, found " + std::to_string(options.batch));
        if (options.gap < duration{} || options.gap > std::chrono::milliseconds{100})
            throw option_error("cloud streams: expected a gap of 0 to 100 ms, found " + detail::number_text(to_milliseconds(options.gap))
                               + " ms");
        if (options.interval < duration{} || (options.interval > duration{} && options.gap == duration{}))
            throw option_error("cloud streams: expected an interval of at least 0 ms, and a gap beside it, found "
                               + detail::number_text(to_milliseconds(options.interval)) + " ms");
        if (options.pace < duration{} || options.pace > std::chrono::seconds{1})
            throw option_error("cloud streams: expected a pace of 0 to 1000 ms, found " + detail::number_text(to_milliseconds(options.pace)) + " ms");
        if (options.packet_bytes < smallest_pool_packet || options.packet_bytes > largest_pool_packet)
            throw option_error("cloud streams: expected packets of 16 to 65535 bytes, found " + std::to_string(options.packet_bytes));
        if (options.thresholds.size() > static_cast<std::size_t>(terms.count()))
            throw option_error("cloud streams: expected at most a threshold for each of " + std::to_string(terms.count())
                               + " streams, found " + std::to_string(options.thresholds.size()));
        for (const float t : options.thresholds)
            if (!(t >= 0)) throw option_error("cloud streams: expected thresholds of at least 0, found " + detail::number_text(t));
        for (const auto& e : terms.exits)
            if (e.first_float + e.floats > net.output_floats)
                throw option_error("cloud streams: expected exits within the network's outputs");
        benches = std::make_unique<exit_benches>(network, packed_weights.data(), options.parallel, options.batch, options.workers);
    }
    cloud_streams(const cloud_streams&) = delete;
    cloud_streams& operator=(const cloud_streams&) = delete;

    cloud_stream_counters counters() const {
        const auto together = benches->counted();
        const std::lock_guard hold{mutex};
        cloud_stream_counters c = counts;
        c.batches = together.batches, c.batched = together.answers, c.waiting = together.waiting;
        return c;
    }

    void introduce(link::handshake& me) const override { terms.introduce(me); }
    int streams() const noexcept override { return terms.count(); }
    std::uint32_t packet_bytes() const noexcept override { return options.packet_bytes; }
    cloud_stream_guest* open() override {
        auto g = std::make_unique<guest>(*this);
        const std::lock_guard hold{mutex};
        benches->expect(guests.size() + 1); // first: it may have no memory for that, and then there is no guest
        guests.push_back(std::move(g));
        return guests.back().get();
    }
    void close(cloud_stream_guest* which) noexcept override {
        const std::lock_guard hold{mutex};
        guests.remove_if([&](const auto& g) { return g.get() == which; });
    }

private:
    static constexpr std::size_t at(int i) { return static_cast<std::size_t>(i); }
    /// What an answer was made of: the streams' complete sizes.
    struct question {
        int stream{-1};
        std::array<std::int8_t, max_pool_streams> whole{};
        friend bool operator==(const question&, const question&) = default;
    };

    class guest final : public cloud_stream_guest {
    public:
        explicit guest(cloud_streams& to)
            : own{to},
              asks{to.network},
              reply{link::header_bytes + to.network.output_floats * sizeof(float)} {
            asks.values = reinterpret_cast<float*>(reply.data() + link::header_bytes);
            for (int s = 0; s < to.terms.count(); ++s) {
                const pool_ladder& l = to.terms.ladders[at(s)];
                boxes.push_back(std::make_unique<box>(l, to.options.coding, s));
            }
        }

        bool packet(const link::frame_header& h, std::span<const std::byte> payload, instant first) override {
            total += static_cast<std::uint32_t>(link::header_bytes + payload.size());
            last = h;
            arrived = true;
            last_at = std::chrono::steady_clock::now();
            const auto ahead = static_cast<std::int32_t>(h.sequence - frame);
            if (any && ahead < 0) return count(packet_fault::stale), true;
            if (!any || ahead > 0) begin(h, first);
            least = h.first_bytes;
            const packet_fault f = boxes[at(h.cut)]->in.accept(payload);
            count(f);
            if (f != packet_fault::none) return f == packet_fault::duplicate;
            boxes[at(h.cut)]->news = true;
            return true;
        }
        void damaged(const link::frame_header& h, std::size_t size) override {
            total += static_cast<std::uint32_t>(size);
            last = h;
            arrived = true;
        }
        void stop(std::uint32_t which) override {
            if (!any || which != frame || stopped) return;
            stopped = true;
            const std::lock_guard hold{own.mutex};
            ++own.counts.stopped;
        }
        duration gap() const noexcept override {
            return std::clamp<duration>(ends_at() - std::chrono::steady_clock::now(), std::chrono::microseconds{50}, own.options.gap);
        }
        burst read_out(cloud_connection& to) override {
            if (!arrived) return news ? wait_or_answer(to) : burst::over;
            arrived = false;
            for (const auto& b : boxes)
                if (!take(*b)) return burst::lied;
            std::array<std::byte, link::header_bytes> ack{};
            if (last.codec != link::without_ack) to.send(ack, {.kind = link::message_kind::stream_ack,
                          .cut = last.cut,
                          .codec = static_cast<std::uint8_t>(any && last.sequence == frame ? boxes[at(last.cut)]->whole : 0),
                          .epoch = last.epoch,
                          .sequence = last.sequence,
                          .stamp_us = last.stamp_us,
                          .first_bytes = total});
            if (!news) news_since = std::chrono::steady_clock::now();
            news = true;
            return wait_or_answer(to);
        }
        void burst_over(cloud_connection& to) override {
            news = false;
            const question now = ask();
            {
                const std::lock_guard hold{own.mutex};
                ++own.counts.bursts;
                if (!any || stopped || now.stream < 0 || now == asked) return;
                if (static_cast<std::uint32_t>(now.whole[at(now.stream)]) <= least) return; // nobody waits for so small a size
                if (std::chrono::steady_clock::now() > deadline) {
                    ++own.counts.late;
                    return;
                }
            }
            asked = now;
            burst_at = last_at;
            answer(now, to);
        }

    private:
        struct box {
            box(const pool_ladder& l, pool_options coding, int stream) : in{l, coding.form, {.stream = stream}}, out{l, coding} {}
            pool_reassembler in;
            dynamic_pool_decoder out;
            int whole{};
            bool news{};
        };
        /// When the burst is over if nothing more comes: after a gap, or with the event that its last packet came in. What is read shortly
        /// behind an event's end was on its way within it.
        instant ends_at() const noexcept {
            const instant quiet = last_at + own.options.gap;
            if (own.options.interval <= duration{}) return quiet;
            constexpr duration late = std::chrono::microseconds{1500}; // a full packet takes longer than that from an event's begin on
            const auto events = (last_at - late - own.options.first_event) / own.options.interval + 1;
            return std::min(quiet, own.options.first_event + events * own.options.interval + late);
        }
        burst wait_or_answer(cloud_connection& to) {
            const instant now = std::chrono::steady_clock::now();
            if (own.options.gap > duration{} && now < ends_at() && now - news_since < 4 * own.options.gap) return burst::may_go_on;
            burst_over(to);
            return burst::over;
        }
        void begin(const link::frame_header& h, instant first) {
            any = true;
            stopped = false;
            frame = h.sequence;
            deadline = first + std::chrono::microseconds{h.budget_us};
            asked = {};
            for (const auto& b : boxes) {
                b->in.expect(static_cast<std::uint16_t>(frame));
                b->whole = 0;
                b->news = false;
            }
            const std::lock_guard hold{own.mutex};
            ++own.counts.frames;
        }
        void count(packet_fault f) {
            const std::lock_guard hold{own.mutex};
            ++own.counts.packets;
            ++own.counts.packet[static_cast<std::size_t>(f)];
        }
        bool take(box& b) {
            if (!b.news) return true;
            b.news = false;
            const level_fault f = b.in.feed(b.out);
            if (f != level_fault::none) {
                const std::lock_guard hold{own.mutex};
                ++own.counts.level[static_cast<std::size_t>(f)];
                return false;
            }
            b.whole = b.out.whole_levels();
            return true;
        }
        /// The newest stream of which a size is there and which an exit answers, with the sizes of what that exit reads.
        question ask() const {
            question q{};
            for (int s = own.terms.count() - 1; s >= 0 && q.stream < 0; --s)
                if (boxes[at(s)]->whole > 0) q.stream = own.terms.answering(s) != nullptr ? s : -2; // an older stream says less
            if (q.stream == -2) q.stream = -1;
            if (q.stream < 0) return q;
            for (int s = 0; s <= q.stream; ++s)
                if ((own.terms.answering(q.stream)->reads >> s & 1U) != 0) q.whole[at(s)] = static_cast<std::int8_t>(boxes[at(s)]->whole);
            return q;
        }
        void answer(const question& q, cloud_connection& to) {
            const instant begun = std::chrono::steady_clock::now();
            const stream_exit_info& e = *own.terms.answering(q.stream);
            for (int s = 0; s < own.terms.count(); ++s)
                if ((e.reads >> s & 1U) != 0)
                    boxes[at(s)]->out.rebuild_from(q.whole[at(s)] - 1, own.terms.ladders[at(s)].levels - 1, reinterpret_cast<float*>(asks.maps[at(s)].data()));
            if (e.here_sizes > 0) {
                const unsigned others = e.reads & ~(1U << q.stream);
                const int before = others == 0 ? 1 : std::max<int>(q.whole[at(static_cast<int>(std::bit_width(others)) - 1)], 1);
                asks.sizes = static_cast<std::byte>((before - 1) * e.here_sizes + q.whole[at(q.stream)] - 1);
            }
            asks.exit = own.terms.exit_of[at(q.stream)];
            asks.deadline = deadline;
            const auto outcome = own.benches->answer(asks);
            {
                const std::lock_guard hold{own.mutex};
                ++(outcome == exit_benches::outcome::answered ? own.counts.predictions
                  : outcome == exit_benches::outcome::late   ? own.counts.late
                                                             : own.counts.failed);
            }
            if (outcome == exit_benches::outcome::failed) {
                link::frame_header asked_by = last;
                asked_by.cut = static_cast<std::uint8_t>(q.stream);
                asked_by.sequence = frame;
                to.shed(asked_by, link::shed_reason::failed);
            }
            if (outcome != exit_benches::outcome::answered) return;
            const std::span<const float> values{asks.values, e.floats};
            const auto& t = own.options.thresholds;
            const float threshold = t.empty() ? 0.0F : t[std::min(at(q.stream), t.size() - 1)];
            const bool sure = own.options.confidence.of(values) >= threshold;
            if (own.options.pace > duration{}) std::this_thread::sleep_until(burst_at + own.options.pace);
            {
                const std::lock_guard hold{own.mutex};
                ++(sure ? own.counts.replies : own.counts.unsure);
            }
            if (!sure) return;
            to.send(reply.bytes().first(link::header_bytes + values.size_bytes()),
                    {.kind = link::message_kind::exit_reply,
                     .cut = static_cast<std::uint8_t>(q.stream),
                     .codec = static_cast<std::uint8_t>(q.whole[at(q.stream)]),
                     .epoch = last.epoch,
                     .sequence = frame,
                     .stamp_us = last.stamp_us,
                     .service_us = link::wire_microseconds(std::chrono::steady_clock::now() - begun)});
        }

        cloud_streams& own;
        exit_question asks;
        aligned_buffer reply; // the answer's values stand where they leave
        std::vector<std::unique_ptr<box>> boxes;
        link::frame_header last{}; // of the last packet
        question asked{};
        instant deadline{}, news_since{}, last_at{}, burst_at{};
        std::uint32_t frame{}, total{}; // total: stream bytes of this connection
        std::uint32_t least{};          // the first size that is to be answered
        bool any{}, stopped{}, arrived{}, news{};
    };

    const pipeline network;
    const cloud_stream_options options;
    const stream_terms terms;
    mutable std::mutex mutex; // counts and guests
    cloud_stream_counters counts{};
    std::list<std::unique_ptr<guest>> guests;
    std::unique_ptr<exit_benches> benches;
};

} // namespace splitdsl
