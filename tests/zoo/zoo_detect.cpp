// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file zoo_detect.cpp
/// Runs a detector of the zoo on raw pictures, from pixels to boxes; what detection_parity.py compares with torchvision.
#include <examples/detect/detector.hpp>
#include <examples/zoo/networks.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void detect_all(const std::string& name, const std::string& weights, const std::string& in, const std::string& out) {
    pictures::detector run(name, weights);
    const std::size_t bytes = 3 * run.size().pixels();
    std::ifstream file(in, std::ios::binary);
    const std::vector<char> pixels{std::istreambuf_iterator<char>(file), {}};
    if (pixels.empty() || pixels.size() % bytes != 0) throw std::runtime_error(in + ": a whole number of pictures of " + std::to_string(bytes) + " bytes was expected, found " + std::to_string(pixels.size()) + " bytes");
    std::ofstream to(out, std::ios::binary);
    for (std::size_t at = 0; at < pixels.size(); at += bytes) {
        const auto list = run.find(reinterpret_cast<const std::uint8_t*>(pixels.data()) + at, run.size());
        std::vector<float> row{static_cast<float>(list.size())};
        for (const splitdsl::detect::detection& d : list) row.insert(row.end(), {d.where.x1, d.where.y1, d.where.x2, d.where.y2, d.score, static_cast<float>(d.label)});
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
