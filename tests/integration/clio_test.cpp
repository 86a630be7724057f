// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file clio_test.cpp
/// CLIO for real: one cut whose channels leave in growing widths, and a cloud that answers whole widths alone, whatever the link does to
/// their packets.
#include "../same_bits.hpp"
#include "live_rig.hpp"
#include "raw_peer.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/link/in_process.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/runtime/cloud_streams.hpp>
#include <splitdsl/runtime/edge_streams.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/whole_run.hpp>

#include <cstring>
#include <map>

using namespace live;
using link::message_kind;

namespace {

constexpr std::size_t classes = 10;
constexpr int sent_widths = 4;

constexpr auto layer(int i, int channels, int stride) {
    return named("layer", named(i, named("conv", conv(channels, {.kernel = 3, .stride = stride})) | named("bn", batch_norm()) | relu()));
}
template <int... Widths>
struct cut_once {
    static constexpr auto rest() { return layer(2, 16, 1) | global_pool() | named("fc", dense(10)) | softmax(); }
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet)
               | head("device", layer(0, 8, 2) | layer(1, 12, 2)) | stream("cut", identity(), widths(Widths...))
               | beside("cloud", early_exit("behind", from("cut") | named("cloud", rest()))) | head("device", rest());
    }
};
struct subject : cut_once<2, 4, 8, 12> {};
struct another : cut_once<2, 5, 8, 12> {};
static_assert(check<subject>);

const auto& weights() {
    static const auto w = seeded_weights<subject>(7);
    return w;
}

struct picture {
    std::vector<std::byte> bytes = std::vector<std::byte>(3 * 32 * 32);
    std::array<std::span<const std::byte>, 1> spans{};
    explicit picture(std::uint32_t seed) {
        for (auto& b : bytes) b = static_cast<std::byte>((seed = seed * 1664525U + 1013904223U) >> 24);
        spans[0] = bytes;
    }
};

/// What the cloud's part says of a picture's first channels, the quantised map's others set to 0 here: nothing of the codec's levels takes
/// part.
struct reference {
    explicit reference(const picture& of) : net{weights().net()}, arena{net.arena_bytes}, outputs(net.output_floats) {
        const void* in = of.bytes.data();
        net.run({arena.data(), weights().bytes().data(), &in, outputs.data()}, 0, 1, nullptr);
        const stream_info& i = net.streams[0];
        map.resize(static_cast<std::size_t>(i.channels * i.height * i.width));
        std::memcpy(map.data(), arena.data() + i.map, 4 * map.size());
        net.run({arena.data(), weights().bytes().data(), &in, outputs.data()}, 1, net.stages, nullptr);
        trunk.assign(outputs.begin(), outputs.begin() + classes);
        raw = map;
        const affine_parameters q = pool_parameters_of(range_of(map));
        for (float& v : map) v = static_cast<float>(quantise<std::uint8_t>(v, q) - q.zero_point) * q.scale;
    }
    std::vector<float> answer(int width) {
        const stream_info& i = net.streams[0];
        auto received = map;
        std::fill(received.begin() + static_cast<std::ptrdiff_t>(i.widths[static_cast<std::size_t>(width)]) * i.height * i.width,
                  received.end(), 0.0F);
        std::memcpy(arena.data() + i.pooled, received.data(), 4 * received.size());
        const stream_exit_info& e = net.stream_exits[0];
        net.run({arena.data(), weights().bytes().data(), nullptr, outputs.data()}, e.stage, e.stage + 1, nullptr);
        const auto values = std::span{outputs}.subspan(e.first_float, e.floats);
        return {values.begin(), values.end()};
    }
    pipeline net;
    aligned_buffer arena;
    std::vector<float> outputs, trunk, raw, map; ///< raw: as the device has it; map: as 8 bits say it
};
/// Frames of an edge under `policy::clio`; how many the cloud answered with each width.
struct run_of_clio {
    run_of_clio(policy::clio_options o, std::optional<radio::ble_setting> air, int frames, duration gap = {}) {
        const auto& net = weights().net();
        cloud_streams above{net, weights().bytes(), {.gap = gap}};
        cloud_core cloud{net,
                         weights().bytes(),
                         {.weights_digest = weights().digest(), .streams = &above},
                         std::make_unique<link::tcp_listener>(std::uint16_t{0})};
        link::relay relay{{.port = cloud.port(), .ble = air}};
        edge_streams here{net, {.packet_bytes = 60, .window_bytes = 0}};
        edge_options options = impatient();
        const std::array<duration, 2> times{8ms, 8ms};
        options.deadline = 250ms;
        options.reserve = 40ms;
        options.stage_times = times;
        options.streams = &here;
        options.weights_digest = weights().digest();
        options.link.silence = 400ms;
        options.link.dead = 1500ms;
        edge_core<policy::clio> edge{net, weights().bytes(), policy::clio{o}, options,
                                     std::make_unique<link::tcp>("127.0.0.1", relay.port())};
        if (!air || air->loss < 1) REQUIRE(wait_for_link(edge));
        tally t{};
        for (int i = 0; i < frames; ++i) {
            const picture in{static_cast<std::uint32_t>(i)};
            std::vector<float> out(net.output_floats);
            const auto stolen = processes::stolen_ticks();
            const answer a = edge.infer(in.spans, out);
            t.judge(a, stolen);
            ++t.answered;
            t.own += is_own(a.source);
            reference truth{in};
            const auto values = std::span{out}.first(classes);
            if (a.source == answer_source::cloud) {
                REQUIRE((a.exit >= 0 && a.exit < sent_widths));
                ++by_width[static_cast<std::size_t>(a.exit)];
                t.wrong += !same_bits(values, truth.answer(a.exit));
            } else if (is_own(a.source))
                t.wrong += !same_bits(values, truth.trunk);
        }
        check_promise(edge, t, frames, "widths");
        own = t.own;
        refused = here.counted().refused;
    }
    std::array<int, sent_widths> by_width{};
    int own{};
    std::uint64_t refused{};
};

} // namespace

