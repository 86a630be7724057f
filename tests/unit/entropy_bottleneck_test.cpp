// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file entropy_bottleneck_test.cpp
/// The codec with a learned prior: what comes back, CompressAI's bytes, sizes against the ideal, damaged payloads, and networks and weights files that have one.
#include "../catch.hpp"
#include "../same_bits.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/link/handshake.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/introduction.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/reference_run.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;

constexpr float infinite = std::numeric_limits<float>::infinity(), no_number = std::numeric_limits<float>::quiet_NaN();

/// A prior of rows, each with its first whole number and its median.
struct prior {
    std::vector<std::vector<int>> rows;
    std::vector<float> length, offset, quantiles, cumulative;
    std::vector<std::uint32_t> words;

    void add(std::vector<int> row, int first, float median) {
        length.push_back(static_cast<float>(row.size())), offset.push_back(static_cast<float>(first));
        quantiles.insert(quantiles.end(), {median - 1, median, median + 1});
        rows.push_back(std::move(row));
    }
    int channels() const { return static_cast<int>(rows.size()); }
    packed_prior packed() {
        std::size_t columns = 0;
        for (const auto& r : rows) columns = std::max(columns, r.size());
        cumulative.assign(columns * rows.size(), -1);
        for (std::size_t c = 0; c < rows.size(); ++c) std::copy(rows[c].begin(), rows[c].end(), cumulative.begin() + static_cast<std::ptrdiff_t>(c * columns));
        words.assign(packed_prior::words_of(channels(), length.data()), 0);
        packed_prior::pack({length.data(), offset.data(), quantiles.data(), cumulative.data(), static_cast<int>(columns)}, channels(), words.data());
        return packed_prior{words.data()};
    }
    /// Bits that the prior gives a tensor, without the nibbles of outliers.
    double ideal_bits(const std::vector<float>& x, std::size_t plane) const {
        double bits = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            const std::size_t c = i / plane;
            const int levels = static_cast<int>(rows[c].size()) - 2, from_row = static_cast<int>(std::nearbyint(x[i] - quantiles[3 * c + 1])) - static_cast<int>(offset[c]);
            const auto s = static_cast<std::size_t>(from_row < 0 || from_row >= levels ? levels : from_row);
            bits -= std::log2((rows[c][s + 1] - rows[c][s]) / 65536.0);
        }
        return bits;
    }
};
/// Normal about its median, 1 of 65 536 for outliers.
prior normal_prior(int channels, double deviation, unsigned seed) {
    std::mt19937 bits{seed};
    prior p;
    for (int c = 0; c < channels; ++c) {
        const double s = deviation * std::exp(std::normal_distribution<double>(0, 0.4)(bits));
        const int reach = static_cast<int>(std::ceil(4 * s));
        std::vector<double> mass;
        for (int k = -reach; k <= reach; ++k) mass.push_back(std::exp(-0.5 * k * k / s / s));
        const double sum = std::accumulate(mass.begin(), mass.end(), 0.0), rest = 65536.0 - static_cast<double>(mass.size()) - 1;
        std::vector<int> row{0};
        for (const double m : mass) row.push_back(row.back() + 1 + static_cast<int>(m / sum * rest));
        row.push_back(65536); // what rounding left stands for outliers
        p.add(row, -reach, static_cast<float>(std::normal_distribution<double>(0, 3)(bits)));
    }
    return p;
}
std::vector<float> draw(const prior& p, std::size_t plane, double wild, unsigned seed) {
    std::mt19937 bits{seed};
    std::vector<float> x;
    for (std::size_t c = 0; c < p.rows.size(); ++c)
        for (std::size_t i = 0; i < plane; ++i) {
            const double s = -static_cast<double>(p.offset[c]) / 4;
            double v = std::normal_distribution<double>(0, s)(bits);
            if (std::uniform_real_distribution<double>(0, 1)(bits) < wild) v *= 1000;
            x.push_back(static_cast<float>(v) + p.quantiles[3 * c + 1]);
        }
    return x;
}
std::vector<float> rounded(const prior& p, std::vector<float> x, std::size_t plane) {
    for (std::size_t i = 0; i < x.size(); ++i) {
        const float median = p.quantiles[3 * (i / plane) + 1];
        x[i] = std::clamp(std::nearbyint(x[i] - median), -32767.0F, 32767.0F) + median;
    }
    return x;
}
std::vector<std::byte> encoded(prior& p, const std::vector<float>& x, std::size_t plane) {
    std::vector<std::byte> to(static_cast<std::size_t>(encoded_size(codec_id::entropy, static_cast<std::int64_t>(x.size()))));
    to.resize(encode_by_prior(p.packed(), p.channels(), plane, x.data(), to.data()));
    return to;
}
/// Empty if the bytes are no payload.
std::vector<float> decoded(prior& p, std::size_t plane, const std::vector<std::byte>& from) {
    std::vector<float> x(static_cast<std::size_t>(p.channels()) * plane);
    const std::size_t read = decode_by_prior(p.packed(), p.channels(), plane, from.data(), from.size(), x.data());
    return read != 0 && read == from.size() ? x : std::vector<float>{};
}

