// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file calibrated_test.cpp
/// Codecs with parameters live, a calibrated one and a learned prior: offloaded over an in-process link, the cloud's answer the local one; other codecs refused by name.
#include "../catch.hpp"
#include "in_process_rig.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/codec_calibration.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;
using namespace std::chrono_literals;

template <codec_choice Codec>
struct lane {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 24, .width = 40}) | normalise(imagenet) | head("car", named("a", conv(12, {.kernel = 5, .stride = 2})) | relu())
             | bottleneck("uplink", named("b", conv(3, {.kernel = 3})), Codec) | tail("cloud", named("c", conv(8, {.kernel = 3})) | relu() | global_pool() | named("d", dense(3)));
    }
};
struct per_frame : lane<affine_u8()> {};
struct keeper : lane<affine_u8(calibrated)> {};
struct learned : lane<entropy_bottleneck()> {};
using controls = std::array<float, 3>;

std::vector<std::byte> picture(unsigned seed) {
    std::vector<std::byte> p(3 * 24 * 40);
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = static_cast<std::byte>((i * 2654435761U + seed * 40503U) >> 7 & (seed % 2 != 0 ? 0x1fU : 0xffU)); // odd ones are dim
    return p;
}
/// Made-up weights with the range that calibration finds in three pictures.
network_weights<keeper> calibrated_weights() {
    const auto trained = random_weights(parameters<measured<keeper>>(), 3);
    std::vector<std::vector<std::byte>> pictures;
    std::vector<std::vector<const void*>> inputs;
    for (unsigned seed = 0; seed < 3; ++seed) pictures.push_back(picture(seed)), inputs.push_back({pictures.back().data()});
    const auto ranges = calibrate_codecs<keeper>(trained, inputs);
    std::vector<std::vector<float>> values;
    std::size_t next = 0;
    for (const parameter& p : parameters<keeper>()) values.push_back(p.is_codec_range ? std::vector<float>{ranges[0].low, ranges[0].high} : trained[next++]);
    return network_weights<keeper>{values};
}
template <class Network>
controls alone(const network_weights<Network>& w, const std::vector<std::byte>& p) {
    const aligned_buffer arena{w.net().arena_bytes};
    controls out{};
    const void* const in[]{p.data()};
    w.net().run({arena.data(), w.bytes().data(), in, out.data(), nullptr}, 0, w.net().stages, nullptr);
    return out;
}
} // namespace

namespace {
/// Bytes that went up, header included, of each frame the cloud answered.
template <class Network>
std::vector<std::size_t> answers_agree(const network_weights<Network>& weights) {
    connected live{weights, offload_when_up{}, 200ms};
    int own = 0, by_cloud = 0;
    std::vector<std::size_t> sent;
    for (unsigned seed = 0; seed < 30; ++seed) { // most of them calibration has not seen
        const auto frame = picture(seed);
        controls out{};
        const answer a = live.edge.infer(std::array{std::span<const std::byte>{frame}}, out);
        const controls want = alone(weights, frame);
        if (is_own(a.source)) CHECK(std::memcmp(out.data(), want.data(), sizeof out) == 0);
        own += is_own(a.source), by_cloud += a.source == answer_source::cloud;
        if (a.source == answer_source::cloud) sent.push_back(a.bytes_up);
    }
    CHECK(own > 15);
    CHECK(by_cloud > 5);
    return sent;
}
/// What a peer says that was built from another version of the same network.
template <class Network, class Version>
link::handshake of_one_name() {
    auto h = introduction_for(pipeline_of<Version>(), 1);
    h.network = introduction_for(pipeline_of<Network>(), 1).network;
    return h;
}
} // namespace

TEST_CASE("a head that ends in its payload is answered by the cloud as by its own tail, bit for bit") { answers_agree(calibrated_weights()); }

TEST_CASE("a learned prior's payloads go up in the size they have, and the cloud answers as the edge's own tail, bit for bit") {
    const auto weights = seeded_weights<learned>(3);
    auto sent = answers_agree(weights);
    REQUIRE(!sent.empty());
    std::sort(sent.begin(), sent.end());
    CHECK(sent.front() != sent.back());
    CHECK(sent.back() < weights.net().cuts[0].payload_bytes * 2 / 3);
    const auto verdict = link::compare(introduction_for(pipeline_of<learned>(), 1), of_one_name<learned, per_frame>());
    CHECK(verdict.refusal.find("codec \"entropy_bottleneck\" on the edge, \"affine_u8\" in the cloud") != std::string::npos);
}

TEST_CASE("a peer whose codec finds its range per frame is another network's, and the refusal names the codecs") {
    const auto verdict = link::compare(introduction_for(pipeline_of<keeper>(), 1), of_one_name<keeper, per_frame>());
    CHECK(verdict.refusal.find("cut 0 (\"uplink\"): codec \"affine_u8 calibrated\" on the edge, \"affine_u8\" in the cloud") != std::string::npos);
    CHECK(verdict.refusal.find("payload bytes") == std::string::npos); // the wire's layout is one
}
