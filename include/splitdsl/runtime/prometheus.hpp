// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file prometheus.hpp
/// Counters, times and power as Prometheus reads them: text exposition format 0.0.4.
#pragma once

#include <splitdsl/detail/printable.hpp>
#include <splitdsl/energy/provenance.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/runtime/cloud_options.hpp>
#include <splitdsl/runtime/report.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace splitdsl {

struct metric_label {
    std::string_view name{}, value{};
};
using metric_labels = std::vector<metric_label>;

namespace detail {

/// A name of letters, digits and underscores, of metrics colons too, that begins with no digit.
inline bool is_metric_name(std::string_view s, bool colons) {
    const auto letter = [&](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':'); };
    return !s.empty() && letter(s[0]) && std::all_of(s.begin(), s.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}
/// UTF-8 without surrogates and without forms that are too long.
inline bool is_utf8(std::string_view s) {
    for (std::size_t i = 0; i < s.size();) {
        const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(s[k]); };
        const unsigned first = byte(i);
        const std::size_t length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
        if (length == 0 || length > s.size() - i) return false;
        for (std::size_t k = 1; k < length; ++k)
            if ((byte(i + k) & 0xc0) != 0x80) return false;
        if (length > 2) {
            const unsigned second = byte(i + 1);
            if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) || (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90)) return false;
        }
        i += length;
    }
    return true;
}
inline std::string escaped_metric(std::string_view s, bool quotes) {
    std::string all;
    for (const char c : s) {
        if (c == '\\' || (quotes && c == '"')) all += '\\';
        c == '\n' ? all += "\\n" : all += c;
    }
    return all;
}
inline std::string metric_number(double v) {
    if (std::isnan(v)) return "NaN";
    if (std::isinf(v)) return v > 0 ? "+Inf" : "-Inf";
    std::array<char, 32> digits{};
    return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), v).ptr};
}

} // namespace detail

/// Collects samples and writes them family by family, each with its HELP and TYPE line, in the order in which families first came. One thread; allocates:
/// for the thread that answers a scrape or writes a file for node_exporter's textfile collector, never for a frame's.
///
/// Refused (option_error): names that Prometheus does not take, a label twice or one that begins with "__", a family with another type or help than before, the
/// same sample twice, text that is no UTF-8, more than `most_bytes` in all.
///
/// ```cpp body
/// prometheus_text page;
/// page.counter("car_frames_total", "Frames the car took.", 1200, {{"camera", "front"}});
/// page.gauge("car_power_watts", "Power of the whole car.", 4.3, {{"label", to_text(provenance::modelled)}});
/// std::puts(page.text().c_str());     // serve it as "text/plain; version=0.0.4"
/// ```
///
/// Source: Ladon (WACV 2025) samples its power through Prometheus; the format is Prometheus's own text-based one.
class prometheus_text {
public:
    explicit prometheus_text(std::size_t most_bytes = std::size_t{1} << 20) : most{most_bytes} {}