/// CompressAI's names, a scope above them, and a lossy tap that crosses beside the coded tensor.
struct learned {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 30, .width = 34}) | normalise(imagenet)
             | head("edge", tap("kept", named("stem", conv(5, {.kernel = 3, .stride = 2})), affine_u8()) | relu())
             | named("codec", bottleneck("latent", named("encoder", conv(4, {.kernel = 3})), entropy_bottleneck(), carry("kept")))
             | tail("cloud", add(named("a", conv(5, {.kernel = 3})), from("kept")) | global_pool());
    }
};
static_assert(check<learned>);
static_assert(payload_bytes<learned>("latent") == 2 * 4 * 15 * 17 + 8 + 5 * 15 * 17 + 8, "the most");

struct frame_run {
    const pipeline& net = pipeline_of<learned>();
    network_weights<learned> weights;
    aligned_buffer arena{net.arena_bytes};
    std::vector<float> outputs = std::vector<float>(net.output_floats, -1);
    explicit frame_run(const std::vector<std::vector<float>>& values) : weights{values} { std::memset(arena.data(), 0xff, net.arena_bytes); }
    frame_memory memory(const void* const* inputs = nullptr) { return {arena.data(), weights.bytes().data(), inputs, outputs.data(), nullptr}; }
};
std::vector<std::byte> picture(unsigned seed) {
    std::mt19937 bits{seed};
    std::vector<std::byte> p(3 * 30 * 34);
    for (std::byte& b : p) b = static_cast<std::byte>(bits() >> 24);
    return p;
}
/// Weights whose latents are several steps wide, some beyond the seeded prior's.
std::vector<std::vector<float>> wide_weights() {
    auto values = random_weights(parameters<learned>(), 5);
    const auto names = parameters<learned>();
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].name.starts_with("codec.encoder."))
            for (float& v : values[i]) v *= 9;
    return values;
}
} // namespace

TEST_CASE("entropy_bottleneck gives back the nearest whole number about each median, bit for bit") {
    for (const double deviation : {0.1, 2.0, 40.0, 900.0}) {
        for (const std::size_t plane : {std::size_t{1}, std::size_t{7}, std::size_t{640}}) {
            prior p = normal_prior(5, deviation, 1);
            const auto x = draw(p, plane, 0.01, 2);
            const auto payload = encoded(p, x, plane);
            CHECK(same_bits(decoded(p, plane, payload), rounded(p, x, plane)));
            CHECK(encoded(p, rounded(p, x, plane), plane) == payload); // a rounded value stays where it is
        }
    }
}

TEST_CASE("halves go to the even step; NaN is the median, and what is beyond 32767 steps becomes its end") {
    prior p;
    p.add({0, 30000, 60000, 65536}, -1, 0.25F);
    const std::vector<float> x{-1.25F, -0.25F, 0.75F, 1.75F, 2.75F, no_number, infinite, -infinite, 1e30F, 32767.25F, -32766.75F};
    const std::vector<float> want{-1.75F, 0.25F, 0.25F, 2.25F, 2.25F, 0.25F, 32767.25F, -32766.75F, 32767.25F, 32767.25F, -32766.75F};
    CHECK(same_bits(decoded(p, x.size(), encoded(p, x, x.size())), want));
}