TEST_CASE("the network in one piece says what its exit says of all widths") {
    const auto& net = weights().net();
    const picture in{3};
    const aligned_buffer arena{net.arena_bytes};
    std::vector<float> found(net.output_floats);
    const void* image = in.bytes.data();
    run_whole(net, {arena.data(), weights().bytes().data(), &image, found.data()});
    reference truth{in};
    CHECK(same_bits(std::span{found}.first(classes), truth.trunk));
    CHECK(same_bits(std::span{found}.subspan(classes), truth.answer(sent_widths - 1)));
    for (int w = 1; w < sent_widths; ++w) CHECK_FALSE(same_bits(truth.answer(w), truth.answer(w - 1))); // channels matter
}

TEST_CASE("the cloud's answer to the last width is the unsplit exit's, and one to any other that of its channels alone, bit for bit") {
    const int frames = std::max(12, frames_wanted() / 3);
    const run_of_clio all{{.cut = 0, .widths = sent_widths, .threshold = 2}, {}, frames};
    CHECK(all.own == frames);
    CHECK(all.by_width[sent_widths - 1] * 4 >= frames * 3);
    CHECK(all.by_width[0] + all.by_width[1] + all.by_width[2] == 0); // never sure: only the last counts
    CHECK(all.refused == 0);
    // One packet an event, so that widths arrive one after another: the first answer ends the frame.
    const run_of_clio first{
        {.cut = 0, .widths = sent_widths, .threshold = 0}, radio::ble_setting{.interval = 7500us, .packets = 1, .octets = 108}, frames};
    CHECK(first.own == frames);
    CHECK(first.by_width[0] + first.by_width[1] > 0);
    const run_of_clio fewer{{.cut = 0, .widths = 2, .threshold = 2}, {}, frames};
    CHECK(fewer.by_width[1] > 0);
    CHECK(fewer.by_width[2] + fewer.by_width[3] == 0); // no more is sent than the policy asks for
}

TEST_CASE("every frame of CLIO is answered in time over connection events, whatever they lose, and never of half a width") {
    const double loss = GENERATE(0.0, 0.5, 1.0);
    const int frames = std::max(12, frames_wanted() / 4);
    const run_of_clio r{{.cut = 0, .widths = sent_widths, .threshold = 0},
                        radio::ble_setting{.interval = 10ms, .packets = 3, .octets = 108, .loss = loss},
                        frames,
                        2ms};
    CHECK(r.own == frames);
    int by_cloud = 0;
    for (const int n : r.by_width) by_cloud += n;
    if (loss == 0) CHECK(by_cloud * 2 >= frames);
    if (loss == 1) CHECK(by_cloud == 0);
}

