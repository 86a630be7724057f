// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_test.cpp
/// The GPU's executor without a GPU: the whole of it runs on a device made of host memory and must agree with the CPU.
#include "../catch.hpp"
#include "../numeric/case_runner.hpp"
#include "../numeric/compiled_networks.hpp"
#include "fake_device.hpp"

#include <splitdsl/codec/dynamic_pool_cells.hpp>
#include <splitdsl/detect/roi_align.hpp>
#include <splitdsl/energy/nvml_meter.hpp>
#include <splitdsl/gpu/gpu_pipeline.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/edge_streams.hpp>
#include <splitdsl/runtime/frame_arena.hpp>

#include <cstdio>
#include <cstdlib>
#include <optional>

namespace {
using namespace numeric;
using gpu::precision;

kernels::cudnn::libraries with_cudnn() { return {fake::driver(), fake::compiler(), fake::network(), ""}; }
kernels::cudnn::libraries without_cudnn() { return {fake::driver(), fake::compiler(), {}, "left out"}; }
kernels::cudnn::device_options options() { return {.needs_cudnn = false, .code_folder = ""}; }

/// Nothing that a real device would refuse, and nothing left behind.
void check_clean() {
    const fake::state& f = fake::now;
    CHECK(f.wrong == "");
    CHECK(f.memory.empty());
    CHECK(f.pinned.empty());
    CHECK(f.streams + f.graphs + f.executables + f.modules + f.contexts + f.descriptors + f.handles == 0);
}

struct subject {
    const graph::description& d;
    const gpu::program& program;
    const pipeline& host;
};
std::vector<subject> subjects(std::span<const graph::description> described, std::span<const gpu::program> programs, const std::vector<compiled_row>& rows) {
    std::vector<subject> all;
    for (std::size_t i = 0; i < described.size(); ++i) {
        const pipeline* best = nullptr;
        for (const compiled_row& r : rows)
            if (runs_here(r.set)) best = r.first[i];
        REQUIRE(best);
        all.push_back({described[i], programs[i], *best});
    }
    return all;
}
std::vector<subject> words_here() { return subjects(word_descriptions(), word_programs(), word_rows()); }
std::vector<subject> shapes_here() { return subjects(shape_descriptions(), shape_programs(), shape_rows()); }

/// Those of a few million multiplications, for tests that run a network many times.
std::vector<subject> small_shapes() {
    std::vector<subject> small;
    for (const subject& s : shapes_here()) {
        std::uint64_t macs = 0;
        for (int k = 0; k < s.host.stages; ++k) macs += s.host.stage_macs[k];
        if (macs < 12'000'000) small.push_back(s);
    }
    REQUIRE(small.size() >= 3);
    return small;
}

/// Runs every frame whole and cut in two; `limit` where no codec stands between.
void compare(const kernels::cudnn::device& on, const subject& s, precision how, double limit, double codec_limit, unsigned frames = 1) {
    const gpu::gpu_engine engine(on, s.program, s.host, {.precision = how});
    const pipeline& p = engine.net_here();
    const loaded n(s.d, p);
    for (unsigned seed = 1; seed <= frames; ++seed) {
        const frame f(s.d, p, seed);
        INFO(p.network << ", frame " << seed);
        const auto whole = n.whole(f);
        CHECK(error_of(p, n.reference(f), whole) <= (n.has_codec() ? codec_limit : limit));
        for (std::size_t c = 0; c < p.cuts.size(); ++c)
            if (seed == 1) CHECK(split_fault(n, f, static_cast<int>(c), whole) == "");
    }
    CHECK(engine.counters().reason == "");
    CHECK(engine.counters().on_cpu == 0);
}
} // namespace

TEST_CASE("GPU: every word in our own kernels is within 1e-5 of the reference, cut in two as in one piece") {
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        for (const subject& s : words_here()) compare(on, s, precision::f32, tolerance, codec_tolerance);
        CHECK(fake::now.convolutions == 0);
    }
    check_clean();
}

TEST_CASE("GPU: every word with cuDNN's convolutions, whatever of them it fuses") {
    for (const int takes : {0, 1, 2}) {         // everything; no activation; sums alone
        int every = 0;
        fake::now = {};
        fake::now.takes_activation = takes == 0;
        fake::now.takes_addend = takes < 2;
        {
            const kernels::cudnn::device on(with_cudnn(), options());
            for (const subject& s : words_here())
                if ((takes == 0 || ++every % 3 == takes) && std::any_of(s.d.ops.begin(), s.d.ops.end(), [](const op& o) { return o.kind == op_kind::conv || o.kind == op_kind::gdn; })) compare(on, s, precision::f32, tolerance, codec_tolerance);
            CHECK(fake::now.convolutions > 0);
        }
        check_clean();
    }
}

TEST_CASE("GPU: every word in 16-bit floats is within 1e-2 of the reference, those with 8 bits of mantissa within 6e-2") {
    fake::now = {};
    {
        const kernels::cudnn::device on(with_cudnn(), options());
        std::size_t every = 0;
        for (const subject& s : words_here()) {
            compare(on, s, precision::f16, 1e-2, 2e-2);
            if (++every % 3 == 0) compare(on, s, precision::bf16, 6e-2, 8e-2);
        }
    }
    check_clean();
}

TEST_CASE("GPU: networks with cuts, selects, fans, exits and streams agree with the reference") {
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        for (const subject& s : shapes_here()) compare(on, s, precision::f32, 2e-5, codec_tolerance);
    }
    check_clean();
}

