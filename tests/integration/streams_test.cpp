// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file streams_test.cpp
/// Streams for real: an edge under policy::fleet, a cloud that answers burst by burst, and a radio of connection events between them.
#include "live_rig.hpp"
#include "stream_network.hpp"

#include <splitdsl/codec/stream_sizes.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/link/in_process.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/runtime/cloud_streams.hpp>
#include <splitdsl/runtime/edge_streams.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/reference_run.hpp>
#include <splitdsl/runtime/whole_run.hpp>
#include <splitdsl/sim/fleet_summary.hpp>

#include <cstring>
#include <map>

using namespace live;
using link::message_kind;

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

/// What each exit says of a picture for each pair of complete sizes (0: none), computed here without any link.
struct reference {
    explicit reference(const streamed::picture& of)
        : net{streamed::network()},
          terms{*net.net},
          arena{net.net->arena_bytes},
          outputs(net.net->output_floats) {
        const void* in = of.bytes.data();
        const frame_memory m{arena.data(), net.packed.data(), &in, outputs.data()};
        for (int stage = 0; stage < net.net->stages; ++stage) {
            net.net->run(m, stage, stage + 1, nullptr);
            for (std::size_t s = 0; s < terms.info.size(); ++s) {
                if (terms.info[s].stage != stage) continue;
                dynamic_pool_encoder from{terms.ladders[s]};
                from.pool(reinterpret_cast<const float*>(arena.data() + terms.info[s].map));
                std::vector<std::vector<std::byte>> levels;
                for (int l = 0; l < terms.ladders[s].levels; ++l) levels.emplace_back(from.encode(l).begin(), from.encode(l).end());
                coded.push_back(levels);
            }
        }
        trunk.assign(outputs.begin(), outputs.begin() + streamed::classes);
    }
    std::vector<float> answer(int stream, int before, int here) {
        const stream_exit_info& e = *terms.answering(stream);
        for (int s = 0; s <= stream; ++s) {
            if ((e.reads >> s & 1U) == 0) continue;
            const auto k = static_cast<std::size_t>(s);
            const int whole = s == stream ? here : before;
            dynamic_pool_decoder to{terms.ladders[k]};
            to.start();
            for (int l = 0; l < whole; ++l) REQUIRE(to.take(l, coded[k][static_cast<std::size_t>(l)]) == level_fault::none);
            to.rebuild_from(whole - 1, terms.ladders[k].levels - 1, reinterpret_cast<float*>(arena.data() + terms.info[k].pooled));
        }
        if (e.here_sizes > 0) arena.data()[e.sizes] = static_cast<std::byte>((std::max(before, 1) - 1) * e.here_sizes + here - 1);
        net.net->run({arena.data(), net.packed.data(), nullptr, outputs.data()}, e.stage, e.stage + 1, nullptr);
        const auto values = std::span{outputs}.subspan(e.first_float, e.floats);
        return {values.begin(), values.end()};
    }
    streamed::subject net;
    stream_terms terms;
    aligned_buffer arena;
    std::vector<float> outputs, trunk;
    std::vector<std::vector<std::vector<std::byte>>> coded;
};
bool same(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// FLEET as it is or, to save the radio what nobody needs, with each size pulled by the acknowledgement of the one before.
struct fleet_or_pull {
    static constexpr bool streams = true;
    policy::fleet inner;
    bool pulls{};
    action on(frame_start f, const link_view& l, const budget& b) noexcept { return inner.on(f, l, b); }
    action on(stage_done d, const link_view& l, const budget& b) noexcept {
        action a = inner.on(d, l, b);
        if (pulls && a.what == action::kind::stream) a.level = 0;
        return a;
    }
    verdict on(reply_arrived r, const link_view& l, const budget& b) noexcept { return inner.on(r, l, b); }
    action on(link_event e, const link_view& l, const budget& b) noexcept {
        if (pulls && e.what == link_event::kind::acknowledged && e.level + 1 < streamed::sizes)
            return {.what = action::kind::send_next, .stream = e.stream, .level = e.level + 1};
        return inner.on(e, l, b);
    }
};
static_assert(scheduler_policy<fleet_or_pull> && streams_v<fleet_or_pull>);

/// Only stream `which` may be accepted; -1: all.
fleet_or_pull accepting(int which, float threshold = 0, int sizes = streamed::sizes) {
    auto plan = policy::fleet_plan(streamed::streams, sizes, threshold);
    for (int s = 0; which >= 0 && s < streamed::streams; ++s)
        if (s != which) plan.threshold[static_cast<std::size_t>(s)] = policy::never_sure;
    return {policy::fleet{plan}};
}

/// Stages of `each` at least; the trunk takes four of them.
edge_options paced(std::array<duration, 4>& times, duration each, edge_streams& with) {
    times.fill(each);
    edge_options o = impatient();
    o.deadline = 9 * each + 60ms;
    o.reserve = 4 * each + 15ms;
    o.stage_times = times;
    o.streams = &with;
    o.weights_digest = streamed::network().digest;
    o.link.silence = 400ms;
    o.link.dead = 1500ms;
    return o;
}

/// Edge, perhaps a relay, and cloud.
struct stream_rig {
    stream_rig(fleet_or_pull p, duration each, std::optional<radio::ble_setting> air, bool over_tcp = true,
               cloud_stream_options at_cloud = {}, edge_stream_options at_edge = {})
        : net{streamed::network()},
          above{*net.net, net.packed, std::move(at_cloud)},
          here{*net.net, at_edge} {
        std::unique_ptr<link::connector> way;
        const cloud_options o{.weights_digest = net.digest, .streams = &above};
        if (over_tcp) {
            cloud.emplace(*net.net, net.packed, o, std::make_unique<link::tcp_listener>(std::uint16_t{0}));
            relay.emplace(link::relay_options{.port = cloud->port(), .ble = air});
            way = std::make_unique<watched_tcp>(relay->port(), use);
        } else {
            auto door = std::make_unique<link::in_process_listener>();
            way = std::make_unique<link::in_process>(*door);
            cloud.emplace(*net.net, net.packed, o, std::move(door));
        }
        edge.emplace(*net.net, net.packed, std::move(p), paced(times, each, here), std::move(way));
    }
    ~stream_rig() {
        edge.reset();
        CHECK(use.two_readers == 0);
        CHECK(use.two_writers == 0);
        CHECK(use.destroyed_in_use == 0);
    }
    /// One frame; what it answers must be what the trunk or the named exit says of this very picture.
    answer frame(std::uint32_t seed, tally& t, std::array<float, streamed::classes>& out) {
        const streamed::picture in{seed};
        std::vector<float> values(net.net->output_floats);
        const answer a = edge->infer(in.spans, values);
        std::copy_n(values.begin(), out.size(), out.begin());
        t.answered += a.frame != 0;
        t.own += a.source != answer_source::held && a.source != answer_source::preset;
        return a;
    }
    bool right(std::uint32_t seed, const answer& a, std::span<const float> out, int* before = nullptr, int* here_sizes = nullptr) {
        auto& r = known.try_emplace(seed, streamed::picture{seed}).first->second;
        if (a.source == answer_source::edge) return same(out, r.trunk);
        if (a.source != answer_source::cloud || a.exit < 0 || a.exit >= streamed::streams) return false;
        for (int b = a.exit == 0 ? 0 : streamed::sizes; b >= 0; --b)
            for (int h = streamed::sizes; h > 0; --h)
                if (same(out, r.answer(a.exit, b, h))) {
                    if (before) *before = b;
                    if (here_sizes) *here_sizes = h;
                    return true;
                }
        return false;
    }
    stream_use use{};
    streamed::subject net;
    cloud_streams above;
    edge_streams here;
    std::array<duration, 4> times{};
    std::optional<cloud_core> cloud;
    std::optional<link::relay> relay;
    std::optional<edge_core<fleet_or_pull>> edge;
    std::map<std::uint32_t, reference> known;
};

int stream_frames() { return std::max(12, frames_wanted() / 3); }

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
    CHECK(std::string{p.streams[1].name} == "s1");
    CHECK((p.streams[1].stage == 1 && p.streams[1].height == 16 && p.streams[1].rows == 8));
    CHECK((p.stream_exits[0].reads == 1 && p.stream_exits[1].reads == 3 && p.stream_exits[2].reads == 6));
    CHECK(p.output_floats == 4 * streamed::classes);
    reference r{streamed::picture{1}};
    const auto second = r.answer(1, 3, 3), first = r.answer(0, 0, 3), third = r.answer(2, 2, 1);
    CHECK(same(r.answer(1, 3, 3), second));
    CHECK(same(r.answer(0, 0, 3), first));
    CHECK(same(r.answer(2, 2, 1), third));
    CHECK_FALSE(same(second, r.answer(1, 2, 3))); // sizes matter
    CHECK_FALSE(same(second, r.answer(1, 3, 2)));
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
            CHECK(same(std::span{found}.subspan((static_cast<std::size_t>(e) + 1) * streamed::classes, streamed::classes),
                       r.answer(e, e > 0 ? streamed::sizes : 0, streamed::sizes)));
        for (std::size_t i = 0; i < found.size(); ++i)
            CHECK(found[i] == Approx(expected[i]).margin(2e-3)); // one step of the quantiser may differ
    }
}

