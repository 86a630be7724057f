// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file relay.cpp
/// splitdsl-relay: a bad link on purpose, between an edge and a cloud that speak TCP.
#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/link/host_port.hpp>
#include <splitdsl/link/relay.hpp>
#include <splitdsl/radio/ble_options.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <iostream>

namespace {

volatile std::sig_atomic_t stop_wanted = 0;
volatile std::sig_atomic_t start_wanted = 0;
void on_stop(int) { stop_wanted = 1; }
void on_start(int) { start_wanted = 1; }
/// What the program was started to ignore (nohup: a hang-up) it goes on ignoring.
void stop_at(int signal) {
    if (std::signal(signal, on_stop) == SIG_IGN) std::signal(signal, SIG_IGN);
}

struct settings {
    std::string target;
    std::string bind{"127.0.0.1"};
    std::uint16_t listen_port{};
    double rate_up_kbps{}, rate_down_kbps{};
    double delay_ms{}, jitter_ms{};
    double corruption{};
    double drip{};
    std::string ble;
    std::string trace, column{"up_kbps"};
    std::int64_t generate_seed{-1};
    double generate_seconds{600};
    std::vector<std::string> blackouts, faults;
    std::string start{"first-connection"};
    std::int64_t buffer{16 * 1024}; // signed, so that a negative one is seen
    std::uint64_t seed{1};
    std::size_t connections{splitdsl::link::relay_options{}.max_connections};
    double seconds{};
    std::string json, port_file;
    bool quiet{};
};

/// A script's line; what it is refused for opens with its option.
splitdsl::link::fault fault_of(const std::string& text) {
    try {
        return splitdsl::link::parse_fault(text);
    } catch (const splitdsl::option_error& e) { throw splitdsl::option_error(std::string{"--fault: "} + e.what()); }
}
splitdsl::link::fault blackout_of(const std::string& text) {
    try {
        if (std::count(text.begin(), text.end(), ':') != 1) throw splitdsl::option_error("");
        return splitdsl::link::parse_fault("stall:" + text);
    } catch (const splitdsl::option_error&) {
        throw splitdsl::option_error("--blackout: expected START:LENGTH in seconds, a start of at least 0 and a length above 0, found " + text.substr(0, 80));
    }
}

/// Whether a connection to `host` reaches a port bound to `bind`, as far as the names tell.
bool leads_here(const std::string& host, const std::string& bind) {
    const auto this_machine = [](const std::string& h) { return h == "localhost" || h == "::1" || h.starts_with("127."); };
    const bool any = bind == "0.0.0.0" || bind == "::";
    return host == bind || (this_machine(host) && (any || this_machine(bind)));
}

void require_valid(const settings& s, const splitdsl::link::host_port& to) {
    if (to.port == s.listen_port && leads_here(to.host, s.bind))
        throw splitdsl::option_error("--to: expected another port than the relay's own, found " + s.target + " for both");
    // Nobody is to learn at the end of a long run that its report has nowhere to go.
    options::require_writable("--json", s.json);
    options::require_writable("--port-file", s.port_file);
    options::require_different("--json", s.json, "--port-file", s.port_file);
}

splitdsl::link::relay_options to_options(const settings& s) {
    using namespace splitdsl;
    link::relay_options o;
    const link::host_port to = link::parse_host_port(s.target, "--to");
    require_valid(s, to);
    o.host = to.host;
    o.port = to.port;
    o.bind = s.bind;
    o.listen_port = s.listen_port;
    o.up = {.rate = kilobits_per_second(s.rate_up_kbps),
            .delay = from_milliseconds(s.delay_ms),
            .jitter = from_milliseconds(s.jitter_ms),
            .corruption = s.corruption,
            .drip = s.drip};
    o.down = o.up;
    o.down.rate = kilobits_per_second(s.rate_down_kbps);
    if (!s.trace.empty())
        o.trace_up = link::link_trace::load(s.trace, s.column);
    else if (s.generate_seed >= 0)
        o.trace_up = link::generate({.length = from_seconds(s.generate_seconds)}, static_cast<std::uint64_t>(s.generate_seed));
    if (!s.ble.empty()) {
        try {
            o.ble = radio::parse_ble(s.ble);
        } catch (const option_error& e) { throw option_error(std::string{"--"} + e.what()); } // it begins with "ble: "
    }
    for (const auto& b : s.blackouts) o.faults.push_back(blackout_of(b));
    for (const auto& f : s.faults) o.faults.push_back(fault_of(f));
    o.start_on_first_connection = s.start == "first-connection";
    o.buffer_bytes = static_cast<std::size_t>(s.buffer);
    o.seed = s.seed;
    o.max_connections = s.connections;
    return o;
}

nlohmann::json report(const splitdsl::link::relay& r, const settings& s) {
    const auto c = r.counts();
    nlohmann::json all = {{"label", "measured"},
                          {"port", r.port()},
                          {"to", s.target},
                          {"elapsed_s", splitdsl::to_seconds(r.elapsed())},
                          {"connections", c.connections},
                          {"refused", c.refused},
                          {"resets", c.resets},
                          {"bytes_up", c.bytes_up},
                          {"bytes_down", c.bytes_down},
                          {"bytes_swallowed", c.swallowed},
                          {"chunks_corrupted", c.corrupted}};
    if (!s.ble.empty()) {
        const auto setting = splitdsl::radio::parse_ble(s.ble);
        all["ble"] = {{"setting", to_text(setting)},
                      {"events", c.events},
                      {"events_missed", c.events_missed},
                      {"packets_lost", c.packets_lost},
                      {"model_kbps", splitdsl::to_kilobits_per_second(sustained_rate(setting))}};
    }
    return all;
}

int run(const settings& s) {
    splitdsl::link::relay r{to_options(s)};
    if (s.start == "now") r.start_clock();
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) stop_at(signal); // before anybody is told that it listens
    std::signal(SIGUSR1, on_start);
    std::signal(SIGPIPE, SIG_IGN); // who read the first line may have gone
    if (!s.port_file.empty()) options::write("--port-file", s.port_file, std::to_string(r.port()) + "\n");
    if (!s.quiet) std::cout << "listening on " << to_text(splitdsl::link::host_port{s.bind, r.port()}) << ", to " << s.target << std::endl;