namespace {
/// Heads here and tails on the CPU, and the other way around; returns the number of cuts.
int payloads_cross(const kernels::cudnn::device& on) {
    int cuts = 0;
    for (const subject& s : shapes_here()) {
        const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32});
        const pipeline& p = engine.net_here();
        const loaded n(s.d, p), on_cpu(s.d, s.host);
        const frame f(s.d, p, 1);
        const auto wanted = on_cpu.whole(f);
        for (int c = 0; c < static_cast<int>(p.cuts.size()); ++c, ++cuts) {
            INFO(p.network << " at " << p.cuts[static_cast<std::size_t>(c)].name);
            for (const bool head_on_gpu : {true, false}) {
                const loaded &head = head_on_gpu ? n : on_cpu, &tail = head_on_gpu ? on_cpu : n;
                side edge(head.p, head.packed, 2), cloud(tail.p, tail.packed, 3);
                edge.memory.inputs = f.pointers.data();
                std::vector<std::byte> payload(p.cuts[static_cast<std::size_t>(c)].payload_bytes);
                REQUIRE(head.p.run(edge.memory, 0, p.cuts[static_cast<std::size_t>(c)].stage + 1, nullptr));
                REQUIRE(head.p.store_payload(edge.memory, c, payload.data()) == payload.size());
                REQUIRE(tail.p.load_payload(cloud.memory, c, payload));
                REQUIRE(tail.p.run(cloud.memory, p.cuts[static_cast<std::size_t>(c)].stage + 1, p.stages, nullptr));
                std::vector<float> got = cloud.outputs;
                for (std::size_t i = 0; i < got.size(); ++i)
                    if (!cloud.wrote(i)) got[i] = wanted[i];        // an exit before the cut
                CHECK(error_of(p, wanted, got) <= codec_tolerance);
            }
        }
    }
    return cuts;
}
} // namespace

TEST_CASE("GPU: a payload made on either side is taken by the other") {
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        CHECK(payloads_cross(on) > 8);
    }
    check_clean();
}

namespace {
/// Runs the device's encoder of a codec on an interleaved tensor; `parts` blocks look for the range.
std::vector<std::byte> encoded_here(codec_id codec, const std::vector<float>& interleaved, int channels, int parts) {
    using namespace kernels::cudnn;
    const auto pixels = static_cast<long long>(interleaved.size()) / channels;
    std::vector<std::byte> bytes(encoded_bytes(codec, interleaved.size()));
    const order_job order{fake::packed(interleaved.data(), channels), bytes.data(), 0, channels, pixels};
    std::vector<int> partial(2 * static_cast<std::size_t>(parts));
    const affine_job affine{fake::packed(interleaved.data(), channels), reinterpret_cast<unsigned char*>(bytes.data()), 0, partial.data(), parts, channels, pixels};
    if (codec == codec_id::float32) fake::run_kernel("to_planar_f32", &order, 1);
    if (codec == codec_id::float16) fake::run_kernel("encode_half_f32", &order, 1);
    if (codec == codec_id::affine8 || codec == codec_id::affine16) {
        fake::run_kernel("find_range_f32", &affine, parts);
        fake::run_kernel(codec == codec_id::affine8 ? "quantise_u8_f32" : "quantise_u16_f32", &affine, 3);
    }
    return bytes;
}
} // namespace

TEST_CASE("GPU: the codec's bytes are the CPU's, whatever the tensor holds") {
    const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN(), most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::min();
    std::vector<std::vector<float>> tensors{{0}, {-0.0F, 0}, {3, 3, 3}, {-2, -2}, {inf, -inf, nan}, {nan, 1, -1, inf}, {most, -most, 1}, {least / 8, least / 16, 0}, {1e-30F, 2e-30F}, {most, most}, {-most},
                                            {0.5F, 1.5F, 2.5F, 254.5F, 255}, {65519.9F, 65520, 1e-8F, 6e-8F, 5.9e-8F, -1e-9F, 2.98e-8F, 2.981e-8F}};
    std::mt19937 engine(5);
    for (const float scale : {1e-3F, 1.0F, 1e4F, 1e37F})
        for (const std::size_t size : {15UL, 1200UL}) {
            std::normal_distribution<float> normal(0.3F * scale, scale);
            std::vector<float> t(size);
            for (float& x : t) x = normal(engine);
            tensors.push_back(t);
            for (float& x : t) x = std::bit_cast<float>(static_cast<std::uint32_t>(engine()));
            tensors.push_back(t);
        }
    for (const auto& planar : tensors)
        for (const codec_id codec : {codec_id::float32, codec_id::float16, codec_id::affine8, codec_id::affine16})
            for (const int channels : {1, 3}) {
                if (planar.size() % static_cast<std::size_t>(channels) != 0) continue;
                const std::size_t pixels = planar.size() / static_cast<std::size_t>(channels);
                std::vector<float> interleaved(planar.size());
                for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c)
                    for (std::size_t k = 0; k < pixels; ++k) std::memcpy(&interleaved[k * static_cast<std::size_t>(channels) + c], &planar[c * pixels + k], 4);
                std::vector<std::byte> wanted(encoded_bytes(codec, planar.size()));
                encode(codec, planar.data(), planar.size(), wanted.data());
                INFO("codec " << static_cast<int>(codec) << ", " << planar.size() << " values beginning with " << planar[0]);
                CHECK(encoded_here(codec, interleaved, channels, 1) == wanted);
                CHECK(encoded_here(codec, interleaved, channels, 5) == wanted);
            }
}

TEST_CASE("GPU: after its first run an arena allocates nothing, on the device or the host") {
    fake::now = {};
    const kernels::cudnn::device on(without_cudnn(), options());
    for (const subject& s : small_shapes()) {
        if (s.host.stream_count > 0) continue;          // `run_whole` itself allocates there
        const gpu::gpu_engine engine(on, s.program, s.host, {});
        const loaded n(s.d, engine.net_here());
        const frame f(s.d, n.p, 1);
        side here(n.p, n.packed, 0);
        here.memory.inputs = f.pointers.data();
        n.p.run(here.memory, 0, n.p.stages, nullptr);
        const long before = fake::now.calls_that_allocate;
        n.p.run(here.memory, 0, n.p.stages, nullptr);
        CHECK(fake::now.calls_that_allocate == before);
    }
}

