// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file prometheus_test.cpp
/// LAD-12: counters as Prometheus's text format 0.0.4 wants them, read back by a reader of its grammar.
#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/runtime/prometheus.hpp>

#include <charconv>
#include <limits>
#include <map>
#include <set>
#include <string>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

/// Reads a page and checks it as it goes: each family in one piece, HELP and TYPE before its samples, every line ended, every escape known.
struct page_reader {
    std::map<std::string, std::string> type, help, samples; // samples: whole "name{labels}" with labels unescaped
    explicit page_reader(const std::string& text) {
        REQUIRE((text.empty() || text.back() == '\n'));
        std::set<std::string> over;
        std::string current;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = text.find('\n', at);
            const std::string line = text.substr(at, end - at);
            at = end + 1;
            INFO(line);
            if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) {
                const std::size_t space = line.find(' ', 7);
                const std::string name = line.substr(7, space - 7), rest = line.substr(space + 1);
                auto& into = line[2] == 'H' ? help : type;
                CHECK_FALSE(into.contains(name));
                into[name] = unescape(rest, false);
                if (name != current) {
                    CHECK(over.insert(current).second);
                    CHECK_FALSE(over.contains(name));
                    current = name;
                }
                continue;
            }
            CHECK((type.contains(current) && help.contains(current)));
            std::size_t stop = line.find_first_of("{ ");
            const std::string name = line.substr(0, stop);
            CHECK((name == current || (type[current] == "summary" && (name == current + "_sum" || name == current + "_count"))));
            std::string key = name;
            if (line[stop] == '{') {
                std::size_t close = stop;
                bool quoted = false;
                while (line[++close] != '}' || quoted) {
                    if (line[close] == '\\') ++close;
                    else if (line[close] == '"') quoted = !quoted;
                }
                key += unescape(line.substr(stop, close + 1 - stop), true);
                stop = close + 1;
            }
            REQUIRE(line[stop] == ' ');
            CHECK(samples.emplace(key, line.substr(stop + 1)).second);
        }
    }
    static std::string unescape(const std::string& s, bool quotes) {
        std::string all;
        for (std::size_t i = 0; i < s.size(); ++i) {
            if (s[i] != '\\') {
                all += s[i];
                continue;
            }
            ++i;
            CHECK((i < s.size() && (s[i] == '\\' || s[i] == 'n' || (quotes && s[i] == '"'))));
            all += s[i] == 'n' ? '\n' : s[i];
        }
        return all;
    }
    double number(const std::string& sample) const {
        const std::string& text = samples.at(sample);
        double v = 0;
        std::from_chars(text.data(), text.data() + text.size(), v);
        return v;
    }
};

} // namespace

TEST_CASE("LAD-12: samples are written family by family, with HELP and TYPE, and escaped") {
    prometheus_text page;
    page.counter("a_total", "First \\ and\nsecond line.", 3, {{"car", "north \"one\"\\\n\xc3\xa9"}});
    page.gauge("b:watts", "Power.", 4.25);
    page.counter("a_total", "First \\ and\nsecond line.", std::uint64_t{18446744073709551615u}, {{"car", "south"}});
    page.gauge("c", "Odd numbers.", std::numeric_limits<double>::infinity(), {{"of", "up"}});
    page.gauge("c", "Odd numbers.", -std::numeric_limits<double>::infinity(), {{"of", "down"}});
    page.gauge("c", "Odd numbers.", std::nan(""), {{"of", "none"}});
    CHECK(page.text()
          == "# HELP a_total First \\\\ and\\nsecond line.\n# TYPE a_total counter\n"
             "a_total{car=\"north \\\"one\\\"\\\\\\n\xc3\xa9\"} 3\na_total{car=\"south\"} 18446744073709551615\n"
             "# HELP b:watts Power.\n# TYPE b:watts gauge\nb:watts 4.25\n"
             "# HELP c Odd numbers.\n# TYPE c gauge\nc{of=\"up\"} +Inf\nc{of=\"down\"} -Inf\nc{of=\"none\"} NaN\n");
    const page_reader read{page.text()};
    CHECK(read.help.at("a_total") == "First \\ and\nsecond line.");
    CHECK(read.samples.at("a_total{car=\"north \"one\"\\\n\xc3\xa9\"}") == "3");
    CHECK(prometheus_text{}.text().empty());
}

