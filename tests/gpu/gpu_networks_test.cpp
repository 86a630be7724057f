// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_networks_test.cpp
/// The GPU's executor without a GPU: the whole of it runs on a device made of host memory and must agree with the CPU, frame by frame and in batches.
#include "own_device.hpp"
#include "subjects.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>

using namespace gpu_tests;

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
    REQUIRE(p.batch_limit == most);
    if (!s.program.streams.empty()) return;         // gpu_maps_test.cpp
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

TEST_CASE("GPU: copies run beside kernels where there is something to run beside, and whichever comes first, nothing waits for too little") {
    std::map<std::string, int> overlaps;
    for (const fake::stream_order order : {fake::stream_order::others_first, fake::stream_order::others_last}) {
        const auto on_device = [&](bool has_cudnn, auto act) {
            fake::now = {};
            fake::now.order = order;
            act(kernels::cudnn::device(has_cudnn ? with_cudnn() : without_cudnn(), options()));
            check_clean();
        };
        const bool late = order == fake::stream_order::others_last;
        for (const subject& s : shapes_here()) {
            on_device(late, [&](const kernels::cudnn::device& on) { compare(on, s, precision::f32, tolerance, codec_tolerance); });
            overlaps[s.host.network] += fake::now.overlaps;
        }
        for (const subject& s : small_shapes()) on_device(!late, [&](const kernels::cudnn::device& on) { compare_batches(on, s, precision::f32, codec_tolerance); });
    }
    CHECK(overlaps["three_cameras"] > 0);       // inputs beside heads, what crosses beside codecs
    CHECK(overlaps["three_tasks"] > 0);         // a task's output beside the next task
    CHECK(overlaps["unet"] > 0);
    CHECK(overlaps["three_tier"] == 0);         // one input, one output, one tensor a cut: a chain
}

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
