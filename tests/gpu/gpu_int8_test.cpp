// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_int8_test.cpp
/// Networks on bytes on a device made of host memory: every byte of every tensor must be the processor's.
#include "../catch.hpp"
#include "fake_device.hpp"
#include "own_device.hpp"

#include <splitdsl/gpu/gpu_pipeline.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/parameters.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

namespace {
using namespace splitdsl;
using gpu::precision;

kernels::cudnn::libraries made_up(bool has_cudnn) { return {fake::driver(), fake::compiler(), has_cudnn ? fake::network() : kernels::cudnn::network_api{}, ""}; }
kernels::cudnn::device_options options() { return {.needs_cudnn = false, .code_folder = "", .chooses_by_time = false}; }

/// A picture; odd channels, strides and padding; dilation; both depthwise kernels; a residual; every activation that stays on bytes.
struct picture {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 19, .width = 23}) | normalise(imagenet) | named("stem", conv(13, {.kernel = 3, .stride = 2, .pad = 1})) | named("norm", batch_norm()) | relu6()
             | residual(named("deep", conv(13, {.kernel = 3, .pad = 1, .groups = 13})) | relu() | named("project", conv(13, {})))
             | cut("middle") | named("deep2", conv(13, {.kernel = 5, .stride = 2, .pad = 2, .groups = 13})) | relu6()
             | named("wide", conv(37, {.kernel = 3, .pad = padding{1, 0, 2, 1}})) | named("apart", conv(6, {.kernel = 3, .pad = 2, .dilation = 2})) | relu()
             | global_pool() | named("classes", dense(7)) | sigmoid();
    }
};
struct picture_bytes : int8<picture> {};
/// Floats in front and between: an activation that no byte has, and a layer whose neighbours are bytes.
struct mixed {
    static constexpr auto graph() {
        return input("values", f32, {.channels = 5, .height = 12, .width = 11}) | named("stem", conv(16, {.kernel = 3, .stride = 2, .pad = 1})) | tanh()
             | named("wide", conv(24, {.kernel = 3, .pad = 1})) | relu() | cut("first") | named("kept", conv(24, {.kernel = 1})) | relu() | cut("second", affine_u8())
             | named("last", conv(10, {.kernel = 3})) | flatten() | named("fc", dense(9)) | relu() | named("out", dense(3));
    }
};
struct mixed_bytes : int8<mixed> {
    static constexpr std::array<text, 1> keep_f32{"kept"};
};
/// What happens on bytes between layers: pools, joined channels, a norm and activations of their own, an add that no layer takes in, a factor for each channel.
struct between {
    static constexpr auto part(text name, int channels) { return named(name, conv(channels, {.kernel = 1})); }
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 21, .width = 17}) | normalise(imagenet) | named("stem", conv(20, {.kernel = 3, .stride = 2, .pad = 1})) | hard_swish()
             | max_pool({.kernel = 3, .stride = 2, .pad = 1}) | concat(part("a", 10) | relu(), part("b", 7) | hard_sigmoid()) | named("norm", batch_norm()) | relu6()
             | avg_pool({.kernel = 3, .stride = 1, .pad = 1}) | hard_swish() | add(identity(), identity() | max_pool({.kernel = 3, .stride = 1, .pad = 1})) | relu()
             | multiply(identity(), global_pool() | part("squeeze", 5) | relu() | part("excite", 17) | hard_sigmoid()) | cut("middle")
             | named("deep", conv(17, {.kernel = 3, .pad = 1, .groups = 17})) | hard_swish() | named("last", conv(9, {.kernel = 3})) | global_pool() | named("out", dense(7));
    }
};
struct between_bytes : int8<between> {};
/// Branches that a command chooses between, with bytes inside them.
struct chosen {
    static constexpr auto branch(text name, int kernel) { return named(name, named("fc", conv(8, {.kernel = kernel})) | relu() | named("out", conv(5, {.kernel = 1}))); }
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 9, .width = 8}) | normalise(imagenet) | named("stem", conv(8, {.kernel = 3})) | relu()
             | select("command", branch("a", 3), branch("b", 1)) | global_pool() | named("out", dense(4));
    }
};
struct chosen_bytes : int8<chosen> {};
/// Bytes that become floats in whichever branch runs, and once more behind it.
struct floats_in_branches {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 9, .width = 8}) | normalise(imagenet) | named("stem", conv(8, {.kernel = 3})) | relu()
             | tap("t", named("more", conv(8, {.kernel = 1}))) | select("command", tanh() | named("a", conv(8, {.kernel = 1})) | tanh(), add(identity(), from("t") | sigmoid()))
             | add(identity(), from("t") | tanh()) | global_pool() | named("out", dense(4));
    }
};
struct floats_in_branches_bytes : int8<floats_in_branches> {};

