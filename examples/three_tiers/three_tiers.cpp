// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file three_tiers.cpp
/// Robot, factory and datacentre as three processes over TCP; while the links behind each other fail, whoever is left answers.
#include "parties.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/link/relay.hpp>
#include <splitdsl/radio/cellular.hpp>
#include <splitdsl/runtime/edge.hpp>
#include <splitdsl/runtime/servers.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

using namespace three_tiers;
using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

struct arguments {
    std::string json_file, next, bind{"127.0.0.1"};
    std::vector<std::string> connect;
    std::uint64_t seed{1};
    int datacentre_port{-1}, factory_port{-1}, frames{160};
    double deadline_ms{100}, radio_rtt_ms{4}, backhaul_rtt_ms{10};
    bool kill{};
};

constexpr std::size_t picture_bytes = 3 * 96 * 128, faults = 6, quarters = 4;
constexpr std::array<const char*, quarters> quarter_names{"every link is there", "no datacentre", "no radio", "every link again"};
constexpr std::array<const char*, 3> tier_names{"robot", "factory", "datacentre"};

std::vector<std::byte> picture(std::uint64_t seed, int frame) {
    std::vector<std::byte> p(picture_bytes);
    std::uint32_t x = static_cast<std::uint32_t>(seed) * 2654435761U + static_cast<std::uint32_t>(frame) * 40503U + 1;
    for (auto& b : p) b = static_cast<std::byte>((x = x * 1664525U + 1013904223U) >> 24);
    return p;
}

struct frame_record {
    answer a{};
    std::array<float, faults> values{};
    std::size_t quarter{};
};

/// The links of a whole run; with `--connect` there is nobody here to disturb.
struct surroundings {
    std::optional<processes::serving_process> datacentre, factory;
    std::optional<link::relay> backhaul, radio;
    link::impairment far, near;
    std::string program;
    arguments a;

    explicit surroundings(const arguments& given) : program{std::filesystem::read_symlink("/proc/self/exe").string()}, a{given} {
        far = {.rate = megabits_per_second(50), .delay = from_milliseconds(a.backhaul_rtt_ms / 2)};
        near = {.rate = megabits_per_second(20), .delay = from_milliseconds(a.radio_rtt_ms / 2)};
        start_datacentre(0);
        backhaul.emplace(link::relay_options{.port = datacentre->port(), .up = far, .down = far});
        factory.emplace(std::vector<std::string>{program, "--serve-factory", "0", "--next", "127.0.0.1:" + std::to_string(backhaul->port()), "--seed", std::to_string(a.seed), "--deadline",
                                                 std::to_string(a.deadline_ms)});
        radio.emplace(link::relay_options{.port = factory->port(), .up = near, .down = near});
    }
    void start_datacentre(std::uint16_t port) {
        datacentre.emplace(std::vector<std::string>{program, "--serve-datacentre", std::to_string(port), "--seed", std::to_string(a.seed)});
    }
    /// What is so from this quarter on.
    void enter(std::size_t quarter) {
        const auto stalled = [](link::impairment i) { return i.stall = true, i; };
        if (quarter == 1 && a.kill) datacentre->end(SIGKILL);
        if (quarter == 1 && !a.kill) backhaul->set(link::direction::both, stalled(far));
        if (quarter == 2) {
            if (a.kill) start_datacentre(datacentre->port());
            backhaul->set(link::direction::both, far);
            radio->set(link::direction::both, stalled(near));
        }
        if (quarter == 3) radio->set(link::direction::both, near);
    }
};

/// The whole network on this thread: what every frame's own answer has to be, bit for bit.
std::size_t count_differing(const network_weights<inspector>& weights, std::uint64_t seed, const std::vector<frame_record>& frames) {
    const pipeline& net = weights.net();
    const aligned_buffer arena{net.arena_bytes};
    std::array<float, faults> whole{};
    std::size_t differing = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        if (!is_own(frames[i].a.source)) continue;
        const auto in = picture(seed, static_cast<int>(i));
        const void* const inputs[]{in.data()};
        net.run({arena.data(), weights.bytes().data(), inputs, whole.data(), nullptr}, 0, net.stages, nullptr);
        differing += std::memcmp(whole.data(), frames[i].values.data(), sizeof whole) != 0;
    }
    return differing;
}

void print(const std::vector<frame_record>& frames, bool disturbed) {
    std::printf("%-22s %7s %7s %10s %9s %6s %10s\n", "who answered", "robot", "factory", "datacentre", "no answer", "late", "median ms");
    for (std::size_t q = 0; q < (disturbed ? quarters : 1); ++q) {
        std::array<int, 3> by{};
        int none = 0, late = 0;
        std::vector<double> times;
        for (const frame_record& f : frames) {
            if (f.quarter != q) continue;
            if (is_own(f.a.source)) ++by[static_cast<std::size_t>(std::min(f.a.tier, 2))];
            else ++none;
            late += !f.a.on_time;
            times.push_back(to_milliseconds(f.a.timings.total));
        }
        if (times.empty()) continue;
        std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
        std::printf("%-22s %7d %7d %10d %9d %6d %10.1f\n", disturbed ? quarter_names[q] : "all frames", by[0], by[1], by[2], none, late, times[times.size() / 2]);
    }
}

