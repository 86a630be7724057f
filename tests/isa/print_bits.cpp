// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file print_bits.cpp
/// Prints the dispatched network's answer bit for bit.
#include "dispatched.hpp"

#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <cstdio>
#include <vector>

int main() {
    using namespace splitdsl;
    const auto weights = seeded_weights<isa::dispatched>(7);
    const pipeline& net = weights.net();
    std::vector<std::byte> picture(net.inputs[0].bytes);
    for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<std::byte>(i * 37 % 251);
    const aligned_buffer arena{net.arena_bytes};
    std::vector<float> answer(net.output_floats);
    const void* const inputs[]{picture.data()};
    net.run({arena.data(), weights.bytes().data(), inputs, answer.data(), nullptr}, 0, net.stages, nullptr);
    for (const float value : answer) std::printf("%a\n", static_cast<double>(value));
}