    /// Whole numbers to their last digit; others, such as joules, as they are. Refused: a value below 0 or not finite.
    template <class Number>
    void counter(std::string_view name, std::string_view help, Number value, const metric_labels& labels = {}) {
        if constexpr (std::is_integral_v<Number>) {
            if (std::is_signed_v<Number> && value < Number{}) refuse(name, "a counter of 0 or more", std::to_string(value));
            add(name, "", help, "counter", std::to_string(value), labels);
        } else {
            if (!(value >= 0) || std::isinf(value)) refuse(name, "a counter of 0 or more", detail::metric_number(value));
            add(name, "", help, "counter", detail::metric_number(value), labels);
        }
    }
    void gauge(std::string_view name, std::string_view help, double value, const metric_labels& labels = {}) {
        add(name, "", help, "gauge", detail::metric_number(value), labels);
    }
    /// Quantiles 0.5, 0.9, 0.99 and 1 in seconds, with sum and count; quantiles of nothing are NaN.
    void summary(std::string_view name, std::string_view help, const distribution& d, const metric_labels& labels = {}) {
        static constexpr std::pair<double, std::string_view> quantiles[]{{0.5, "0.5"}, {0.9, "0.9"}, {0.99, "0.99"}, {1, "1"}};
        for (const auto& [q, text] : quantiles) {
            metric_labels with = labels;
            with.push_back({"quantile", text});
            add(name, "", help, "summary", detail::metric_number(d.count() > 0 ? to_seconds(d.quantile(q)) : std::nan("")), with);
        }
        add(name, "_sum", help, "summary", detail::metric_number(to_seconds(d.mean()) * static_cast<double>(d.count())), labels);
        add(name, "_count", help, "summary", std::to_string(d.count()), labels);
    }
    std::string text() const {
        std::string all;
        for (const family& f : families) all += f.head + f.samples;
        return all;
    }

private:
    struct family {
        std::string name{}, type{}, head{}, samples{};
        std::vector<std::string> known{}; // name and labels of each
    };
    [[noreturn]] static void refuse(std::string_view name, const std::string& expected, const std::string& found) {
        throw option_error("prometheus: metric " + detail::quoted(name) + ": expected " + expected + ", found " + found);
    }
    void add(std::string_view name, std::string_view suffix, std::string_view help, const char* type, const std::string& value, const metric_labels& labels) {
        if (!detail::is_metric_name(name, true)) refuse(name, "a name of letters, digits, _ and :", detail::quoted(name));
        if (!detail::is_utf8(help)) refuse(name, "UTF-8 as help", "other bytes");
        std::string sample{name};
        sample += suffix;
        for (std::size_t i = 0; i < labels.size(); ++i) {
            const metric_label& l = labels[i];
            if (!detail::is_metric_name(l.name, false) || l.name.starts_with("__")) refuse(name, "a label of letters, digits and _ that does not begin with __", detail::quoted(l.name));
            for (std::size_t k = 0; k < i; ++k)
                if (labels[k].name == l.name) refuse(name, "each label once", detail::quoted(l.name) + " twice");
            if (!detail::is_utf8(l.value)) refuse(name, "UTF-8 as the value of " + std::string{l.name}, "other bytes");
            sample += (i == 0 ? "{" : ",") + std::string{l.name} + "=\"" + detail::escaped_metric(l.value, true) + "\"";
        }
        if (!labels.empty()) sample += "}";
        const std::string head = "# HELP " + std::string{name} + " " + detail::escaped_metric(help, false) + "\n# TYPE " + std::string{name} + " " + type + "\n";
        auto f = std::find_if(families.begin(), families.end(), [&](const family& one) { return one.name == name; });
        const bool fresh = f == families.end();
        if (!fresh && f->head != head) refuse(name, "one help and one type, " + f->type + " as before", std::string{"another help, or "} + type);
        if (!fresh && std::find(f->known.begin(), f->known.end(), sample) != f->known.end()) refuse(name, "each sample once", detail::printable(sample) + " twice");
        const std::string line = sample + " " + value + "\n";
        const std::size_t grows = line.size() + (fresh ? head.size() : 0);
        if (grows > most - size) refuse(name, "a page of at most " + std::to_string(most) + " bytes", "more");
        if (fresh) f = families.insert(families.end(), {std::string{name}, type, head});
        f->known.push_back(std::move(sample));
        f->samples += line;
        size += grows;
    }

    std::size_t most, size{};
    std::vector<family> families{};
};