template <class Network>
std::vector<std::vector<float>> values_of(unsigned seed) {
    std::mt19937 bits{seed};
    std::normal_distribution<float> normal(0, 1);
    std::vector<std::vector<float>> all;
    for (const parameter& p : parameters<Network>()) {
        auto& v = all.emplace_back(static_cast<std::size_t>(p.size()));
        float fan = 1;
        for (std::size_t k = 1; k < p.dims.size(); ++k) fan *= static_cast<float>(p.dims[k]);
        for (std::size_t i = 0; i < v.size(); ++i) {
            const float n = normal(bits);
            // Ranges of several widths, with and without negative values, and some that values leave.
            if (p.name == "int8.ranges") v[i] = i % 2 == 0 ? ((i / 2 + seed) % 2 == 0 ? -1.0F - std::abs(n) : 0.0F) : 2.0F + std::abs(n);
            else if (p.name == "int8.shifts") v[i] = 0.05F * n;
            else if (p.name.ends_with("running_var")) v[i] = 0.5F + std::abs(n);
            else v[i] = p.dims.size() > 1 ? n * std::sqrt(2 / fan) : 0.3F * n;
        }
    }
    return all;
}

struct picture_frame {
    std::vector<std::vector<std::byte>> bytes;
    std::vector<const void*> pointers;
    picture_frame(const pipeline& p, unsigned seed) {
        std::mt19937 bits{seed};
        std::normal_distribution<float> normal(0, 1);
        for (const tensor_info& t : p.inputs) {
            auto& b = bytes.emplace_back(t.bytes);
            const auto values = static_cast<std::size_t>(t.channels) * static_cast<std::size_t>(t.height) * static_cast<std::size_t>(t.width);
            for (std::size_t i = 0; i < t.bytes; ++i) b[i] = static_cast<std::byte>(bits() & 255U);
            if (std::string_view(t.name) == "command") b[0] = static_cast<std::byte>(seed % 2);
            for (std::size_t i = 0; t.bytes == 4 * values && i < values; ++i) {
                const float x = normal(bits);
                std::memcpy(b.data() + 4 * i, &x, 4);
            }
            pointers.push_back(b.data());
        }
    }
};

/// One pipeline with weights, arena and outputs of its own.
struct runner {
    const pipeline& p;
    aligned_buffer packed, arena;
    std::vector<float> outputs;
    runner(const pipeline& with, const std::vector<std::vector<float>>& values) : p{with}, packed(with.packed_bytes), arena(with.arena_bytes), outputs(with.output_floats) {
        std::vector<const float*> pointers;
        for (const auto& v : values) pointers.push_back(v.data());
        p.pack(pointers.data(), packed.data());
        std::memset(arena.data(), 0x5a, p.arena_bytes);
    }
    frame_memory memory(const picture_frame* f) { return {arena.data(), packed.data(), f ? f->pointers.data() : nullptr, outputs.data(), nullptr}; }
    std::vector<float> whole(const picture_frame& f) {
        REQUIRE(p.run(memory(&f), 0, p.stages, nullptr));
        return outputs;
    }
    std::vector<std::byte> head(const picture_frame& f, int cut) {
        std::vector<std::byte> payload(p.cuts[static_cast<std::size_t>(cut)].payload_bytes);
        REQUIRE(p.run(memory(&f), 0, p.cuts[static_cast<std::size_t>(cut)].stage + 1, nullptr));
        REQUIRE(p.store_payload(memory(&f), cut, payload.data()) == payload.size());
        return payload;
    }
    std::vector<float> tail(const std::vector<std::byte>& payload, int cut) {
        std::fill(outputs.begin(), outputs.end(), 0.0F);
        REQUIRE(p.load_payload(memory(nullptr), cut, payload));
        REQUIRE(p.run(memory(nullptr), p.cuts[static_cast<std::size_t>(cut)].stage + 1, p.stages, nullptr));
        return outputs;
    }
};
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) { return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0; }
double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double worst = a.size() == b.size() ? 0 : INFINITY;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    return worst;
}
void check_clean() {
    const fake::state& f = fake::now;
    CHECK(f.wrong == "");
    CHECK(f.memory.empty());
    CHECK(f.pinned.empty());
    CHECK(f.streams + f.graphs + f.executables + f.modules + f.contexts + f.descriptors + f.handles == 0);
}

