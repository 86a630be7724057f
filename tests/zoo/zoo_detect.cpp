// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file zoo_detect.cpp
/// Runs a detector of the zoo on raw pictures, from pixels to boxes; what detection_parity.py compares with torchvision.
#include <examples/zoo/networks.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/zoo/faster_rcnn.hpp>
#include <splitdsl/zoo/mobilenet_ssd.hpp>
#include <splitdsl/zoo/ssd.hpp>
#include <splitdsl/zoo/ssdlite.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;

/// A network with its weights and buffers.
class place {
public:
    place(const std::string& name, const std::string& file) {
        const zoo_networks::network* const found = zoo_networks::find(name);
        if (found == nullptr) throw std::runtime_error("no network is called \"" + name + "\" in this build");
        net = &found->pipeline();
        weights = found->load(file);
        arena = std::make_unique<aligned_buffer>(net->arena_bytes);
        outputs.resize(net->output_floats);
    }
    const float* run(const void* input) {
        const void* const inputs[]{input};
        net->run({.arena = arena->data(), .packed_weights = weights.packed.data(), .inputs = inputs, .outputs = outputs.data(), .workers = nullptr}, 0, net->stages, nullptr);
        return outputs.data();
    }
    const tensor_info& input() const { return net->inputs[0]; }

private:
    const pipeline* net{};
    zoo_networks::loaded_weights weights;
    std::unique_ptr<aligned_buffer> arena;
    std::vector<float> outputs;
};

using detector = std::function<std::span<const detect::detection>(const std::byte*)>;

detector single_shot(place& net, zoo::ssd_postprocess (*make)(int)) {
    return [&net, post = std::make_shared<zoo::ssd_postprocess>(make(91))](const std::byte* picture) { return (*post)(net.run(picture)); };
}
detector two_stage(place& first, const std::string& file) {
    const auto second = std::make_shared<place>("faster_rcnn_regions", file);
    const auto post = std::make_shared<zoo::faster_rcnn_postprocess>(first.input().height, first.input().width);
    const auto columns = std::make_shared<std::vector<float>>(second->input().bytes / sizeof(float));
    return [=, &first](const std::byte* picture) {
        post->regions(first.run(picture), columns->data());
        return post->detections(second->run(columns->data()));
    };
}

void detect_all(const std::string& name, const std::string& weights, const std::string& in, const std::string& out) {
    place net(name, weights);
    const std::map<std::string, zoo::ssd_postprocess (*)(int)> single{{"ssd300_vgg16", &zoo::ssd300_postprocess},
                                                                     {"ssdlite320_mobilenet_v3_large", &zoo::ssdlite320_postprocess},
                                                                     {"ssd_mobilenet_v1", &zoo::ssd_mobilenet_postprocess},
                                                                     {"ssd_mobilenet_v2", &zoo::ssd_mobilenet_postprocess}};
    const auto found = single.find(name);
    if (found == single.end() && name != "faster_rcnn_resnet50_fpn") throw std::runtime_error(name + " is no detector");
    const detector run = found != single.end() ? single_shot(net, found->second) : two_stage(net, weights);
    std::ifstream file(in, std::ios::binary);
    const std::vector<char> pixels{std::istreambuf_iterator<char>(file), {}};
    if (pixels.empty() || pixels.size() % net.input().bytes != 0) throw std::runtime_error(in + ": a whole number of pictures of " + std::to_string(net.input().bytes) + " bytes was expected, found " + std::to_string(pixels.size()) + " bytes");
    std::ofstream to(out, std::ios::binary);
    const auto* const bytes = reinterpret_cast<const std::byte*>(pixels.data());
    for (std::size_t at = 0; at < pixels.size(); at += net.input().bytes) {
        const auto list = run(bytes + at);
        std::vector<float> row{static_cast<float>(list.size())};
        for (const detect::detection& d : list) row.insert(row.end(), {d.where.x1, d.where.y1, d.where.x2, d.where.y2, d.score, static_cast<float>(d.label)});
        to.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof(float)));
    }
    if (!to.flush()) throw std::runtime_error(out + ": cannot be written");
}
} // namespace

int main(int argc, char** argv) {
    CLI::App app{"Runs a detector of the zoo on raw pictures."};
    std::string name, weights, in, out;
    bool list = false;
    app.add_option("NETWORK", name, "its name in the list");
    app.add_flag("--list", list, "write the networks of this build, one a line");
    app.add_option("--weights", weights, "safetensors file");
    app.add_option("--input", in, "pictures one after another, u8 planes of the network's size");
    app.add_option("--output", out, "for each picture, as f32: a count, then left, top, right, bottom, score, label of each detection");
    CLI11_PARSE(app, argc, argv);
    try {
        if (list) {
            for (const zoo_networks::network* n : zoo_networks::all()) std::cout << n->name << "\n";
            return 0;
        }
        detect_all(name, weights, in, out);
    } catch (const std::exception& e) {
        std::cerr << "zoo_detect: " << e.what() << "\n";
        return 1;
    }
}