TEST_CASE("GPU: memory alone bounds networks and arenas, and an arena that goes gives back what the device held for it") {
    const subject s = small_shapes().front();
    fake::now = {};
    {
        const kernels::cudnn::device on(without_cudnn(), options());
        const loaded on_cpu(s.d, s.host);
        const frame f(s.d, s.host, 1);
        const auto wanted = on_cpu.whole(f);
        std::vector<std::unique_ptr<gpu::gpu_engine>> engines;
        for (int i = 0; i < 40; ++i) engines.push_back(std::make_unique<gpu::gpu_engine>(on, s.program, s.host, gpu::gpu_options{.precision = precision::f32}));
        const loaded first(s.d, engines.front()->net_here()), last(s.d, engines.back()->net_here());
        CHECK(error_of(s.host, wanted, first.whole(f)) <= codec_tolerance);
        CHECK(engines.front()->counters().on_gpu > 0);

        const pipeline& net = engines.back()->net_here();
        const std::size_t before = fake::now.memory.size();
        std::vector<float> outputs(net.output_floats);
        {
            std::vector<std::unique_ptr<frame_arena>> arenas;
            for (int i = 0; i < 70; ++i) {
                arenas.push_back(std::make_unique<frame_arena>(net));
                net.run({arenas.back()->data(), last.packed.data(), f.pointers.data(), outputs.data()}, 0, net.stages, nullptr);
            }
            CHECK(error_of(s.host, wanted, outputs) <= codec_tolerance);
            CHECK(fake::now.memory.size() >= before + 70);
            const std::size_t with_all = fake::now.memory.size();
            arenas.erase(arenas.begin(), arenas.begin() + 35);
            const std::size_t with_half = fake::now.memory.size();
            for (int i = 0; i < 35; ++i) {
                arenas.push_back(std::make_unique<frame_arena>(net));
                net.run({arenas.back()->data(), last.packed.data(), f.pointers.data(), outputs.data()}, 0, net.stages, nullptr);
            }
            CHECK(with_half < with_all);
            CHECK(fake::now.memory.size() == with_all);
        }
        CHECK(fake::now.memory.size() == before);
        CHECK(engines.back()->counters().on_cpu == 0);
        CHECK(engines.back()->counters().reason == "");
    }
    check_clean();
}

TEST_CASE("GPU: a device that fails at any moment costs no frame: the CPU goes on, with the same answer as its own") {
    int failures = 0;
    for (const subject& s : small_shapes()) {
        INFO(s.host.network);
        const loaded on_cpu(s.d, s.host);
        std::vector<const float*> parameters;
        for (const parameter& q : graph::list_parameters(s.d)) parameters.push_back(on_cpu.weights.at(q.name).data());
        const frame f(s.d, s.host, 1);
        const auto wanted = on_cpu.whole(f);
        fake::now = {};
        const kernels::cudnn::device on(without_cudnn(), options());
        bool survives = false;
        for (long after = 0; !survives && after < 40; ++after, ++failures) {
            fake::now.fail_graph_after = -1;
            const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32});
            const pipeline& p = engine.net_here();
            const aligned_buffer packed(p.packed_bytes);
            p.pack(parameters.data(), packed.data());
            const auto run = [&] {
                side here(p, packed, 0);
                here.memory.inputs = f.pointers.data();
                run_whole(p, here.memory);
                return here.outputs;
            };
            fake::now.fail_graph_after = fake::now.graph_launches + after;
            CHECK(error_of(p, wanted, run()) <= codec_tolerance);
            const gpu::gpu_counters seen = engine.counters();
            survives = !seen.lost;
            CHECK((survives || (seen.on_cpu > 0 && seen.reason.find("CUDA_ERROR_LAUNCH_FAILED") != std::string::npos)));
            if (!survives) CHECK(same_bits(run(), wanted));
        }
        CHECK(survives);
    }
    CHECK(failures > 10);
}

TEST_CASE("GPU: without room on the device the CPU answers, and the reason is kept") {
    const subject s = small_shapes().front();
    fake::now = {};
    const kernels::cudnn::device on(without_cudnn(), options());
    const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32});
    const loaded n(s.d, engine.net_here()), on_cpu(s.d, s.host);
    fake::now.room = 0;
    const frame f(s.d, n.p, 1);
    CHECK(same_bits(n.whole(f), on_cpu.whole(f)));
    CHECK(engine.counters().reason.find("CUDA_ERROR_OUT_OF_MEMORY") != std::string::npos);
    CHECK_FALSE(engine.counters().lost);
}

TEST_CASE("GPU: a stop between stages is obeyed, and the frame goes on where it stopped") {
    for (const subject& s : small_shapes()) {
        if (s.host.cuts.empty()) continue;
        fake::now = {};
        const kernels::cudnn::device on(without_cudnn(), options());
        const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32});
        const loaded n(s.d, engine.net_here());
        const frame f(s.d, n.p, 1);
        side here(n.p, n.packed, 0);
        here.memory.inputs = f.pointers.data();
        const std::atomic<bool> yes{true};
        CHECK_FALSE(n.p.run(here.memory, 0, n.p.stages, &yes));
        CHECK(n.p.run(here.memory, 0, n.p.stages, nullptr));
        CHECK(same_bits(here.outputs, n.whole(f)));
    }
}

