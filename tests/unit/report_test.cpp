// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include "../catch.hpp"

#include "../../examples/drive/report_html.hpp"
#include "../../examples/drive/road.hpp"
#include "../../examples/drive/table.hpp"

#include <cstdlib>
#include <fstream>

namespace {

using drive::frame_source;

drive::drive_record terms_of_a_drive() {
    drive::drive_record d;
    d.host = {.machine = "test bench",
              .cpu = "some processor",
              .system = "Debian 12",
              .compiler = "g++ 12.2",
              .instruction_set = "avx2_fma",
              .cores = 2};
    d.command = "DRIVE_FRAMES=1200 make demo";
    d.date = "2024-05-01";
    d.seed = 7;
    d.trace = "generated: log-normal, mean 0.9 Mbps";
    d.fingerprint = 0x0123456789abcdefULL;
    d.scenario.file = "examples/drive/scenario.json";
    d.scenario.reserve_ms = 46;
    d.scenario.jpeg_quality = 80;
    d.scenario.blackouts = {{30, 35}, {80, 85}};
    d.scenario.kills_s = {57};
    d.scenario.notes = {"Idle power is an assumption.", "Rolled-back frames are charged in full."};
    d.pipeline = {.network = "driver",
                  .input = "camera 3 × 88 × 200, u8",
                  .input_bytes = 52'800,
                  .stages = {{.name = "car", .place = "car", .role = "head", .shape = "32 × 22 × 50", .macs = 41'000'000, .device_ms = 3.3},
                             {.name = "uplink",
                              .place = "car",
                              .role = "bottleneck",
                              .shape = "3 × 12 × 26",
                              .macs = 120'000,
                              .payload_bytes = 952,
                              .device_ms = 0.1},
                             {.name = "cloud",
                              .place = "cloud",
                              .role = "tail",
                              .shape = "3 × 1 × 1",
                              .macs = 262'000'000,
                              .device_ms = 21.0,
                              .cloud_ms = 4.1}}};
    return d;
}

/// Plausible frames of the three policies: not a model of anything, only what such a drive looks like on paper.
drive::drive_record sample_drive(std::size_t frames = 1200) {
    drive::drive_record d = terms_of_a_drive();
    std::vector<double> rate(frames);
    drive::random_source random{3};
    const auto normal = [&] {
        double sum = -6;
        for (int i = 0; i < 12; ++i) sum += random.uniform();
        return sum;
    };
    double level = normal();
    for (double& r : rate) {
        level = level * 0.967 + 0.253 * normal();
        r = 900 * std::exp(0.4 * level - 0.08);
    }
    const auto dark = [](double t) { return (t >= 30 && t < 35) || (t >= 80 && t < 85); };
    const auto dead = [](double t) { return t >= 57 && t < 60; };
    for (const std::string name : {"all_edge", "all_cloud", "sage"}) {
        drive::policy_record p;
        p.name = name;
        double estimate = 800, x = 0, y = 0, heading = 0.3, deviation = 0.05;
        for (std::size_t i = 0; i < frames; ++i) {
            drive::frame_record f;
            f.time_s = static_cast<double>(i) * 0.1;
            f.blackout = dark(f.time_s) || dead(f.time_s);
            f.rate_kbps = dark(f.time_s) ? 0 : rate[i];
            estimate += 0.15 * (std::max(f.rate_kbps, 150.0) - estimate) + 14 * normal();
            f.estimate_kbps = name == "all_edge" ? drive::unknown : estimate;
            double compute = 0, away = 0, airtime = 0;
            if (name == "all_edge") {
                f.latency_ms = 24.4 + 0.25 * std::abs(normal());
                compute = f.latency_ms;
            } else if (name == "all_cloud") {
                airtime = f.blackout ? 100 : std::min(9'600 * 8 / f.rate_kbps, 100.0);
                f.latency_ms = airtime + 16 + 2 * std::abs(normal());
                f.bytes_up = 9'600;
                f.source = frame_source::cloud;
                if (f.latency_ms > 100) {
                    f.source = frame_source::held;
                    f.miss = true;
                    f.latency_ms = f.blackout ? 100.2 : f.latency_ms + 60 * random.uniform();
                }
                away = 100;
            } else {
                f.threshold_kbps = 1'000 * 8 / (100 - 3.4 - 46 - 14.0) + 6 * normal();
                const double planned = 1'000 * 8 / std::max(f.rate_kbps, 1.0);
                compute = 3.4;
                if (f.estimate_kbps < f.threshold_kbps + 60 || dead(f.time_s - 0.4)) {
                    f.latency_ms = 24.5 + 0.3 * std::abs(normal());
                    compute = f.latency_ms;
                } else {
                    f.bytes_up = 1'000;
                    airtime = std::min(planned, 50.0);
                    f.latency_ms = 3.4 + planned + 14.3 + 1.5 * std::abs(normal());
                    f.source = frame_source::cloud;
                    away = f.latency_ms - 3.4;
                    if (f.latency_ms > 54 || f.blackout || i % 331 == 5) {
                        f.source = frame_source::fallback;
                        f.latency_ms = 54 + 21 + 0.5 * std::abs(normal());
                        compute += 21;
                        away = 50;
                    }
                }
            }
            f.energy_j.wait = {.compute = 4.3 * compute * 1e-3,
                               .radio = f.bytes_up > 0 ? 1.29 * airtime * 1e-3 * 0.9 : 0,
                               .idle = 1.25 * (away - airtime > 0 ? away - airtime : 0) * 1e-3};
            f.energy_j.transmit_and_wait = f.energy_j.wait;
            f.energy_j.transmit_and_wait.idle = 1.25 * away * 1e-3;
            deviation = deviation * 0.93 + 0.012 * normal() + (name == "all_cloud" && f.miss ? 0.05 : 0.003);
            f.lane_deviation_m = std::abs(deviation);
            f.off_road = f.lane_deviation_m > 2;
            heading += 0.024 * std::sin(f.time_s / 9) + 0.018 * std::sin(f.time_s / 3.1);
            x += 0.7 * std::cos(heading);
            y += 0.7 * std::sin(heading);
            f.x_m = x;
            f.y_m = y;
            p.frames.push_back(f);
        }
        p.late_dropped = name == "sage" ? 3 : 0;
        d.policies.push_back(std::move(p));
    }
    return d;
}

std::size_t occurrences(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
    return n;
}

/// A "nan" or "inf" that printf left behind; the device profile is called "nano".
bool has_odd_number(const std::string& html) {
    for (const char* word : {"nan", "inf"})
        for (std::size_t at = html.find(word); at != std::string::npos; at = html.find(word, at + 3)) {
            const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
            if (!letter(html[at - 1]) && !letter(html[at + 3])) return true;
        }
    return false;
}

/// Every element that opens closes, in order: enough of a parser for a page that we write ourselves.
std::string first_unbalanced(const std::string& html) {
    std::vector<std::string> open;
    const std::size_t style = html.find("<style>"), style_end = html.find("</style>");
    for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
        if (at > style && at < style_end) continue;
        const std::size_t end = html.find('>', at);
        if (end == std::string::npos) return "an unfinished tag";
        const std::string tag = html.substr(at + 1, end - at - 1);
        if (tag.starts_with("!") || tag.ends_with("/")) continue;
        const std::string name = tag.substr(0, tag.find_first_of(" >"));
        if (name == "meta" || name == "link" || name == "br") continue;
        if (!name.starts_with("/"))
            open.push_back(name);
        else if (open.empty() || open.back() != name.substr(1))
            return tag;
        else
            open.pop_back();
    }
    return open.empty() ? "" : open.back();
}

} // namespace

