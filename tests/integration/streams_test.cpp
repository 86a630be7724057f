// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file streams_test.cpp
/// Streams for real: an edge under policy::fleet, a cloud that answers burst by burst, and a radio of connection events between them.
#include "stream_rig.hpp"

#include <splitdsl/codec/stream_sizes.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/reference_run.hpp>
#include <splitdsl/runtime/whole_run.hpp>

using namespace live;
using namespace streamed;

namespace {

struct three_streams {
    static constexpr auto trunk(int i, int channels, int stride) {
        return head("device", named("stage", named(i, named("conv", conv(channels, {.kernel = 3, .stride = stride}))
                                                          | named("bn", batch_norm()) | relu())));
    }
    static constexpr auto send(text name) {
        return stream(name, named(name, conv(6, {.kernel = 1})), dynamic_pool(4, {.smallest = 4, .largest = 8, .step = 2}));
    }
    static constexpr auto rest(text name) {
        return named(name, named("fuse", conv(12, {.kernel = 1})) | relu()) | global_pool() | named("cloud", dense(10)) | softmax();
    }
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet) | trunk(0, 8, 2) | send("s0")
               | beside("cloud", early_exit("exit0", from("s0") | rest("exit0"))) | trunk(1, 8, 1) | send("s1")
               | beside("cloud", early_exit("exit1", fuse("s0", "s1") | rest("exit1"))) | trunk(2, 12, 1) | send("s2")
               | beside("cloud",
                        early_exit("exit2", fuse("s1", "s2") | by_sizes<streamed::sizes, streamed::sizes>([](int before, int here) {
                                                return named("pair", named(before, named(here, conv(8, {.kernel = 1}))));
                                            }) | rest("exit2")))
               | head("device", global_pool() | named("fc", dense(10)) | softmax());
    }
};
static_assert(check<three_streams>);
static_assert(stream_ladder<three_streams>("s1").levels == streamed::sizes && stream_ladder<three_streams>("s1").values(2) == 64);
static_assert(stream_bytes<three_streams>("s1", 0) == 1 + 5 + 6 * 16);
static_assert(stream_bytes<three_streams>("s1", 3) == -1 && stream_ladder<three_streams>("s9").levels == 0);

} // namespace

namespace streamed {
subject network() {
    static const auto weights = seeded_weights<three_streams>(5);
    return {&weights.net(), weights.bytes(), weights.digest()};
}
} // namespace streamed

TEST_CASE("the trunk's stages come first, each exit's stage runs alone and in any order, and says the same every time") {
    const pipeline& p = *streamed::network().net;
    CHECK(p.stages == 4);
    REQUIRE(p.stream_count == 3);
    REQUIRE(p.stream_exit_count == 3);
    CHECK(p.exits.empty()); // none of the trunk
    CHECK(std::string{p.streams[1].name} == "s1");
    CHECK((p.streams[1].stage == 1 && p.streams[1].height == 16 && p.streams[1].rows == 8));
    CHECK((p.stream_exits[0].reads == 1 && p.stream_exits[1].reads == 3 && p.stream_exits[2].reads == 6));
    CHECK(p.output_floats == 4 * streamed::classes);
    reference r{streamed::picture{1}};
    const auto second = r.answer(1, 3, 3), first = r.answer(0, 0, 3), third = r.answer(2, 2, 1);
    CHECK(same_bits(r.answer(1, 3, 3), second));
    CHECK(same_bits(r.answer(0, 0, 3), first));
    CHECK(same_bits(r.answer(2, 2, 1), third));
    CHECK_FALSE(same_bits(second, r.answer(1, 2, 3))); // sizes matter
    CHECK_FALSE(same_bits(second, r.answer(1, 3, 2)));
}