/// What each of several factories did.
void print(const std::vector<server_report>& factories) {
    for (const server_report& f : factories)
        std::printf("%s: %llu frames went to it first, %llu copies as stand-in, %llu as second, %llu as probe; it answered %llu and failed %llu; radio %.2f J (modelled)%s%s\n", f.name.c_str(),
                    static_cast<unsigned long long>(f.counters.chosen), static_cast<unsigned long long>(f.counters.stood_in), static_cast<unsigned long long>(f.counters.seconds),
                    static_cast<unsigned long long>(f.counters.probes), static_cast<unsigned long long>(f.counters.answered), static_cast<unsigned long long>(f.counters.failed), f.radio_energy().value,
                    f.link_failure.empty() ? "" : "; now: ", f.link_failure.c_str());
}

nlohmann::json to_json(const std::vector<frame_record>& frames, const edge_report& robot_report, const std::optional<factory_tally>& counted, std::size_t differing) {
    nlohmann::json all = nlohmann::json::array();
    for (const frame_record& f : frames)
        all.push_back({{"quarter", f.quarter}, {"source", to_text(f.a.source)}, {"tier", f.a.tier}, {"server", f.a.server},
                       {"by", is_own(f.a.source) ? tier_names[static_cast<std::size_t>(std::min(f.a.tier, 2))] : "none"},
                       {"on_time", f.a.on_time}, {"host_stall", f.a.host_stall}, {"ms", to_milliseconds(f.a.timings.total)}});
    return {{"label", "measured"},
            {"frames", all},
            {"different", differing},
            {"misses", robot_report.counters.answer.misses},
            {"host_stalls", robot_report.counters.answer.host_stalls},
            {"covered_misses", robot_report.counters.frame.covered_misses},
            {"factory", counted ? nlohmann::json{{"requests", counted->requests}, {"here", counted->here}, {"datacentre", counted->datacentre}, {"fallback", counted->fallback},
                                                 {"unanswered", counted->unanswered}, {"late", counted->late}}
                                : nlohmann::json{}}};
}

int inspect(const arguments& a) {
    options::require_writable("--json", a.json_file);
    const auto weights = seeded_weights<inspector>(a.seed);
    const duration period = from_milliseconds(a.deadline_ms);
    const auto wifi = radio::find("wifi")->power;
    std::vector<server> factories;
    for (const std::string& one : a.connect) {
        const link::host_port at = link::parse_host_port(one, "--connect");
        factories.emplace_back(one, link::tcp{at.host, at.port}, server_terms{.radio = wifi});
    }
    std::optional<surroundings> here;
    if (factories.empty()) {
        here.emplace(a);
        factories.emplace_back("factory", link::tcp{"127.0.0.1", here->radio->port()}, server_terms{.radio = wifi});
    }
    const bool several = factories.size() > 1;

    const std::vector<duration> paced = stage_times(weights.net(), robot); // stages that are done sooner wait
    const deployment costs = plan_deployment(weights.net(), robot, stage_times(weights.net(), factory), {.deadline = period, .radio = wifi});
    edge_options terms{.deadline = period, .stage_times = paced, .breaker = quick_breaker(), .link = quick_link()};
    edge<inspector, policy::sage, servers<>> device{weights, policy::sage{costs, {.cut = 0}}, terms, {std::move(factories)}};
    if (const edge_report e = device.report(); !e.fits)
        std::fprintf(stderr, "three_tiers: frames are not covered: head and a reserve of %.1f ms do not fit into %.0f ms; a longer --deadline or a less busy machine was expected\n", to_milliseconds(e.reserve), to_milliseconds(e.deadline));
    const auto no_hope = [&] {
        const auto all = device.server_reports();
        return std::all_of(all.begin(), all.end(), [](const server_report& r) { return r.link_failure.starts_with(link::do_not_fit); });
    };
    for (int i = 0; i < 500 && (!device.link_now().up || device.link_now().rate_up.value <= 0) && !no_hope(); ++i) std::this_thread::sleep_for(10ms);
    if (!here && !device.link_now().up) throw link_error("no factory that can be asked: " + device.link_failure());
    if (here) std::this_thread::sleep_for(500ms); // the factory's own link is measured meanwhile

    std::vector<frame_record> frames(static_cast<std::size_t>(a.frames));
    const auto start = std::chrono::steady_clock::now();
    for (int k = 0; k < a.frames; ++k) {
        std::this_thread::sleep_until(start + k * period);
        frame_record& f = frames[static_cast<std::size_t>(k)];
        f.quarter = here ? quarters * static_cast<std::size_t>(k) / frames.size() : 0;
        if (here && k > 0 && f.quarter != frames[static_cast<std::size_t>(k) - 1].quarter) here->enter(f.quarter);
        f.a = device.infer(picture(a.seed, k), f.values);
        f.a.values = {};
    }
    const edge_report report = device.report();
    std::optional<factory_tally> counted; // unknown of a factory that somebody else started
    if (here) counted = tally_of(*here->factory);
    const std::size_t differing = count_differing(weights, a.seed, frames);
    print(frames, here.has_value());
    if (const std::string stayed = to_text(report.counters.frame.stayed); !stayed.empty()) std::printf("the robot did not ask the factory: %s\n", stayed.c_str());
    if (here && !counted) std::printf("the factory's process ended before it was told to: what it counted is not known\n");
    if (counted)
        std::printf("the factory had %llu requests: %llu answered by the datacentre, %llu here by choice, %llu here because the datacentre did not answer in time, %llu unanswered; it stayed: %s\n",
                    counted->requests, counted->datacentre, counted->here, counted->fallback, counted->unanswered, counted->stayed.data());
    if (several) print(device.server_reports());
    std::printf("%zu answers differ from those of the network in one piece\n", differing);
    if (!a.json_file.empty()) options::write("--json", a.json_file, to_json(frames, report, counted, differing).dump(1) + "\n");
    return differing == 0 ? 0 : 1;
}