TEST_CASE("a payload is what CompressAI's RansEncoder.encode_with_indexes makes of the same symbols and tables") {
    prior p;
    p.add({0, 100, 20000, 50000, 65000, 65500, 65536}, -2, 0.5F);
    p.add({0, 30000, 65535, 65536}, 0, -7.0F);
    std::vector<float> x{0, -1, 1, 0, 2, -2, 3, 300, 0, 1, 0, -1, 1, 1, -40, 20000};
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += i < 8 ? 0.5F : -7.0F;
    constexpr unsigned char theirs[]{0xd4, 0x93, 0x65, 0x09, 0xbf, 0xa6, 0xa1, 0x10, 0xf0, 0xfd, 0x8f, 0x10, 0x7b, 0x52, 0x7e, 0xc9, 0xf2, 0xf4, 0xff, 0x0f, 0xc4, 0xc3, 0x09, 0x00}; // 1.2.8
    const auto ours = encoded(p, x, 8);
    REQUIRE(ours.size() == sizeof theirs);
    CHECK(std::memcmp(ours.data(), theirs, sizeof theirs) == 0);
}

TEST_CASE("a payload is within 1 % and 8 bytes of its ideal code length") {
    for (const double deviation : {0.05, 0.3, 1.0, 6.0, 50.0, 1500.0})
        for (const std::size_t plane : {std::size_t{1}, std::size_t{50}, std::size_t{3025}}) {
            prior p = normal_prior(6, deviation, 7);
            const auto x = rounded(p, draw(p, plane, 0, 8), plane);
            std::vector<float> inside = x; // outliers' nibbles are no part of the prior's own length
            for (std::size_t i = 0; i < x.size(); ++i) {
                const std::size_t c = i / plane;
                const float steps = x[i] - p.quantiles[3 * c + 1];
                if (steps < p.offset[c] || steps > -p.offset[c]) inside[i] = p.quantiles[3 * c + 1];
            }
            const double ideal = p.ideal_bits(inside, plane) / 8;
            const auto size = static_cast<double>(encoded(p, inside, plane).size());
            CHECK(size <= 1.01 * ideal + 8);
            CHECK(size >= ideal);
        }
}

TEST_CASE("what no prior expects travels as it is, and never takes more than the declared maximum") {
    prior p;
    p.add({0, 65534, 65535, 65536}, 0, 3.0F);
    std::vector<float> x;
    for (int i = 0; i < 100; ++i) x.push_back(static_cast<float>(i * 97 - 5000));
    const auto payload = encoded(p, x, x.size());
    CHECK(payload.size() == 2 * x.size() + 8);
    CHECK(same_bits(decoded(p, x.size(), payload), x));
    auto least = payload;
    least[8] = std::byte{0}, least[9] = std::byte{0x80};   // -32768, which no encoder writes
    CHECK(decoded(p, x.size(), least).empty());
    least.pop_back();
    CHECK(decoded(p, x.size(), least).empty());
}

TEST_CASE("a payload that is cut short, prolonged or of another state is none; damaged ones stay within their bounds") {
    prior p = normal_prior(3, 3, 4);
    const auto x = draw(p, 60, 0.02, 5);
    const auto whole = encoded(p, x, 60);
    for (std::size_t n = 0; n < whole.size(); ++n) CHECK(decoded(p, 60, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)}).empty());
    auto longer = whole;
    longer.push_back(std::byte{0});
    std::vector<float> out(x.size());
    CHECK(decode_by_prior(p.packed(), 3, 60, longer.data(), longer.size(), out.data()) == whole.size()); // other tensors may follow: engine::load asks whether all was read
    for (const std::uint64_t state : {std::uint64_t{0}, rans_least - 1, std::uint64_t{1} << 63}) {
        auto other = whole;
        detail::put_little(other.data(), state);
        CHECK(decoded(p, 60, other).empty());
    }
    std::mt19937 bits{6};
    int refused = 0;
    for (int round = 0; round < 2000; ++round) {
        auto damaged = whole;
        for (int k = 0; k < 1 + round % 3; ++k) damaged[bits() % damaged.size()] ^= static_cast<std::byte>(1U << bits() % 8);
        const auto values = decoded(p, 60, damaged);
        refused += values.empty();
        for (std::size_t i = 0; i < values.size(); ++i) CHECK(std::fabs(values[i] - p.quantiles[3 * (i / 60) + 1]) <= 32767);
    }
    CHECK(refused > 1900);  // the state hardly ever ends where it began
}

