// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bench_gpu.cpp
/// How long networks take on a GPU, one frame at a time or several together, from the caller's bytes to the caller's floats; as a table, or asked
/// by bench_gpu.py.
#include "byte_layers.hpp"
#include "networks.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>
#include <splitdsl/gpu/gpu_pipeline.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace {
using namespace splitdsl;
using clock_type = std::chrono::steady_clock;

struct arguments {
    std::vector<std::string> names{};
    std::string precision{"f16"}, json{}, libraries{};
    int runs{200}, gpu{}, batch{1};
    double choose{20};
    bool serve{}, list{}, without_cudnn{}, codecs{}, bytes{}, source{};
};

std::vector<on_gpu::network> listed() {
    std::vector<on_gpu::network> list;
#define SPLITDSL_ON_GPU_LISTED(name, header, ...) list.push_back(on_gpu::entry<on_gpu::name>());
    SPLITDSL_ON_GPU(SPLITDSL_ON_GPU_LISTED)
#undef SPLITDSL_ON_GPU_LISTED
    return list;
}
on_gpu::network named(const std::string& name) {
    for (const on_gpu::network& n : listed())
        if (name == n.name) return n;
    throw option_error("no network is called \"" + name + "\" (--list names them)");
}
gpu::precision precision_of(const std::string& name) {
    for (const gpu::precision p : gpu::every_precision)
        if (name == gpu::name_of(p)) return p;
    throw option_error("--precision: f32, tf32, f16 or bf16 was expected, found \"" + name + "\"");
}

/// One pipeline with the memory of `count` frames. A split network runs its tail alone, from payloads its head made once.
class frames {
public:
    frames(const pipeline& p, const std::vector<std::vector<float>>& weights, int count = 1) : net{p}, packed{p.packed_bytes} {
        std::vector<const float*> pointers;
        for (const auto& w : weights) pointers.push_back(w.data());
        net.pack(pointers.data(), packed.data());
        if (!net.cuts.empty()) begin = net.cuts[0].stage + 1;
        for (int k = 0; k < count; ++k) {
            one& f = *all.emplace_back(std::make_unique<one>(net));
            for (const tensor_info& t : net.inputs) {
                f.stores.emplace_back(t.bytes);
                for (std::size_t i = 0; i < t.bytes; ++i) f.stores.back().data()[i] = static_cast<std::byte>(i * (7919 + 2 * static_cast<std::size_t>(k)) % 251);
                f.inputs.push_back(f.stores.back().data());
            }
            memory.push_back({f.arena.data(), packed.data(), f.inputs.data(), f.outputs.data(), nullptr});
            if (begin == 0) continue;
            f.payload.resize(net.cuts[0].payload_bytes);
            net.run(memory.back(), 0, begin, nullptr);
            net.store_payload(memory.back(), 0, f.payload.data());
        }
    }
    double run() {
        const auto from = clock_type::now();
        for (std::size_t k = 0; begin > 0 && k < all.size(); ++k) net.load_payload(memory[k], 0, all[k]->payload);
        net.run_batch(memory, begin, net.stages, nullptr);
        return std::chrono::duration<double, std::milli>(clock_type::now() - from).count();
    }
    std::vector<std::byte>& bytes(std::size_t k) { return all[k]->payload; }
    const std::vector<float>& answer(std::size_t k) const { return all[k]->outputs; }
    std::size_t size() const { return all.size(); }

private:
    struct one {
        explicit one(const pipeline& p) : arena{p}, outputs(p.output_floats) {}
        frame_arena arena;
        std::vector<float> outputs;
        std::vector<aligned_buffer> stores{};
        std::vector<const void*> inputs{};
        std::vector<std::byte> payload{};
    };
    const pipeline& net;
    aligned_buffer packed;
    std::vector<std::unique_ptr<one>> all{};
    std::vector<frame_memory> memory{};
    int begin{};
};

