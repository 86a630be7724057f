// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_roundtrip.cpp
/// What the runtime adds to the network: a payload's round trip against a raw TCP echo and a gRPC unary call. The promise: at most
/// twice the echo, at least three times faster than gRPC.
#include "results.hpp"
#include "roundtrip/raw_echo.hpp"
#include "roundtrip/split_call.hpp"
#if ROUNDTRIP_HAS_GRPC
#include "roundtrip/grpc_call.hpp"
#endif

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr double echo_limit = 2.0, grpc_limit = 3.0;

struct spread { double least{}, p10{}, median{}, p90{}, p99{}; };
spread spread_of(std::vector<double> of) {
    if (of.empty()) return {};
    std::sort(of.begin(), of.end());
    const auto at = [&](double share) { return of[static_cast<std::size_t>(share * static_cast<double>(of.size() - 1))]; };
    return {of.front(), at(0.1), at(0.5), at(0.9), at(0.99)};
}
nlohmann::json json_of(const spread& s) { return {{"least", s.least}, {"p10", s.p10}, {"median", s.median}, {"p90", s.p90}, {"p99", s.p99}}; }

/// All threads of this process, later ones included, on one processor. False if there is no such processor.
bool stay_on(int processor) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<std::size_t>(processor), &only);
    return ::sched_setaffinity(0, sizeof only, &only) == 0;
}

double microseconds(std::chrono::nanoseconds d) { return static_cast<double>(d.count()) / 1000.0; }
double timed(const std::function<void()>& call) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    return microseconds(std::chrono::steady_clock::now() - begin);
}

/// One way of getting an answer: `call` returns microseconds, or a negative number for a round trip that does not count.
struct contestant {
    std::string name;
    std::function<double()> call;
    std::vector<double> all{}, round_medians{};
};

struct settings { int rounds{200}, calls{20}; };

/// The ratio of two contestants' medians; and, as its spread, that of the ratios within each round.
nlohmann::json ratio_of(const contestant& a, const contestant& b) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < std::min(a.round_medians.size(), b.round_medians.size()); ++i) ratios.push_back(a.round_medians[i] / b.round_medians[i]);
    const spread s = spread_of(ratios);
    return {{"of_medians", spread_of(a.all).median / spread_of(b.all).median}, {"round_p10", s.p10}, {"round_median", s.median}, {"round_p90", s.p90}};
}

template <std::size_t PayloadBytes>
bool compete(const settings& how, nlohmann::json& report) {
    constexpr std::size_t header = splitdsl::link::header_bytes, reply = 3 * sizeof(float);
    roundtrip::split_call<PayloadBytes> ours;
    roundtrip::raw_echo echo{header + PayloadBytes, header + PayloadBytes}, short_reply{header + PayloadBytes, header + reply};
    std::vector<double> sends, waits;
    std::vector<contestant> field;
    field.push_back({"splitdsl", [&] {
                         const auto t = ours();
                         if (!t.good) return -1.0;
                         sends.push_back(microseconds(t.send));
                         waits.push_back(microseconds(t.wait));
                         return microseconds(t.send + t.wait);
                     }});
    field.push_back({"raw echo", [&] { return timed([&] { echo(); }); }});
    field.push_back({"raw, 60 B back", [&] { return timed([&] { short_reply(); }); }});
#if ROUNDTRIP_HAS_GRPC
    roundtrip::grpc_call remote{PayloadBytes, reply};
    field.push_back({"gRPC unary", [&] { return timed([&] { remote(); }); }});
#endif

    int uncounted = 0;
    for (int round = -how.rounds / 10 - 1; round < how.rounds; ++round) {       // the rounds below zero warm up
        if (round == 0) {
            uncounted = 0;
            sends.clear();
            waits.clear();
        }
        for (std::size_t i = 0; i < field.size(); ++i) {
            contestant& c = field[(i + static_cast<std::size_t>(round + how.rounds)) % field.size()];       // nobody is always behind the same other
            std::vector<double> times;
            for (int k = 0; k < how.calls; ++k) {
                const double t = c.call();
                if (t >= 0) times.push_back(t);
                else ++uncounted;
            }
            if (round < 0) continue;
            c.all.insert(c.all.end(), times.begin(), times.end());
            c.round_medians.push_back(spread_of(times).median);
        }
    }

    nlohmann::json one{{"payload_bytes", PayloadBytes}, {"wire_bytes_up", header + PayloadBytes}, {"reply_bytes", reply}, {"not_answered_by_cloud", uncounted}};
    std::printf("\n%zu B payload, %d rounds of %d calls each\n", PayloadBytes, how.rounds, how.calls);
    std::printf("  %-16s %9s %9s %9s %9s %9s   microseconds\n", "", "least", "p10", "median", "p90", "p99");
    for (const contestant& c : field) {
        const spread s = spread_of(c.all);
        std::printf("  %-16s %9.1f %9.1f %9.1f %9.1f %9.1f\n", c.name.c_str(), s.least, s.p10, s.median, s.p90, s.p99);
        one["microseconds"][c.name] = json_of(s);
    }
    one["splitdsl_parts"] = {{"send", json_of(spread_of(sends))}, {"wait", json_of(spread_of(waits))}};
    std::printf("  splitdsl: handing over %.1f, waiting %.1f (medians); %d calls not answered by the cloud\n", spread_of(sends).median, spread_of(waits).median, uncounted);

    bool fine = uncounted == 0;
    const auto ratio = [&](const contestant& a, const contestant& b, const char* bound, double limit, bool at_most) {
        nlohmann::json r = ratio_of(a, b);
        const double value = r["of_medians"];
        const bool kept = limit <= 0 || (at_most ? value <= limit : value >= limit);
        std::printf("  %-16s / %-14s %6.2f   (rounds: %.2f to %.2f)   %s%s\n", a.name.c_str(), b.name.c_str(), value, static_cast<double>(r["round_p10"]),
                    static_cast<double>(r["round_p90"]), bound, kept ? "" : "   MISSED");
        if (limit > 0) r["kept"] = kept;
        one["ratios"][a.name + " / " + b.name] = r;
        fine = fine && kept;
    };
    ratio(field[0], field[1], "at most 2", echo_limit, true);
    ratio(field[0], field[2], "for comparison", 0, true);
    if (field.size() > 3) ratio(field[3], field[0], "at least 3", grpc_limit, false);
    report["sizes"].push_back(one);
    return fine;
}

} // namespace

