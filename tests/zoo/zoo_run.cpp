// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file zoo_run.cpp
/// Runs a network of the zoo on raw inputs from a file, whole or split at every cut; what the Python comparisons drive.
#include "odd_networks.hpp"

#include <examples/zoo/networks.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/describe.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {
using namespace splitdsl;

std::vector<const zoo_networks::network*> listed() {
    std::vector<const zoo_networks::network*> list(zoo_networks::all().begin(), zoo_networks::all().end());
    for (const zoo_networks::network* n : zoo_networks::odd_sizes()) list.push_back(n);
    return list;
}

nlohmann::json tensors(std::span<const tensor_info> list) {
    auto j = nlohmann::json::array();
    for (const tensor_info& t : list) j.push_back({{"name", t.name}, {"shape", {t.channels, t.height, t.width}}, {"bytes", t.bytes}});
    return j;
}
nlohmann::json described(const zoo_networks::network& n) {
    const pipeline& p = n.pipeline();
    const graph::description d = n.description();
    nlohmann::json cuts = nlohmann::json::array();
    for (const cut_info& c : p.cuts) cuts.push_back({{"name", c.name}, {"bytes", c.payload_bytes}, {"codec", c.codec}});
    return {{"name", n.name}, {"inputs", tensors(p.inputs)}, {"outputs", tensors(p.outputs)}, {"cuts", cuts}, {"macs", d.total_macs}, {"parameters", d.total_parameters},
            {"instruction_set", p.instruction_set}, {"arena", p.arena_bytes}};
}

/// One place to run a frame in.
class runner {
public:
    runner(const pipeline& pipeline_, const zoo_networks::loaded_weights& weights_)
        : net{pipeline_}, weights{weights_}, arena{pipeline_.arena_bytes}, inputs(pipeline_.inputs.size()) {}
    frame_memory memory(const std::byte* frame, float* outputs) {
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            inputs[i] = frame;
            if (frame) frame += net.inputs[i].bytes;
        }
        return {.arena = arena.data(), .packed_weights = weights.packed.data(), .inputs = inputs.data(), .outputs = outputs, .workers = nullptr};
    }

private:
    const pipeline& net;
    zoo_networks::loaded_weights weights;
    aligned_buffer arena;
    std::vector<const void*> inputs;
};

std::vector<std::byte> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be opened");
    const std::vector<char> raw{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::byte> bytes(raw.size());
    std::memcpy(bytes.data(), raw.data(), raw.size());
    return bytes;
}

/// Head here, payload out and into other memory, tail there: the bits of the whole run.
void check_cuts(const pipeline& net, const zoo_networks::loaded_weights& weights, const std::byte* frame, const float* whole) {
    runner head(net, weights), tail(net, weights);
    for (std::size_t k = 0; k < net.cuts.size(); ++k) {
        std::vector<float> outputs(net.output_floats);
        std::vector<std::byte> payload(net.cuts[k].payload_bytes);    // the most
        const frame_memory here = head.memory(frame, outputs.data()), there = tail.memory(nullptr, outputs.data());
        const int stage = net.cuts[k].stage;
        net.run(here, 0, stage + 1, nullptr);
        payload.resize(net.store_payload(here, static_cast<int>(k), payload.data()));
        if (!net.load_payload(there, static_cast<int>(k), payload))
            throw std::runtime_error(std::string("cut ") + net.cuts[k].name + ": the payload was refused");
        net.run(there, stage + 1, net.stages, nullptr);
        if (std::memcmp(outputs.data(), whole, outputs.size() * sizeof(float)) != 0)
            throw std::runtime_error(std::string("cut ") + net.cuts[k].name + ": split and whole differ");
    }
}