namespace {
/// A chain of concatenations as in a DenseNet, cut inside; its convolutions write 8 channels each into a slice.
struct dense_chain {
    static constexpr auto layer(text name) { return concat(identity(), named(name, named("norm", batch_norm()) | relu() | named("conv", conv(8, {.kernel = 3})))); }
    static constexpr auto graph() {
        return input("picture", f32, {.channels = 3, .height = 9, .width = 7}) | named("stem", conv(16, {.kernel = 3, .stride = 2})) | layer("one") | layer("two") | cut("inside") | layer("three")
             | named("norm", batch_norm()) | relu() | concat(named("a", conv(8, {.kernel = 1})), named("b", conv(5, {.kernel = 1})) | max_pool({.kernel = 3, .stride = 1, .pad = 1})) | flatten()
             | named("fc", dense(7));
    }
};
/// For a network without code for a CPU: what the engine asks of one, and nothing that runs.
struct empty_host {
    std::vector<tensor_info> inputs, outputs;
    std::vector<cut_info> cuts;
    pipeline net;
    empty_host() {
        inputs.push_back({"picture", 3, 9, 7, 4 * 3 * 9 * 7});
        outputs.push_back({"fc", 7, 1, 1, 28});
        cuts.push_back({"inside", 4 * 32 * 5 * 4, 0, "f32"});
        net.network = "dense_chain";
        net.arena_bytes = cuts[0].payload_bytes;
        net.packed_bytes = 64;
        net.output_floats = 7;
        net.stages = 2;
        net.inputs = inputs, net.outputs = outputs, net.cuts = cuts;
        net.functions.pack = [](const void*, const float* const*, std::byte*) {};
        net.functions.run = [](const void*, const frame_memory&, int, int, const std::atomic<bool>*) { return false; };
        net.functions.store_payload = [](const void*, const frame_memory& m, int, std::byte* to) { return std::memcpy(to, m.arena, 4 * 32 * 5 * 4), std::size_t{4 * 32 * 5 * 4}; };
        net.functions.load_payload = [](const void*, const frame_memory& m, int, std::span<const std::byte> from) { return std::memcpy(m.arena, from.data(), from.size()), true; };
    }
};
} // namespace

TEST_CASE("GPU: what a concatenation joins is written where it belongs, unless cuDNN wants it apart") {
    const empty_host host;
    const graph::description described = graph::description_of<dense_chain>();
    const gpu::program program = gpu::program_of<dense_chain>();
    for (const bool has_cudnn : {false, true})
        for (const bool takes_slices : {true, false})
            for (const precision how : {precision::f32, precision::f16, precision::bf16}) {
                fake::now = {};
                fake::now.takes_slices = takes_slices;
                {
                    const kernels::cudnn::device on(has_cudnn ? with_cudnn() : without_cudnn(), options());
                    const gpu::gpu_engine engine(on, program, host.net, {.precision = how, .batch = 3});
                    INFO(gpu::name_of(how) << ", cuDNN " << has_cudnn << ", slices " << takes_slices);
                    // Two operands each of four; 13 channels are no multiple of 16 bytes, and what cuDNN cannot write into a slice are four convolutions.
                    CHECK(engine.laid_out().operands() == 8);
                    CHECK(engine.laid_out().copied() == (has_cudnn && !takes_slices ? 6 : 2));
                    compare(on, {described, program, host.net}, how, how == precision::f32 ? tolerance : how == precision::f16 ? 1e-2 : 6e-2, codec_tolerance);
                }
                check_clean();
            }
}

namespace {
/// Frames run together, from the begin and from behind every cut, must give what each gives alone.
void compare_batches(const kernels::cudnn::device& on, const subject& s, precision how, double limit) {
    const bool full = std::getenv("SPLITDSL_TEST_FULL") != nullptr;
    const int most = full ? 5 : 3;
    const gpu::gpu_engine engine(on, s.program, s.host, {.precision = how, .batch = most});
    const pipeline& p = engine.net_here();
    INFO(p.network);
    REQUIRE(p.batch_limit == (s.program.streams.empty() ? most : 1));
    if (p.batch_limit == 1) return;
    const loaded n(s.d, p);
    side head(p, n.packed, 2);
    std::vector<frame> frames;
    std::vector<std::vector<float>> alone;
    for (unsigned i = 0; i < static_cast<unsigned>(most); ++i) {
        frames.emplace_back(s.d, p, i + 1);
        head.memory.inputs = frames.back().pointers.data();
        run_whole(p, head.memory);
        alone.push_back(head.outputs);
    }
    for (const std::size_t together : full ? std::vector<std::size_t>{2, 3, 5} : std::vector<std::size_t>{3})
        for (int c = -1; c < static_cast<int>(p.cuts.size()); ++c) {
            if (!full && c > 0 && c + 1 < static_cast<int>(p.cuts.size())) continue;
            std::vector<std::unique_ptr<side>> sides;
            std::vector<frame_memory> memory;
            const int first = c < 0 ? 0 : p.cuts[static_cast<std::size_t>(c)].stage + 1;
            for (std::size_t i = 0; i < together; ++i) {
                sides.push_back(std::make_unique<side>(p, n.packed, 4));
                sides.back()->memory.inputs = frames[i].pointers.data();
                if (c >= 0) {
                    head.memory.inputs = frames[i].pointers.data();
                    std::vector<std::byte> payload(p.cuts[static_cast<std::size_t>(c)].payload_bytes);
                    REQUIRE(p.run(head.memory, 0, first, nullptr));
                    REQUIRE(p.store_payload(head.memory, c, payload.data()) == payload.size());
                    REQUIRE(p.load_payload(sides.back()->memory, c, payload));
                    sides.back()->memory.inputs = nullptr;
                }
                memory.push_back(sides.back()->memory);
            }
            for (int turn = 0; turn < (full || c < 0 ? 2 : 1); ++turn) {
                const long warmed = fake::now.calls_that_allocate;
                REQUIRE(p.run_batch(memory, first, p.stages, nullptr));
                if (turn == 1) CHECK(fake::now.calls_that_allocate == warmed);
                for (std::size_t i = 0; i < together; ++i) {
                    std::vector<float> got = sides[i]->outputs;
                    for (std::size_t k = 0; k < got.size(); ++k)
                        if (!sides[i]->wrote(k)) got[k] = c >= 0 ? alone[i][k] : got[k];     // an exit before the cut
                    CHECK(error_of(p, alone[i], got) <= limit);
                }
            }
            if (c < 0) {        // and stage by stage, as a cloud measures them: between cuts each on its own
                for (const auto& x : sides) std::fill(x->outputs.begin(), x->outputs.end(), 0.0F);
                for (int k = 0; k < p.stages; ++k) REQUIRE(p.run_batch(memory, k, k + 1, nullptr));
                for (std::size_t i = 0; i < together; ++i) CHECK(error_of(p, alone[i], sides[i]->outputs) <= limit);
            }
            for (const auto& x : sides) p.forget(x->memory.arena);      // their arenas go
        }
    CHECK(engine.counters().on_cpu == 0);
    CHECK(engine.counters().reason == "");
    CHECK(engine.counters().batches > 0);
}
} // namespace