int main(int argc, char** argv) {
    settings how;
    std::string json_file;
    bool strict = false;
    int processor = -1;
    CLI::App app{"Round trips over loopback TCP, measured on this machine: our edge and cloud (payload ready on the edge to reply accepted; the network\n"
                 "computes nothing), a raw echo of the same bytes, a raw exchange with a reply as short as ours, and a gRPC unary call with a 12-byte\n"
                 "reply. All ends live in this process. Rounds of back-to-back calls alternate."};
    app.add_option("--rounds", how.rounds, "Rounds of each contestant")->check(options::between(1, 1'000'000))->capture_default_str();
    app.add_option("--calls", how.calls, "Back-to-back calls in a round")->check(options::between(1, 10'000))->capture_default_str();
    app.add_option("--processor", processor,
                   "Keep every thread on this processor: how much work a round trip is, without where the system puts threads")
        ->check(options::between(0, CPU_SETSIZE - 1));
    app.add_option("--json", json_file, "Also write the results to FILE")->option_text("FILE");
    app.add_flag("--check", strict, "Exit with 1 if a promise is missed");
    return options::exit_status("bench_roundtrip", app, argc, argv, [&] {
        timed::begin_results(json_file);
        if (processor >= 0 && !stay_on(processor))
            throw splitdsl::option_error("--processor " + std::to_string(processor) + ": there is none to run on");
        nlohmann::json report{{"unit", "microseconds"}, {"label", "measured"}, {"rounds", how.rounds}, {"calls_per_round", how.calls},
                              {"promise", {{"splitdsl_over_raw_echo_at_most", echo_limit}, {"grpc_over_splitdsl_at_least", grpc_limit}}}};
        report["processor"] = processor < 0 ? nlohmann::json{} : nlohmann::json(processor);
#if ROUNDTRIP_HAS_GRPC
        report["grpc"] = roundtrip::grpc_call::version();
        std::printf("gRPC %s\n", roundtrip::grpc_call::version().c_str());
#else
        report["grpc"] = nullptr;
        std::printf("built without gRPC (Debian: libgrpc++-dev, libprotobuf-dev, protobuf-compiler-grpc): its side is left out\n");
#endif
        bool fine = true;
        fine = compete<936>(how, report) && fine;
        fine = compete<10'000>(how, report) && fine;
        fine = compete<132'000>(how, report) && fine;
        timed::write_results(json_file, std::move(report));
        if (!fine) std::fprintf(stderr, "bench_roundtrip: a promise is missed, see MISSED above\n");
        return fine || !strict ? 0 : 1;
    });
}