TEST_CASE("a network computes the same whole and split, and its payloads have the size their frames need") {
    frame_run edge{wide_weights()}, cloud{wide_weights()}, whole{wide_weights()};
    REQUIRE(std::string(edge.net.cuts[0].codec) == "entropy_bottleneck");
    std::vector<std::size_t> sizes;
    for (unsigned seed = 1; seed <= 6; ++seed) {
        const auto p = picture(seed);
        const void* const in[]{p.data()};
        REQUIRE(whole.net.run(whole.memory(in), 0, whole.net.stages, nullptr));
        REQUIRE(edge.net.run(edge.memory(in), 0, 1, nullptr));
        std::vector<std::byte> payload(edge.net.cuts[0].payload_bytes);
        payload.resize(edge.net.store_payload(edge.memory(), 0, payload.data()));
        sizes.push_back(payload.size());
        CHECK(static_cast<double>(payload.size()) < 1.3 * 4 * 15 * 17 + 5 * 15 * 17 + 8);
        REQUIRE(cloud.net.load_payload(cloud.memory(), 0, payload));
        REQUIRE(cloud.net.run(cloud.memory(), 1, cloud.net.stages, nullptr));
        CHECK(same_bits(cloud.outputs, whole.outputs));

        std::vector<std::byte> bad = payload;
        bad.push_back(std::byte{0});
        CHECK_FALSE(cloud.net.load_payload(cloud.memory(), 0, bad));
        bad.resize(payload.size() - 1);
        CHECK_FALSE(cloud.net.load_payload(cloud.memory(), 0, bad));
        bad.resize(edge.net.cuts[0].payload_bytes + 1);
        CHECK_FALSE(cloud.net.load_payload(cloud.memory(), 0, bad));
        CHECK_FALSE(cloud.net.load_payload(cloud.memory(), 0, {}));
    }
    std::sort(sizes.begin(), sizes.end());
    CHECK(sizes.front() != sizes.back());
}

TEST_CASE("a network with a learned prior agrees with the reference kernels") {
    const auto values = wide_weights();
    frame_run here{values};
    parameter_map named_values;
    const auto names = parameters<learned>();
    for (std::size_t i = 0; i < names.size(); ++i) named_values[names[i].name] = values[i];
    const auto p = picture(9);
    const void* const in[]{p.data()};
    REQUIRE(here.net.run(here.memory(in), 0, here.net.stages, nullptr));
    const auto want = run_reference(graph::description_of<learned>(), named_values, {{"picture", p.data()}});
    REQUIRE(want.size() == here.outputs.size());
    // Sums in another order may put a latent on the other side of a half: a few of a thousand, each a step of one value in a mean over 255 pixels.
    for (std::size_t i = 0; i < want.size(); ++i) CHECK(std::fabs(want[i] - here.outputs[i]) < 0.05F);
}

TEST_CASE("a cloud with another codec refuses an edge with a prior, and names both") {
    auto mine = introduction_for(pipeline_of<learned>(), 1), theirs = mine;
    theirs.cuts[0].codec = "affine_u8";
    CHECK(link::compare(mine, theirs).refusal.find("codec \"entropy_bottleneck\" on the edge, \"affine_u8\" in the cloud") != std::string::npos);
    const auto names = parameters<learned>();
    auto values = wide_weights();
    const std::uint64_t before = detail::digest_of(names, values);
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].name == "codec.entropy_bottleneck._quantized_cdf") values[i][1] += 1;
    CHECK(detail::digest_of(names, values) != before); // so the handshake refuses sides whose tables differ
}