TEST_CASE("GPU: frames of a batch, each with a command of its own, get the answers they get alone, behind every cut") {
    for (const bool has_cudnn : {false, true}) {
        fake::now = {};
        {
            const kernels::cudnn::device on(has_cudnn ? with_cudnn() : without_cudnn(), options());
            if (!has_cudnn)
                for (const subject& s : std::getenv("SPLITDSL_TEST_FULL") ? shapes_here() : small_shapes()) compare_batches(on, s, precision::f32, 0);
            std::size_t every = 0;
            for (const subject& s : words_here())
                if (++every % 7 == (has_cudnn ? 0 : 1)) compare_batches(on, s, has_cudnn ? precision::bf16 : precision::f32, has_cudnn ? 1e-2 : 0);
            if (has_cudnn) CHECK(fake::now.convolutions > 0);
        }
        check_clean();
    }
}

TEST_CASE("GPU: a batch that the device fails is answered by the CPU, frame for frame, and a stop is obeyed") {
    for (const subject& s : small_shapes()) {
        if (!s.program.streams.empty()) continue;
        INFO(s.host.network);
        fake::now = {};
        const kernels::cudnn::device on(without_cudnn(), options());
        const loaded on_cpu(s.d, s.host);
        bool survives = false;
        for (long after = 0; !survives && after < 40; after += 2) {
            const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32, .batch = 2});
            const pipeline& p = engine.net_here();
            const loaded n(s.d, p);
            const frame one(s.d, p, 1), two(s.d, p, 2);
            side a(p, n.packed, 0), b(p, n.packed, 1);
            a.memory.inputs = one.pointers.data(), b.memory.inputs = two.pointers.data();
            const frame_memory both[]{a.memory, b.memory};
            const std::atomic<bool> yes{true};
            CHECK_FALSE(p.run_batch(both, 0, p.stages, &yes));
            fake::now.fail_graph_after = fake::now.graph_launches + after;
            CHECK(p.run_batch(both, 0, p.stages, nullptr));
            fake::now.fail_graph_after = -1;
            survives = !engine.counters().lost;
            const auto wanted = on_cpu.whole(one), also = on_cpu.whole(two);
            if (survives) CHECK((error_of(p, wanted, a.outputs) <= codec_tolerance && error_of(p, also, b.outputs) <= codec_tolerance));
            else CHECK((same_bits(a.outputs, wanted) && same_bits(b.outputs, also) && engine.counters().on_cpu == 2 && engine.counters().why == device_failure::lost));
        }
        CHECK(survives);
    }
}

TEST_CASE("GPU: every refusal has a name, and the CPU answers: no memory for weights, arenas or pinned memory, a convolution that does not start, a device lost while an arena opens") {
    const subject s = small_shapes().front();
    const auto answers = [&](const char* what, device_failure why, bool has_cudnn, auto refuse) {
        INFO(what);
        fake::now = {};
        {
            const kernels::cudnn::device on(has_cudnn ? with_cudnn() : without_cudnn(), options());
            const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32, .batch = 2});
            const pipeline& p = engine.net_here();
            const loaded on_cpu(s.d, s.host);
            refuse(fake::now);
            const loaded n(s.d, p);         // lays out the weights, too
            const frame f(s.d, p, 1);
            const bool same = same_bits(n.whole(f), on_cpu.whole(f));
            fake::now.fail_allocation_after = fake::now.fail_pinned_after = fake::now.fail_convolution_after = -1;
            fake::now.room = std::size_t{1} << 30;
            if (engine.counters().reason.empty()) return false;         // it was not asked for so much
            CHECK(same);
            CHECK(engine.counters().why == why);
            CHECK(engine.counters().on_gpu == 0);
            CHECK(engine.counters().lost == (why == device_failure::lost));
            CHECK(engine.counters().reason.find(why == device_failure::out_of_memory ? "CUDA_ERROR_OUT_OF_MEMORY" : why == device_failure::lost ? "CUDA_ERROR_LAUNCH_FAILED" : "cuDNN does not run") != std::string::npos);
        }
        check_clean();
        return true;
    };
    /// At the first request of its kind, the second, ... until all are granted.
    const auto answers_always = [&](const char* what, device_failure why, bool has_cudnn, auto refuse) {
        long k = 0;
        while (answers(what, why, has_cudnn, [&](fake::state& f) { refuse(f, k); })) ++k;
        CHECK(k >= 2);
    };
    CHECK(answers("no room for weights", device_failure::out_of_memory, false, [](fake::state& f) { f.room = 100; }));
    answers_always("no room on the device", device_failure::out_of_memory, false, [](fake::state& f, long k) { f.fail_allocation_after = f.allocations + k, f.failure = kernels::cudnn::driver_out_of_memory; });
    answers_always("no device", device_failure::lost, false, [](fake::state& f, long k) { f.fail_allocation_after = f.allocations + k; });
    answers_always("no pinned memory", device_failure::out_of_memory, false, [](fake::state& f, long k) { f.fail_pinned_after = f.pinned_allocations + k; });
    answers_always("cuDNN refuses a convolution it planned", device_failure::unsupported, true, [](fake::state& f, long k) { f.fail_convolution_after = f.convolutions_asked + k; });
}