int run(const arguments& a) {
    if (a.datacentre_port >= 0) return serve_datacentre(a.seed, static_cast<std::uint16_t>(a.datacentre_port), a.bind);
    if (a.factory_port >= 0)
        return serve_factory(a.seed, static_cast<std::uint16_t>(a.factory_port), a.bind, link::parse_host_port(a.next, "--next"), from_milliseconds(a.deadline_ms));
    return inspect(a);
}

} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"A robot, a factory's server and a datacentre share one network: three processes over TCP, with bad links between them. In the second quarter\n"
                 "of the frames the datacentre is gone, in the third the radio; a table says who answered. The weights are random and what is answered means\n"
                 "nothing; who answers, times and bits do. Exit status 1: an answer differs from the network's in one piece or the report could not be\n"
                 "written, 2: nothing was done"};
    auto* const frames = app.add_option("--frames", a.frames, "frames to inspect")->check(options::between(20, 1'000'000))->capture_default_str();
    auto* const deadline = app.add_option("--deadline", a.deadline_ms, "milliseconds for a frame, and from one to the next")->check(options::between(10.0, 10000.0))->capture_default_str();
    app.add_option("--seed", a.seed, "of pictures and weights; all three need the same")->check(options::at_least(std::uint64_t{0}))->capture_default_str();
    auto* const radio_rtt = app.add_option("--radio-rtt", a.radio_rtt_ms, "milliseconds of the round trip from robot to factory")->check(options::between(0.0, 10000.0))->capture_default_str();
    auto* const backhaul_rtt = app.add_option("--backhaul-rtt", a.backhaul_rtt_ms, "milliseconds of the round trip from factory to datacentre")->check(options::between(0.0, 10000.0))->capture_default_str();
    auto* const killed = app.add_flag("--kill", a.kill, "the datacentre's process is killed in the second quarter, and started again behind it; else its link stalls");
    auto* const json = app.add_option("--json", a.json_file, "write the report here")->type_name("FILE");
    auto* const connect =
        app.add_option("--connect", a.connect, "be the robot alone, of a factory that runs already; an IPv6 address in brackets. Given several times, it chooses among them for every frame")
            ->type_name("HOST:PORT")
            ->allow_extra_args(false)
            ->excludes(radio_rtt)->excludes(backhaul_rtt)->excludes(killed);
    auto* const top = app.add_option("--serve-datacentre", a.datacentre_port, "be the datacentre on this port (0: any free one) until interrupted")
                          ->type_name("PORT")
                          ->check(options::between(0, 65535))
                          ->excludes(json)
                          ->excludes(connect)
                          ->excludes(frames);
    auto* const middle = app.add_option("--serve-factory", a.factory_port, "be the factory on this port (0: any free one) until interrupted")
                             ->type_name("PORT")
                             ->check(options::between(0, 65535))
                             ->excludes(json)
                             ->excludes(connect)
                             ->excludes(frames)
                             ->excludes(top);
    auto* const next = app.add_option("--next", a.next, "with --serve-factory: where the datacentre is")->type_name("HOST:PORT")->needs(middle);
    middle->needs(next);
    for (auto* const elsewhere : {radio_rtt, backhaul_rtt, killed}) top->excludes(elsewhere), middle->excludes(elsewhere); // the robot's program disturbs the links
    top->excludes(deadline);
    const auto* const bound = app.add_option("--bind", a.bind, "with --serve-...: the address to listen on (the link is not encrypted)")->transform(link::without_brackets)->capture_default_str();
    return options::exit_status("three_tiers", app, argc, argv, [&] {
        if (bound->count() > 0 && top->count() + middle->count() == 0) throw option_error("--bind: --serve-datacentre or --serve-factory was expected beside it");
        return run(a);
    });
}
