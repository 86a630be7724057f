// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file quick_start.cpp
/// The smallest whole thing: declare, check, run on both sides of a link, here in one process and with made-up weights.
#include <splitdsl/splitdsl.hpp>

#include <CLI/CLI.hpp>

#include <array>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

constexpr auto layer(int channels, window w) { return named("conv", conv(channels, w)) | named("bn", batch_norm()) | relu(); }

struct lane_keeper {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 88, .width = 200}) | normalise(imagenet)           // (3, 88, 200)
             | head("car", named("stem", layer(24, {.kernel = 5, .stride = 2})))                                 // (24, 44, 100)
             | bottleneck("uplink", named("squeeze", conv(3, {.kernel = 3, .stride = 2})), affine_u8())          // (3, 22, 50)
             | tail("cloud", repeat<4>([](int i) { return named("layer", named(i, layer(48, {.kernel = 3}))); }) // (48, 22, 50)
                             | global_pool() | named("control", dense(3)));                                      // steer, throttle, brake
    }
};
static_assert(check<lane_keeper>);
static_assert(payload_bytes<lane_keeper>("uplink") == 3 * 22 * 50 + 8);

/// Stands in for load_weights<lane_keeper>("lane_keeper.safetensors").
network_weights<lane_keeper> made_up_weights() {
    std::mt19937 random{1};
    std::normal_distribution<float> normal{0, 0.1F};
    std::vector<std::vector<float>> values;
    for (const parameter& p : parameters<lane_keeper>()) {
        std::vector<float>& v = values.emplace_back(static_cast<std::size_t>(p.size()), 1.0F);     // norms: all ones
        if (p.dims.size() > 1)
            for (float& x : v) x = normal(random);
    }
    return network_weights<lane_keeper>{values};
}

int main(int argc, char** argv) {
    int frames = 30;
    CLI::App app{"Runs a small split network on both sides of an in-process link and prints who answered"};
    app.add_option("--frames", frames, "frames at 20 Hz")->check(CLI::Range(1, 100'000))->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) { return app.exit(e) == 0 ? 0 : 2; } // CLI11 has a number of its own for each mistake
    try {
        const auto weights = made_up_weights();

        auto listener = std::make_unique<link::in_process_listener>();
        link::in_process wire{*listener};
        const cloud<lane_keeper> cloud{weights, {}, std::move(listener)};

        // What SAGE decides with: a device of 12.5 GMAC/s and 4.3 W, the cloud's measured stage times, an LTE radio.
        const device_profile car{.name = "car", .macs_per_second = 12.5e9, .active_watts = watts{4.3}, .idle_watts = watts{1.25}};
        const auto cloud_times = measure_stages(weights.net(), weights.bytes());
        const deployment costs = plan_deployment(weights.net(), car, cloud_times, {.deadline = 50ms, .radio = radio::lte});
        edge<lane_keeper, policy::sage> edge{weights, policy::sage{costs}, {.deadline = 50ms}, wire};

        std::vector<std::byte> picture(3 * 88 * 200, std::byte{100});
        std::array<float, 3> control{};
        for (int k = 0; k < frames; ++k) {
            const answer a = edge.infer(std::array{std::span<const std::byte>{picture}}, control);
            std::printf("frame %u: %-8s %6.2f ms  steer %+.3f throttle %+.3f brake %+.3f\n", a.frame, to_text(a.source), to_milliseconds(a.timings.total),
                        static_cast<double>(control[0]), static_cast<double>(control[1]), static_cast<double>(control[2]));
            std::this_thread::sleep_for(50ms);
        }
        if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
            std::fprintf(stderr, "quick_start: standard output cannot be written\n");
            return 1;
        }
        if (!edge.link_now().up) std::fprintf(stderr, "quick_start: no connection: %s\n", edge.link_failure().c_str());
        const frame_counters counts = edge.counters().frame;
        if (counts.offload_tries == 0) std::fprintf(stderr, "quick_start: nothing was offloaded: %s\n", to_text(counts.stayed).c_str());
    } catch (const error& e) {
        std::fprintf(stderr, "quick_start: %s\n", e.what());
        return 1;
    }
}