template <class Network>
void compare_every_byte(const kernels::cudnn::device& on) {
    using network = observed<Network, false>;               // every tensor of bytes is among the outputs
    const gpu::gpu_engine engine(on, gpu::program_of<network>(), pipeline_of<network>(), {.precision = precision::f32, .batch = 3});
    std::vector<float> before;
    for (unsigned seed = 1; seed <= 3; ++seed) {
        const auto values = values_of<network>(seed);
        runner device(engine.net_here(), values), host(pipeline_of<network>(), values);
        const picture_frame f(host.p, seed);
        const auto wanted = host.whole(f), got = device.whole(f);
        // The sigmoid of the answer is another function here; all that stands behind it are bytes.
        CHECK(largest_difference({wanted.begin(), wanted.begin() + 7}, {got.begin(), got.begin() + 7}) < 1e-5);
        CHECK(same_bits({wanted.begin() + 7, wanted.end()}, {got.begin() + 7, got.end()}));
        CHECK(wanted != before);
        before = wanted;
        const auto payload = device.head(f, 0);
        CHECK(payload == host.head(f, 0));
        const auto tail = device.tail(payload, 0), tail_wanted = host.tail(payload, 0);
        CHECK(same_bits({tail_wanted.begin() + 7, tail_wanted.end()}, {tail.begin() + 7, tail.end()}));
        CHECK(std::count(tail.begin(), tail.end(), 0.0F) < std::ssize(tail));
        std::vector<picture_frame> frames;
        std::vector<std::unique_ptr<runner>> sides;
        std::vector<frame_memory> together;
        std::vector<std::vector<float>> alone;
        for (unsigned i = 0; i < 3; ++i) {
            frames.emplace_back(host.p, 10 * seed + i);
            sides.push_back(std::make_unique<runner>(engine.net_here(), values));
        }
        for (unsigned i = 0; i < 3; ++i) {
            alone.push_back(host.whole(frames[i]));
            together.push_back(sides[i]->memory(&frames[i]));
            together.back().packed_weights = sides[0]->packed.data();
        }
        REQUIRE(engine.net_here().run_batch(together, 0, host.p.stages, nullptr));
        for (std::size_t i = 0; i < 3; ++i) CHECK(same_bits({alone[i].begin() + 7, alone[i].end()}, {sides[i]->outputs.begin() + 7, sides[i]->outputs.end()}));
    }
    CHECK(engine.counters().on_cpu == 0);
    CHECK(engine.counters().batches == 3);
}
void compare_in_16_bits(const kernels::cudnn::device& on) {
    for (const precision how : {precision::f16, precision::bf16}) {
        const gpu::gpu_engine engine(on, gpu::program_of<picture_bytes>(), pipeline_of<picture_bytes>(), {.precision = how});
        const auto values = values_of<picture_bytes>(4);
        runner device(engine.net_here(), values), host(pipeline_of<picture_bytes>(), values);
        const picture_frame f(host.p, 4);
        const auto wanted = host.whole(f);
        CHECK(largest_difference(wanted, device.whole(f)) < 1e-2);
        const auto payload = device.head(f, 0);
        CHECK(payload == host.head(f, 0));
        CHECK(largest_difference(wanted, device.tail(payload, 0)) < 1e-2);
        CHECK(same_bits(wanted, host.tail(payload, 0)));
    }
}
void compare_with_floats_between(const kernels::cudnn::device& on) {
    const gpu::gpu_engine engine(on, gpu::program_of<mixed_bytes>(), pipeline_of<mixed_bytes>(), {.precision = precision::f32, .batch = 2});
    const auto values = values_of<mixed_bytes>(5);
    runner device(engine.net_here(), values), host(pipeline_of<mixed_bytes>(), values);
    const picture_frame f(host.p, 6);
    const auto wanted = host.whole(f), got = device.whole(f);
    // A sum of floats in another order may fall to the other side of two bytes.
    CHECK(largest_difference(wanted, got) < 0.05);
    for (int c = 0; c < 2; ++c) {
        const auto payload = device.head(f, c);
        if (c == 0) CHECK(payload == host.head(f, c));
        CHECK(same_bits(device.tail(payload, c), got));
        CHECK(largest_difference(host.tail(payload, c), got) < 0.05);
    }
}
template <class Network>
void compare_branches(const kernels::cudnn::device& on) {
    const gpu::gpu_engine engine(on, gpu::program_of<Network>(), pipeline_of<Network>(), {.precision = precision::f32, .batch = 2});
    const auto values = values_of<Network>(9);
    runner one(engine.net_here(), values), two(engine.net_here(), values), host(pipeline_of<Network>(), values);
    const picture_frame a(host.p, 2), b(host.p, 3);
    const auto first = host.whole(a), second = host.whole(b);
    // A mean of floats in another order may fall to the other side of two bytes.
    CHECK(largest_difference(first, one.whole(a)) < 0.05);
    CHECK(largest_difference(second, two.whole(b)) < 0.05);
    const auto alone = one.whole(a), also = one.whole(b);
    const frame_memory both[]{one.memory(&a), two.memory(&b)};
    REQUIRE(engine.net_here().run_batch(both, 0, host.p.stages, nullptr));
    CHECK(same_bits(one.outputs, alone));
    CHECK(same_bits(two.outputs, also));
}
/// Eight frames: the dense layer is a product of matrices, and has the bits of a frame alone.
void compare_batches_of_eight(const kernels::cudnn::device& on) {
    const gpu::gpu_engine engine(on, gpu::program_of<picture_bytes>(), pipeline_of<picture_bytes>(), {.precision = precision::f32, .batch = 8});
    const auto values = values_of<picture_bytes>(13);
    runner alone(engine.net_here(), values);
    std::vector<picture_frame> frames;
    std::vector<std::unique_ptr<runner>> sides;
    std::vector<frame_memory> together;
    for (unsigned i = 0; i < 8; ++i) {
        frames.emplace_back(alone.p, 30 + i);
        sides.push_back(std::make_unique<runner>(engine.net_here(), values));
    }
    for (unsigned i = 0; i < 8; ++i) {
        together.push_back(sides[i]->memory(&frames[i]));
        together.back().packed_weights = sides[0]->packed.data();
    }
    REQUIRE(engine.net_here().run_batch(together, 0, alone.p.stages, nullptr));
    for (std::size_t i = 0; i < 8; ++i) CHECK(same_bits(alone.whole(frames[i]), sides[i]->outputs));
    CHECK(engine.counters().batches == 1);
    CHECK(engine.counters().on_cpu == 0);
}
/// Kernels whose name begins so, started by the made-up device.
long started(std::string_view with) {
    long n = 0;
    for (const auto& [name, count] : fake::now.started)
        if (name.starts_with(with)) n += count;
    return n;
}
template <class Compare>
void on_made_up_device(bool has_cudnn, Compare compare, int capability = 90) {
    fake::now = {};
    fake::now.major = capability / 10, fake::now.minor = capability % 10;
    compare(kernels::cudnn::device(made_up(has_cudnn), options()));
    check_clean();
}
} // namespace

