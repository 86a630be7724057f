// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file trace.hpp
/// A link's rate over time, recorded or generated: what the virtual link and the relay replay.
#pragma once

#include <splitdsl/detail/csv.hpp>
#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/detail/printable.hpp>
#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace splitdsl::link {

/// From `start` (since the trace's beginning) the link carries `rate` bits per second, until the next slot starts.
struct trace_slot {
    duration start{};
    std::uint64_t rate{};
};

/// Piecewise constant rate that repeats for ever. The last slot is as long as the one before it (one second if it is alone).
///
/// Rates are whole bits per second, times whole nanoseconds, so that `transfer_end` is exact.
/// `trace_error` names line, expected and found; refused are files over 64 MiB or 1,000,000 rows, lines over 4,096 characters,
/// over 64 columns, a missing column, numbers that are not finite, negative or above 1 Tbit/s, times that do not increase.
///
/// ```cpp body
/// const auto trace = splitdsl::link::link_trace::load("drive.csv");              // columns time_s, up_kbps, ...
/// const splitdsl::duration done = trace.transfer_end(250ms, 936);                // last byte leaves, outages included
/// ```
class link_trace {
public:
    static constexpr std::size_t max_file_bytes = std::size_t{64} << 20;
    static constexpr std::size_t max_rows = 1'000'000;
    static constexpr std::size_t max_line = 4'096;
    static constexpr std::size_t max_columns = 64;
    static constexpr double max_kbps = 1e9;
    static constexpr double max_seconds = 1e7;

    /// The first slot must start at 0, starts must increase; `last_length` is the last slot's.
    link_trace(std::vector<trace_slot> given, duration last_length) : slots{std::move(given)} {
        if (slots.empty()) throw trace_error("link trace: expected at least one slot, found none");
        if (slots.size() > max_rows) throw trace_error("link trace: expected at most 1000000 slots, found " + std::to_string(slots.size()));
        if (slots.front().start != duration{0})
            throw trace_error("link trace: expected the first slot at 0 ns, found " + std::to_string(slots.front().start.count()));
        if (last_length <= duration{0})
            throw trace_error("link trace: expected a last slot longer than 0 ns, found " + std::to_string(last_length.count()));
        for (std::size_t i = 0; i < slots.size(); ++i) {
            if (i > 0 && slots[i].start <= slots[i - 1].start)
                throw trace_error("link trace: slot " + std::to_string(i) + ": expected a start after "
                                  + std::to_string(slots[i - 1].start.count()) + " ns, found " + std::to_string(slots[i].start.count()));
            if (slots[i].rate > static_cast<std::uint64_t>(max_kbps * 1e3))
                throw trace_error("link trace: slot " + std::to_string(i) + ": expected at most 1e12 bit/s, found "
                                  + std::to_string(slots[i].rate));
        }
        if (slots.back().start > from_seconds(max_seconds) || last_length > from_seconds(max_seconds))
            throw trace_error("link trace: expected an end within 1e7 s, found "
                              + splitdsl::detail::number_text(to_seconds(slots.back().start + last_length)));
        period = slots.back().start + last_length;
        before.reserve(slots.size() + 1);
        before.push_back(0);
        for (std::size_t i = 0; i < slots.size(); ++i) before.push_back(before[i] + work(slots[i].rate, end_of(i) - slots[i].start));
    }

    static link_trace constant(bits_per_second rate) {
        if (!(rate.value >= 0 && rate.value <= max_kbps * 1e3))
            throw trace_error("link trace: expected a rate from 0 to 1e12 bit/s, found " + splitdsl::detail::number_text(rate.value));
        return {{{duration{0}, static_cast<std::uint64_t>(std::llround(rate.value))}}, std::chrono::seconds{1}};
    }

    /// Reads `time_s` and one named column of kilobits per second. The first row's time becomes 0. Cells may stand in quotation marks and
    /// have blanks around them; lines may end as on Windows.
    static link_trace parse(std::string_view text, std::string_view name = "trace", std::string_view column = "up_kbps");
    static link_trace load(const std::string& path, std::string_view column = "up_kbps");