/// Largest difference as a share of the range of what the CPU gives.
double difference(const std::vector<float>& want, const std::vector<float>& got) {
    const auto [low, high] = std::minmax_element(want.begin(), want.end());
    double worst = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
        const double d = std::abs(static_cast<double>(want[i]) - static_cast<double>(got[i]));
        worst = std::isfinite(d) ? std::max(worst, d) : std::numeric_limits<double>::infinity();
    }
    return worst / std::max(1e-30, static_cast<double>(*high) - static_cast<double>(*low));
}

struct ready {
    static constexpr int compared = 4;      ///< frames of a batch that the CPU runs too: it takes seconds for 32
    gpu::gpu_engine engine;
    frames on_gpu;
    double load_ms{}, error{};

    ready(const kernels::cudnn::device& on, const on_gpu::network& n, const arguments& a, const std::vector<std::vector<float>>& weights, clock_type::time_point begun)
        : engine{on, n.program(), n.host(), {.precision = precision_of(a.precision), .batch = a.batch}}, on_gpu{engine.net_here(), weights, a.batch} {
        if (engine.net_here().batch_limit < a.batch) throw option_error(std::string("--batch: frames of ") + n.name + " do not run together");
        on_gpu.run();
        load_ms = std::chrono::duration<double, std::milli>(clock_type::now() - begun).count();
        frames on_cpu{n.host(), weights, std::min(a.batch, compared)};
        for (std::size_t k = 0; k < on_cpu.size(); ++k)
            if (!on_cpu.bytes(k).empty()) on_cpu.bytes(k) = on_gpu.bytes(k);        // the same payload for both tails
        on_cpu.run();
        for (std::size_t k = 0; k < on_cpu.size(); ++k) error = std::max(error, difference(on_cpu.answer(k), on_gpu.answer(k)));
        expect_on_gpu();
    }

    /// Throws the reason if any frame so far was the CPU's: no time of that is one of the GPU's.
    void expect_on_gpu() const {
        if (const gpu::gpu_counters seen = engine.counters(); seen.on_cpu > 0) throw device_error(seen.why, seen.reason);
    }

    nlohmann::json row(const arguments& a) const {
        return {{"network", engine.net_here().network}, {"precision", a.precision}, {"batch", a.batch}, {"load_ms", load_ms}, {"difference_from_cpu", error},
                {"convolutions", engine.laid_out().convolutions()}, {"by_cudnn", engine.laid_out().planned()}, {"fused", engine.laid_out().fused()}, {"concatenated", engine.laid_out().operands()},
                {"of_these_copied", engine.laid_out().copied()}, {"in_tiles", engine.laid_out().in_tiles()},
                {"melted_steps", engine.laid_out().melted()}, {"lanes", engine.laid_out().lanes()}, {"convolutions_timed", engine.chosen().timed}, {"ways_timed", engine.chosen().ways},
                {"changed_by_times", engine.chosen().changed}, {"arena_bytes", engine.laid_out().arena().bytes}};
    }
};

