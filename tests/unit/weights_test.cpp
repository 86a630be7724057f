// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file weights_test.cpp
/// A network's parameters against a file's tensors: what fits, and what is said of what does not.
#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <limits>
#include <string>
#include <type_traits>
#include <vector>

using namespace splitdsl;

namespace {

struct one_layer {
    static constexpr auto graph() { return input("x", f32, 2) | named("fc", dense(1)); }
};
std::string mismatch_of(const std::vector<tensor_view>& tensors) {
    const auto file = to_safetensors(tensors);
    try {
        (void)match_weights<one_layer>(parse_safetensors(file), "net.safetensors");
    } catch (const weights_error& e) { return e.what(); }
    return "matched";
}

/// No network runs here: `pack` has nothing to do.
const pipeline plain{.network = "one layer", .functions = {.pack = [](const void*, const float* const*, std::byte*) {}}};

} // namespace

TEST_CASE("weights saved from a DataParallel are told apart from another network's") {
    const std::vector<float> w{1, 2}, b{3};
    const auto tensors = [&](const std::string& prefix, const std::string& second) {
        return std::vector<tensor_view>{{prefix + "fc.weight", tensor_type::float32, {1, 2}, bytes_of_floats(w)},
                                        {second + "fc.bias", tensor_type::float32, {1}, bytes_of_floats(b)}};
    };
    CHECK(mismatch_of(tensors("", "")) == "matched");
    const std::string said = mismatch_of(tensors("module.", "module."));
    CHECK(said.find("module.fc.weight is not part of the network") != std::string::npos);
    CHECK(said.find("DataParallel. Save model.module.state_dict(), or strip the prefix") != std::string::npos);
    CHECK(mismatch_of(tensors("", "module.")).find("DataParallel") == std::string::npos);
    CHECK(mismatch_of({}).find("DataParallel") == std::string::npos);
}

TEST_CASE("values that are not finite are refused, from a file and from memory") {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
        const std::vector<float> w{1, bad}, b{3};
        CHECK(mismatch_of({{"fc.weight", tensor_type::float32, {1, 2}, bytes_of_floats(w)}, {"fc.bias", tensor_type::float32, {1}, bytes_of_floats(b)}})
                  .find("fc.weight holds a value that is not finite")
              != std::string::npos);
        const auto names = parameters<one_layer>();
        REQUIRE(names.size() == 2);
        for (std::size_t at : {0U, 1U}) {
            std::vector<std::vector<float>> values;
            for (const parameter& p : names) values.emplace_back(static_cast<std::size_t>(p.size()), 1.0F);
            CHECK_NOTHROW(network_weights<one_layer>{values, plain});
            values[at].back() = bad;
            CHECK(says(refusal<weights_error>([&] { network_weights<one_layer>{values, plain}; }), names[at].name + " holds a value that is not finite"));
        }
    }
}

TEST_CASE("a tensor's name cannot steer the terminal it is shown on") {
    const std::vector<float> w{1, 2}, b{3};
    const std::string said = mismatch_of({{"fc.weight", tensor_type::float32, {1, 2}, bytes_of_floats(w)},
                                          {"fc.bias", tensor_type::float32, {1}, bytes_of_floats(b)},
                                          {"\x1b[2J\nfc", tensor_type::float32, {1}, bytes_of_floats(b)}});
    CHECK(says(said, "\n  ?[2J?fc is not part of the network"));
}

TEST_CASE("a network's digest is that of a file with its parameters as F32") {
    const std::vector<std::vector<float>> values{{1, 2}, {3}};
    const auto names = parameters<one_layer>();
    REQUIRE(names.size() == 2);
    CHECK(detail::digest_of(names, values)
          == content_digest(std::vector<tensor_view>{{"fc.bias", tensor_type::float32, {1}, bytes_of_floats(values[1])},
                                                     {"fc.weight", tensor_type::float32, {1, 2}, bytes_of_floats(values[0])}}));
    CHECK(detail::digest_of(names, {{1, 2}, {4}}) != detail::digest_of(names, values));
}

namespace {
struct dense_as_convolution {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 3, .height = 4, .width = 1}) | named("fc", conv(2, {.with_bias = bias::no})) | named("c", conv(1, {.kernel = 3, .with_bias = bias::no}));
    }
};
} // namespace

TEST_CASE("a 1x1 convolution takes the weight of a dense layer, no other shape and no other layer does") {
    const std::vector<float> w{1, 2, 3, 4, 5, 6}, k(18, 0.5F);
    const auto said = [&](std::vector<std::uint64_t> fc, std::vector<std::uint64_t> c) -> std::string {
        const auto file = to_safetensors(std::vector<tensor_view>{{"fc.weight", tensor_type::float32, fc, bytes_of_floats(w)}, {"c.weight", tensor_type::float32, c, bytes_of_floats(k)}});
        try {
            const auto values = match_weights<dense_as_convolution>(parse_safetensors(file), "net.safetensors");
            return values[0] == w && values[1] == k ? "matched" : "mixed up";
        } catch (const weights_error& e) { return e.what(); }
    };
    CHECK(said({2, 3, 1, 1}, {1, 2, 3, 3}) == "matched");
    CHECK(said({2, 3}, {1, 2, 3, 3}) == "matched");
    CHECK(said({3, 2}, {1, 2, 3, 3}).find("fc.weight should have shape (2, 3, 1, 1), found (3, 2)") != std::string::npos);
    CHECK(said({6}, {1, 2, 3, 3}).find("found (6)") != std::string::npos);
    CHECK(said({2, 3}, {1, 18}).find("c.weight should have shape (1, 2, 3, 3), found (1, 18)") != std::string::npos);
}