TEST_CASE("the cloud's answer for complete streams is the unsplit exit's, bit for bit") {
    const bool over_tcp = GENERATE(false, true);
    stream_rig r{accepting(2), 15ms, {}, over_tcp, {.gap = 2ms}, {.window_bytes = 0}};
    REQUIRE(wait_for_link(*r.edge));
    tally t{};
    int by_cloud = 0, complete = 0, wrong = 0;
    const int n = stream_frames();
    for (int i = 0; i < n; ++i) {
        std::array<float, streamed::classes> out{};
        const answer a = r.frame(static_cast<std::uint32_t>(i), t, out);
        int before = 0, here = 0;
        wrong += !r.right(static_cast<std::uint32_t>(i), a, out, &before, &here);
        by_cloud += a.source == answer_source::cloud;
        complete += before == streamed::sizes && here == streamed::sizes;
        if (a.source == answer_source::cloud) CHECK(a.exit == 2);
    }
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
    tally t{};
    int by_cloud = 0, wrong = 0;
    const int n = stream_frames();
    for (int i = 0; i < n; ++i) {
        std::array<float, streamed::classes> out{};
        const answer a = r.frame(static_cast<std::uint32_t>(i), t, out);
        wrong += !r.right(static_cast<std::uint32_t>(i), a, out);
        by_cloud += a.source == answer_source::cloud && a.exit == 0 && a.timings.total < 40ms;
    }
    check_promise(*r.edge, t, n, "streams, early");
    CHECK(wrong == 0);
    CHECK(by_cloud * 4 >= n * 3);
    CHECK(r.edge->counters().frame.streams < static_cast<std::uint64_t>(2 * n)); // most frames began one stream only
}