/// The codec's and dynamic pooling's kernels on 64 MB of 32-bit floats, as a share of the device's own copy (bytes read and written a second).
nlohmann::json time_codecs(const kernels::cudnn::device& on) {
    using namespace kernels::cudnn;
    constexpr int channels = 16, side = 1024, parts = gpu::recorder::range_parts, threads = gpu::recorder::threads;
    constexpr long long pixels = static_cast<long long>(side) * side, values = channels * pixels;
    constexpr double megabytes = 4e-6 * static_cast<double>(values);
    std::vector<float> host(static_cast<std::size_t>(values));
    for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<float>(i * 7919 % 65521) - 20000.0F;
    const device_memory tensor{on, 4 * host.size()}, copy{on, 4 * host.size()}, bytes{on, host.size() + 8}, partial{on, 8 * parts};
    tensor.fill_from(host.data(), 4 * host.size());
    const device_stream stream{on};
    const auto pointer = [](const device_memory& m) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(m.at())); };
    const auto start = [&](kernel k, auto job, long long items) {
        void* parameters[]{&job};
        const long long blocks = std::min<long long>((items + threads - 1) / threads, 32LL * on.multiprocessors());
        on.expect(on.driver().launch(on.function(k, element::f32), static_cast<unsigned>(blocks), 1, 1, threads, 1, 1, 0, stream.get(), parameters, nullptr), "starting a kernel");
    };
    const auto of = [&](const device_memory& m) { return device_tensor{pointer(m), 0, channels}; };
    const affine_job quantises{of(tensor), static_cast<unsigned char*>(pointer(bytes)), 0, static_cast<int*>(pointer(partial)), parts, channels, pixels, 0};
    affine_job dequantises = quantises;
    dequantises.tensor = of(copy);
    const patch_job patches{of(tensor), static_cast<float*>(pointer(copy)), channels, side / 4, side / 4, 4};
    nlohmann::json rows = nlohmann::json::array();
    double of_copy = 0;
    const auto timed = [&](const char* name, double moved, auto issue) {
        const device_graph graph{on, stream, [&] { return issue(), true; }};
        double least = 1e300;
        for (int round = 0; round < 5; ++round) {
            const auto begun = clock_type::now();
            for (int i = 0; i < 20; ++i) on.expect(graph.launch(stream), "replaying a graph");
            on.expect(on.driver().wait(stream.get()), "waiting");
            if (round > 0) least = std::min(least, std::chrono::duration<double>(clock_type::now() - begun).count() / 20);
        }
        const double rate = moved / 1e3 / least;
        if (of_copy == 0) of_copy = rate;
        std::printf("%-24s %9.4f ms %9.1f GB/s %7.1f %%\n", name, 1e3 * least, rate, 100 * rate / of_copy);
        rows.push_back({{"what", name}, {"ms", 1e3 * least}, {"gigabytes_per_second", rate}, {"of_copy", rate / of_copy}});
    };
    timed("copy", 2 * megabytes, [&] { on.expect(on.driver().copy_on_device_async(copy.at(), tensor.at(), 4 * host.size(), stream.get()), "copying"); });
    timed("affine u8, quantise", 2.25 * megabytes, [&] {
        start(kernel::find_range, quantises, static_cast<long long>(parts) * threads);
        start(kernel::quantise_u8, quantises, values / 8);
    });
    timed("affine u8, dequantise", 1.25 * megabytes, [&] { start(kernel::dequantise_u8, dequantises, values / 8); });
    timed("dynamic pooling, 4x4", (1 + 1.0 / 16) * megabytes, [&] { start(kernel::pool_patches, patches, values / 16 / 8); });
    return rows;
}

/// Answers each line, a number of runs, with one of times.
int serve(const kernels::cudnn::device& on, const on_gpu::network& n, const arguments& a) {
    const auto begun = clock_type::now();
    ready r{on, n, a, random_weights(n.parameters(), 1), begun};
    std::cout << r.row(a).dump() << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        int runs = 0;
        if (const auto [end, code] = std::from_chars(line.data(), line.data() + line.size(), runs); code != std::errc{} || runs < 1 || runs > 1'000'000)
            throw option_error("--serve expects a number of runs on each line, found \"" + line.substr(0, 80) + "\"");
        std::vector<double> all;
        for (int i = 0; i < runs; ++i) all.push_back(r.on_gpu.run());
        r.expect_on_gpu();
        std::cout << nlohmann::json{{"ms", all}}.dump() << std::endl;
    }
    return 0;
}
nlohmann::json timed(const kernels::cudnn::device& on, const on_gpu::network& n, const arguments& a) {
    const auto begun = clock_type::now();
    ready r{on, n, a, random_weights(n.parameters(), 1), begun};
    std::vector<double> all;
    for (int i = 0; i < 20; ++i) r.on_gpu.run();
    for (int i = 0; i < a.runs; ++i) all.push_back(r.on_gpu.run());
    r.expect_on_gpu();
    std::sort(all.begin(), all.end());
    const double least = all.front(), median = all[all.size() / 2], p99 = all[all.size() * 99 / 100];
    std::printf("%-24s %-9s %5d %9.4f %9.4f %9.4f %12.2e %6d/%d\n", n.name, a.precision.c_str(), a.batch, least, median, p99, r.error, r.engine.laid_out().planned(), r.engine.laid_out().convolutions());
    nlohmann::json row = r.row(a);
    row["least"] = least, row["median"] = median, row["p99"] = p99;
    return row;
}

