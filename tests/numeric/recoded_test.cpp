// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file recoded_test.cpp
/// Cuts that send another codec than they declare; weights from a seed.
#include "../catch.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/recoded.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

using namespace splitdsl;

namespace {

constexpr auto layer(text name, int channels) { return named(name, conv(channels, {.kernel = 3})) | relu(); }

/// A group with everything that can cross: the cut's tensor, a tap in 8 bits of odd length, a tap in f32 behind it, an input of floats, a command.
struct full_group {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 5, .width = 7}) | normalise(zero_to_one)
             | head("car", layer("a", 4) | tap("thin", named("t", conv(1, {.kernel = 1})), affine_u8()) | layer("b", 3) | tap("wide", layer("w", 3)))
             | bottleneck("uplink", named("e", conv(3, {.kernel = 1})), lossless_f32(), carry("thin", "wide"))
             | tail("cloud", layer("m", 4) | concat(identity(), from("thin")) | concat(identity(), from("wide")) | global_pool()
                                 | concat(identity(), input("speed", f32, values{1}) | named("s", dense(2)))
                                 | select("command", named("go", dense(3)), named("stop", dense(3))));
    }
};
struct two_cuts {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 2, .height = 4, .width = 4}) | layer("a", 6) | cut("first") | layer("b", 3) | cut("second", half_f16())
             | global_pool() | named("fc", dense(4));
    }
};

struct frame {
    std::vector<std::byte> picture = std::vector<std::byte>(105);
    float speed = 0.75F;
    std::uint8_t command = 1;
    std::vector<const void*> inputs{picture.data(), &speed, &command};
    frame() {
        for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<std::byte>(i * 37 % 251);
    }
};

/// Memory with a guard behind the arena.
struct side {
    const pipeline& net;
    aligned_buffer arena;
    std::vector<float> outputs;
    frame_memory memory;
    side(const pipeline& n, std::span<const std::byte> packed, const void* const* inputs) : net{n}, arena{n.arena_bytes + 64}, outputs(n.output_floats) {
        std::memset(arena.data(), 0x7f, n.arena_bytes + 64);
        memory = {arena.data(), packed.data(), inputs, outputs.data(), nullptr};
    }
    bool kept_within() const {
        return std::all_of(arena.data() + net.arena_bytes, arena.data() + net.arena_bytes + 64, [](std::byte b) { return b == std::byte{0x7f}; });
    }
};

} // namespace

TEST_CASE("a recoded cut sends 8 bits for every lossless tensor and leaves inputs and other codecs as they are") {
    const pipeline& own = pipeline_of<full_group>();
    const pipeline& recoded = recoded_pipeline<full_group, codec_id::affine8>();
    REQUIRE(recoded.cuts.size() == 1);
    // cut (3, 5, 7), thin (1, 5, 7) in 8 bits already, wide (3, 5, 7); speed and command.
    CHECK(own.cuts[0].payload_bytes == 4 * 105 + (35 + 8) + 4 * 105 + 4 + 1);
    CHECK(recoded.cuts[0].payload_bytes == (105 + 8) + (35 + 8) + (105 + 8) + 4 + 1);
    CHECK(std::string(recoded.cuts[0].codec) == "affine_u8");
    CHECK(std::string(own.cuts[0].codec) == "f32");
    CHECK(recoded.cuts[0].name == std::string("uplink"));
    CHECK(recoded.cuts[0].stage == own.cuts[0].stage);
    CHECK(recoded.fingerprint == own.fingerprint);
    CHECK(recoded.packed_bytes == own.packed_bytes);
    CHECK(&recoded_pipeline<full_group, codec_id::affine8>() == &recoded);

    const pipeline& two = recoded_pipeline<two_cuts, codec_id::affine16>();
    REQUIRE(two.cuts.size() == 2);
    CHECK(std::string(two.cuts[0].codec) == "affine_u16");
    CHECK(two.cuts[0].payload_bytes == 2 * 96 + 8);
    CHECK(std::string(two.cuts[1].codec) == "f16"); // declared, so kept
    CHECK(two.cuts[1].payload_bytes == 2 * 48);
}

