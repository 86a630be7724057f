// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file estimator.hpp
/// What the link can do, from what was seen of it: effective rate by the receiver's times, and round trips by averaged pings.
///
/// A sender's own timing measures socket buffers, so every rate here comes from the other side's receive times or from a whole
/// round trip. All are plain values: time is passed in, nothing allocates, nothing reads a clock.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>

namespace splitdsl::link {

/// One message as its receiver saw it.
struct received_transfer {
    std::size_t bytes{};    ///< of the whole message, header included
    std::size_t at_first{}; ///< of them, already there at the first stamp; they took no time between the stamps
    duration spread{};      ///< last byte's stamp minus the first's, on the receiver's clock
};

/// Rate by the spread of one message. None if there is too little to see: one segment has no spread, and below
/// `shortest_spread` the stamps' own noise decides. The result is a sample, not yet an estimate.
inline std::optional<bits_per_second> rate_by_spread(const received_transfer& t,
                                                     duration shortest_spread = std::chrono::microseconds{500}) {
    if (t.at_first >= t.bytes || t.spread < shortest_spread) return std::nullopt;
    return bits_per_second{static_cast<double>(t.bytes - t.at_first) * 8 / to_seconds(t.spread)};
}

/// One question and answer as the asking side saw it.
struct round_trip {
    std::size_t bytes_up{};
    duration elapsed{};    ///< first byte handed over to answer complete, on the asker's clock
    duration service{};    ///< message complete to answer sent, as the other side reports it
    duration reply_time{}; ///< the answer's own time on the link, beyond an empty message's (0 if it is small)
};

/// Rate by what a round trip took beyond the link's empty round trip `rtt`. For messages of a single segment, which have no
/// spread. None if less than `shortest` remains: then the link is faster than this message can show.
inline std::optional<bits_per_second> rate_by_round_trip(const round_trip& t, duration rtt,
                                                         duration shortest = std::chrono::microseconds{500}) {
    const duration airtime = t.elapsed - t.service - t.reply_time - rtt;
    if (t.bytes_up == 0 || airtime < shortest) return std::nullopt;
    return bits_per_second{static_cast<double>(t.bytes_up) * 8 / to_seconds(airtime)};
}

namespace detail {
/// The latest samples of an estimator, each with its moment: a ring of 16.
template <class Value>
class recent_samples {
public:
    static constexpr std::size_t capacity = 16;

    void add(instant now, Value value) {
        kept[total % capacity] = {now, value};
        ++total;
        newest = now;
    }
    /// No new sample, but evidence that agrees with those there are.
    void renew(instant now) { newest = std::max(newest, now); }
    void forget() { total = 0; }
    bool empty() const { return total == 0; }
    instant latest() const { return newest; }
    /// Since the latest one; the longest duration while there is none.
    duration age(instant now) const { return total > 0 ? now - newest : duration::max(); }
    /// Calls `f` with each of them that is not older than `window`.
    template <class F>
    void within(instant now, duration window, F f) const {
        for (std::size_t i = 0; i < std::min(total, capacity); ++i)
            if (now - kept[i].at <= window) f(kept[i].value);
    }

private:
    struct sample {
        instant at{};
        Value value{};
    };
    std::array<sample, capacity> kept{};
    std::size_t total{};
    instant newest{};
};
} // namespace detail

/// How a rate is averaged. Any values do: the average's weight is kept within 0 and 1.
struct rate_estimator_options {
    double smoothing{0.25};                   ///< weight of a new sample in the average, 0 < smoothing <= 1
    duration memory{std::chrono::milliseconds{500}}; ///< after a pause of this length a new sample weighs 1 - 1/e at least
    double percentile{0.5};                   ///< of the recent samples, for `conservative`
    duration window{std::chrono::milliseconds{1500}}; ///< samples older than this do not count as recent
};

/// Effective rate of one direction (SAGE's "effective data rate, retransmissions included").
///
/// `average` is an exponentially weighted geometric mean; `conservative` is the lower of it and a percentile (by default the median) of the recent samples,
/// which is what a deadline should be planned with. Cost: O(16) a call.
///
/// ```cpp
/// rate_estimator up;
/// if (const auto sample = rate_by_spread({.bytes = 984, .at_first = 250, .spread = 6ms})) up.observe(now, *sample);
/// const bits_per_second planned = up.conservative(now);
/// ```
class rate_estimator {
public:
    explicit rate_estimator(rate_estimator_options chosen = {}) : options{chosen} {}

    void observe(instant now, bits_per_second sample) {
        if (!(sample.value > 0) || !std::isfinite(sample.value)) return;
        if (samples.empty()) {
            mean = sample.value;
        } else {
            // Averaged as logarithms: the mean of rates would call a link that is fast and dead by turns fast, and the mean of times
            // per bit would need minutes to believe in a link that is back from a blackout.
            const double pause = to_seconds(now - samples.latest()) / std::max(to_seconds(options.memory), 1e-9);
            const double weight = std::clamp(std::max(options.smoothing, 1 - std::exp(-std::max(pause, 0.0))), 0.0, 1.0);
            mean = std::exp((1 - weight) * std::log(mean) + weight * std::log(sample.value));
        }
        samples.add(now, sample.value);
    }

    /// `bytes` were sent and `waited` has passed without an answer: the rate cannot be above this. Only ever lowers.
    void observe_unanswered(instant now, std::size_t bytes, duration waited) {
        if (waited <= duration{0} || samples.empty()) return;
        const double bound = static_cast<double>(bytes) * 8 / to_seconds(waited);
        if (bound < mean) observe(now, {bound});
    }