TEST_CASE("GPU: a network on bytes has the processor's bytes in every tensor, and its payloads, whole, split and in batches") {
    on_made_up_device(false, compare_every_byte<picture_bytes>);
    CHECK(started("convolve_tiles_of_picture") > 0);
    CHECK(started("convolve_tiles_") > started("convolve_tiles_of_picture"));
    CHECK(started("convolve_bytes") > started("convolve_bytes_depthwise"));        // of a few outputs
    on_made_up_device(false, compare_every_byte<between_bytes>);
    const gpu::program p = gpu::program_of<between_bytes>();
    using enum graph::step_kind;
    for (const graph::step_kind k : {load_u8, conv_u8, depthwise_u8, dense_u8, max_pool_u8, avg_pool_u8, global_pool_u8, pointwise_u8, multiply_u8})
        CHECK(std::any_of(p.steps.begin(), p.steps.end(), [&](const gpu::step& s) { return s.plan.kind == k; }));
}

TEST_CASE("GPU: without tensor cores for bytes a network on bytes has the processor's bytes as well") {
    on_made_up_device(false, compare_every_byte<picture_bytes>, 72);
    CHECK(started("convolve_tiles_") == 0);
    CHECK(started("multiply_row_tiles") == 0);
}

TEST_CASE("GPU: a network on bytes answers in a batch of eight, its dense layer in tiles, as alone") {
    on_made_up_device(false, compare_batches_of_eight);
    CHECK(started("multiply_row_tiles") > 0);
    CHECK(started("multiply_rows_of_bytes") > 0);
    on_made_up_device(false, compare_batches_of_eight, 72);
    CHECK(started("multiply_row_tiles") == 0);
}