namespace {
/// A file's prior as CompressAI saves it: integers, rows as long as the longest.
struct prior_file {
    std::vector<std::int32_t> length{5, 4, 4, 4}, offset{-1, 0, 0, 3}, rows;
    std::vector<float> quantiles = std::vector<float>(12, 0.5F), extra{1, 2};
    std::vector<std::uint64_t> rows_shape{4, 5};
    prior_file() {
        for (int c = 0; c < 4; ++c) rows.insert(rows.end(), {0, 20000, 40000 + c, c == 0 ? 60000 : 65536, c == 0 ? 65536 : 0});
    }
    std::string said(std::vector<std::vector<float>>* got = nullptr) const {
        const auto names = parameters<learned>();
        const auto values = wide_weights();
        std::vector<tensor_view> tensors;
        const auto ints = [](const std::vector<std::int32_t>& v) { return std::as_bytes(std::span{v}); };
        for (std::size_t i = 0; i < names.size(); ++i) {
            if (names[i].name.ends_with("_cdf_length")) tensors.push_back({names[i].name, tensor_type::int32, {length.size()}, ints(length)});
            else if (names[i].name.ends_with("_offset")) tensors.push_back({names[i].name, tensor_type::int32, {offset.size()}, ints(offset)});
            else if (names[i].name.ends_with("_quantized_cdf"))
                tensors.push_back({names[i].name, tensor_type::int32, rows_shape, ints(rows).first(4 * static_cast<std::size_t>(*elements_of(rows_shape)))});
            else if (names[i].name.ends_with("quantiles")) tensors.push_back({names[i].name, tensor_type::float32, names[i].dims, bytes_of_floats(quantiles)});
            else tensors.push_back({names[i].name, tensor_type::float32, names[i].dims, bytes_of_floats(values[i])});
        }
        tensors.push_back({"codec.entropy_bottleneck._matrix0", tensor_type::float32, {2}, bytes_of_floats(extra)});
        const auto file = to_safetensors(tensors);
        try {
            auto all = match_weights<learned>(parse_safetensors(file), "net.safetensors");
            if (got) *got = std::move(all);
            return "matched";
        } catch (const weights_error& e) { return e.what(); }
    }
};
} // namespace

TEST_CASE("a file's prior is taken as CompressAI saves it, and what is none is refused by name, channel and value") {
    std::vector<std::vector<float>> got;
    REQUIRE(prior_file{}.said(&got) == "matched");
    const auto names = parameters<learned>();
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].name == "codec.entropy_bottleneck._quantized_cdf") {
            CHECK(got[i].size() == 4 * static_cast<std::size_t>(graph::most_prior_columns));
            CHECK(got[i][static_cast<std::size_t>(graph::most_prior_columns) + 2] == 40001);
        }
    const auto says = [](auto change, const char* what) {
        prior_file f;
        change(f);
        const std::string said = f.said();
        INFO(said);
        CHECK(said.find(what) != std::string::npos);
    };
    says([](prior_file& f) { f.length[2] = 2; }, "_cdf_length should hold whole numbers from 3 to 16386; found 2 in channel 2");
    says([](prior_file& f) { f.length[2] = 20000; }, "found 20000 in channel 2");
    says([](prior_file& f) { f.offset[1] = 32767; }, "_offset should hold whole numbers whose rows lie within 32767 of the median; found 32767 in channel 1");
    says([](prior_file& f) { f.rows[6] = 0; }, "_quantized_cdf should rise in whole numbers from 0 to 65536 along the first 4 of a row; found 0 at index 1 in channel 1");
    says([](prior_file& f) { f.rows[5] = 1; }, "found 1 at index 0 in channel 1");
    says([](prior_file& f) { f.rows[8] = 65535; }, "found 65535 at index 3 in channel 1");
    says([](prior_file& f) { f.rows[7] = 70000; }, "found 70000 at index 2 in channel 1");
    says([](prior_file& f) { f.quantiles[4] = 1e6F; }, "quantiles should hold medians within 32767; found 1e+06 in channel 1");
    says([](prior_file& f) { f.quantiles[4] = no_number; }, "quantiles holds a value that is not finite");
    says([](prior_file& f) { f.rows_shape = {4, 0}; }, "found (4, 0); call EntropyBottleneck.update()");
    says([](prior_file& f) { f.length.clear(); }, "_cdf_length should have shape (4), found (0); call EntropyBottleneck.update()");
    auto values = wide_weights();
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].name.ends_with("_offset")) values[i][0] = 0.5F;
    std::string said;
    try {
        network_weights<learned>{values};
    } catch (const weights_error& e) { said = e.what(); }
    CHECK(said.find("_offset should hold whole numbers") != std::string::npos);
}

TEST_CASE("what a prior was trained with is no part of a network, under its module's name alone") {
    CHECK(detail::is_ignored<learned>("codec.entropy_bottleneck._matrix0"));
    CHECK(detail::is_ignored<learned>("codec.entropy_bottleneck.likelihood_lower_bound.bound"));
    CHECK_FALSE(detail::is_ignored<learned>("codec.my_entropy_bottleneck._matrix0"));
    CHECK_FALSE(detail::is_ignored<learned>("codec.other._matrix0"));
}