TEST_CASE("every frame is answered in time over connection events, whatever they lose") {
    const double loss = GENERATE(0.0, 0.5, 1.0);
    stream_rig r{accepting(-1), 20ms, radio::ble_setting{.interval = 10ms, .packets = 4, .loss = loss}};
    if (loss < 1) REQUIRE(wait_for_link(*r.edge));
    tally t{};
    int by_cloud = 0, wrong = 0;
    const int n = stream_frames();
    for (int i = 0; i < n; ++i) {
        std::array<float, streamed::classes> out{};
        const answer a = r.frame(static_cast<std::uint32_t>(i), t, out);
        wrong += (a.source == answer_source::cloud || a.source == answer_source::edge) && !r.right(static_cast<std::uint32_t>(i), a, out);
        by_cloud += a.source == answer_source::cloud;
    }
    check_promise(*r.edge, t, n, loss == 0 ? "events" : loss < 1 ? "events, 50 %" : "events, 100 %");
    CHECK(wrong == 0);
    CHECK(t.own == n);
    if (loss == 0) CHECK(by_cloud * 2 >= n);
    if (loss == 1) CHECK(by_cloud == 0);
}

TEST_CASE("every frame is answered in time while a link that streams goes dark, stalls or is reset") {
    stream_rig r{accepting(2), 10ms, {}};
    REQUIRE(wait_for_link(*r.edge));
    tally t{};
    int wrong = 0;
    const int n = 3 * stream_frames();
    for (int i = 0; i < n; ++i) {
        if (i % 12 == 3) r.relay->set(link::direction::both, {.blackhole = true});
        if (i % 12 == 5) r.relay->set(link::direction::both, {}), r.relay->reset_connections();
        if (i % 12 == 6) r.relay->set(link::direction::both, {.corruption = 0.2});
        if (i % 12 == 8) r.relay->set(link::direction::both, {.stall = true});
        if (i % 12 == 10) r.relay->set(link::direction::both, {});
        std::array<float, streamed::classes> out{};
        const answer a = r.frame(static_cast<std::uint32_t>(i), t, out);
        wrong += (a.source == answer_source::cloud || a.source == answer_source::edge) && !r.right(static_cast<std::uint32_t>(i), a, out);
    }
    check_promise(*r.edge, t, n, "streams, faults");
    CHECK(wrong == 0);
    CHECK(r.edge->counters().link.connects >= 2);
}

TEST_CASE("what is unsent of a stream is dropped when the next begins, and the cloud then answers the newer one") {
    // One packet of 108 bytes an event: a stage is over before its stream is.
    stream_rig r{accepting(2), 45ms, radio::ble_setting{.interval = 7500us, .packets = 1, .octets = 108},
                 true,         {},   {.packet_bytes = 60, .window_bytes = 220}};
    REQUIRE(wait_for_link(*r.edge));
    tally t{};
    const int n = stream_frames();
    int wrong = 0, by_cloud = 0;
    for (int i = 0; i < n; ++i) {
        std::array<float, streamed::classes> out{};
        const answer a = r.frame(static_cast<std::uint32_t>(i), t, out);
        wrong += (a.source == answer_source::cloud || a.source == answer_source::edge) && !r.right(static_cast<std::uint32_t>(i), a, out);
        by_cloud += a.source == answer_source::cloud;
    }
    check_promise(*r.edge, t, n, "streams, thin air");
    CHECK(wrong == 0);
    CHECK(by_cloud > 0); // the newest stream's smallest size comes through
    CHECK(r.here.counted().dropped > 0);
    CHECK(r.above.counters().predictions > 0);
}

