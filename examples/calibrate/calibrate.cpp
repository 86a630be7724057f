// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file calibrate.cpp
/// Adds to a weights file what its int8 network or its calibrated codecs need, from pictures; says how far each layer's bytes are from its floats.
#include "../classify/archive.hpp"
#include "network.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <examples/options/output_file.hpp>
#include <splitdsl/image/decode.hpp>
#include <splitdsl/image/preprocess.hpp>
#include <splitdsl/runtime/parallel.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace splitdsl;

namespace {

struct arguments {
    std::string model, weights, out, json;
    std::vector<std::string> pictures;
    std::size_t most{100}, every{1}, shift_pictures{50};
    double budget{0.5};
};

std::vector<const calibration::network*> known() {
    return {&calibration::mobilenet_v2_tf(), &calibration::mobilenet_v2_tf_split(),
#if defined(SPLITDSL_ZOO_ALL)
            &calibration::mobilenet_v2(), &calibration::squeezenet1_1()
#endif
    };
}
const calibration::network& named(const std::string& name) {
    std::string names;
    for (const auto* n : known()) {
        if (n->name == name) return *n;
        names += (names.empty() ? "" : ", ") + std::string(n->name);
    }
    throw option_error("--model " + name + ": no such network; there are: " + names);
}

/// Every `every`th picture, up to `most`, as the network takes it.
std::vector<std::vector<std::uint8_t>> read_pictures(const arguments& a, const calibration::network& net) {
    const tensor_info& in = net.in_floats().inputs[0];
    const imaging::recipe recipe{.shorter_side = net.shorter_side, .crop = {.height = in.height, .width = in.width}};
    std::vector<std::vector<std::uint8_t>> all;
    std::size_t seen = 0;
    const auto see = [&](const std::string& name, const auto& read) {
        if (all.size() == a.most || seen++ % a.every != 0) return;
        imaging::shared_input input{imaging::decode(read(), {.name = name})};
        all.push_back(input.planes_for(recipe).values);
    };
    for (const std::string& file : a.pictures) {
        if (imaging::kind_of_file(file) == imaging::file_kind::zip) {
            const classify::archive pictures{file, imaging::decode_options{}.most_file_bytes};
            for (std::uint64_t i = 0; i < pictures.size(); ++i)
                if (!pictures.is_folder(i)) see(file + ": " + pictures.name(i), [&] { return pictures.bytes(i); });
        } else see(file, [&] { return imaging::read_file(file); });
    }
    if (all.empty()) throw option_error("at least one picture was expected, found none");
    return all;
}

/// The ranges of a network's codecs, into the file.
int write_codecs(const arguments& a, const calibration::network& net, const safetensors& file, const std::vector<std::vector<float>>& values,
                 std::span<const std::vector<const void*>> inputs) {
    const auto ranges = net.codecs(values, inputs, default_runner());
    nlohmann::ordered_json found = nlohmann::ordered_json::array();
    for (const codec_range& r : ranges) {
        std::printf("%-24s %9.3f .. %7.3f\n", r.name.c_str(), static_cast<double>(r.low), static_cast<double>(r.high));
        found.push_back({{"range", r.name}, {"low", r.low}, {"high", r.high}});
    }
    write_with_ranges(a.out, file, ranges);
    if (!a.json.empty()) options::write("--json", a.json, nlohmann::ordered_json{{"model", a.model}, {"pictures", inputs.size()}, {"codecs", std::move(found)}}.dump(1) + "\n");
    return 0;
}

int run(const arguments& a) {
    const calibration::network& net = named(a.model);
    options::require_writable("--out", a.out);
    options::require_writable("--json", a.json);
    options::require_different("--json", a.json, "--out", a.out);
    options::require_not_read("--out", a.out, a.pictures); // that of --weights may get its ranges in place
    options::require_not_read("--json", a.json, a.pictures);
    options::require_not_read("--json", a.json, {a.weights});
    const safetensors file = read_safetensors(a.weights);
    const auto values = net.values(file, a.weights);
    const auto pictures = read_pictures(a, net);
    std::vector<std::vector<const void*>> inputs;
    for (const auto& p : pictures) inputs.push_back({p.data()});
    if (net.codecs) return write_codecs(a, net, file, values, inputs);
    const int8_calibration found = net.calibrate(values, inputs, {.shift_inputs = a.shift_pictures, .workers = default_runner()});

    nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
    std::string beyond;
    std::printf("%-24s %14s %20s %8s\n", "tensor", "shape", "range", "error");
    for (const int8_error& e : found.errors) {
        const std::string shape = std::to_string(e.of.channels) + "x" + std::to_string(e.of.height) + "x" + std::to_string(e.of.width), name = e.name.empty() ? "(no layer's)" : e.name;
        std::printf("%-24s %14s %9.3f .. %7.3f %8.4f\n", name.c_str(), shape.c_str(), static_cast<double>(e.low), static_cast<double>(e.high), e.error);
        tensors.push_back({{"layer", e.name}, {"shape", shape}, {"low", e.low}, {"high", e.high}, {"error", e.error}});
        if (e.error > a.budget && !e.name.empty()) beyond += (beyond.empty() ? "\"" : ", \"") + e.name + "\"";
    }
    if (!beyond.empty()) std::printf("beyond the budget of %g; these may stay f32: keep_f32{%s}\n", a.budget, beyond.c_str());
    write_with_ranges(a.out, file, found);
    if (!a.json.empty()) options::write("--json", a.json, nlohmann::ordered_json{{"model", a.model}, {"pictures", pictures.size()}, {"tensors", std::move(tensors)}}.dump(1) + "\n");
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Adds to a weights file the ranges and shifts its int8 network needs, or the ranges of its calibrated codecs, found from pictures"};
    app.add_option("--model", a.model, "the network in f32: mobilenet_v2_tf, or mobilenet_v2_tf_split with a calibrated codec; with SPLITDSL_ZOO_ALL also mobilenet_v2 and squeezenet1_1")->required();
    app.add_option("--weights", a.weights, "its safetensors file")->required()->type_name("FILE");
    app.add_option("--out", a.out, "the same tensors and what was found go here")->required()->type_name("FILE");
    app.add_option("--most", a.most, "pictures to look at")->check(options::between(std::size_t{1}, std::size_t{100'000}))->capture_default_str();
    app.add_option("--every", a.every, "only each n-th picture")->check(options::between(std::size_t{1}, std::size_t{100'000}))->capture_default_str();
    auto* const shifts = app.add_option("--shift-pictures", a.shift_pictures, "of them, to find the shifts from: each runs once a layer")->check(options::between(std::size_t{1}, std::size_t{100'000}))->capture_default_str();
    auto* const budget = app.add_option("--budget", a.budget, "layers whose error is above are named; the error is the root of the mean square difference over that of the values")
        ->check(options::between(0.0, 100.0))->capture_default_str();
    app.add_option("--json", a.json, "write the table here too")->type_name("FILE");
    app.add_option("pictures", a.pictures, "JPEG or PNG files, or ZIP archives of them")->required()->type_name("PICTURE|ZIP");
    return options::exit_status("splitdsl-calibrate", app, argc, argv, [&] {
        if (named(a.model).codecs)
            for (const auto* const o : {shifts, budget})
                if (o->count() > 0) throw option_error(o->get_name() + ": expected a --model without calibrated codecs beside it, found " + a.model);
        return run(a);
    });
}