namespace {
struct on_bytes : int8<dense_as_convolution> {};
} // namespace

TEST_CASE("a range of bytes whose least value is above its largest is refused, an empty one is not") {
    const auto said = [](float least, float largest) -> std::string {
        std::vector<std::vector<float>> values;
        std::vector<tensor_view> tensors;
        const auto names = parameters<on_bytes>();
        for (const auto& p : names) {
            std::size_t count = 1;
            for (const auto n : p.dims) count *= static_cast<std::size_t>(n);
            values.emplace_back(count, 0.5F);
            if (p.name == "int8.ranges")
                for (std::size_t i = 0; i < count; i += 2) values.back()[i] = least, values.back()[i + 1] = largest;
        }
        for (std::size_t i = 0; i < names.size(); ++i) tensors.push_back({names[i].name, tensor_type::float32, names[i].dims, bytes_of_floats(values[i])});
        try {
            (void)match_weights<on_bytes>(parse_safetensors(to_safetensors(tensors)), "net.safetensors");
        } catch (const weights_error& e) { return e.what(); }
        return "matched";
    };
    CHECK(said(-1, 1) == "matched");
    CHECK(said(0, 0) == "matched");
    CHECK(said(1, -1).find("int8.ranges holds a range whose least value is above its largest") != std::string::npos);
}

namespace {
struct normalised {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 3, .height = 4, .width = 4}) | named("c", conv(2, {})) | named("n", batch_norm(1e-3F)) | named("g", gdn()) | named("i", igdn());
    }
};
/// What is said of these values of one parameter, from a file and from memory; all others are 1.
std::string said_of(const std::string& name, const std::vector<float>& chosen) {
    const auto names = parameters<normalised>();
    std::vector<std::vector<float>> values;
    std::vector<tensor_view> tensors;
    for (const parameter& p : names) values.push_back(p.name == name ? chosen : std::vector<float>(static_cast<std::size_t>(p.size()), 1.0F));
    for (std::size_t i = 0; i < names.size(); ++i) tensors.push_back({names[i].name, tensor_type::float32, names[i].dims, bytes_of_floats(values[i])});
    std::string from_file = "matched", from_memory = "matched";
    try {
        (void)match_weights<normalised>(parse_safetensors(to_safetensors(tensors)), "net.safetensors");
    } catch (const weights_error& e) { from_file = e.what(); }
    try {
        (void)network_weights<normalised>{values, plain};
    } catch (const weights_error& e) { from_memory = e.what(); }
    const auto sentence = [&](const std::string& text) { return text.find(name) == std::string::npos ? text : text.substr(text.find(name)); };
    return sentence(from_file) == sentence(from_memory) ? sentence(from_file) : from_file + " / " + from_memory;
}
} // namespace

TEST_CASE("a variance or a divisor that is not above zero is refused by name, index and value") {
    CHECK(said_of("n.running_var", {0, 1}) == "matched");
    CHECK(said_of("n.running_var", {1, -0.0009F}) == "matched"); // an epsilon was taken out of it; with the layer's it is above 0
    const std::string variances = "n.running_var should hold variances, at least 0 and with the epsilon of 0.001 above it; found ";
    CHECK(said_of("n.running_var", {1, -3}) == variances + "-3 at index 1");
    CHECK(said_of("n.running_var", {-0.5F, -3}) == variances + "-0.5 at index 0");
    CHECK(said_of("n.running_var", {-1e-3F, 1}) == variances + "-0.001 at index 0");
    CHECK(said_of("n.running_mean", {-3, -3}) == "matched");
    CHECK(said_of("n.weight", {-3, 0}) == "matched");
    for (const char* const beta : {"g.beta", "i.beta"}) {
        CHECK(said_of(beta, {1e-6F, 1}) == "matched");
        CHECK(said_of(beta, {1, 0}) == std::string{beta} + " should hold values above 0; found 0 at index 1");
        CHECK(said_of(beta, {-2, 0}) == std::string{beta} + " should hold values above 0; found -2 at index 0");
    }
}

namespace {
struct calibrated_cut {
    static constexpr auto graph() { return input("x", f32, 4) | named("a", dense(3)) | cut("uplink", affine_u8(calibrated)) | named("b", dense(2)); }
};
} // namespace

TEMPLATE_TEST_CASE("weights from any seed are weights that the network takes", "", on_bytes, normalised, calibrated_cut) {
    std::size_t ranges = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        const auto names = parameters<TestType>();
        const auto values = random_weights(names, seed);
        REQUIRE(values.size() == names.size());
        CHECK_NOTHROW((network_weights<TestType>{values, plain}));
        for (std::size_t i = 0; i < names.size(); ++i) {
            CHECK(values[i].size() == static_cast<std::size_t>(names[i].size()));
            if (names[i].name != "int8.ranges" && !names[i].is_codec_range) continue;
            for (std::size_t k = 0; k + 1 < values[i].size(); k += 2, ++ranges) CHECK(values[i][k] < values[i][k + 1]);
        }
    }
    CHECK((ranges > 0) == !std::is_same_v<TestType, normalised>);
}