TEST_CASE("packets lost, repeated and out of order never make the cloud answer another width than the largest complete one") {
    const auto& net = weights().net();
    cloud_streams above{net, weights().bytes()};
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process door{*listener};
    cloud_core cloud{net, weights().bytes(), {.weights_digest = weights().digest(), .streams = &above}, std::move(listener)};
    const stream_terms terms{net};
    raw_peer edge{door.connect(1s), link::frame_limits::of_edge(classes * sizeof(float), 1)};
    auto me = introduction_for(net, weights().digest());
    terms.introduce(me);
    CHECK(me.cuts.back().codec == "widths 2 4 8 12");
    std::string why;
    REQUIRE(introduce(*edge.stream, me, 9, std::chrono::steady_clock::now() + 2s, why).accepted);

    std::uint32_t draw = 1;
    const auto below = [&](std::size_t n) { return (draw = draw * 1664525U + 1013904223U) / 65'536U % n; };
    int partial = 0, answered = 0;
    for (std::uint32_t frame = 1; frame <= 40; ++frame) {
        const picture in{frame};
        reference truth{in};
        dynamic_pool_encoder from{terms.ladders[0]};
        from.pool(truth.raw.data());
        struct sent {
            std::vector<std::byte> bytes;
            int first, last; ///< widths it has bytes of
        };
        std::vector<sent> packets;
        pool_packet_writer writer{from, {.packet_bytes = 70}};
        writer.start(static_cast<std::uint16_t>(frame));
        std::vector<std::byte> packet(70);
        for (int first = 0; const std::size_t size = writer.next(packet); first = writer.next_level())
            packets.push_back({{packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size)},
                               first,
                               std::min(writer.next_level(), sent_widths - 1)});
        std::vector<const sent*> air;
        std::array<bool, sent_widths> missing{};
        for (const sent& p : packets) {
            if (below(12) == 0) {
                for (int w = p.first; w <= p.last; ++w) missing[static_cast<std::size_t>(w)] = true;
                continue;
            }
            air.insert(air.end(), below(4) == 0 ? 2 : 1, &p);
        }
        for (std::size_t i = air.size(); i > 1; --i) std::swap(air[i - 1], air[below(i)]);
        int least = 0;
        while (least < sent_widths && !missing[static_cast<std::size_t>(least)]) ++least;
        int acknowledged = 0;
        const int nobody_waits_for = frame % 4 == 0 ? 2 : 0; // sizes that are not to be answered
        for (const sent* p : air) {
            edge.send({.kind = message_kind::stream,
                       .cut = 0,
                       .epoch = 9,
                       .sequence = frame,
                       .budget_us = 5'000'000,
                       .first_bytes = static_cast<std::uint32_t>(nobody_waits_for)},
                      p->bytes);
            REQUIRE(edge.next() == message_kind::stream_ack);
            const int now = edge.reader.header().codec;
            REQUIRE(now >= acknowledged);
            if (now > acknowledged && now > nobody_waits_for) { // a width was completed, and this is its answer
                REQUIRE(edge.next() == message_kind::exit_reply);
                REQUIRE(edge.reader.header().codec == now);
                std::vector<float> values(classes);
                REQUIRE(edge.reader.payload().size() == values.size() * sizeof(float));
                std::memcpy(values.data(), edge.reader.payload().data(), edge.reader.payload().size());
                CHECK(same_bits(values, truth.answer(now - 1)));
                ++answered;
            }
            acknowledged = now;
        }
        CHECK(acknowledged >= least);
        partial += acknowledged < sent_widths;
    }
    CHECK((partial > 5 && partial < 40 && answered > 40));
    CHECK(above.counters().packet[static_cast<std::size_t>(packet_fault::none)]
              + above.counters().packet[static_cast<std::size_t>(packet_fault::duplicate)]
          == above.counters().packets);
}

TEST_CASE("sides of other widths refuse each other, and say which") {
    const auto theirs = seeded_weights<another>(7);
    cloud_streams above{theirs.net(), theirs.bytes()};
    auto listener = std::make_unique<link::in_process_listener>();
    link::in_process door{*listener};
    cloud_core cloud{theirs.net(), theirs.bytes(), {.weights_digest = theirs.digest(), .streams = &above}, std::move(listener)};
    auto stream = door.connect(1s);
    auto me = introduction_for(weights().net(), weights().digest());
    me.network = theirs.net().network; // a declaration that was changed on one side keeps its name
    stream_terms{weights().net()}.introduce(me);
    std::string why;
    CHECK_FALSE(introduce(*stream, me, 9, std::chrono::steady_clock::now() + 2s, why).accepted);
    CHECK(why.find("widths 2 4 8 12") != std::string::npos);
    CHECK(why.find("widths 2 5 8 12") != std::string::npos);
}