TEST_CASE("GPU: pipelines share a device, each on a stream of its own, and devices are told apart") {
    fake::now = {};
    fake::now.devices = 2;
    {
        const kernels::cudnn::device first(with_cudnn(), options()), second(with_cudnn(), {.ordinal = 1, .needs_cudnn = false, .code_folder = ""});
        const auto small = small_shapes();
        std::vector<std::unique_ptr<gpu::gpu_engine>> engines;
        std::vector<std::unique_ptr<loaded>> networks;
        std::vector<const subject*> of;
        for (const kernels::cudnn::device* on : {&first, &second})
            for (std::size_t i = 0; i < 2; ++i) {
                engines.push_back(std::make_unique<gpu::gpu_engine>(*on, small[i].program, small[i].host, gpu::gpu_options{.precision = precision::f32}));
                networks.push_back(std::make_unique<loaded>(small[i].d, engines.back()->net_here()));
                of.push_back(&small[i]);
            }
        // Opened one after another and then in turns: each replays its own graphs.
        std::vector<std::unique_ptr<side>> sides;
        std::vector<std::vector<float>> wanted;
        std::vector<std::unique_ptr<frame>> frames;
        for (std::size_t e = 0; e < engines.size(); ++e) {
            const pipeline& p = engines[e]->net_here();
            frames.push_back(std::make_unique<frame>(of[e]->d, p, 1));
            wanted.push_back(networks[e]->reference(*frames.back()));
            sides.push_back(std::make_unique<side>(p, networks[e]->packed, 0));
            sides.back()->memory.inputs = frames.back()->pointers.data();
            run_whole(p, sides.back()->memory);
        }
        for (std::size_t e = engines.size(); e-- > 0;) {
            std::fill(sides[e]->outputs.begin(), sides[e]->outputs.end(), 0.0F);
            run_whole(engines[e]->net_here(), sides[e]->memory);
            CHECK(error_of(engines[e]->net_here(), wanted[e], sides[e]->outputs) <= codec_tolerance);
            CHECK(engines[e]->counters().on_cpu == 0);
        }
        CHECK(fake::now.streams == 4);
    }
    check_clean();
}

namespace {
/// This machine's GPU, or none and a loud word about it.
std::optional<kernels::cudnn::device>& own_device() {
    static std::optional<kernels::cudnn::device> on;
    if (on) return on;
    try {
        on.emplace(kernels::cudnn::device_options{});
        std::puts(on->description().c_str());
    } catch (const device_error& e) {
        std::puts((std::string("SKIPPED: ") + e.what()).c_str());
        SUCCEED();
    }
    return on;
}
} // namespace

TEST_CASE("GPU: a small network on this machine's own device, whole and cut in two") {
    auto& on = own_device();
    if (!on) return;
    const subject s = small_shapes().front();
    compare(*on, s, precision::f32, 1e-4, codec_tolerance);
    compare(*on, s, precision::f16, 1e-2, 2e-2);
}

TEST_CASE("GPU: on this machine's own device every word and network agrees with the reference, and payloads cross") {
    auto& on = own_device();
    if (!on) return;
    for (const subject& s : words_here()) {
        compare(*on, s, precision::f32, 1e-4, codec_tolerance);
        compare(*on, s, precision::tf32, 5e-3, 1e-2);
        compare(*on, s, precision::f16, 1e-2, 2e-2);
        compare(*on, s, precision::bf16, 6e-2, 8e-2);
    }
    for (const subject& s : shapes_here()) {
        compare(*on, s, precision::f32, 1e-4, codec_tolerance, 2);
        compare_batches(*on, s, precision::f32, codec_tolerance);
    }
    CHECK(payloads_cross(*on) > 8);
}