TEST_CASE("a policy may pull size after size by acknowledgements") {
    auto p = accepting(1);
    p.inner = policy::fleet{policy::fleet_plan(streamed::streams, streamed::sizes, policy::never_sure)}; // every frame to the trunk's end
    p.pulls = true;
    stream_rig r{p, 12ms, {}};
    REQUIRE(wait_for_link(*r.edge));
    tally t{};
    int wrong = 0;
    const int n = stream_frames();
    for (int i = 0; i < n; ++i) {
        std::array<float, streamed::classes> out{};
        const answer a = r.frame(static_cast<std::uint32_t>(i), t, out);
        wrong += !r.right(static_cast<std::uint32_t>(i), a, out);
    }
    check_promise(*r.edge, t, n, "streams, pulled");
    CHECK(wrong == 0);
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

namespace {

/// Bytes on the air until each size is complete: messages of 48 bytes and a packet.
std::vector<std::int64_t> cumulative(std::span<const std::vector<std::byte>> coded, std::size_t packet_bytes) {
    std::vector<std::int64_t> ends;
    std::int64_t before = 0;
    for (const auto& level : coded) {
        before += static_cast<std::int64_t>(level.size() + 3);
        const auto packets = (before + static_cast<std::int64_t>(packet_bytes) - 4) / (static_cast<std::int64_t>(packet_bytes) - 3);
        ends.push_back(before + packets * (3 + static_cast<std::int64_t>(link::header_bytes)));
    }
    return ends;
}

} // namespace

TEST_CASE("live and simulated frames of one scenario take the same decisions") {
    const int levels = GENERATE(1, streamed::sizes);
    constexpr int pictures = 24;
    constexpr duration each = 40ms;
    const radio::ble_setting air{.interval = 10ms, .packets = 4};
    // What every exit says of every picture; thresholds that let about a third of what is left pass at each exit.
    std::vector<reference> of;
    for (std::uint32_t i = 0; i < pictures; ++i) of.emplace_back(streamed::picture{i});
    const exit_confidence sure{};
    auto plan = policy::fleet_plan(streamed::streams, levels, 0);
    for (int s = 0; s < streamed::streams; ++s) {
        std::vector<float> all;
        for (auto& r : of) all.push_back(sure.of(r.answer(s, s > 0 ? levels : 0, levels)));
        std::sort(all.begin(), all.end());
        // In the middle of the widest gap of the upper half: no frame hangs on a bit.
        std::size_t widest = all.size() / 2;
        for (std::size_t i = all.size() / 2; i + 2 < all.size(); ++i)
            if (all[i + 1] - all[i] > all[widest + 1] - all[widest]) widest = i;
        plan.threshold[static_cast<std::size_t>(s)] = (all[widest] + all[widest + 1]) / 2;
    }
    std::vector<std::int32_t> labels(pictures, 0);
    std::vector<float> trunk, cloud;
    for (auto& r : of) {
        for (const float p : r.trunk) trunk.push_back(std::log(p));
        for (int s = 0; s < streamed::streams; ++s)
            for (int before = 0; before <= levels; ++before)
                for (int here = 1; here <= levels; ++here)
                    for (const float p : r.answer(s, before, here)) cloud.push_back(std::log(p));
    }
    const auto at = [](int n) { return static_cast<std::uint64_t>(n); };
    const safetensors recorded{{{"labels", tensor_type::int32, {at(pictures)}, std::as_bytes(std::span{labels})},
                                {"g.trunk", tensor_type::float32, {at(pictures), streamed::classes}, bytes_of_floats(trunk)},
                                {"g.cloud",
                                 tensor_type::float32,
                                 {at(pictures), at(streamed::streams), at(levels + 1), at(levels), streamed::classes},
                                 bytes_of_floats(cloud)}},
                               {},
                               nullptr};
    const sim::exit_answers answers = sim::read_exit_answers(recorded, "g");
    sim::fleet_world world{.local_exits = false,
                           .radio = air,
                           .cloud = 5ms,
                           .reply_bytes = 136,
                           .deadline = 420ms,
                           .gap = 5ms,
                           .active = {0.04},
                           .draws = *radio::find_ble_radio("nrf52840_0dbm")};
    world.network.name = "three streams";
    for (int k = 0; k < 4; ++k) {
        sim::exit_stage s{.name = std::to_string(k), .macs = 1};
        if (k < streamed::streams)
            s.stream = cumulative(std::span{of[0].coded[static_cast<std::size_t>(k)]}.first(static_cast<std::size_t>(levels)), 196);
        world.network.stages.push_back(s);
    }
    world.times = {.stage = {each, each, each, each}, .exit = {0ms, 0ms, 0ms, 0ms}};
    std::vector<sim::fleet_frame> simulated;
    sim::simulate_fleet(policy::fleet{plan}, world, answers, {.frames = pictures},
                        [&](const sim::fleet_frame& f) { simulated.push_back(f); });

    stream_rig r{{policy::fleet{plan}}, each, air, true, {.gap = 4ms}};
    REQUIRE(wait_for_link(*r.edge));
    tally t{};
    int alike = 0, by_cloud = 0;
    double live_ms = 0, simulated_ms = 0;
    for (int i = 0; i < pictures; ++i) {
        std::array<float, streamed::classes> out{};
        const answer a = r.frame(static_cast<std::uint32_t>(i), t, out);
        const auto& s = simulated[static_cast<std::size_t>(i)];
        alike += a.source == s.source && a.exit == s.exit;
        by_cloud += s.source == answer_source::cloud;
        live_ms += to_milliseconds(a.timings.total) / pictures;
        simulated_ms += to_milliseconds(s.latency) / pictures;
    }
    std::printf("streams in %d sizes: %d of %d decisions alike, %d simulated by the cloud; mean %.1f ms live, %.1f ms simulated\n", levels,
                alike, pictures, by_cloud, live_ms, simulated_ms);
    check_promise(*r.edge, t, pictures, "streams, paced");
    CHECK(by_cloud > 0);
    CHECK(by_cloud < pictures);        // both ways were taken
    CHECK(alike * 10 >= pictures * 8); // on a crowded machine an answer now and then comes a stage later
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
    CHECK(same(std::span{out}.first(streamed::classes), reference{in}.trunk));
}

namespace {

/// A connection that takes so many bytes and keeps them.
struct narrow_stream final : link::stream {
    std::size_t room{std::size_t{1} << 20};
    bool ended{};
    std::vector<std::byte> taken{};
    link::io write(std::span<const std::byte> from) noexcept override {
        if (ended) return {.what = link::io_result::closed};
        const std::size_t n = std::min(from.size(), room);
        if (n == 0) return {.what = link::io_result::would_block};
        taken.insert(taken.end(), from.begin(), from.begin() + static_cast<std::ptrdiff_t>(n));
        room -= n;
        return {.what = link::io_result::ok, .bytes = n};
    }
    link::io read(std::span<std::byte>) noexcept override { return {.what = link::io_result::would_block}; }
    bool wait(bool, bool, duration) noexcept override { return false; }
    void wake() noexcept override {}
    void shutdown() noexcept override {}
    /// Headers of the whole messages taken since the last call.
    std::vector<link::frame_header> messages() {
        const link::frame_limits limits = link::frame_limits::of_cloud({}, {.stream_bytes = 65'535, .streams = streamed::streams});
        std::vector<std::byte> buffer(limits.largest());
        link::frame_reader reader{buffer, limits};
        std::vector<link::frame_header> all;
        std::size_t whole = 0;
        for (std::span<const std::byte> rest{taken}; !rest.empty();) {
            const std::size_t n = reader.push(rest);
            REQUIRE(reader.fault() == link::frame_fault::none);
            rest = rest.subspan(n);
            if (!reader.complete()) break;
            all.push_back(reader.header());
            whole = taken.size() - rest.size();
        }
        taken.erase(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(whole));
        return all;
    }
};

/// Streams fed by hand: what the arena holds stands for a stage's map.
struct hand_fed {
    explicit hand_fed(edge_stream_options o) : net{streamed::network()}, arena{net.net->arena_bytes}, streams{*net.net, o} {
        for (int s = 0; s < streamed::streams; ++s) {
            auto* map = reinterpret_cast<float*>(arena.data() + net.net->streams[s].map);
            for (int i = 0; i < 6 * 16 * 16; ++i) map[i] = static_cast<float>((i * 7919 + s) % 997);
        }
        streams.restart(true);
    }
    bool start(std::uint32_t frame, int stream, int first = 0, int last = 2) {
        return streams.start(
            {.frame = frame, .epoch = 3, .stream = stream, .first = first, .last = last, .stage = stream, .due = instant{1s}}, arena.data(),
            instant{});
    }
    bool write(bool begun_only = false) {
        bool room = true;
        std::size_t written = 0;
        const bool open = streams.write(to, begun_only, room, written);
        blocked = !room;
        return open;
    }
    streamed::subject net;
    aligned_buffer arena;
    edge_streams streams;
    narrow_stream to{};
    bool blocked{};
};

} // namespace

TEST_CASE("a stream's messages leave in order, and no more of them than the window lets be on their way") {
    hand_fed f{{.packet_bytes = 100, .window_bytes = 2 * 148}};
    CHECK_FALSE(f.streams.wants());
    REQUIRE(f.start(1, 0));
    CHECK(f.streams.wants());
    REQUIRE(f.write());
    CHECK_FALSE(f.streams.wants()); // the window is full
    CHECK(f.streams.unacknowledged());
    auto sent = f.to.messages();
    REQUIRE(sent.size() == 2);
    CHECK((sent[0].kind == message_kind::stream && sent[0].cut == 0 && sent[0].sequence == 1 && sent[0].epoch == 3
           && sent[0].budget_us == 1'000'000));
    const auto bytes = static_cast<std::uint32_t>(sent[0].payload_bytes + sent[1].payload_bytes + 2 * link::header_bytes);
    // One of the two is acknowledged: one more may go.
    f.streams.heard({.kind = message_kind::stream_ack,
                     .cut = 0,
                     .codec = 1,
                     .sequence = 1,
                     .first_bytes = static_cast<std::uint32_t>(sent[0].payload_bytes + link::header_bytes)},
                    instant{1s});
    link_event e{};
    REQUIRE(f.streams.next_event(e));
    CHECK((e.what == link_event::kind::acknowledged && e.frame == 1 && e.stream == 0 && e.level == 0));
    CHECK_FALSE(f.streams.next_event(e));
    REQUIRE(f.write());
    CHECK(f.to.messages().size() == 1);
    // A peer that acknowledges what was never sent opens the window and no more.
    f.streams.heard({.kind = message_kind::stream_ack, .cut = 0, .codec = 99, .sequence = 1, .first_bytes = bytes * 1000}, instant{2s});
    CHECK_FALSE(f.streams.next_event(e)); // nor does it invent sizes
    CHECK_FALSE(f.streams.unacknowledged());
    while (f.streams.wants()) {
        REQUIRE(f.write());
        for (const auto& h : f.to.messages()) CHECK(h.sequence == 1);
        f.streams.heard({.kind = message_kind::stream_ack, .sequence = 1, .first_bytes = bytes * 1000}, instant{3s});
    }
    CHECK(f.streams.bytes_sent() == f.streams.counted().bytes);
    CHECK(f.streams.counted().dropped == 0);
}

TEST_CASE("acknowledgements tell the rate while more is waiting, and only then") {
    hand_fed f{{.packet_bytes = 100, .window_bytes = 2 * 148}};
    REQUIRE(f.start(1, 0));
    REQUIRE(f.write());
    std::uint32_t all = 0;
    for (const auto& h : f.to.messages()) all += static_cast<std::uint32_t>(h.payload_bytes + link::header_bytes);
    const auto heard = [&](std::uint32_t bytes, instant when) {
        return f.streams.heard({.kind = message_kind::stream_ack, .sequence = 1, .first_bytes = bytes}, when).value;
    };
    CHECK(heard(all / 2, instant{10ms}) == 0); // the first one: since when?
    CHECK(heard(all, instant{20ms}) == Approx(8.0 * (all - all / 2) / 0.01));
    CHECK(heard(all, instant{30ms}) == 0); // nothing new
    while (f.streams.wants()) {
        REQUIRE(f.write());
        for (const auto& h : f.to.messages()) all += static_cast<std::uint32_t>(h.payload_bytes + link::header_bytes);
        CHECK(heard(all, instant{40ms}) >= 0);
    }
    REQUIRE(f.start(1, 1)); // a pause lies between: its first acknowledgement says nothing
    REQUIRE(f.write());
    for (const auto& h : f.to.messages()) all += static_cast<std::uint32_t>(h.payload_bytes + link::header_bytes);
    CHECK(heard(all, instant{90ms}) == 0);
}

TEST_CASE("the next stream, a stop and a new connection drop what is unsent, but never half a message") {
    hand_fed f{{.packet_bytes = 100, .window_bytes = 0}};
    REQUIRE(f.start(1, 0));
    f.to.room = 70; // half of the first message
    REQUIRE(f.write());
    CHECK(f.blocked);
    REQUIRE(f.start(1, 1));
    f.to.room = 1 << 20;
    REQUIRE(f.write(true)); // somebody else's message is to follow: only what was begun
    auto sent = f.to.messages();
    REQUIRE(sent.size() == 1);
    CHECK((sent[0].cut == 0 && f.to.taken.empty()));
    REQUIRE(f.write());
    sent = f.to.messages();
    REQUIRE(sent.size() > 1);
    for (const auto& h : sent) CHECK(h.cut == 1);
    CHECK(f.streams.counted().dropped > 0);
    // The frame is over: what is unsent gives way to one stop.
    REQUIRE(f.start(1, 2));
    f.streams.drop(1, 3, true);
    REQUIRE(f.write());
    sent = f.to.messages();
    REQUIRE(sent.size() == 1);
    CHECK((sent[0].kind == message_kind::stop && sent[0].sequence == 1));
    CHECK_FALSE(f.streams.wants());
    // Another connection knows nothing of the one before.
    REQUIRE(f.start(2, 0));
    f.streams.restart(false);
    CHECK_FALSE(f.streams.wants());
    CHECK_FALSE(f.streams.unacknowledged());
    f.streams.restart(true);
    CHECK_FALSE(f.streams.wants());
    REQUIRE(f.write());
    CHECK(f.to.messages().empty());
    // The connection ends while a message is written.
    REQUIRE(f.start(3, 0));
    f.to.ended = true;
    CHECK_FALSE(f.write());
}

TEST_CASE("a size that is asked for later brings what is not acknowledged with it, and what does not exist is refused") {
    hand_fed f{{.packet_bytes = 100, .window_bytes = 0}};
    REQUIRE(f.start(1, 0, 0, 0));
    REQUIRE(f.write());
    CHECK_FALSE(f.to.messages().empty());
    REQUIRE(f.start(1, 0, 1, 1)); // the first size is not acknowledged: again
    REQUIRE(f.write());
    const auto both = f.to.messages().size();
    f.streams.heard({.kind = message_kind::stream_ack, .cut = 0, .codec = 1, .sequence = 1}, instant{});
    link_event e{};
    REQUIRE(f.streams.next_event(e));
    REQUIRE(f.start(1, 0, 1, 1)); // now it is
    REQUIRE(f.write());
    CHECK(f.to.messages().size() < both);
    CHECK_FALSE(f.start(1, 3));
    CHECK_FALSE(f.start(1, -1));
    CHECK_FALSE(f.start(1, 0, 3, 3));
    CHECK_FALSE(f.start(1, 0, 2, 1));
    CHECK_FALSE(f.streams.start({.frame = 1, .epoch = 3, .stream = 1, .stage = 0, .due = instant{1s}}, f.arena.data(),
                                instant{})); // its stage has not ended
    CHECK(f.streams.counted().refused == 5);
    CHECK_THROWS_AS((edge_streams{*f.net.net, {.packet_bytes = 31}}), option_error);
    CHECK_THROWS_AS((edge_streams{fake::network<fake::edge_behaviour>()}), option_error);
    CHECK_THROWS_AS((cloud_streams{*f.net.net, f.net.packed, {.thresholds = {-1.0F}}}), option_error);
}

namespace {

/// An edge made of bytes, let in.
struct raw_streamer {
    explicit raw_streamer(link::in_process& door, const stream_terms& terms) : stream{door.connect(1s)} {
        REQUIRE(stream);
        const auto s = streamed::network();
        auto me = introduction_for(*s.net, s.digest);
        terms.introduce(me);
        std::string why;
        REQUIRE(introduce(*stream, me, 9, std::chrono::steady_clock::now() + 2s, why).accepted);
    }
    void send(link::frame_header h, std::span<const std::byte> payload) const {
        std::vector<std::byte> m(link::header_bytes + payload.size());
        std::copy(payload.begin(), payload.end(), m.begin() + link::header_bytes);
        link::seal(h, m);
        for (std::size_t done = 0; done < m.size();) {
            const auto io = stream->write(std::span{m}.subspan(done));
            if (io.what == link::io_result::closed) return;
            done += io.bytes;
        }
    }
    std::optional<message_kind> next() {
        for (const auto end = std::chrono::steady_clock::now() + 2s; std::chrono::steady_clock::now() < end;) {
            const auto got = reader.next(*stream);
            if (got == message_reader::state::message) return reader.header().kind;
            if (got != message_reader::state::more) return {};
            stream->wait(true, false, 50ms);
        }
        return {};
    }
    std::unique_ptr<link::stream> stream;
    message_reader reader{link::frame_limits::of_edge(4 * streamed::classes * sizeof(float), streamed::streams)};
};

} // namespace

TEST_CASE("the cloud acknowledges and answers each burst, and packets that lie end the connection by name") {
    const auto s = streamed::network();
    cloud_streams above{*s.net, s.packed};
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process door{*listener};
    cloud_core cloud{*s.net, s.packed, {.weights_digest = s.digest, .streams = &above}, std::move(listener)};
    const stream_terms terms{*s.net};
    const auto ended = [&](ending why) {
        for (int i = 0; i < 2000; ++i, std::this_thread::sleep_for(1ms))
            if (cloud.counters().endings[static_cast<std::size_t>(why)] > 0) return true;
        return false;
    };
    // A packet of stream 0 that holds its whole smallest size.
    dynamic_pool_encoder from{terms.ladders[0]};
    const std::vector<float> map(6 * 16 * 16, 0.5F);
    from.pool(map.data());
    pool_packet_writer writer{from, {.packet_bytes = 244}};
    writer.start(1);
    std::array<std::byte, 244> packet{};
    const std::size_t size = writer.next(packet, 1);
    REQUIRE(writer.next_level() >= 1);
    const link::frame_header good{.kind = message_kind::stream, .cut = 0, .epoch = 9, .sequence = 1, .budget_us = 1'000'000};
    {
        raw_streamer e{door, terms};
        e.send(good, std::span{packet}.first(size));
        REQUIRE(e.next() == message_kind::stream_ack);
        CHECK(e.reader.header().codec == 1); // a size is complete
        CHECK(e.reader.header().first_bytes == link::header_bytes + size);
        REQUIRE(e.next() == message_kind::exit_reply);
        CHECK((e.reader.header().cut == 0 && e.reader.header().sequence == 1 && e.reader.header().epoch == 9));
        CHECK(e.reader.payload().size() == streamed::classes * sizeof(float));
        e.send(good, std::span{packet}.first(size)); // again: acknowledged, but no news
        CHECK(e.next() == message_kind::stream_ack);
        e.send({.kind = message_kind::stop, .epoch = 9, .sequence = 1}, {});
        CHECK(e.next() == message_kind::stop_ack);
        CHECK(above.counters().stopped == 1);
        // An earlier frame's packet is stale, not a lie.
        auto old = good;
        old.sequence = 0;
        e.send(old, std::span{packet}.first(size));
        CHECK(e.next() == message_kind::stream_ack);
        CHECK(above.counters().packet[static_cast<std::size_t>(packet_fault::stale)] == 1);
        // A frame whose time is over is acknowledged, not computed.
        pool_packet_writer again{from, {.packet_bytes = 244}};
        again.start(2);
        std::array<std::byte, 244> late{};
        const std::size_t late_size = again.next(late, 1);
        auto over = good;
        over.sequence = 2;
        over.budget_us = 0;
        e.send(over, std::span{late}.first(late_size));
        CHECK(e.next() == message_kind::stream_ack);
        for (int i = 0; i < 2000 && above.counters().late == 0; ++i) std::this_thread::sleep_for(1ms);
        CHECK(above.counters().late == 1);
    }
    const auto lies = [&](link::frame_header h, std::vector<std::byte> payload, packet_fault named) {
        const auto before = above.counters().packet[static_cast<std::size_t>(named)];
        raw_streamer e{door, terms};
        e.send(h, payload);
        while (e.next()) {}
        CHECK(above.counters().packet[static_cast<std::size_t>(named)] == before + 1);
    };
    const std::vector<std::byte> whole(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
    auto other = whole;
    other[2] = std::byte{64 | 2};
    lies(good, other, packet_fault::other_stream);
    auto level = whole;
    level[3] = std::byte{60};
    lies(good, level, packet_fault::unknown_level);
    lies(good, {whole.begin(), whole.begin() + 2}, packet_fault::truncated);
    auto newer = good;
    newer.sequence = 7; // the packet says frame 1
    lies(newer, whole, packet_fault::stale);
    CHECK(ended(ending::bad_payload));
    {
        raw_streamer e{door, terms};
        auto beyond = good;
        beyond.cut = streamed::streams;
        e.send(beyond, whole);
        CHECK_FALSE(e.next());
        CHECK(ended(ending::unknown_cut));
    }
    {
        // A scale that is not a number stands in the first level's bytes.
        auto bad = whole;
        for (std::size_t i = 7; i < 11; ++i) bad[i] = std::byte{0xFF};
        raw_streamer e{door, terms};
        e.send(good, bad);
        while (e.next()) {}
        const auto c = above.counters();
        CHECK(c.level[static_cast<std::size_t>(level_fault::bad_quantiser)] == 1);
    }
    // A cloud without streams takes none, and its handshake says so.
    auto plain_door = std::make_unique<link::in_process_listener>();
    link::in_process to_plain{*plain_door};
    cloud_core plain{*s.net, s.packed, {.weights_digest = s.digest}, std::move(plain_door)};
    auto stream = to_plain.connect(1s);
    auto me = introduction_for(*s.net, s.digest);
    terms.introduce(me);
    std::string why;
    CHECK_FALSE(introduce(*stream, me, 9, std::chrono::steady_clock::now() + 2s, why).accepted);
    CHECK(why.find("number of cuts") != std::string::npos);
}