TEST_CASE("GPU: in 16 bits a network on bytes sends the same payload and answers within 1e-2") {
    on_made_up_device(true, compare_in_16_bits);
    CHECK(fake::now.convolutions == 0);     // no convolution of this network is cuDNN's
}

TEST_CASE("GPU: layers of an int8 network that stay in floats run between conversions, with cuDNN where it has them") {
    for (const bool has_cudnn : {false, true}) {
        on_made_up_device(has_cudnn, compare_with_floats_between);
        CHECK((fake::now.convolutions > 0) == has_cudnn);
    }
}

TEST_CASE("GPU: bytes inside the branches of a select, alone and in a batch with both branches") {
    on_made_up_device(false, compare_branches<chosen_bytes>);
    on_made_up_device(false, compare_branches<floats_in_branches_bytes>);
}

TEST_CASE("GPU: a small network on bytes on this machine's own device") {
    auto& on = gpu_tests::own_device();
    if (!on) return;
    compare_every_byte<picture_bytes>(*on);
    compare_every_byte<between_bytes>(*on);
    compare_in_16_bits(*on);
    compare_with_floats_between(*on);
    compare_branches<chosen_bytes>(*on);
    compare_branches<floats_in_branches_bytes>(*on);
    compare_batches_of_eight(*on);
}

TEST_CASE("GPU: an int8 network on a device that fails is answered by the CPU, byte for byte") {
    fake::now = {};
    {
        const kernels::cudnn::device on(made_up(false), options());
        const gpu::gpu_engine engine(on, gpu::program_of<picture_bytes>(), pipeline_of<picture_bytes>(), {.precision = precision::f32});
        const auto values = values_of<picture_bytes>(7);
        runner device(engine.net_here(), values), host(pipeline_of<picture_bytes>(), values);
        const picture_frame f(host.p, 8);
        const auto wanted = host.whole(f);
        REQUIRE(device.p.run(device.memory(&f), 0, 1, nullptr));
        fake::now.fail_graph_after = fake::now.graph_launches;
        REQUIRE(device.p.run(device.memory(&f), 1, device.p.stages, nullptr));     // from the payload that the device left
        CHECK(same_bits(device.outputs, wanted));
        CHECK(engine.counters().lost);
        CHECK(engine.counters().on_cpu == 1);
    }
    check_clean();
}

TEST_CASE("GPU: a network with a step on bytes that the device has no kernel for is the CPU's, and says so") {
    fake::now = {};
    {
        const kernels::cudnn::device on(made_up(false), options());
        gpu::program program = gpu::program_of<picture_bytes>();
        for (gpu::step& s : program.steps)
            if (s.plan.kind == graph::step_kind::conv_u8) s.plan.activation = graph::activation_kind::tanh;
        const gpu::gpu_engine engine(on, program, pipeline_of<picture_bytes>(), {.batch = 2});
        const auto values = values_of<picture_bytes>(11);
        runner device(engine.net_here(), values), host(pipeline_of<picture_bytes>(), values);
        const picture_frame f(host.p, 12);
        CHECK(same_bits(device.whole(f), host.whole(f)));
        CHECK(device.head(f, 0) == host.head(f, 0));
        CHECK(engine.counters().on_gpu == 0);
        CHECK(engine.counters().on_cpu == 2);
        CHECK_FALSE(engine.counters().lost);
        CHECK(engine.counters().why == device_failure::unsupported);
        CHECK(engine.counters().reason.find("has steps on bytes for which the device has no kernel") != std::string::npos);
        CHECK(fake::now.memory.empty());
    }
    check_clean();
}