TEST_CASE("trunk and exits agree with the reference kernels, streams pooled at their largest size") {
    parameter_map weights;
    const auto names = parameters<three_streams>();
    const auto values = random_weights(names, 5);
    for (std::size_t i = 0; i < names.size(); ++i) weights[names[i].name] = values[i];
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
        const streamed::picture in{seed};
        const auto expected = run_reference(graph::description_of<three_streams>(), weights, {{"picture", in.bytes.data()}});
        const streamed::subject s = streamed::network();
        const aligned_buffer arena{s.net->arena_bytes};
        std::vector<float> found(s.net->output_floats);
        const void* image = in.bytes.data();
        run_whole(*s.net, {arena.data(), s.packed.data(), &image, found.data()});
        REQUIRE(found.size() == expected.size());
        reference r{in}; // and what the tests below compare with is the same
        for (int e = 0; e < streamed::streams; ++e)
            CHECK(same_bits(std::span{found}.subspan((static_cast<std::size_t>(e) + 1) * streamed::classes, streamed::classes),
                       r.answer(e, e > 0 ? streamed::sizes : 0, streamed::sizes)));
        for (std::size_t i = 0; i < found.size(); ++i)
            CHECK(found[i] == Approx(expected[i]).margin(2e-3)); // one step of the quantiser may differ
    }
}

TEST_CASE("the cloud's answer for complete streams is the unsplit exit's, bit for bit") {
    const bool over_tcp = GENERATE(false, true);
    stream_rig r{accepting(2), 15ms, {}, over_tcp, {.gap = 2ms}, {.window_bytes = 0}};
    REQUIRE(wait_for_link(*r.edge));
    int complete = 0;
    const int n = stream_frames();
    const auto [t, by_cloud, wrong] = show(
        r, n,
        [&](const answer& a, int before, int here) {
            complete += before == streamed::sizes && here == streamed::sizes;
            if (a.source == answer_source::cloud) CHECK(a.exit == 2);
        },
        [](int) {});
    CHECK(t.own == n);
    check_promise(*r.edge, t, n, over_tcp ? "streams TCP" : "streams in process");
    CHECK(wrong == 0);
    CHECK(by_cloud * 4 >= n * 3);
    CHECK(complete > 0);
    const auto c = r.above.counters();
    CHECK(c.predictions >= c.replies);
    CHECK(c.packet[static_cast<std::size_t>(packet_fault::none)] + c.packet[static_cast<std::size_t>(packet_fault::duplicate)]
          == c.packets);
    CHECK(r.here.counted().stops_acknowledged > 0);
    CHECK(r.edge->counters().frame.streams >= static_cast<std::uint64_t>(n));
}

TEST_CASE("a sure early answer ends the frame before its later streams begin") {
    stream_rig r{accepting(0), 15ms, {}, true};
    REQUIRE(wait_for_link(*r.edge));
    const int n = stream_frames();
    int early = 0;
    const auto [t, by_cloud, wrong] = show(
        r, n, [&](const answer& a, int, int) { early += a.source == answer_source::cloud && a.exit == 0 && a.timings.total < 40ms; }, [](int) {});
    check_promise(*r.edge, t, n, "streams, early");
    CHECK(wrong == 0);
    CHECK(by_cloud >= early);
    CHECK(early * 4 >= n * 3);
    CHECK(r.edge->counters().frame.streams < static_cast<std::uint64_t>(2 * n)); // most frames began one stream only
}

TEST_CASE("every frame is answered in time over connection events, whatever they lose") {
    const double loss = GENERATE(0.0, 0.5, 1.0);
    stream_rig r{accepting(-1), 20ms, radio::ble_setting{.interval = 10ms, .packets = 4, .loss = loss}};
    if (loss < 1) REQUIRE(wait_for_link(*r.edge));
    const int n = stream_frames();
    const auto [t, by_cloud, wrong] = show(r, n);
    check_promise(*r.edge, t, n, loss == 0 ? "events" : loss < 1 ? "events, 50 %" : "events, 100 %");
    CHECK(wrong == 0);
    CHECK(t.own == n);
    if (loss == 0) CHECK(by_cloud * 2 >= n);
    if (loss == 1) CHECK(by_cloud == 0);
}

TEST_CASE("every frame is answered in time while a link that streams goes dark, stalls or is reset") {
    stream_rig r{accepting(2), 10ms, {}};
    REQUIRE(wait_for_link(*r.edge));
    const int n = 3 * stream_frames();
    const auto disturb = [&](int i) {
        if (i % 12 == 3) r.relay->set(link::direction::both, {.blackhole = true});
        if (i % 12 == 5) r.relay->set(link::direction::both, {}), r.relay->reset_connections();
        if (i % 12 == 6) r.relay->set(link::direction::both, {.corruption = 0.2});
        if (i % 12 == 8) r.relay->set(link::direction::both, {.stall = true});
        if (i % 12 == 10) r.relay->set(link::direction::both, {});
    };
    const auto s = show(r, n, [](const answer&, int, int) {}, disturb);
    check_promise(*r.edge, s.t, n, "streams, faults");
    CHECK(s.wrong == 0);
    CHECK(r.edge->counters().link.connects >= 2);
}