    /// After this time it starts again.
    duration length() const { return period; }
    std::size_t size() const { return slots.size(); }
    const std::vector<trace_slot>& all() const { return slots; }
    bits_per_second mean() const { return {static_cast<double>(before.back()) / static_cast<double>(period.count())}; }

    /// `since_start` may be any non-negative time; a negative one counts as 0. O(log size).
    bits_per_second rate_at(duration since_start) const {
        return {static_cast<double>(slots[slot_at(std::max(since_start, duration{0}) % period)].rate)};
    }

    /// When the last of `byte_count` bytes has gone whose first goes at `since_start`, with nothing else on the link; rounded
    /// up to a nanosecond. About 146 years if the trace has no capacity at all. O(log size).
    duration transfer_end(duration since_start, std::size_t byte_count) const {
        return finish_of(std::max(since_start, duration{0}), wide{byte_count} * 8 * nanoseconds_per_second);
    }

    /// Bytes the link carries in [from, to), rounded down.
    std::uint64_t carried(duration from, duration to) const {
        if (to <= from) return 0;
        return static_cast<std::uint64_t>(work_between(from, to) / (wide{8} * nanoseconds_per_second));
    }

    /// Work, exactly: bits times 1e9, that is bits per second times nanoseconds. Takes more than 64 bits over a long trace.
    __extension__ using wide = unsigned __int128;
    static constexpr std::uint64_t nanoseconds_per_second = 1'000'000'000;
    static constexpr duration never = from_seconds(4.6e9);

    wide work_between(duration from, duration to) const { return to > from ? work_until(to) - work_until(from) : wide{0}; }

    /// When `needed` work is done that begins at `start`: `transfer_end` for other units than whole bytes.
    duration finish_of(duration start, wide needed) const {
        if (needed == 0) return start;
        if (before.back() == 0) return never;
        const wide target = work_until(start) + needed;
        // Work that fills whole periods ends in the last of them, not at the start of the next: hence the minus one.
        const wide loops = (target - 1) / before.back();
        const wide rest = target - loops * before.back(); // in (0, before.back()]
        if (loops >= static_cast<wide>(never.count() / period.count())) return never;
        const auto reached = std::lower_bound(before.begin() + 1, before.end(), rest);
        const auto i = static_cast<std::size_t>(reached - before.begin()) - 1;
        const wide inside = (rest - before[i] + slots[i].rate - 1) / slots[i].rate;
        return period * static_cast<std::int64_t>(loops) + slots[i].start + duration{static_cast<std::int64_t>(inside)};
    }

private:
    static wide work(std::uint64_t rate, duration d) { return wide{rate} * static_cast<std::uint64_t>(d.count()); }
    duration end_of(std::size_t i) const { return i + 1 < slots.size() ? slots[i + 1].start : period; }

    std::size_t slot_at(duration within) const {
        const auto next = std::upper_bound(slots.begin(), slots.end(), within, [](duration t, const trace_slot& s) { return t < s.start; });
        return static_cast<std::size_t>(next - slots.begin()) - 1;
    }

    wide work_until(duration t) const {
        t = std::max(t, duration{0});
        const duration within = t % period;
        const std::size_t i = slot_at(within);
        return before.back() * static_cast<std::uint64_t>(t / period) + before[i] + work(slots[i].rate, within - slots[i].start);
    }

    std::vector<trace_slot> slots;
    std::vector<wide> before; // before[i]: work of the slots before slot i; the last is one period's
    duration period{};
};

namespace detail {

/// Walks a csv text by lines and cells, and makes the errors.
class trace_reader {
public:
    trace_reader(std::string_view text, std::string_view file_name) : rest{text}, name{file_name} {
        if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
    }

    [[noreturn]] void refuse(const std::string& expected, const std::string& found) const {
        throw trace_error(name + (line_number > 0 ? ":" + std::to_string(line_number) : std::string{}) + ": expected " + expected + ", found " + found);
    }
    static std::string quoted(std::string_view s) { return splitdsl::detail::quoted(s, 40); }