int run(const arguments& a) {
    if (a.list) {
        for (const on_gpu::network& n : listed()) std::printf("%s\n", n.name);
        return 0;
    }
    if (a.source) {
        std::fputs(kernels::cudnn::device_source().c_str(), stdout);
        return 0;
    }
    std::vector<on_gpu::network> chosen;
    for (const std::string& name : a.names) chosen.push_back(named(name));
    if (chosen.empty()) chosen = listed();
    if (a.serve && chosen.size() != 1) throw option_error("--serve is for one network");
    const kernels::cudnn::device on{{.ordinal = a.gpu, .library_folders = kernels::cudnn::detail::split_folders(a.libraries.c_str()), .needs_cudnn = !a.without_cudnn, .seconds_to_choose = a.choose}};
    nlohmann::json report{{"device", on.description()}, {"unit", "milliseconds"}, {"label", "measured"}, {"rows", nlohmann::json::array()}};
    if (a.codecs || a.bytes) {
        if (a.codecs) report["codecs"] = time_codecs(on);
        if (a.bytes) report["byte_layers"] = on_gpu::time_byte_layers(on);
        if (!a.json.empty()) options::write("--json", a.json, report.dump(2) + "\n");
        return 0;
    }
    if (a.serve) return serve(on, chosen.front(), a);
    std::printf("%s\n%-24s %-9s %5s %9s %9s %9s %12s %10s\n", on.description().c_str(), "network", "precision", "batch", "least", "median", "p99", "off the CPU", "by cuDNN");
    // Row by row: what stops one network, or us, leaves the others' times.
    bool failed = false;
    for (const on_gpu::network& n : chosen) {
        nlohmann::json row;
        try {
            row = timed(on, n, a);
        } catch (const std::exception& e) {
            failed = true;
            row = {{"precision", a.precision}, {"batch", a.batch}, {"failed", e.what()}};
            std::printf("%-24s %-9s %5d failed: %s\n", n.name, a.precision.c_str(), a.batch, e.what());
        }
        std::fflush(stdout);
        row["name"] = n.name;
        report["rows"].push_back(row);
        if (!a.json.empty()) options::write("--json", a.json, report.dump(2) + "\n");
    }
    return failed ? 1 : 0;
}
} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Times of networks on a GPU, measured: bytes in to floats out, one frame at a time or --batch together; a split network runs its tail from a payload. Weights come from a seed."};
    app.add_option("network", a.names, "Their names (see --list); all without")->option_text("NETWORK...");
    app.add_option("--precision", a.precision, "f32, tf32, f16 or bf16")->capture_default_str();
    app.add_option("--runs", a.runs, "Runs of each, after some that are not timed")->check(options::between(1, 100'000))->capture_default_str();
    app.add_option("--batch", a.batch, "Frames that run together; times are the whole batch's")->check(options::between(1, gpu::gpu_engine::most_frames))->capture_default_str();
    app.add_option("--gpu", a.gpu, "Which GPU")->check(options::between(0, 63))->capture_default_str();
    app.add_option("--libraries", a.libraries, "Folders of NVIDIA's libraries, separated by colons")->option_text("FOLDERS");
    app.add_option("--json", a.json, "Also write the results to FILE")->option_text("FILE");
    app.add_option("--choose", a.choose, "Seconds in which a network's convolutions are timed in all their ways; 0: they run as heuristics say")->capture_default_str();
    app.add_flag("--without-cudnn", a.without_cudnn, "Run where cuDNN is missing, with our own convolutions");
    app.add_flag("--codecs", a.codecs, "Instead of networks: the codec's kernels on 64 MB, beside a copy");
    app.add_flag("--bytes", a.bytes, "Instead of networks: convolutions of bytes without tensor cores and in every tile, layer by layer");
    app.add_flag("--serve", a.serve, "Read numbers of runs from standard input, answer each with a line of times");
    app.add_flag("--source", a.source, "Print the device code, as nvcc or NVRTC take it, and exit");
    app.add_flag("--list", a.list, "Print the networks and exit");
    return options::exit_status("bench_gpu", app, argc, argv, [&] { return run(a); });
}