TEST_CASE("report: a quantile is the smallest value that enough values do not exceed") {
    std::vector<double> values;
    for (int i = 1; i <= 100; ++i) values.push_back(i);
    CHECK(drive::quantile(values, 0.50) == 50);
    CHECK(drive::quantile(values, 0.95) == 95);
    CHECK(drive::quantile(values, 0.99) == 99);
    CHECK(drive::quantile(values, 1.0) == 100);
    CHECK(drive::quantile(values, 0.0) == 1);
    CHECK(drive::quantile({3, 4, 9}, 0.5) == 4);
    CHECK(drive::quantile({3, 4, 9}, 0.99) == 9);
    CHECK(std::isnan(drive::quantile({}, 0.5)));
}

TEST_CASE("report: misses, host stalls, sources, energy and lane deviation add up") {
    drive::policy_record p;
    p.name = "sage";
    for (int i = 0; i < 10; ++i) {
        drive::frame_record f;
        f.source = i < 6 ? frame_source::cloud : i < 8 ? frame_source::edge : i < 9 ? frame_source::fallback : frame_source::held;
        f.latency_ms = 10 * (10 - i);
        f.miss = i >= 7;
        f.host_stall = i == 9;
        f.blackout = i >= 5;
        f.off_road = i == 2 || i == 3 || i == 7;
        f.bytes_up = 100;
        f.energy_j.wait = {1, 2, 3};
        f.energy_j.transmit_and_wait = {1, 2, 4};
        f.lane_deviation_m = 0.1 * i;
        p.frames.push_back(f);
    }
    p.probes_j.transmit_and_wait.radio = 5;
    const auto s = drive::summarise(p);
    CHECK(s.frames == 10);
    CHECK(s.misses == 2);
    CHECK(s.host_stalls == 1);
    CHECK(s.count(frame_source::cloud) == 6);
    CHECK(s.count(frame_source::edge) == 2);
    CHECK(s.count(frame_source::fallback) == 1);
    CHECK(s.count(frame_source::held) == 1);
    CHECK(s.p50 == 60); // of the nine with an answer of their own
    CHECK(s.max == 100);
    CHECK(s.bytes_up == 1000);
    CHECK(s.off_road == 2); // times, not frames
    CHECK(s.cloud_share() == 1);
    CHECK(s.energy_j.wait.total() == Approx(60));
    CHECK(s.energy_j.transmit_and_wait.total() == Approx(75));
    CHECK(s.lane_mean == Approx(0.45));
    CHECK(s.lane_max == Approx(0.9));

    drive::policy_record base = p;
    base.name = "all_edge";
    base.probes_j = {};
    for (auto& f : base.frames) f.energy_j.transmit_and_wait = {10, 0, 0};
    const auto b = drive::summarise(base);
    CHECK(drive::saving(s, b, splitdsl::idle_scope::transmit_and_wait).value() == Approx(0.25));
    base.frames.resize(5); // energy is compared per frame
    CHECK(drive::saving(s, drive::summarise(base), splitdsl::idle_scope::transmit_and_wait).value() == Approx(0.25));
    CHECK_FALSE(drive::saving(s, drive::summarise(drive::policy_record{}), splitdsl::idle_scope::wait).has_value());
}

