// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file classify_quantised.cpp
/// What an 8-bit codec at each cut costs in answers: each cut's tensor is quantised and dequantised on its way, as a cut with affine_u8() does on either side.
#include <examples/classify/archive.hpp>
#include <examples/classify/classifier.hpp>
#include <splitdsl/codec/tensor_codec.hpp>
#include <splitdsl/image/decode.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

using namespace splitdsl;

namespace {

struct runner {
    const pipeline& net;
    std::span<const std::byte> packed;
    aligned_buffer arena{net.arena_bytes};
    std::vector<float> outputs = std::vector<float>(net.output_floats);
    std::atomic<bool> never{false};

    std::size_t best() const { return static_cast<std::size_t>(std::max_element(outputs.begin(), outputs.end()) - outputs.begin()); }
    frame_memory memory(const void* const* inputs) { return {arena.data(), packed.data(), inputs, outputs.data(), default_runner()}; }
    std::size_t whole(const void* input) {
        net.run(memory(&input), 0, net.stages, &never);
        return best();
    }
    /// The answer with the tensor at `cut` in 8 bits; -1 if the cut carries more than one tensor of floats.
    long quantised(const void* input, int cut) {
        const cut_info& c = net.cuts[static_cast<std::size_t>(cut)];
        std::vector<std::byte> payload(c.payload_bytes), small;
        std::vector<float> values(c.payload_bytes / sizeof(float));
        net.run(memory(&input), 0, c.stage + 1, &never);
        if (std::string(c.codec) != "f32" || net.store_payload(memory(&input), cut, payload.data()) != values.size() * sizeof(float)) return -1;
        std::memcpy(values.data(), payload.data(), payload.size());
        small.resize(encoded_bytes(codec_id::affine8, values.size()));
        encode(codec_id::affine8, values.data(), values.size(), small.data());
        if (!decode(codec_id::affine8, small.data(), small.size(), values.data(), values.size())) return -1;
        std::memcpy(payload.data(), values.data(), payload.size());
        const void* nothing = nullptr; // behind the cut nobody has the picture
        if (!net.load_payload(memory(&nothing), cut, payload)) return -1;
        net.run(memory(&nothing), c.stage + 1, net.stages, &never);
        return static_cast<long>(best());
    }
};

} // namespace

int main(int argc, char** argv) {
    std::string model, weights, pictures;
    int step = 1, least = 0;
    double mean_least = 0;
    CLI::App app{"Counts, at each cut, the pictures whose top-1 an 8-bit codec leaves as it is"};
    app.add_option("--model", model)->required();
    app.add_option("--weights", weights)->required();
    app.add_option("--pictures", pictures, "a ZIP archive")->required();
    app.add_option("--step", step, "take each so-manieth picture")->check(CLI::Range(1, 1000));
    app.add_option("--least", least, "fail below so many of 200 at any cut");
    app.add_option("--mean-least", mean_least, "fail below so many of 200 on average");
    CLI11_PARSE(app, argc, argv);
    try {
        const auto& which = classify::network_named(model);
        const auto loaded = which.load(weights);
        const classify::classifier recipe_of{which, weights};
        const imaging::recipe recipe = recipe_of.recipe(imaging::crop_offset::rounded_down);
        runner run{which.pipeline(), loaded.packed};
        const classify::archive zip{pictures, 1u << 28};
        std::vector<int> same(run.net.cuts.size());
        int count = 0;
        for (std::uint64_t i = 0; i < zip.size(); i += static_cast<std::uint64_t>(step), ++count) {
            imaging::shared_input shot{imaging::decode(zip.bytes(i))};
            const void* input = shot.planes_for(recipe).values.data();
            const auto expected = static_cast<long>(run.whole(input));
            for (std::size_t k = 0; k < same.size(); ++k) same[k] += run.quantised(input, static_cast<int>(k)) == expected;
        }
        double mean = 0;
        int worst = count;
        for (std::size_t k = 0; k < same.size(); ++k) {
            std::printf("%-16s %9zu bytes, the same top-1 on %d of %d\n", run.net.cuts[k].name, run.net.cuts[k].payload_bytes / 4 + 8, same[k], count);
            mean += static_cast<double>(same[k]) / static_cast<double>(same.size());
            worst = std::min(worst, same[k]);
        }
        std::printf("%s: %d of %d at the worst cut, %.1f on average\n", model.c_str(), worst, count, mean);
        const double scale = 200.0 / count;
        return worst * scale >= least && mean * scale >= mean_least ? 0 : 1;
    } catch (const error& e) {
        std::fprintf(stderr, "classify_quantised: %s\n", e.what());
        return 2;
    }
}