/// What the first cut sends of each frame, behind its size (u32).
std::vector<std::byte> payloads_of(const pipeline& net, const zoo_networks::loaded_weights& weights, const std::byte* frames, std::size_t count, std::size_t bytes) {
    if (net.cuts.empty()) throw std::runtime_error("--payloads: the network has no cut");
    runner head(net, weights);
    std::vector<std::byte> sent, payload(net.cuts[0].payload_bytes);
    std::vector<float> outputs(net.output_floats);
    for (std::size_t i = 0; i < count; ++i) {
        const frame_memory here = head.memory(frames + i * bytes, outputs.data());
        net.run(here, 0, net.cuts[0].stage + 1, nullptr);
        const auto size = static_cast<std::uint32_t>(net.store_payload(here, 0, payload.data()));
        const auto front = std::as_bytes(std::span{&size, 1});
        sent.insert(sent.end(), front.begin(), front.end());
        sent.insert(sent.end(), payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size));
    }
    return sent;
}

void write_file(const std::string& path, const void* data, std::size_t size) {
    std::vector<char> raw(size);
    std::memcpy(raw.data(), data, size);
    std::ofstream file(path, std::ios::binary);
    file.write(raw.data(), static_cast<std::streamsize>(raw.size()));
    if (!file) throw std::runtime_error(path + ": cannot be written");
}

void run(const zoo_networks::network& n, const std::string& weights_file, const std::string& in, const std::string& out, const std::string& sent, int threads, bool cuts) {
    const pipeline& net = n.pipeline();
    const zoo_networks::loaded_weights weights = n.load(weights_file);
    const std::vector<std::byte> frames = read_file(in);
    std::size_t bytes = 0;
    for (const tensor_info& t : net.inputs) bytes += t.bytes;
    if (frames.empty() || frames.size() % bytes != 0)
        throw std::runtime_error(in + ": a whole number of frames of " + std::to_string(bytes) + " bytes was expected, found " + std::to_string(frames.size()) + " bytes");
    const std::size_t count = frames.size() / bytes;
    std::vector<float> outputs(count * net.output_floats);
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
        runner place(net, weights);
        for (std::size_t i = next++; i < count; i = next++) {
            const frame_memory m = place.memory(frames.data() + i * bytes, outputs.data() + i * net.output_floats);
            net.run(m, 0, net.stages, nullptr);
        }
    };
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work);
    work();
    for (std::thread& t : others) t.join();
    if (cuts) check_cuts(net, weights, frames.data(), outputs.data());
    write_file(out, outputs.data(), outputs.size() * sizeof(float));
    if (sent.empty()) return;
    const std::vector<std::byte> payloads = payloads_of(net, weights, frames.data(), count, bytes);
    write_file(sent, payloads.data(), payloads.size());
}
} // namespace

int main(int argc, char** argv) {
    CLI::App app{"Runs a network of the zoo on raw inputs."};
    std::string name, weights, in, out, sent;
    bool list = false, cuts = false;
    int threads = 1;
    app.add_option("NETWORK", name, "its name in the list");
    app.add_flag("--list", list, "write the list as JSON");
    app.add_option("--weights", weights, "safetensors file");
    app.add_option("--input", in, "frames one after another, each all of its inputs' bytes");
    app.add_option("--output", out, "every frame's outputs as f32");
    app.add_option("--payloads", sent, "also write what the first cut sends of every frame, behind its size (u32)");
    app.add_option("--threads", threads, "frames at a time")->check(CLI::Range(1, 64));
    app.add_flag("--cuts", cuts, "also run the first frame split at every cut; bits must agree");
    CLI11_PARSE(app, argc, argv);
    try {
        const auto networks = listed();
        if (list) {
            nlohmann::json j = nlohmann::json::array();
            for (const zoo_networks::network* n : networks) j.push_back(described(*n));
            std::cout << j.dump() << "\n";
            return 0;
        }
        const auto found = std::find_if(networks.begin(), networks.end(), [&](const auto* n) { return n->name == name; });
        if (found == networks.end()) throw std::runtime_error("no network is called \"" + name + "\"; --list lists them");
        run(**found, weights, in, out, sent, threads, cuts);
    } catch (const std::exception& e) {
        std::cerr << "zoo_run: " << e.what() << "\n";
        return 1;
    }
}