TEST_CASE("report: the JSON has every key that scripts rely on") {
    const auto j = nlohmann::json::parse(drive::report_json_text(sample_drive(300)));
    for (const char* key : {"host", "seed", "trace", "fingerprint", "scenario", "policies"}) CHECK(j.contains(key));
    CHECK(j["seed"] == 7);
    CHECK(j["fingerprint"] == "0x0123456789abcdef");
    for (const char* policy : {"all_edge", "all_cloud", "sage"}) {
        REQUIRE(j["policies"].contains(policy));
        const auto& p = j["policies"][policy];
        for (const char* key : {"frames", "answered", "deadline_ms", "misses", "host_stalls", "sources", "latency_ms", "bytes_up",
                                "energy_j", "lane_deviation_m", "off_road", "late_dropped", "duplicates_delivered"}) {
            INFO(policy << ": " << key);
            CHECK(p.contains(key));
        }
        std::size_t sources = 0;
        for (const char* key : {"edge", "cloud", "fallback", "held"}) sources += p["sources"].at(key).get<std::size_t>();
        CHECK(sources == 300);
        CHECK(p["frames"] == 300);
        CHECK(p["deadline_ms"] == 100);
        for (const char* key : {"p50", "p95", "p99", "max"}) CHECK(p["latency_ms"].at(key).is_number());
        for (const char* energy : {"energy_j", "energy_j_other_scope"})
            CHECK(p[energy].at("total").get<double>()
                  == Approx(p[energy].at("compute").get<double>() + p[energy].at("radio").get<double>()
                            + p[energy].at("idle").get<double>()));
        CHECK(p["energy_j"]["label"] == "modelled");
        for (const char* key : {"mean", "max"}) CHECK(p["lane_deviation_m"].at(key).is_number());
    }
    CHECK(j["policies"]["sage"]["energy_j"]["idle_scope"] == "transmit_and_wait");
    CHECK(j["policies"]["sage"]["energy_j_other_scope"]["idle_scope"] == "wait");
    CHECK(j["policies"]["sage"]["energy_below_all_edge"].contains("wait"));
    CHECK(j["scenario"]["device"]["idle_w_label"] == "assumption");

    auto simulated = sample_drive(10);
    simulated.simulated = true;
    CHECK(drive::report_json(simulated)["policies"]["sage"]["energy_j"]["label"] == "simulated");
    CHECK(drive::report_json(simulated)["policies"]["sage"]["latency_ms"]["label"] == "simulated");
}