/// What an edge counted: answers by source, frames and what happened to them, the link's bytes and events. `labels` go on each sample.
inline void add_edge(prometheus_text& page, const edge_counters& c, const metric_labels& labels = {}) {
    const auto each = [&](const char* name, const char* help, const char* label, std::initializer_list<std::pair<const char*, std::uint64_t>> all) {
        for (const auto& [value, n] : all) {
            metric_labels with = labels;
            with.push_back({label, value});
            page.counter(name, help, n, with);
        }
    };
    const answer_counters& a = c.answer;
    const frame_counters& f = c.frame;
    const link_counters& l = c.link;
    each("splitdsl_answers_total", "Answers handed to the caller, by where they are from; held ones include preset.", "source",
         {{"cloud", a.offloaded}, {"edge", a.local}, {"fallback", a.fallback}, {"exit", a.exit}, {"held", a.held - a.preset}, {"preset", a.preset}});
    page.counter("splitdsl_misses_total", "Frames without an answer of their own by the deadline.", a.misses, labels);
    page.counter("splitdsl_host_stalls_total", "Misses while the host did not let the process run.", a.host_stalls, labels);
    page.counter("splitdsl_frames_total", "Frames begun.", f.frames, labels);
    each("splitdsl_frame_events_total", "What happened to frames, by kind; a frame may have several.", "event",
         {{"skipped", f.skipped}, {"offload_tried", f.offload_tries}, {"offload_refused", f.offload_refused}, {"blocked", f.blocked}, {"rolled_back", f.rolled_back},
          {"abandoned", f.abandoned}, {"uncovered", f.uncovered}, {"covered_miss", f.covered_misses}, {"breaker_opened", f.breaker_openings}, {"invalid_action", f.invalid_actions},
          {"failed_here", f.failed_here}, {"refused", a.refused}});
    each("splitdsl_replies_total", "Replies of the cloud, by what became of them.", "fate",
         {{"accepted", f.accepted}, {"kept_going", f.kept_going}, {"late", f.late}, {"duplicate", f.duplicates}, {"wrong_epoch", f.wrong_epoch}, {"unasked", f.unasked},
          {"wrong_size", f.wrong_size}, {"corrupt", f.corrupt}, {"not_finite", f.not_finite}, {"shed", f.shed}});
    each("splitdsl_link_bytes_total", "Bytes on the link, probes and handshakes included.", "way", {{"up", l.bytes_up}, {"down", l.bytes_down}});
    each("splitdsl_link_events_total", "What happened to the link, by kind.", "event",
         {{"connected", l.connects}, {"disconnected", l.disconnects}, {"connect_failed", l.connect_failures}, {"protocol_error", l.protocol_errors}, {"stuck", l.stuck_resets}, {"silent", l.silences}});
}
/// Latencies of an edge's answers.
inline void add_edge(prometheus_text& page, const edge_distributions& d, const metric_labels& labels = {}) {
    page.summary("splitdsl_latency_seconds", "From a frame's input to its own answer.", d.latency, labels);
}
/// What a cloud counted.
inline void add_cloud(prometheus_text& page, const cloud_counters& c, const metric_labels& labels = {}) {
    const auto each = [&](const char* name, const char* help, const char* label, const char* value, std::uint64_t n) {
        metric_labels with = labels;
        with.push_back({label, value});
        page.counter(name, help, n, with);
    };
    page.counter("splitdsl_cloud_connections_total", "Connections taken.", c.connections, labels);
    page.counter("splitdsl_cloud_requests_total", "Requests received.", c.requests, labels);
    for (const auto& [fate, n] : {std::pair{"answered", c.answered}, {"shed_late", c.shed_late}, {"shed_full", c.shed_full}, {"failed", c.failed}, {"damaged", c.damaged}})
        each("splitdsl_cloud_outcomes_total", "Requests by what became of them.", "outcome", fate, n);
    each("splitdsl_cloud_bytes_total", "Bytes on the link, probes and handshakes included.", "way", "in", c.bytes_in);
    each("splitdsl_cloud_bytes_total", "Bytes on the link, probes and handshakes included.", "way", "out", c.bytes_out);
    for (std::size_t i = 0; i < ending_names.size(); ++i) each("splitdsl_cloud_endings_total", "Connections ended, by why.", "why", ending_names[i], c.endings[i]);
}
/// A meter's reading: energy so far and power now, each with what kind of number it is.
inline void add_energy(prometheus_text& page, joules total, watts now, provenance kind, const metric_labels& labels = {}) {
    metric_labels with = labels;
    with.push_back({"label", to_text(kind)});
    page.counter("splitdsl_energy_joules_total", "Energy since the meter was opened.", total.value, with);
    page.gauge("splitdsl_power_watts", "Power of the last interval.", now.value, with);
}

} // namespace splitdsl