TEST_CASE("what is unsent of a stream is dropped when the next begins, and the cloud then answers the newer one") {
    // One packet of 108 bytes an event: a stage is over before its stream is.
    stream_rig r{accepting(2), 45ms, radio::ble_setting{.interval = 7500us, .packets = 1, .octets = 108},
                 true,         {},   {.packet_bytes = 60, .window_bytes = 220}};
    REQUIRE(wait_for_link(*r.edge));
    const int n = stream_frames();
    const auto [t, by_cloud, wrong] = show(r, n);
    check_promise(*r.edge, t, n, "streams, thin air");
    CHECK(wrong == 0);
    CHECK(by_cloud > 0); // the newest stream's smallest size comes through
    CHECK(r.here.counted().dropped > 0);
    CHECK(r.above.counters().predictions > 0);
}

TEST_CASE("with a radio that tells its events packets wait for one, and what none took is dropped") {
    // An event every 30 ms, a stage every 20: two streams often begin between two events.
    stream_rig r{accepting(-1), 20ms, radio::ble_setting{.interval = 30ms, .packets = 4}, true, {.gap = 4ms}, {.window_bytes = 0}, true};
    REQUIRE(wait_for_link(*r.edge));
    const int n = stream_frames();
    const auto [t, by_cloud, wrong] = show(r, n, [](const answer&, int, int) {}, [](int i) { std::this_thread::sleep_for(std::chrono::milliseconds{7 * (i % 5)}); });
    check_promise(*r.edge, t, n, "streams, events told");
    CHECK(wrong == 0);
    CHECK(by_cloud > 0);
    const auto c = r.here.counted();
    CHECK(c.dropped > 0);
    CHECK(c.acknowledgements == 0); // the radio tells what arrived
    CHECK(r.edge->link_now().rate_up.value > 0);
}

TEST_CASE("a policy may pull size after size by acknowledgements") {
    auto p = accepting(1);
    p.inner = policy::fleet{policy::fleet_plan(streamed::streams, streamed::sizes, policy::never_sure)}; // every frame to the trunk's end
    p.pulls = true;
    stream_rig r{p, 12ms, {}};
    REQUIRE(wait_for_link(*r.edge));
    const int n = stream_frames();
    const auto s = show(r, n);
    check_promise(*r.edge, s.t, n, "streams, pulled");
    CHECK(s.t.own == n);
    CHECK(s.wrong == 0);
    CHECK(r.here.counted().streams > static_cast<std::uint64_t>((streamed::streams + 1) * n)); // three orders a stream, nearly always
    CHECK(r.here.counted().refused == 0);
    CHECK(r.above.counters().predictions > static_cast<std::uint64_t>((streamed::streams + 1) * n)); // each size is answered
}

TEST_CASE("the cloud keeps answers to itself that are not sure enough") {
    stream_rig r{accepting(-1), 8ms, {}, false, {.thresholds = {policy::never_sure, policy::never_sure, 0.0F}}};
    REQUIRE(wait_for_link(*r.edge));
    tally t{};
    for (int i = 0; i < 12; ++i) {
        std::array<float, streamed::classes> out{};
        const answer a = r.frame(static_cast<std::uint32_t>(i), t, out);
        CHECK((a.source != answer_source::cloud || a.exit == 2));
    }
    CHECK(r.above.counters().unsure > 0);
}

TEST_CASE("without a link a network with streams is its trunk") {
    const auto s = streamed::network();
    edge_core<fleet_or_pull> edge{*s.net,
                                  s.packed,
                                  {policy::fleet{fleet_plan_of(*s.net, 0.5F)}},
                                  {.deadline = 500ms, .reserve = 100ms, .calibration_runs = 20},
                                  nullptr};
    const streamed::picture in{3};
    std::vector<float> out(s.net->output_floats);
    const answer a = edge.infer(in.spans, out);
    CHECK(a.source == answer_source::edge);
    CHECK(same_bits(std::span{out}.first(streamed::classes), reference{in}.trunk));
}