TEST_CASE("GPU: dynamic pooling's coefficients are the CPU's in both forms, over several octaves and maps that are not square") {
    using namespace kernels::cudnn;
    std::mt19937 engine(3);
    for (const pool_shape shape : {pool_shape{3, 24, 24, 8}, pool_shape{2, 16, 40, 8}, pool_shape{1, 8, 8, 4}})
        for (const float centre : {0.0F, 2.0F, -3.0F}) {
            const int longer = std::max(shape.height, shape.width) / shape.stride;
            const pool_ladder l = pool_ladder_of(shape, {.smallest = longer, .largest = shape.stride >= 8 ? 4 * longer - 1 : 2 * longer, .step = 1});
            REQUIRE(l.levels > 0);
            const auto channels = static_cast<std::size_t>(shape.channels), pixels = static_cast<std::size_t>(shape.height) * static_cast<std::size_t>(shape.width);
            std::normal_distribution<float> normal(centre, 1);
            std::vector<float> planar(channels * pixels), interleaved(planar.size());
            for (float& x : planar) x = centre > 0 ? std::max(0.0F, normal(engine)) : normal(engine);
            for (std::size_t c = 0; c < channels; ++c)
                for (std::size_t k = 0; k < pixels; ++k) interleaved[k * channels + c] = planar[c * pixels + k];
            const std::size_t patches = static_cast<std::size_t>(l.half_rows()) * static_cast<std::size_t>(l.half_columns());
            std::vector<float> means(channels * patches), wanted(means.size()), sums(static_cast<std::size_t>(shape.width));
            const patch_job pool{fake::packed(interleaved.data(), shape.channels), means.data(), shape.channels, l.half_rows(), l.half_columns(), l.half_stride()};
            fake::run_kernel("pool_patches_f32", &pool);
            for (std::size_t c = 0; c < channels; ++c)
                splitdsl::detail::patch_means(planar.data() + c * pixels, l.half_rows(), l.half_columns(), l.half_stride(), wanted.data() + c * patches, sums.data());
            REQUIRE(same_bits(means, wanted));
            const affine_parameters q = pool_parameters_of(splitdsl::detail::range_in_blocks(wanted.data(), wanted.size()));
            std::vector<int> partial(6);
            int parameters[2]{};
            std::vector<short> levels(means.size());
            const affine_job range{fake::packed(means.data(), 1), nullptr, 0, partial.data(), 3, 1, static_cast<long long>(means.size())};
            fake::run_kernel("find_range_f32", &range, 3);
            const patch_levels_job level{means.data(), levels.data(), static_cast<long long>(means.size()), partial.data(), 3, parameters};
            fake::run_kernel("level_patches", &level);
            CHECK(std::bit_cast<float>(parameters[0]) == q.scale);
            CHECK(parameters[1] == q.zero_point);
            std::vector<std::int16_t> levels_wanted(patches);
            for (const pool_form form : {pool_form::lifted, pool_form::means}) {
                const short* quarters = levels.data();
                const float* finer = means.data();
                long long step = static_cast<long long>(patches);
                std::vector<std::vector<short>> kept;
                std::vector<std::vector<float>> kept_means;
                std::vector<std::vector<std::int16_t>> before(channels);
                std::vector<std::vector<float>> before_means(channels);
                for (std::size_t c = 0; c < channels; ++c) {
                    before[c].resize(patches);
                    splitdsl::detail::quantise_patches(wanted.data() + c * patches, patches, q, before[c].data());
                    before_means[c].assign(wanted.begin() + static_cast<std::ptrdiff_t>(c * patches), wanted.begin() + static_cast<std::ptrdiff_t>((c + 1) * patches));
                }
                for (int o = l.octaves - 1; o >= 0; --o) {
                    const int rows = l.cell_rows(o), columns = l.cell_columns(o);
                    const std::size_t cells = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
                    std::vector<std::uint8_t> row_level, column_level;
                    std::vector<std::int16_t> row_wise;
                    for (int r = 0; r < rows; ++r) row_level.push_back(static_cast<std::uint8_t>(l.level_of_row(o, r))), row_wise.push_back(static_cast<std::int16_t>(l.first_row_wise(r)));
                    for (int c = 0; c < columns; ++c) column_level.push_back(static_cast<std::uint8_t>(l.level_of_column(o, c)));
                    std::vector<short>& planes = kept.emplace_back(4 * cells * channels);
                    std::vector<float>& whole = kept_means.emplace_back(cells * channels);
                    const octave_job job{quarters, finer, whole.data(), planes.data(), planes.data() + cells, planes.data() + 2 * cells, planes.data() + 3 * cells, nullptr, row_wise.data(), row_level.data(),
                                         column_level.data(), parameters, shape.channels, rows, columns, step, static_cast<long long>(cells), static_cast<long long>(4 * cells)};
                    fake::run_kernel(form == pool_form::lifted ? "lift_cells" : "average_cells", &job);
                    for (std::size_t c = 0; c < channels; ++c) {
                        std::vector<std::int16_t> here(4 * cells);
                        std::vector<float> coarser(cells);
                        const splitdsl::detail::octave_view v{rows, columns, here.data(), here.data() + cells, here.data() + 2 * cells, here.data() + 3 * cells, row_level.data(), column_level.data(), row_wise.data()};
                        if (form == pool_form::lifted) splitdsl::detail::lift_octave(before[c].data(), v);
                        else splitdsl::detail::average_octave(before_means[c].data(), v, q, coarser.data());
                        CHECK(std::memcmp(here.data(), planes.data() + c * 4 * cells, 8 * cells) == 0);
                        if (form == pool_form::means) CHECK(std::memcmp(coarser.data(), whole.data() + c * cells, 4 * cells) == 0);
                        before[c].assign(here.begin(), here.begin() + static_cast<std::ptrdiff_t>(cells));
                        before_means[c] = coarser;
                    }
                    quarters = planes.data();
                    finer = whole.data();
                    step = form == pool_form::lifted ? static_cast<long long>(4 * cells) : static_cast<long long>(cells);
                }
            }
        }
}

namespace {
/// Takes everything and keeps it.
struct keeping_stream final : link::stream {
    std::vector<std::byte> kept;
    link::io write(std::span<const std::byte> from) noexcept override { return kept.insert(kept.end(), from.begin(), from.end()), link::io{link::io_result::ok, from.size()}; }
    link::io read(std::span<std::byte>) noexcept override { return {link::io_result::would_block, 0}; }
    bool wait(bool, bool, duration) noexcept override { return false; }
    void wake() noexcept override {}
    void shutdown() noexcept override {}
};
} // namespace