TEST_CASE("report: the page has every section and asks for nothing from outside") {
    const std::string html = drive::report_html(sample_drive());
    for (const char* id : {"comparison", "pipeline", "latency", "rate", "energy", "lane", "distribution", "route", "terms"}) {
        INFO(id);
        CHECK(occurrences(html, "id=\"" + std::string(id) + "\"") == 1);
    }
    CHECK(first_unbalanced(html).empty());
    CHECK(html.find("SAGE answered all 1,200 frames within 100 ms, on ") != std::string::npos);
    CHECK(html.find("952 B") != std::string::npos);
    CHECK(html.find("1.25 W (an assumption)") != std::string::npos);
    CHECK(html.find("30.0 to 35.0 s") != std::string::npos);
    CHECK(html.find("at 57.0 s") != std::string::npos);
    CHECK(html.find("DRIVE_FRAMES=1200 make demo") != std::string::npos);
    for (const char* word : {"measured", "modelled", "simulated"})
        CHECK(html.find("class=\"label\">" + std::string(word)) != std::string::npos);
    CHECK(html.find("<script") == std::string::npos);
    CHECK(html.find("http://") == std::string::npos);
    CHECK(html.find("https://") == std::string::npos);
    CHECK(html.find("url(") == std::string::npos);
    CHECK_FALSE(has_odd_number(html));
    // For the rendering test, which opens it in a browser.
    if (const char* const file = std::getenv("SPLITDSL_REPORT_SAMPLE")) {
        std::ofstream out(file);
        out << html;
        REQUIRE(out.good());
    }
}

