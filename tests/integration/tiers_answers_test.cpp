// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tiers_answers_test.cpp
/// Declared networks over three tiers: whichever way a frame goes, its answer is bit for bit that of the network in one piece.
#include "../same_bits.hpp"
#include "in_process_rig.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/cloud.hpp>
#include <splitdsl/runtime/edge.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/middle_tier.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <array>
#include <atomic>
#include <new>
#include <vector>

namespace {
using namespace splitdsl;
using namespace std::chrono_literals;

/// An exit on each side of the first cut, and a speed that only the last tier reads: it crosses both cuts.
struct inspector {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 24, .width = 32}) | normalise(imagenet)
             | head("robot", named("a", conv(8, {.kernel = 3, .stride = 2})) | relu() | early_exit("glance", global_pool() | named("glance_classes", dense(5)) | softmax()))
             | bottleneck("radio", named("b", conv(4, {.kernel = 3})), affine_u8())
             | stage("factory", named("c", conv(12, {.kernel = 3, .stride = 2})) | relu() | early_exit("look", global_pool() | named("look_classes", dense(5)) | softmax()))
             | bottleneck("backhaul", named("d", conv(3, {.kernel = 1})), half_f16())
             | tail("cloud", named("e", conv(16, {.kernel = 3})) | relu() | global_pool() | concat(identity(), input("speed", f32, values{1}) | named("speed_in", dense(4)) | relu())
                                 | named("classes", dense(5)));
    }
};
/// A learned prior at the first cut: the payload that came is no copy of the tensor that it holds.
struct learned {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 24, .width = 32}) | normalise(imagenet) | head("robot", named("a", conv(8, {.kernel = 3, .stride = 2})) | relu())
             | bottleneck("radio", named("b", conv(4, {.kernel = 3})), entropy_bottleneck()) | stage("factory", named("c", conv(12, {.kernel = 3, .stride = 2})) | relu())
             | bottleneck("backhaul", named("d", conv(3, {.kernel = 1})), affine_u8()) | tail("cloud", named("e", conv(16, {.kernel = 3})) | relu() | global_pool() | named("classes", dense(5)));
    }
};

struct send_at : fake::quiet {
    int cut;
    explicit send_at(int at) : cut{at} {}
    action on(frame_start, const link_view& l, const budget&) noexcept { return cut == -1 && l.up ? action::offload_at(-1) : action::go_on(); }
    action on(stage_done s, const link_view& l, const budget&) noexcept { return cut >= 0 && s.cut == cut && l.up ? action::offload_at(cut) : action::go_on(); }
    using fake::quiet::on;
};

/// Runs every task where it is called, or throws.
std::atomic<bool> broken{};
void run_here(int tasks, void (*body)(void*, int, int), void* context) {
    if (broken) throw std::bad_alloc{};
    body(context, 0, tasks);
}
constexpr task_runner may_throw{&run_here};

template <class Network>
struct three_machines {
    explicit three_machines(int device_sends, int middle_sends) : weights{seeded_weights<Network>(11)} {
        broken = false;
        auto top = std::make_unique<link::in_process_listener>();
        const link::in_process to_top{*top};
        cloud_options c;
        c.workers = &may_throw;
        datacentre.emplace(weights, c, std::move(top));
        auto mid = std::make_unique<link::in_process_listener>();
        const link::in_process to_mid{*mid};
        middle_options m{.reserve = 300ms, .calibration_runs = 0};
        factory.emplace(weights, send_at{middle_sends}, m, std::move(mid), to_top);
        robot.emplace(weights, send_at{device_sends}, edge_options{.deadline = 2s, .reserve = 300ms, .use_exits = false, .calibration_runs = 0}, to_mid);
        REQUIRE(comes_true([this] { return robot->link_now().up && factory->links_up() == 1; }));
    }
    /// One frame: its values are those of the network in one piece.
    answer ask(unsigned seed) {
        std::array<std::vector<std::byte>, 2> in{std::vector<std::byte>(3 * 24 * 32), std::vector<std::byte>(sizeof(float))};
        for (std::size_t i = 0; i < in[0].size(); ++i) in[0][i] = static_cast<std::byte>((i * 2654435761U + seed * 40503U) >> 7);
        const float speed = 0.1F * static_cast<float>(seed);
        std::memcpy(in[1].data(), &speed, sizeof speed);
        const pipeline& net = weights.net();
        std::vector<float> whole(net.output_floats), got(net.output_floats);
        const aligned_buffer arena{net.arena_bytes};
        const void* const inputs[]{in[0].data(), in[1].data()};
        net.run({arena.data(), weights.bytes().data(), inputs, whole.data(), nullptr}, 0, net.stages, nullptr);
        const answer a = [&] {
            if constexpr (edge<Network, send_at>::inputs == 2) return robot->infer(in, got);
            else return robot->infer(in[0], got);
        }();
        INFO("source " << to_text(a.source) << ", tier " << a.tier);
        CHECK(a.on_time);
        CHECK(same_bits(got, whole)); // the exits' too, whichever machine computed them
        return a;
    }
    network_weights<Network> weights;
    std::optional<splitdsl::cloud<Network>> datacentre;
    std::optional<middle_tier<Network, send_at>> factory;
    std::optional<edge<Network, send_at>> robot;
};

template <class Network>
void same_on_every_way() {
    for (const int device : {-2, -1, 0, 1})
        for (const int middle : {-2, -1, 0, 1}) {
            INFO("the device sends at " << device << ", the middle tier at " << middle);
            three_machines<Network> m{device, middle};
            // A cut in front of the one where a frame came in is no place to send any more.
            const bool further = middle == -1 || middle >= device;
            for (unsigned seed = 1; seed <= 3; ++seed) {
                const answer a = m.ask(seed);
                CHECK(a.source == (device == -2 ? answer_source::edge : answer_source::cloud));
                CHECK(a.tier == (device == -2 ? 0 : further && middle != -2 ? 2 : 1));
            }
        }
}

} // namespace

TEST_CASE("over three tiers every answer is that of the network in one piece, whichever way a frame goes") { same_on_every_way<inspector>(); }
TEST_CASE("over three tiers a payload that a learned prior coded is sent on, or decoded where it is needed") { same_on_every_way<learned>(); }

TEST_CASE("over three tiers an answer that a middle tier had to finish itself is that of the network in one piece") {
    const int middle = GENERATE(-1, 0, 1);
    three_machines<inspector> m{0, middle};
    CHECK(m.ask(1).tier == 2);
    broken = true; // the cloud's stages throw
    const answer a = m.ask(2);
    CHECK(a.source == answer_source::cloud);
    CHECK(a.tier == 1);
    CHECK(comes_true([&] { return m.factory->counters().answers.fallback == 1; }));
}
