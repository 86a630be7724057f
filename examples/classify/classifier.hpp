// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file classifier.hpp
/// One classifier of the zoo with its weights: whole, split, or as the serving side.
#pragma once

#include "classes.hpp"
#include "offload_at.hpp"

#include <examples/zoo/networks.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/image/preprocess.hpp>
#include <splitdsl/link/handshake.hpp>
#include <splitdsl/link/tcp.hpp>
#include <splitdsl/policy/confidence.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/answer.hpp>
#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/edge_core.hpp>
#include <splitdsl/runtime/parallel.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace classify {

struct scored { int index{}; float logit{}; };

inline std::string names_of_all() {
    std::string text;
    for (const auto* n : zoo_networks::all())
        if (n->meaning != zoo_networks::labels::none) text += (text.empty() ? "" : ", ") + std::string(n->name);
    return text;
}
inline std::string names_of_cuts(const splitdsl::pipeline& p) {
    std::string text = "input";
    for (const auto& c : p.cuts) text += std::string(", ") + c.name;
    return text;
}
/// Throws `option_error` with the names there are.
inline const zoo_networks::network& network_named(const std::string& name, const std::string& option = "--model") {
    const auto* found = zoo_networks::find(name);
    if (!found) throw splitdsl::option_error(option + " " + name + ": no such network; there are: " + names_of_all());
    if (found->meaning == zoo_networks::labels::none)
        throw splitdsl::option_error(option + " " + name + ": not a classifier of pictures; those are: " + names_of_all());
    return *found;
}
/// The cut's number, -1 for "input". Throws `option_error` with the cuts there are.
inline int cut_named(const zoo_networks::network& which, const std::string& name) {
    const auto cuts = which.pipeline().cuts;
    if (name == "input") return -1;
    for (std::size_t i = 0; i < cuts.size(); ++i)
        if (name == cuts[i].name) return static_cast<int>(i);
    throw splitdsl::option_error("--split " + name + ": " + which.name + " has no such cut; it has: " + names_of_cuts(which.pipeline()));
}

/// How cuts travel: "f32", lossless, or "affine_u8", 8 bits a value.
inline const splitdsl::pipeline& pipeline_with(const zoo_networks::network& which, const std::string& codec) {
    return codec == "affine_u8" ? which.pipeline_u8() : which.pipeline();
}

/// Recognises pictures with `which`, whose code is `with`. Throws `weights_error` for a file that does not fit.
class classifier {
public:
    classifier(const zoo_networks::network& which, const splitdsl::pipeline& with, const std::string& weights_file)
        : network{which}, net{with}, weights{which.load_for(weights_file, with)}, values(net.output_floats) {
        const auto& in = net.inputs;
        if (in.size() != 1 || in[0].channels != 3 || in[0].bytes != std::size_t{3} * static_cast<std::size_t>(in[0].height) * static_cast<std::size_t>(in[0].width) || net.outputs.empty())
            throw splitdsl::option_error(std::string("--model ") + which.name + ": one picture of three bytes a pixel was expected as its input");
        outputs = static_cast<std::size_t>(net.outputs[0].channels) * static_cast<std::size_t>(net.outputs[0].height) * static_cast<std::size_t>(net.outputs[0].width);
    }

    /// From now on every picture goes to `where` at `cut`. Throws `option_error` for a `deadline` that leaves no time to finish a picture here,
    /// `link_error` if the other side is not there, or refuses, within `patience`.
    void offload(int cut, std::unique_ptr<splitdsl::link::connector> where, splitdsl::duration deadline, splitdsl::duration patience) {
        using namespace splitdsl;
        const offload_at policy{cut};
        edge_options options{.deadline = deadline, .calibration_runs = 3, .workers = default_runner(), .weights_digest = weights.digest};
        edge = std::make_unique<edge_core<offload_at>>(net, weights.packed, policy, options, std::move(where));
        if (const edge_report r = edge->report(); !r.fits) {
            char said[200];
            std::snprintf(said, sizeof said, "--deadline %.10g: the part here, what is kept for the rest of it, and the margin take %.3g s on this machine; at least that was expected",
                          to_seconds(deadline), to_seconds(edge->profile().needed(edge->rules())));
            throw option_error(said);
        }
        const instant until = std::chrono::steady_clock::now() + patience;
        while (!edge->link_now().up) {
            const std::string why = edge->link_failure();
            if (why.starts_with(link::do_not_fit) || std::chrono::steady_clock::now() >= until) throw link_error("no connection: " + why);
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
        }
    }

