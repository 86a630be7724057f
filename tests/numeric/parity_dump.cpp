// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file parity_dump.cpp
/// Writes what pytorch_parity.py compares: graphs, weights, frames and every tier's results of the test networks, and codec tensors.
///
/// FOLDER/networks/NAME: graph.json, parameters.f32 (in the graph's order), FRAME.input.NAME, FRAME.output.TIER, FRAME.payload.TIER.CUT,
/// FRAME.decoded.reference.OP (what a quantise gave; the kernels show theirs in the payloads).
/// FOLDER/codec: NUMBER.values (f32) and NUMBER.CODEC (encoded). All numbers little-endian, as the host's are.
#include "case_runner.hpp"
#include "compiled_networks.hpp"

#include <CLI/CLI.hpp>

#include <bit>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace {
using namespace numeric;
static_assert(std::endian::native == std::endian::little, "the files are written as they lie in memory");

void write(const std::filesystem::path& to, const void* bytes, std::size_t size) {
    std::ofstream file(to, std::ios::binary);
    file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
    if (!file.flush()) throw std::runtime_error("cannot write " + to.string());
}
void write(const std::filesystem::path& to, const std::vector<float>& values) { write(to, values.data(), 4 * values.size()); }

void dump_tier(const std::filesystem::path& at, const std::string& tier, const loaded& n, const frame& f, const std::string& which) {
    write(at / (which + ".output." + tier), n.whole(f));
    for (std::size_t c = 0; c < n.p.cuts.size(); ++c) {
        side edge(n.p, n.packed, 0);
        edge.memory.inputs = f.pointers.data();
        n.p.run(edge.memory, 0, n.p.cuts[c].stage + 1, nullptr);
        std::vector<std::byte> payload(n.p.cuts[c].payload_bytes);
        n.p.store_payload(edge.memory, static_cast<int>(c), payload.data());
        write(at / (which + ".payload." + tier + "." + n.p.cuts[c].name), payload.data(), payload.size());
    }
}

void dump_networks(const std::filesystem::path& folder, std::span<const graph::description> described, const std::vector<compiled_row>& rows, unsigned frames) {
    for (std::size_t i = 0; i < described.size(); ++i) {
        const graph::description& d = described[i];
        if (rows[0].first[i]->stream_count > 0) continue; // PyTorch has no dynamic pooling to compare with
        std::string name = d.network;
        std::replace(name.begin(), name.end(), ':', '.');
        const auto at = folder / name;
        std::filesystem::create_directories(at);
        const std::string json = graph::writing::json(d);
        write(at / "graph.json", json.data(), json.size());
        std::vector<float> all;
        const loaded first(d, *rows[0].first[i]);
        for (const parameter& p : graph::list_parameters(d)) {
            const auto& values = first.weights.at(p.name);
            all.insert(all.end(), values.begin(), values.end());
        }
        write(at / "parameters.f32", all);
        for (unsigned k = 0; k < frames; ++k) {
            const frame f(d, first.p, k);
            const std::string which = std::to_string(k);
            for (std::size_t q = 0; q < f.bytes.size(); ++q) write(at / (which + ".input." + first.p.inputs[q].name), f.bytes[q].data(), f.bytes[q].size());
            write(at / (which + ".output.reference"), first.reference(f));
            const auto values = splitdsl::detail::reference_runner(d, first.weights).run(f.named);
            for (std::size_t q = 0; q < d.ops.size(); ++q)
                if (d.ops[q].kind == op_kind::quantise && !values[q].data.empty()) write(at / (which + ".decoded.reference." + std::to_string(q)), values[q].data);
            for (const compiled_row& row : rows)
                if (runs_here(row.set)) dump_tier(at, name_of(row.set), loaded(d, *row.first[i]), f, which);
        }
    }
}

/// Tensors with 0 inside their range, below and above it, at its ends; constant, tiny, huge, and full of ties.
std::vector<std::vector<float>> codec_tensors() {
    std::mt19937 engine(77);
    const auto uniform = [&](float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine); };
    std::vector<std::vector<float>> list;
    const auto add = [&](std::size_t n, float low, float high) {
        auto& x = list.emplace_back(n);
        for (float& v : x) v = uniform(low, high);
    };
    for (int i = 0; i < 200; ++i) {
        const float size = std::ldexp(1.0F, static_cast<int>(engine() % 80U) - 40);
        add(1 + engine() % 999U, -size * uniform(0, 1), size * uniform(0, 1));
    }
    for (int i = 0; i < 40; ++i) {
        const float base = uniform(-4, 4);
        add(1 + engine() % 99U, base, base + uniform(0, 2));
    }
    add(500, 990, 1000);
    add(500, -1000, -990);
    add(500, 0, 1);
    add(500, -1, 0);
    add(500, 0, 6);
    add(500, -1e-30F, 1e-30F);
    add(500, -1e-37F, 2e-37F);
    add(500, -1e30F, 2e30F);
    for (const float constant : {0.0F, -0.0F, 1.0F, -1.0F, 3.25F, -1e-20F, 1e20F}) list.emplace_back(17, constant);
    for (const float scale : {1.0F, 0.5F, 0.25F}) {
        auto& ties = list.emplace_back();                       // scale is exact, so x / scale ends in .5
        for (int i = 0; i <= 510; ++i) ties.push_back((static_cast<float>(i) / 2 - 100) * scale);
    }
    return list;
}

void dump_codecs(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder);
    const auto tensors = codec_tensors();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        write(folder / (std::to_string(i) + ".values"), tensors[i]);
        for (const codec_id codec : {codec_id::affine8, codec_id::affine16, codec_id::float16}) {
            std::vector<std::byte> bytes(encoded_bytes(codec, tensors[i].size()));
            encode(codec, tensors[i].data(), tensors[i].size(), bytes.data());
            std::vector<float> back(tensors[i].size());
            const bool fine = decode(codec, bytes.data(), bytes.size(), back.data(), back.size());
            const std::string name = std::to_string(i) + "." + std::string(graph::word_of(codec));
            write(folder / name, bytes.data(), bytes.size());
            if (fine) write(folder / (name + ".decoded"), back);       // f16 refuses what it cannot hold
        }
    }
}
} // namespace

int main(int argc, char** argv) {
    CLI::App app{"Writes the test networks' graphs, weights, frames and results for pytorch_parity.py."};
    std::string folder;
    app.add_option("FOLDER", folder, "where to write; made if it does not exist")->required();
    CLI11_PARSE(app, argc, argv);
    try {
        const std::filesystem::path root(folder);
        dump_networks(root / "networks", word_descriptions(), word_rows(), 1);
        dump_networks(root / "networks", shape_descriptions(), shape_rows(), 4);
        dump_codecs(root / "codec");
    } catch (const std::exception& e) {
        std::cerr << "parity_dump: " << e.what() << "\n";
        return 1;
    }
}