TEST_CASE("GPU: a stream that the device pooled goes over the air with the bytes of the one the CPU pooled, and the CPU pools where the device failed") {
    int streams = 0;
    for (const subject& s : shapes_here())
        for (const pool_form form : {pool_form::lifted, pool_form::means})
            for (const bool fails : {false, true}) {
                if (s.host.stream_count == 0) continue;
                INFO(s.host.network);
                fake::now = {};
                {
                    const kernels::cudnn::device on(without_cudnn(), options());
                    const gpu::gpu_engine engine(on, s.program, s.host, {.precision = precision::f32, .streams = form});
                    const pipeline& p = engine.net_here();
                    const loaded n(s.d, p);
                    const frame f(s.d, p, 1);
                    side here(p, n.packed, 0);
                    here.memory.inputs = f.pointers.data();
                    edge_streams ours(p, {.window_bytes = 0, .coding = {.form = form}, .pooler = &engine}), theirs(p, {.window_bytes = 0, .coding = {.form = form}});
                    ours.restart(true);
                    theirs.restart(true);
                    REQUIRE(p.run(here.memory, 0, 1, nullptr));
                    if (fails) fake::now.fail_graph_after = 0;
                    for (int k = 0; k < p.stages; ++k) {
                        REQUIRE(p.run(here.memory, k, k + 1, nullptr));
                        for (int i = 0; i < p.stream_count; ++i) {
                            if (p.streams[i].stage != k) continue;
                            ++streams;
                            CHECK(engine.pooled(i, here.memory.arena).coefficients.empty() == fails);
                            const edge_stream_hooks::order all{.frame = 1, .epoch = 1, .stream = i, .first = 0, .last = 63, .stage = k, .due = instant{}};
                            keeping_stream a, b;
                            bool room = true;
                            std::size_t written = 0;
                            REQUIRE(ours.start(all, here.memory.arena, instant{}));
                            REQUIRE(theirs.start(all, here.memory.arena, instant{}));
                            CHECK(ours.write(a, false, room, written));
                            CHECK(theirs.write(b, false, room, written));
                            CHECK(a.kept.size() > 100);
                            CHECK(a.kept == b.kept);
                        }
                    }
                    CHECK(engine.counters().lost == fails);
                }
                check_clean();
            }
    CHECK(streams >= 8);
}

TEST_CASE("GPU: RoIAlign samples where the CPU's does") {
    using namespace kernels::cudnn;
    std::mt19937 engine(4);
    std::uniform_real_distribution<float> anywhere(-40, 200), value(-1, 1);
    const int channels = 3, height = 11, width = 17;
    std::vector<float> planar(static_cast<std::size_t>(channels * height * width)), interleaved(planar.size());
    for (float& x : planar) x = value(engine);
    for (int c = 0; c < channels; ++c)
        for (int k = 0; k < height * width; ++k) interleaved[static_cast<std::size_t>(k * channels + c)] = planar[static_cast<std::size_t>(c * height * width + k)];
    std::vector<float> boxes;
    for (int r = 0; r < 20; ++r)
        for (int k = 0; k < 4; ++k) boxes.push_back(anywhere(engine));
    for (const bool aligned : {false, true}) {
        std::vector<float> got(20 * 3 * 49), wanted(got.size());
        const region_job job{fake::packed(interleaved.data(), channels), got.data(), boxes.data(), channels, height, width, 20, 7, 7, 2, aligned, 0.0625F};
        fake::run_kernel("align_regions_f32", &job);
        detect::roi_align align(7, 2, aligned);
        for (std::size_t r = 0; r < 20; ++r)
            align({planar.data(), channels, height, width, 0.0625F}, {boxes[4 * r], boxes[4 * r + 1], boxes[4 * r + 2], boxes[4 * r + 3]}, wanted.data() + r * 3 * 49);
        for (std::size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - wanted[i]) <= 1e-5F);
    }
}

TEST_CASE("GPU: the energy counter begins at zero, grows, and says why there is none") {
    static unsigned long long now;
    now = 5'000;
    const nvml_api working{[] { return 0; }, [](unsigned, void** h) { return *h = &now, 0; }, [](void*, unsigned long long* mj) { return *mj = now, 0; }, nullptr};
    auto opened = open_nvml_meter(working);
    REQUIRE(opened.meter);
    CHECK(opened.meter->total().value == 0);
    now = 7'500;
    CHECK(opened.meter->total().value == Approx(2.5));
    now = 100;          // a counter that falls is not believed
    CHECK(opened.meter->total().value == Approx(2.5));
    nvml_api refused = working;
    refused.energy = [](void*, unsigned long long*) { return 3; };
    CHECK(open_nvml_meter(refused).reason == "no energy counter: NVML's counter failed (3)");
}

TEST_CASE("GPU: what is missing is said in one sentence") {
    fake::now = {};
    const auto why = [](auto act) {
        try {
            act();
        } catch (const device_error& e) {
            return std::pair{e.why, std::string(e.what())};
        }
        return std::pair{device_failure::lost, std::string("nothing")};
    };
    const auto second = why([] { kernels::cudnn::device d(without_cudnn(), {.ordinal = 3}); });
    CHECK(second.first == device_failure::no_device);
    CHECK(second.second == "GPU 3 was expected; the driver sees 1");
    const auto library = why([] { kernels::cudnn::detail::load("cuDNN 9", {"/nowhere"}, {"libno_such_library.so.9"}, {}); });
    CHECK(library.first == device_failure::missing);
    CHECK(library.second.starts_with("cuDNN 9 was expected as libno_such_library.so.9 and not found ("));
    void (*function)() = nullptr;
    const auto old = why([&] { kernels::cudnn::detail::load("libm", {}, {"libm.so.6"}, {kernels::cudnn::detail::entry("no_such_function", function)}); });
    CHECK(old.first == device_failure::too_old);
    CHECK(fake::now.contexts == 0);
}