TEST_CASE("report: the headline follows the frames") {
    auto d = sample_drive(200);
    const auto said = [&] { return drive::detail::headline(d, drive::summarise(d)); };
    d.policies[2].frames[20].miss = true;
    CHECK(said().starts_with("SAGE missed the 100 ms deadline in 1 of 200 frames, and spent "));
    d.policies[2].frames[20].host_stall = true;
    CHECK(said().starts_with("SAGE answered 199 of 200 frames within 100 ms, the host stalled in 1"));
    d.policies[2].frames[20] = d.policies[2].frames[21];
    for (auto& f : d.policies[2].frames) f.energy_j = d.policies[0].frames[0].energy_j;
    for (auto& f : d.policies[0].frames) f.energy_j = d.policies[0].frames[0].energy_j;
    CHECK(said() == "SAGE answered all 200 frames within 100 ms, at the energy of the car alone");
    for (auto& f : d.policies[2].frames) f.energy_j.transmit_and_wait.compute *= 1.5;
    CHECK(said() == "SAGE answered all 200 frames within 100 ms, on 50 % more energy than the car alone");
    d.policies.resize(1);
    CHECK(said() == "all_edge answered all 200 frames within 100 ms");
    d.policies.clear();
    CHECK(said() == "No frame was driven");
}

TEST_CASE("report: text from outside is escaped, in the page and in its attributes") {
    auto d = sample_drive(20);
    const std::string hostile = "<img src=x onerror=\"alert('&')\">";
    d.trace = d.command = d.date = d.host.cpu = d.scenario.file = d.scenario.device = d.scenario.radio = hostile;
    d.scenario.notes = {hostile};
    d.pipeline.network = d.pipeline.input = hostile;
    for (auto& s : d.pipeline.stages) s.name = s.place = s.role = s.shape = hostile;
    for (auto& p : d.policies) p.name = hostile;
    const std::string html = drive::report_html(d);
    CHECK(html.find("<img") == std::string::npos);
    CHECK(html.find("onerror=\"") == std::string::npos);
    CHECK(first_unbalanced(html).empty());
    CHECK(html.find("&lt;img src=x onerror=&quot;alert(&#39;&amp;&#39;)&quot;&gt;") != std::string::npos);
    d.trace = "\xff\xfe broken"; // not UTF-8: JSON replaces it
    CHECK_NOTHROW(nlohmann::json::parse(drive::report_json_text(d)));
}

TEST_CASE("report: held frames count in no latency, and without a road nothing is said of one") {
    auto d = sample_drive(60);
    for (auto& p : d.policies)
        for (std::size_t i = 0; i < p.frames.size(); ++i) {
            auto& f = p.frames[i];
            f.source = i % 3 == 0 ? frame_source::held : frame_source::cloud;
            f.latency_ms = i % 3 == 0 ? 0.01 : 40;
            f.lane_deviation_m = f.x_m = f.y_m = drive::unknown;
            f.off_road = false;
        }
    const auto s = drive::summarise(d.policies[0]);
    CHECK(s.count(frame_source::held) == 20);
    CHECK(s.p50 == 40);
    CHECK(drive::quantile(s.latencies, 0.0) == 40);
    CHECK_FALSE(s.had_road());
    const auto j = drive::report_json(d)["policies"][d.policies[0].name];
    CHECK(j["latency_ms"]["frames"] == 40);
    CHECK(j["lane_deviation_m"]["mean"].is_null());
    CHECK(j["lane_deviation_m"]["max"].is_null());
    CHECK(j["off_road"].is_null());
    CHECK(drive::report_html(d).find("never off the road") == std::string::npos);
    for (auto& p : d.policies)
        for (auto& f : p.frames) f.source = frame_source::held;
    CHECK(drive::report_json(d)["policies"]["all_cloud"]["latency_ms"]["p99"].is_null());
}