    /// An exchange was as quick as this estimate has it, and too quick to show more.
    void agrees(instant now) { samples.renew(now); }

    bool known() const { return !samples.empty(); }
    bits_per_second average() const { return {known() ? mean : 0}; }

    /// At most `average`; 0 while nothing is known. With no recent sample it is the average alone: look at `age`.
    bits_per_second conservative(instant now) const {
        std::array<double, detail::recent_samples<double>::capacity> recent{};
        std::size_t count = 0;
        samples.within(now, options.window, [&](double rate) { recent[count++] = rate; });
        if (count == 0) return average();
        const auto position = static_cast<std::ptrdiff_t>(std::clamp(options.percentile, 0.0, 1.0) * static_cast<double>(count - 1));
        std::nth_element(recent.begin(), recent.begin() + position, recent.begin() + static_cast<std::ptrdiff_t>(count));
        return {std::min(mean, recent[static_cast<std::size_t>(position)])};
    }

    /// Since the last sample; the longest duration while there is none.
    duration age(instant now) const { return samples.age(now); }

    /// After a reconnect over another network nothing learnt holds.
    void forget() { samples.forget(); }

private:
    rate_estimator_options options;
    detail::recent_samples<double> samples{};
    double mean{};
};

/// How round trips are averaged.
struct rtt_estimator_options {
    double smoothing{0.125};                   ///< weight of a new ping in the average (RFC 6298)
    duration window{std::chrono::seconds{10}}; ///< pings older than this do not count for `lowest`
};

/// Round trip of an empty message by averaged pings (SAGE-18). Subtract the other side's service time before observing.
class rtt_estimator {
public:
    explicit rtt_estimator(rtt_estimator_options chosen = {}) : options{chosen} {}

    void observe(instant now, duration sample) {
        if (sample < duration{0}) return;
        const double seconds = to_seconds(sample);
        if (samples.empty()) {
            mean = seconds;
            deviation = seconds / 2;
        } else {
            deviation += 2 * options.smoothing * (std::abs(seconds - mean) - deviation);
            mean += options.smoothing * (seconds - mean);
        }
        samples.add(now, sample);
    }

    /// An exchange showed that the round trip lies between these. An estimate that does is as fresh as the exchange; one that does not moves towards them. Pings
    /// alone begin an estimate: a message of some size says too little.
    void observe_between(instant now, duration least, duration most) {
        if (samples.empty()) return;
        if (const duration held = average(); held < least) observe(now, least);
        else if (held > most) observe(now, std::max(most, duration{0}));
        else samples.renew(now);
    }

    bool known() const { return !samples.empty(); }
    duration average() const { return from_seconds(known() ? mean : 0); }
    /// Mean absolute deviation, smoothed: `average() + 4 * variation()` is a time-out in the manner of TCP.
    duration variation() const { return from_seconds(known() ? deviation : 0); }

    /// Lowest of the pings in the window: the path without queueing. The average if there is none in it.
    duration lowest(instant now) const {
        duration least = duration::max();
        samples.within(now, options.window, [&](duration sample) { least = std::min(least, sample); });
        return least == duration::max() ? average() : least;
    }

    /// Since the last ping; the longest duration while there is none.
    duration age(instant now) const { return samples.age(now); }
    void forget() { samples.forget(); }

private:
    rtt_estimator_options options;
    detail::recent_samples<duration> samples{};
    double mean{};
    double deviation{};
};

/// When to send the next small probe, so that a policy that stays local does not go blind.
struct probe_schedule {
    duration every{std::chrono::milliseconds{500}}; ///< no probe while a sample is younger than this
    std::size_t bytes{512};                         ///< of one probe; count its energy

    bool due(duration age, duration since_last_probe) const { return age >= every && since_last_probe >= every; }
};

/// Both rates and the round trip of one link.
struct link_estimator {
    rate_estimator up{};
    rate_estimator down{};
    rtt_estimator rtt{};
    probe_schedule probes{};

    /// A message up and its answer, with what the other side reported. The rate is by the spread if it shows enough, else by the round trip. And the round trip is
    /// what the exchange took beyond the transfer: so it stays known where offloads follow each other and leave no pause for a ping. Without a spread, rate and round
    /// trip together explain the exchange, whichever of them has changed.
    void observe_exchange(instant now, const received_transfer& sent, const round_trip& trip) {
        const duration beyond = trip.elapsed - trip.service - trip.reply_time;
        duration least{};
        if (const auto spread = rate_by_spread(sent)) {
            up.observe(now, *spread);
            // What was there at the first stamp took no longer than at that rate. More than the exchange took says nothing of the round trip.
            least = beyond - std::min<duration>(bytes{static_cast<double>(sent.bytes)} / *spread, std::max(beyond, duration{}));
        } else if (rtt.known()) {
            if (const auto by_trip = rate_by_round_trip(trip, rtt.lowest(now))) up.observe(now, *by_trip);
        }
        rtt.observe_between(now, least - stamp_noise, beyond - sent.spread + stamp_noise);
    }

    /// Age of the older estimate that a decision for an offload rests on; the longest duration while one of them is not known.
    duration age(instant now) const { return std::max(up.age(now), rtt.age(now)); }

    static constexpr duration stamp_noise = std::chrono::microseconds{500}; // as in rate_by_spread

    void forget() {
        up.forget();
        down.forget();
        rtt.forget();
    }
};

} // namespace splitdsl::link