    /// False at the end of the text; empty and blank lines at the end are not lines.
    bool next_line() {
        if (rest.find_first_not_of(" \t\r\n") == std::string_view::npos) return false;
        ++line_number;
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        if (end > link_trace::max_line) refuse("a line of at most 4096 characters", std::to_string(end));
        line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        return true;
    }

    /// The current line's cells, into a buffer that is reused.
    void split(std::vector<std::string_view>& cells) const {
        cells.clear();
        std::string_view left = line;
        for (;;) {
            if (cells.size() == link_trace::max_columns) refuse("at most 64 columns", "more");
            const std::size_t comma = left.find(',');
            cells.push_back(splitdsl::detail::bare_cell(left.substr(0, comma)));
            if (comma == std::string_view::npos) return;
            left.remove_prefix(comma + 1);
        }
    }

    double number(std::string_view cell, const std::string& column, double highest) const {
        const auto value = splitdsl::detail::read_number<double>(cell);
        if (!value) refuse("a finite number for " + column, quoted(cell));
        if (*value < 0 || *value > highest) refuse(column + " from 0 to " + std::to_string(static_cast<std::int64_t>(highest)), quoted(cell));
        return *value;
    }

private:
    std::string_view rest;
    std::string_view line;
    std::string name;
    std::size_t line_number{};
};

} // namespace detail

inline link_trace link_trace::parse(std::string_view text, std::string_view name, std::string_view column) {
    detail::trace_reader reader{text, name};
    if (text.size() > max_file_bytes) reader.refuse("at most 67108864 bytes", std::to_string(text.size()));
    const std::string wanted{column};
    if (!reader.next_line()) reader.refuse("a header line with time_s and " + wanted + ", and rows of numbers", "an empty file");
    std::vector<std::string_view> cells;
    reader.split(cells);
    const auto position_of = [&](std::string_view heading) {
        const auto found = std::find(cells.begin(), cells.end(), heading);
        if (found == cells.end()) {
            std::string headings;
            for (const auto cell : cells) headings += (headings.empty() ? "" : ", ") + detail::trace_reader::quoted(cell);
            reader.refuse("a column named " + std::string{heading}, headings.substr(0, 400));
        }
        if (std::find(found + 1, cells.end(), heading) != cells.end()) reader.refuse("one column named " + std::string{heading}, "two");
        return static_cast<std::size_t>(found - cells.begin());
    };
    const std::size_t time_at = position_of("time_s");
    const std::size_t rate_at_column = position_of(column);
    const std::size_t columns = cells.size();

    std::vector<trace_slot> slots;
    duration first{};
    while (reader.next_line()) {
        reader.split(cells);
        if (cells.size() != columns) reader.refuse(std::to_string(columns) + " columns", std::to_string(cells.size()));
        if (slots.size() == max_rows) reader.refuse("at most 1000000 rows", "more");
        const duration time = from_seconds(reader.number(cells[time_at], "time_s", max_seconds));
        const double kbps = reader.number(cells[rate_at_column], wanted, max_kbps);
        if (slots.empty()) first = time;
        if (!slots.empty() && time - first <= slots.back().start)
            reader.refuse("a time_s after " + splitdsl::detail::number_text(to_seconds(slots.back().start + first)),
                          detail::trace_reader::quoted(cells[time_at]));
        slots.push_back({time - first, static_cast<std::uint64_t>(std::llround(kbps * 1e3))});
    }
    if (slots.empty()) reader.refuse("at least one row of numbers", "the end of the file");
    const duration last = slots.size() > 1 ? slots.back().start - slots[slots.size() - 2].start : duration{std::chrono::seconds{1}};
    return {std::move(slots), last};
}

inline link_trace link_trace::load(const std::string& path, std::string_view column) {
    const auto refuse = [&](const std::string& found) { throw trace_error(path + ": expected a csv file of at most 67108864 bytes, found " + found); };
    return parse(splitdsl::detail::read_ordinary_file<std::string>(path, max_file_bytes, refuse), path, column);
}