TEST_CASE("behind a recoded cut stands what the codec makes of each tensor, and the sender's own tail does not meet it") {
    const pipeline& own = pipeline_of<full_group>();
    const pipeline& recoded = recoded_pipeline<full_group, codec_id::affine8>();
    const auto weights = seeded_weights<full_group>(3);
    const frame f;
    const int behind = own.cuts[0].stage + 1;

    side whole{own, weights.bytes(), f.inputs.data()};
    own.run(whole.memory, 0, behind, nullptr);
    std::vector<std::byte> payload(own.cuts[0].payload_bytes);
    own.store_payload(whole.memory, 0, payload.data());
    own.run(whole.memory, behind, own.stages, nullptr);

    // By hand: the lossless payload with the cut's tensor and the wide tap through the codec.
    for (const std::size_t at : {std::size_t{0}, std::size_t{4 * 105 + 43}}) {
        std::vector<float> values(105);
        std::vector<std::byte> small(105 + 8);
        std::memcpy(values.data(), payload.data() + at, 4 * 105);
        encode(codec_id::affine8, values.data(), 105, small.data());
        REQUIRE(decode(codec_id::affine8, small.data(), small.size(), values.data(), 105));
        std::memcpy(payload.data() + at, values.data(), 4 * 105);
    }
    side wanted{own, weights.bytes(), nullptr};
    REQUIRE(own.load_payload(wanted.memory, 0, payload));
    own.run(wanted.memory, behind, own.stages, nullptr);
    CHECK(wanted.outputs != whole.outputs); // or this proves nothing

    side edge{recoded, weights.bytes(), f.inputs.data()}, cloud{recoded, weights.bytes(), nullptr};
    std::vector<std::byte> sent(recoded.cuts[0].payload_bytes + 8, std::byte{0xa5});
    recoded.run(edge.memory, 0, behind, nullptr);
    CHECK(recoded.store_payload(edge.memory, 0, sent.data()) == recoded.cuts[0].payload_bytes);
    CHECK(std::all_of(sent.end() - 8, sent.end(), [](std::byte b) { return b == std::byte{0xa5}; }));
    sent.resize(recoded.cuts[0].payload_bytes);
    REQUIRE(recoded.load_payload(cloud.memory, 0, sent));
    recoded.run(cloud.memory, behind, recoded.stages, nullptr);
    CHECK(cloud.outputs == wanted.outputs);

    recoded.run(edge.memory, behind, recoded.stages, nullptr);
    CHECK(edge.outputs == whole.outputs);
    CHECK(edge.kept_within());
    CHECK(cloud.kept_within());
}

TEST_CASE("a recoded cut refuses what is no payload of it") {
    const pipeline& recoded = recoded_pipeline<full_group, codec_id::affine8>();
    const auto weights = seeded_weights<full_group>(3);
    const frame f;
    side edge{recoded, weights.bytes(), f.inputs.data()}, cloud{recoded, weights.bytes(), nullptr};
    std::vector<std::byte> sent(recoded.cuts[0].payload_bytes);
    recoded.run(edge.memory, 0, recoded.cuts[0].stage + 1, nullptr);
    recoded.store_payload(edge.memory, 0, sent.data());
    CHECK(recoded.load_payload(cloud.memory, 0, sent));
    CHECK_FALSE(recoded.load_payload(cloud.memory, 1, sent));
    CHECK_FALSE(recoded.load_payload(cloud.memory, -1, sent));
    for (std::size_t size = 0; size < sent.size(); ++size) CHECK_FALSE(recoded.load_payload(cloud.memory, 0, std::span(sent).first(size)));
    auto longer = sent;
    longer.push_back({});
    CHECK_FALSE(recoded.load_payload(cloud.memory, 0, longer));
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const std::size_t scale : {std::size_t{0}, std::size_t{113}, std::size_t{113 + 43}}) { // of each tensor
        auto damaged = sent;
        std::memcpy(damaged.data() + scale, &nan, 4);
        CHECK_FALSE(recoded.load_payload(cloud.memory, 0, damaged));
    }
    auto wrong_command = sent;
    wrong_command.back() = std::byte{2};
    CHECK_FALSE(recoded.load_payload(cloud.memory, 0, wrong_command));
    auto odd_speed = sent; // an input travels as it is
    std::memcpy(odd_speed.data() + sent.size() - 5, &nan, 4);
    CHECK(recoded.load_payload(cloud.memory, 0, odd_speed));
    CHECK(cloud.kept_within());
}

TEST_CASE("random weights are one vector a parameter, the same for a seed, and keep a network's values in bounds") {
    struct listed { std::string name; std::vector<std::uint64_t> dims; };
    std::vector<parameter> names;
    for (const listed& l : {listed{"c.weight", {8, 4, 3, 3}}, listed{"c.bias", {8}}, listed{"n.weight", {8}}, listed{"n.bias", {8}}, listed{"n.running_mean", {8}},
                            listed{"n.running_var", {8}}, listed{"g.gamma", {8, 8}}, listed{"g.beta", {8}}, listed{"scale", {8}}})
        names.push_back({l.name, l.dims, 0});
    const auto one = random_weights(names, 1);
    REQUIRE(one.size() == names.size());
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(one[i].size() == static_cast<std::size_t>(names[i].size()));
    CHECK(one == random_weights(names, 1));
    CHECK(one != random_weights(names, 2));
    const auto range = [&](std::size_t i) { return std::minmax_element(one[i].begin(), one[i].end()); };
    const float most = std::sqrt(3.0F / 36);
    CHECK(*range(0).first >= -most);
    CHECK(*range(0).first < -0.8F * most);
    CHECK(*range(0).second > 0.8F * most);
    CHECK(*range(0).second <= most);
    for (const std::size_t ones : {std::size_t{2}, std::size_t{5}, std::size_t{8}}) CHECK(one[ones] == std::vector<float>(8, 1.0F));
    for (const std::size_t small : {std::size_t{1}, std::size_t{3}, std::size_t{4}}) CHECK((*range(small).first >= -0.1F && *range(small).second <= 0.1F));
    CHECK(*range(6).first >= 0);        // a gdn divides by the root of beta + gamma x^2
    CHECK(*range(7).first >= 0.5F);

    const auto weights = seeded_weights<full_group>(1);
    CHECK(weights.digest() == seeded_weights<full_group>(1).digest());
    CHECK(weights.digest() != seeded_weights<full_group>(2).digest());
}