    const auto begin = std::chrono::steady_clock::now();
    while (stop_wanted == 0 && (s.seconds <= 0 || std::chrono::steady_clock::now() - begin < splitdsl::from_seconds(s.seconds))) {
        if (start_wanted != 0) r.start_clock();
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    const auto done = report(r, s);
    if (!s.json.empty()) options::write("--json", s.json, done.dump(2) + "\n");
    if (!s.quiet) std::cout << done.dump() << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    settings s;
    CLI::App app{
        "A bad link on purpose: relays TCP and slows, delays, stalls, corrupts or resets it. Times are in seconds since the start."};
    app.add_option("--to", s.target, "Where it leads; an IPv6 address in brackets")->type_name("HOST:PORT")->required();
    app.add_option("--listen", s.listen_port, "Port to listen on; 0 lets the system choose")->check(options::between(0, 65535))->capture_default_str();
    app.add_option("--bind", s.bind, "Address to listen on")->transform(splitdsl::link::without_brackets)->capture_default_str();
    auto* rate_up = app.add_option("--rate-up", s.rate_up_kbps, "Uplink rate in kbit/s; 0 is unlimited")->check(options::between(0.0, 1e9))->capture_default_str();
    app.add_option("--rate-down", s.rate_down_kbps, "Downlink rate in kbit/s; 0 is unlimited")->check(options::between(0.0, 1e9))->capture_default_str();
    app.add_option("--delay", s.delay_ms, "One-way delay in ms, each direction")->check(options::between(0.0, 3.6e6))->capture_default_str();
    app.add_option("--jitter", s.jitter_ms, "Up to so many ms more, each direction")->check(options::between(0.0, 3.6e6))->capture_default_str();
    app.add_option("--corrupt", s.corruption, "Probability that a chunk gets a flipped bit, each direction")
        ->check(options::between(0.0, 1.0))
        ->capture_default_str();
    app.add_option("--drip", s.drip, "Bytes a second, one at a time, each direction; 0 is off")->check(options::between(0.0, 1e9))->capture_default_str();
    app.add_option("--ble", s.ble,
                   "Connection events of Bluetooth Low Energy instead of rates, as key=value,...: phy (125k, 500k, 1M, 2M), interval (ms), "
                   "packets (data packets an event), bytes, loss, delivery (resending, reliable), latency (events), cap (airtime, count_only), "
                   "headers (bytes), encrypted, any_interval; for example phy=1M,interval=15,packets=4,bytes=251,loss=0.1");
    auto* trace = app.add_option("--trace", s.trace, "Uplink rate from a csv with time_s and a rate column in kbit/s");
    trace->excludes(rate_up);
    app.add_option("--column", s.column, "The trace's rate column")->capture_default_str()->needs(trace);
    auto* generate = app.add_option("--generate", s.generate_seed, "Uplink rate with an LTE drive's look, from this seed")
                         ->excludes(trace)
                         ->excludes(rate_up)
                         ->check(options::at_least(std::int64_t{0}));
    app.add_option("--generate-seconds", s.generate_seconds, "Length of the generated trace before it repeats")
        ->check(options::between(0.1, 1e5))
        ->capture_default_str()
        ->needs(generate);
    app.add_option("--blackout", s.blackouts, "START:LENGTH, nothing moves meanwhile; may be repeated")->take_all();
    app.add_option("--fault", s.faults,
                   "KIND:START:LENGTH[:PARAMETER[:up|down]]; kinds delay_step, jitter, rate_collapse, blackhole, stall, reset, half_open, "
                   "corruption, slow_drip; may be repeated")
        ->take_all();
    app.add_option("--start", s.start, "When the trace and the faults start: now, first-connection, or sigusr1")
        ->check(CLI::IsMember({"now", "first-connection", "sigusr1"}))
        ->capture_default_str();
    app.add_option("--buffer", s.buffer, "Socket buffers in bytes")->check(options::between(std::int64_t{1024}, std::int64_t{1} << 30))->capture_default_str();
    app.add_option("--connections", s.connections, "At most so many at once; further ones wait until one ends")->check(options::between(1, 1024))->capture_default_str();
    app.add_option("--seed", s.seed, "Seed of jitter and corruption")->check(options::at_least(std::uint64_t{0}))->capture_default_str();
    app.add_option("--seconds", s.seconds, "End after so long; 0 runs until SIGINT or SIGTERM")->check(options::between(0.0, 1e9))->capture_default_str();
    app.add_option("--json", s.json, "Write the report to this file at the end");
    app.add_option("--port-file", s.port_file, "Write the port to this file once it listens");
    app.add_flag("--quiet", s.quiet, "Print nothing but errors");
    return options::exit_status("splitdsl-relay", app, argc, argv, [&] { return run(s); });
}
