// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file robot.cpp
/// What a robot's shared library offers: one function, the network behind it.
#include "tiny.hpp"

#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <array>

float sum_of_probabilities() {
    using namespace splitdsl;
    const auto weights = seeded_weights<tiny>(1);
    const pipeline& net = weights.net();
    const std::array<float, 64> image{};
    const aligned_buffer arena{net.arena_bytes};
    std::array<float, 2> answer{};
    const void* const inputs[]{image.data()};
    net.run({arena.data(), weights.bytes().data(), inputs, answer.data(), nullptr}, 0, net.stages, nullptr);
    return answer[0] + answer[1];
}
