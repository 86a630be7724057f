// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
// title: a user's first file: a declaration, its code, an edge over TCP under policy sage
// flags: -O0
// limit: 8 s
/// @file quick_start.cpp
/// Everything the first program needs in one file, as a debug build compiles it.
#include <splitdsl/language.hpp>
#include <splitdsl/link/tcp.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/runtime/edge.hpp>
#include <splitdsl/runtime/executor.hpp>

#include <array>
#include <cstdio>
#include <vector>

constexpr auto layer(int channels, splitdsl::window w) {
    using namespace splitdsl;
    return named("conv", conv(channels, w)) | named("bn", batch_norm()) | relu();
}

struct lane_keeper {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("camera", u8, {.channels = 3, .height = 88, .width = 200}) | normalise(imagenet)
             | head("car", named("stem", layer(24, {.kernel = 5, .stride = 2})))
             | bottleneck("uplink", named("squeeze", conv(3, {.kernel = 3, .stride = 2})), affine_u8())
             | tail("cloud", repeat<4>([](int i) { return named("layer", named(i, layer(48, {.kernel = 3}))); }) | global_pool() | named("control", dense(3)));
    }
};
static_assert(splitdsl::check<lane_keeper>);

int main() {
    using namespace splitdsl;
    using namespace std::chrono_literals;
    const auto weights = load_weights<lane_keeper>("lane_keeper.safetensors");
    deployment costs{.cuts = 1, .deadline = 100ms};
    costs.cut[0].payload = {static_cast<double>(payload_bytes<lane_keeper>("uplink"))};
    edge<lane_keeper, policy::sage> car{weights, policy::sage{costs}, {.deadline = 100ms}, link::tcp{"tail.local", 7447}};
    std::vector<std::byte> camera(std::size_t{3} * 88 * 200);
    std::array<float, 3> control{};
    const answer a = car.infer(std::array{std::span<const std::byte>{camera}}, control);
    std::printf("%s %f\n", to_text(a.source), static_cast<double>(control[0]));
}