    /// How this network wants its pictures.
    splitdsl::imaging::recipe recipe(splitdsl::imaging::crop_offset offset) const {
        const splitdsl::imaging::extent size{net.inputs[0].height, net.inputs[0].width};
        if (network.shorter_side == 0) return {.shorter_side = 0, .whole = size, .crop = {}};
        return {.shorter_side = network.shorter_side, .crop = size, .offset = offset};
    }
    std::size_t classes() const { return classes_of(network.meaning, outputs); }
    /// In memory, as packed for the code that runs here.
    std::size_t weight_bytes() const { return weights.packed.size(); }

    /// The best `count`, best first. Throws `error` if the network's answer is not finite.
    std::vector<scored> recognise(const splitdsl::imaging::planes<std::uint8_t>& picture, std::size_t count) {
        if (edge) ask(picture);
        else run(picture), ++sources[static_cast<std::size_t>(splitdsl::answer_source::edge)];
        const std::span<const float> logits{values.data(), outputs};
        if (!std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); })) throw splitdsl::error("the network's answer is not finite");
        std::vector<std::size_t> order(outputs);
        std::iota(order.begin(), order.end(), std::size_t{0});
        count = std::min(count, outputs);
        std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                          [&](std::size_t a, std::size_t b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); });
        std::vector<scored> best;
        for (std::size_t i = 0; i < count; ++i) best.push_back({class_of(network.meaning, order[i]), logits[order[i]]});
        return best;
    }
    /// Of the last picture: the largest softmax value of all outputs.
    float confidence() const { return splitdsl::policy::predict({values.data(), outputs}).confidence; }
    /// Of `recognise`: how often the cloud, this machine (`edge`), or this machine after the cloud failed (`fallback`) answered.
    int answered(splitdsl::answer_source source) const { return sources[static_cast<std::size_t>(source)]; }
    /// And how often nobody did within the deadline, because this machine stood still: these pictures were finished here, late.
    int late() const { return belated; }
    std::size_t bytes_sent() const { return sent; }

private:
    void run(const splitdsl::imaging::planes<std::uint8_t>& picture) {
        if (arena.bytes().empty()) arena = splitdsl::aligned_buffer{net.arena_bytes};
        const void* input = picture.values.data();
        static const std::atomic<bool> never{false};
        if (!net.run({arena.data(), weights.packed.data(), &input, values.data(), splitdsl::default_runner()}, 0, net.stages, &never))
            throw splitdsl::error("the network did not run to its end");
    }
    void ask(const splitdsl::imaging::planes<std::uint8_t>& picture) {
        const auto bytes = picture.bytes();
        const splitdsl::answer a = edge->infer({&bytes, 1}, values);
        ++sources[static_cast<std::size_t>(a.source)];
        sent += a.bytes_up;
        if (a.source != splitdsl::answer_source::cloud && a.source != splitdsl::answer_source::edge && a.source != splitdsl::answer_source::fallback)
            run(picture), ++belated; // a robot would go on with the next frame; here the picture is still wanted
    }

    const zoo_networks::network& network;
    const splitdsl::pipeline& net;
    zoo_networks::loaded_weights weights;
    std::vector<float> values;
    std::size_t outputs{}, sent{};
    std::array<int, 7> sources{};
    int belated{};
    splitdsl::aligned_buffer arena{0};
    std::unique_ptr<splitdsl::edge_core<offload_at>> edge;
};

} // namespace classify
