// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file byte_code.hpp
/// What each instruction set's object offers to time layers on bytes: plain data and pointers, no vector code.
#pragma once

#include "layer_code.hpp"

#include <cstdint>

namespace timed {

/// Values of a picture's bytes: byte / 255. Of the output's: byte * out_scale(l), which leaves little above 255.
inline constexpr float in_scale = 1.0F / 255;
float out_scale(const layer&);

/// One instruction set's kernels on bytes, with ReLU. Buffers are 64-byte aligned; tensors have their halo.
struct byte_code {
    const char* instruction_set{};
    const char* products{};                                                 ///< the instruction that multiplies
    std::size_t (*in_bytes)(const layer&){};
    std::size_t (*out_bytes)(const layer&){};
    std::size_t (*packed_floats)(const layer&){};
    void (*pack)(const layer&, const float* weight, float* packed){};       ///< weight (out, in / groups, kernel, kernel)
    void (*fill)(const layer&, const std::uint8_t* planar, std::uint8_t* in){}; ///< planar (in, height, width)
    void (*run)(const layer&, std::uint8_t* in, const float* packed, std::uint8_t* out){};
    std::uint8_t (*at)(const layer&, const std::uint8_t* out, int channel, int y, int x){};
    double (*multiply_adds)(long times){};                                  ///< as many products of bytes, added to sums, as it returns; 0: no instruction adds four
};

template <splitdsl::instruction_set Set>
const byte_code& byte_code_for();
/// The widest that runs here, or the one SPLITDSL_ISA names.
const byte_code& chosen_byte_code();

} // namespace timed
