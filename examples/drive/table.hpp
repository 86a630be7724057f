// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file table.hpp
/// A drive on the terminal: the summary as an aligned table, and a line of progress while it runs.
#pragma once

#include "summary.hpp"
#include "svg.hpp"

#include <cstdio>
#include <string>
#include <unistd.h>
#include <vector>

namespace drive {

namespace detail {
/// Columns on a terminal: code points, since nothing here is wider than one.
inline std::size_t columns(std::string_view s) {
    return static_cast<std::size_t>(
        std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}
/// First column to the left, the others to the right, and the last to the left again; every column as wide as its widest cell.
inline std::string align(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (widths.size() <= i) widths.push_back(0);
            widths[i] = std::max(widths[i], columns(row[i]));
        }
    std::string text;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string blanks(widths[i] - columns(row[i]), ' ');
            const bool to_left = i == 0 || i + 1 == widths.size();
            line += (i > 0 ? "  " : "") + (to_left ? row[i] + blanks : blanks + row[i]);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}
} // namespace detail

/// The summary: one column a policy, one row a number, and what kind of number it is.
inline std::string summary_table(const drive_record& d) {
    using svg::number;
    const auto all = summarise(d);
    const policy_summary* const base = find(all, "all_edge");
    std::vector<std::vector<std::string>> rows{{""}};
    for (const policy_summary& s : all) rows[0].push_back(s.name);
    rows[0].push_back("");
    const auto row = [&](const std::string& name, splitdsl::provenance label, auto cell) {
        rows.push_back({name});
        for (const policy_summary& s : all) rows.back().push_back(cell(s));
        rows.back().push_back(std::string(to_text(label)));
    };
    const auto time = d.time_label(), energy = d.energy_label(), road = d.road_label();
    row("frames answered", time, [](const auto& s) { return number(s.answered) + " of " + number(s.frames); });
    row("missed (deadline " + number(d.scenario.deadline_ms) + " ms)", time, [](const auto& s) { return number(s.misses); });
    row("host stalls", time, [](const auto& s) { return number(s.host_stalls); });
    for (const auto source : {frame_source::edge, frame_source::cloud, frame_source::fallback, frame_source::held})
        row("answered by: " + std::string(to_text(source)), time, [&](const auto& s) { return number(s.count(source)); });
    row("cloud, outside blackouts", time, [](const auto& s) { return svg::percent(s.cloud_share(), 1); });
    row("latency p50, own answers, ms", time, [](const auto& s) { return number(s.p50, 1); });
    row("latency p95, own answers, ms", time, [](const auto& s) { return number(s.p95, 1); });
    row("latency p99, own answers, ms", time, [](const auto& s) { return number(s.p99, 1); });
    row("latency max, own answers, ms", time, [](const auto& s) { return number(s.max, 1); });
    row("sent", time, [](const auto& s) { return svg::volume(static_cast<double>(s.bytes_up)); });
    row("late replies dropped", time, [](const auto& s) { return number(s.late_dropped); });
    row("duplicates delivered", time, [](const auto& s) { return number(s.duplicates_delivered); });
    row("compute, J", energy, [&](const auto& s) { return number(s.energy_j[d.scope].compute, 1); });
    row("radio, J", energy, [&](const auto& s) { return number(s.energy_j[d.scope].radio, 1); });
    for (const auto scope : {d.scope, other_scope(d.scope)}) {
        const std::string name = " (" + std::string(to_text(scope)) + ")";
        row("idle, J" + name, energy, [&](const auto& s) { return number(s.energy_j[scope].idle, 1); });
        row("total, J" + name, energy, [&](const auto& s) { return number(s.energy_j[scope].total(), 1); });
        if (base != nullptr)
            row("against all_edge" + name, energy, [&](const auto& s) {
                const auto less = saving(s, *base, scope);
                return &s == base || !less ? std::string("–") : (*less >= 0 ? "−" : "+") + svg::percent(std::abs(*less), 1);
            });
    }
    row("lane deviation, mean, m", road, [](const auto& s) { return number(s.lane_mean, 3); });
    row("lane deviation, max, m", road, [](const auto& s) { return number(s.lane_max, 3); });
    row("times off the road", road, [](const auto& s) { return s.had_road() ? number(s.off_road) : number(unknown); });
    return detail::align(rows);
}

/// One line of progress: `name  [=====>    ]  612 of 1,200  note`.
inline std::string progress_text(std::string_view name, std::size_t done, std::size_t total, std::string_view note,
                                 std::size_t cells = 32) {
    const std::size_t shown = std::min(done, total);
    const std::size_t full = total > 0 ? shown * cells / total : 0;
    std::string bar(full, '=');
    if (full < cells) bar += '>' + std::string(cells - full - 1, ' ');
    return std::string(name) + "  [" + bar + "]  " + svg::number(done) + " of " + svg::number(total) + (note.empty() ? "" : "  ")
           + std::string(note);
}

/// Rewrites one line on a terminal; silent where the output is a file or a pipe. Not for the frame path: it writes.
///
/// ```cpp
/// drive::progress_line progress{"sage", frames};
/// progress.show(done, "cloud 83 %");      // as often as one likes: it writes only when the text changed
/// progress.finish();
/// ```
class progress_line {
public:
    progress_line(std::string name, std::size_t total, std::FILE* to = stdout)
        : progress_line(std::move(name), total, to, ::isatty(::fileno(to)) == 1) {}
    progress_line(std::string name, std::size_t total, std::FILE* to, bool terminal)
        : title{std::move(name)},
          frames{total},
          file{to},
          active{terminal} {}
    progress_line(const progress_line&) = delete;
    progress_line& operator=(const progress_line&) = delete;
    ~progress_line() { finish(); }

    void show(std::size_t done, std::string_view note = {}) {
        if (!active) return;
        std::string text = progress_text(title, done, frames, note);
        if (text == last) return;
        // What the longer line before left behind is blanked.
        const std::size_t before = detail::columns(last), now = detail::columns(text);
        std::fputs(("\r" + text + std::string(before > now ? before - now : 0, ' ')).c_str(), file);
        std::fflush(file);
        last = std::move(text);
    }
    /// Ends the line, so that what follows begins on its own.
    void finish() {
        if (active && !last.empty()) std::fputs("\n", file);
        active = false;
    }

private:
    std::string title;
    std::size_t frames;
    std::FILE* file;
    bool active;
    std::string last{};
};

} // namespace drive