/// Shape of a generated uplink: a log-normal rate whose logarithm is a first-order autoregression, cut by outages.
struct lte_drive {
    duration length{std::chrono::seconds{300}};
    bits_per_second mean{0.9e6}; ///< while there is a link at all
    double log_standard_deviation{0.4};
    duration correlation_time{std::chrono::seconds{3}}; ///< of the logarithm: its autocorrelation falls to 1/e
    duration shortest_outage{std::chrono::milliseconds{500}};
    duration longest_outage{std::chrono::seconds{5}}; ///< uniform between the two
    double outage_share{0.05};                        ///< of the time; the gaps between outages are exponential
    duration step{std::chrono::milliseconds{100}};
};

/// A trace with the look of an LTE drive's uplink; the same for a seed with every compiler, because rates are whole kbit/s.
/// `option_error` for shapes that make no sense. Simulated data: label results that rest on it so.
///
/// ```cpp
/// const auto trace = splitdsl::link::generate({.length = 120s}, 7);
/// ```
inline link_trace generate(const lte_drive& shape, std::uint64_t seed) {
    const auto steps = shape.step > duration{0} ? shape.length / shape.step : 0;
    if (steps < 1 || steps > static_cast<std::int64_t>(link_trace::max_rows))
        throw option_error("lte_drive: expected a length of 1 to 1000000 steps, found " + std::to_string(steps));
    if (!(shape.mean.value > 0 && shape.mean.value <= 1e11))
        throw option_error("lte_drive: expected a mean above 0 and up to 1e11 bit/s, found " + splitdsl::detail::number_text(shape.mean.value));
    if (!(shape.log_standard_deviation >= 0 && shape.log_standard_deviation <= 2))
        throw option_error("lte_drive: expected a log standard deviation from 0 to 2, found "
                           + splitdsl::detail::number_text(shape.log_standard_deviation));
    if (!(shape.outage_share >= 0 && shape.outage_share < 1))
        throw option_error("lte_drive: expected an outage share from 0 to below 1, found " + splitdsl::detail::number_text(shape.outage_share));
    const auto shortest = shape.shortest_outage / shape.step;
    const auto longest = shape.longest_outage / shape.step;
    if (shape.outage_share > 0 && (shortest < 1 || longest < shortest || longest > static_cast<std::int64_t>(link_trace::max_rows)))
        throw option_error("lte_drive: expected outages of at least one step, the longest not below the shortest");
    if (shape.correlation_time <= duration{0}) throw option_error("lte_drive: expected a correlation time above 0");

    splitdsl::detail::xoshiro256 fading{seed};
    splitdsl::detail::xoshiro256 outages{seed ^ 0x6f75746167657321u}; // apart, so that the fading does not depend on the outages
    const double deviation = shape.log_standard_deviation;
    const double centre = std::log(shape.mean.value) - deviation * deviation / 2;
    const double memory = std::exp(-(to_seconds(shape.step) / to_seconds(shape.correlation_time)));
    const double innovation = std::sqrt(1 - memory * memory);
    const double mean_outage = static_cast<double>(shortest + longest) / 2;
    const double mean_gap = shape.outage_share > 0 ? mean_outage * (1 - shape.outage_share) / shape.outage_share : 0;
    // Rounding up adds half a step to the mean gap.
    const auto draw_gap = [&] { return static_cast<std::int64_t>(std::ceil(outages.exponential(std::max(mean_gap - 0.5, 0.5)))); };

    std::vector<trace_slot> slots;
    slots.reserve(static_cast<std::size_t>(steps));
    double level = fading.normal();
    std::int64_t gap = shape.outage_share > 0 ? draw_gap() : steps;
    std::int64_t outage = 0;
    for (std::int64_t i = 0; i < steps; ++i) {
        const double kbps = std::exp(centre + deviation * level) / 1e3;
        level = memory * level + innovation * fading.normal();
        const bool out = gap == 0;
        if (!out)
            --gap;
        else if (outage == 0)
            outage = shortest + outages.below(static_cast<std::uint32_t>(longest - shortest + 1));
        if (out && --outage == 0) gap = std::max<std::int64_t>(draw_gap(), 1);
        slots.push_back({shape.step * i, out ? 0 : 1'000 * static_cast<std::uint64_t>(std::llround(std::max(kbps, 1.0)))});
    }
    return {std::move(slots), shape.step};
}

} // namespace splitdsl::link
