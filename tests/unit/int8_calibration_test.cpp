// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file int8_calibration_test.cpp
/// A network of one's own gets what its int8 form needs: calibrated, written, and loaded by both forms from one file.
#include "../catch.hpp"

#include <splitdsl/runtime/int8_calibration.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/splitdsl.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace splitdsl;

namespace {

struct wake {
    static constexpr auto graph() {
        return input("camera", u8, {.channels = 3, .height = 8, .width = 8}) | normalise(imagenet)
             | named("stem", conv(4, {.kernel = 3, .stride = 2})) | relu() | global_pool() | flatten() | named("head", dense(2));
    }
};
struct wake_int8 : int8<wake> {};

} // namespace

TEST_CASE("what calibrate_int8 finds is written beside the weights, in place of what was there, and both forms of the network load the file") {
    const auto values = random_weights(parameters<wake>(), 3);
    std::vector<tensor_view> tensors;
    const auto names = parameters<wake>();
    for (std::size_t i = 0; i < names.size(); ++i) tensors.push_back({names[i].name, tensor_type::float32, names[i].dims, bytes_of_floats(values[i])});
    const std::string path = "int8_calibration_test.safetensors";
    std::string refusal;
    try {
        match_weights<wake_int8>(parse_safetensors(to_safetensors(tensors)), path);
    } catch (const weights_error& e) {
        refusal = e.what();
    }
    CHECK(refusal.find("int8.ranges") != std::string::npos);
    CHECK(refusal.find("calibrate_int8 (runtime/int8_calibration.hpp) finds it") != std::string::npos);

    const std::vector<float> stale{-9, 9};
    tensors.push_back({"int8.ranges", tensor_type::float32, {1, 2}, bytes_of_floats(stale)});
    std::vector<std::uint8_t> picture(3 * 8 * 8);
    for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<std::uint8_t>(i * 37);
    const std::vector<std::vector<const void*>> inputs{{picture.data()}};
    const int8_calibration found = calibrate_int8<wake_int8>(values, inputs);
    REQUIRE(found.errors.size() * 2 == found.ranges.size());
    write_with_ranges(path, parse_safetensors(to_safetensors(tensors)), found);

    const safetensors file = read_safetensors(path);
    CHECK(match_weights<wake>(file, path) == values);
    const auto all = match_weights<wake_int8>(file, path);
    CHECK_NOTHROW(network_weights<wake_int8>{all});
    const auto wanted = parameters<wake_int8>();
    int seen = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (wanted[i].name == "int8.ranges") seen += all[i] == found.ranges;
        if (wanted[i].name == "int8.shifts") seen += all[i] == found.shifts;
    }
    CHECK(seen == 2);
    std::remove(path.c_str());
}