TEST_CASE("LAD-12: what an edge and a cloud counted, their latencies and a meter's reading are one page") {
    edge_counters e;
    e.answer = {.answered = 60, .offloaded = 40, .local = 9, .fallback = 5, .exit = 2, .held = 4, .preset = 1, .misses = 3};
    e.frame.frames = 60, e.frame.late = 7, e.frame.rolled_back = 5;
    e.link.bytes_up = 123456789;
    edge_distributions d;
    for (int ms = 1; ms <= 100; ++ms) d.latency.add(std::chrono::milliseconds{ms});
    cloud_counters c;
    c.requests = 41, c.answered = 40, c.shed_late = 1, c.bytes_in = 123456789;
    c.endings.back() = 2;
    prometheus_text page;
    for (const char* const car : {"north", "south"}) {
        add_edge(page, e, {{"car", car}});
        add_edge(page, d, {{"car", car}});
    }
    add_cloud(page, c);
    add_energy(page, {82.5}, {4.3}, provenance::modelled);
    const page_reader read{page.text()};
    double answers = 0;
    for (const char* const source : {"cloud", "edge", "fallback", "exit", "held", "preset"})
        answers += read.number("splitdsl_answers_total{car=\"south\",source=\"" + std::string{source} + "\"}");
    CHECK(answers == 60);
    CHECK(read.number("splitdsl_replies_total{car=\"north\",fate=\"late\"}") == 7);
    CHECK(read.number("splitdsl_link_bytes_total{car=\"north\",way=\"up\"}") == 123456789);
    CHECK(read.number("splitdsl_misses_total{car=\"north\"}") == 3);
    CHECK(read.type.at("splitdsl_latency_seconds") == "summary");
    CHECK(read.number("splitdsl_latency_seconds{car=\"north\",quantile=\"0.5\"}") == Approx(0.05).epsilon(0.035));
    CHECK(read.number("splitdsl_latency_seconds{car=\"north\",quantile=\"1\"}") == Approx(0.1));
    CHECK(read.number("splitdsl_latency_seconds_count{car=\"north\"}") == 100);
    CHECK(read.number("splitdsl_latency_seconds_sum{car=\"north\"}") == Approx(5.05));
    CHECK(read.number("splitdsl_cloud_outcomes_total{outcome=\"shed_late\"}") == 1);
    CHECK(read.number("splitdsl_cloud_endings_total{why=\"" + std::string{ending_names.back()} + "\"}") == 2);
    CHECK(read.number("splitdsl_energy_joules_total{label=\"modelled\"}") == 82.5);
    CHECK(read.number("splitdsl_power_watts{label=\"modelled\"}") == 4.3);
    prometheus_text empty;
    add_edge(empty, edge_distributions{});
    CHECK(page_reader{empty.text()}.samples.at("splitdsl_latency_seconds{quantile=\"0.99\"}") == "NaN");
    CHECK(page_reader{empty.text()}.samples.at("splitdsl_latency_seconds_count") == "0");
}

TEST_CASE("LAD-12: what Prometheus would not read is refused by name, and a page stays within its bytes") {
    prometheus_text page{400};
    page.counter("a_total", "A.", 1, {{"k", "v"}});
    const std::string before = page.text();
    for (const char* const wrong : {"", "1a", "a b", "a-b", "\xc3\xa9"}) CHECK(says(refusal([&] { page.counter(wrong, "A.", 1); }), "a name of letters, digits, _ and :"));
    for (const char* const wrong : {"", "__k", "a:b", "1"}) CHECK(says(refusal([&] { page.counter("b", "B.", 1, {{wrong, "v"}}); }), "a label of letters"));
    CHECK(says(refusal([&] { page.counter("b", "B.", 1, {{"k", "v"}, {"k", "w"}}); }), "each label once, found \"k\" twice"));
    CHECK(says(refusal([&] { page.counter("a_total", "A.", 1, {{"k", "v"}}); }), "each sample once"));
    CHECK(says(refusal([&] { page.counter("a_total", "Another.", 1); }), "one help and one type, counter as before"));
    CHECK(says(refusal([&] { page.gauge("a_total", "A.", 1); }), "one help and one type, counter as before"));
    for (const char* const wrong : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\x80"}) {
        CHECK(says(refusal([&] { page.gauge("b", "B.", 1, {{"k", wrong}}); }), "UTF-8 as the value of k"));
        CHECK(says(refusal([&] { page.gauge("b", wrong, 1); }), "UTF-8 as help"));
    }
    page_reader{before};
    CHECK(says(refusal([&] { page.counter("b", "B.", -1.0); }), "a counter of 0 or more, found -1"));
    CHECK(says(refusal([&] { page.counter("b", "B.", std::nan("")); }), "found NaN"));
    CHECK(page.text() == before);
    CHECK(says(refusal([&] { page.gauge("b", std::string(400, 'x'), 1); }), "a page of at most 400 bytes"));
    int added = 0;
    const auto fill = [&] {
        for (;; ++added) page.gauge("n", "N.", 1, {{"i", std::to_string(added)}});
    };
    CHECK_THROWS_AS(fill(), option_error);
    CHECK((added > 10 && page.text().size() <= 400));
    page_reader{page.text()};
}