TEST_CASE("report: drives without policies, frames, stages or finite numbers still give pages, tables and JSON") {
    drive::drive_record nothing;
    auto empty = terms_of_a_drive();
    empty.policies = {{.name = "all_edge"}, {.name = "all_cloud"}, {.name = "sage"}};
    auto unknown = sample_drive(5);
    for (auto& p : unknown.policies)
        for (auto& f : p.frames)
            f.latency_ms = f.rate_kbps = f.estimate_kbps = f.lane_deviation_m = f.x_m = f.energy_j.wait.idle =
                f.energy_j.transmit_and_wait.radio = drive::unknown;
    auto single = sample_drive(1);
    for (const drive::drive_record* d : {&nothing, &empty, &unknown, &single}) {
        const std::string html = drive::report_html(*d);
        CHECK(first_unbalanced(html).empty());
        CHECK_FALSE(has_odd_number(html));
        CHECK_NOTHROW(nlohmann::json::parse(drive::report_json_text(*d)));
        CHECK_FALSE(drive::summary_table(*d).empty());
    }
    CHECK(drive::report_json(empty)["policies"]["sage"]["latency_ms"]["p99"].is_null());
    CHECK(drive::report_html(empty).find("No frame was driven") != std::string::npos);
}

TEST_CASE("report: numbers read as people write them") {
    using namespace drive::svg;
    CHECK(number(0) == "0");
    CHECK(number(999) == "999");
    CHECK(number(1200) == "1,200");
    CHECK(number(-1234567.25, 2) == "-1,234,567.25");
    CHECK(number(-0.01, 1) == "0.0");
    CHECK(number(drive::unknown, 2) == "–");
    CHECK(volume(936) == "936 B");
    CHECK(volume(52'800) == "52.8 kB");
    CHECK(ticks(0, 150, 3) == std::vector<double>{0, 50, 100, 150});
    CHECK(ticks(5, 5).empty());
    CHECK(ticks(0, std::numeric_limits<double>::infinity()).empty());
    CHECK(round_up(4.31) == Approx(5));
    CHECK(round_up(0) == 1);
    CHECK(axis{0, 10, 100, 0}(2.5) == Approx(75));
    CHECK(axis{0, 10, 100, 0}(20) == Approx(0));
}

TEST_CASE("report: the table's columns stand under each other") {
    const std::string table = drive::summary_table(sample_drive(400));
    INFO(table);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < table.size();) {
        const std::size_t end = table.find('\n', at);
        lines.push_back(table.substr(at, end - at));
        at = end + 1;
    }
    REQUIRE(lines.size() > 20);
    // Labels begin in one column, counted in code points.
    std::size_t column = 0;
    for (const std::string& line : lines) {
        for (const char* word : {"measured", "modelled", "simulated"})
            if (const std::size_t at = line.rfind(word); at != std::string::npos) {
                const std::size_t here = drive::detail::columns(line.substr(0, at));
                if (column == 0) column = here;
                CHECK(here == column);
            }
        CHECK(drive::detail::columns(line) <= 100);
    }
    CHECK(column > 0);
    CHECK(table.find("against all_edge (transmit_and_wait)") != std::string::npos);
    CHECK(table.find("against all_edge (wait)") != std::string::npos);
}

TEST_CASE("report: progress rewrites one line on a terminal and is silent elsewhere") {
    CHECK(drive::progress_text("sage", 0, 4, "", 8) == "sage  [>       ]  0 of 4");
    CHECK(drive::progress_text("sage", 2, 4, "cloud 50 %", 8) == "sage  [====>   ]  2 of 4  cloud 50 %");
    CHECK(drive::progress_text("sage", 9, 4, "", 8) == "sage  [========]  9 of 4");
    CHECK_NOTHROW(drive::progress_text("sage", 0, 0, ""));
    const auto written = [](bool terminal) {
        std::FILE* const file = std::tmpfile();
        REQUIRE(file != nullptr);
        {
            drive::progress_line progress("sage", 2, file, terminal);
            progress.show(1, "a long note");
            progress.show(1, "a long note");
            progress.show(2);
        }
        std::string text(4096, '\0');
        std::rewind(file);
        text.resize(std::fread(text.data(), 1, text.size(), file));
        std::fclose(file);
        return text;
    };
    CHECK(written(false).empty());
    const std::string text = written(true);
    CHECK(occurrences(text, "\r") == 2);
    CHECK(occurrences(text, "\n") == 1);
    CHECK(text.ends_with("\n"));
}
