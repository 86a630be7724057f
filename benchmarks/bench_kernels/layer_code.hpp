// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file layer_code.hpp
/// Convolution layers and what each instruction set's object offers to time them: plain data and pointers, no vector code.
#pragma once

#include <splitdsl/graph/winograd.hpp>
#include <splitdsl/runtime/dispatch.hpp>

#include <cstddef>

namespace timed {

/// A convolution with padding kernel / 2. groups: 1, or the channels (depthwise). rows: of the kernel, where it is not square.
struct layer {
    const char* name{};
    int in{}, height{}, width{}, out{}, kernel{}, stride{1}, groups{1}, rows{kernel};
    constexpr int taps() const { return rows * kernel; }
    constexpr int out_height() const { return (height - 1) / stride + 1; }
    constexpr int out_width() const { return (width - 1) / stride + 1; }
    constexpr double macs() const { return double(out) * out_height() * out_width() * (in / groups) * taps(); }
};

/// How a layer runs. Tile 0: direct or depthwise; and `strided`: direct over a picture of four floats a pixel.
using splitdsl::graph::winograd_plan;

/// One instruction set's kernels. Buffers are 64-byte aligned floats; `in` is blocked with its halo, `out` blocked without one.
struct layer_code {
    const char* instruction_set{};
    std::size_t (*in_floats)(const layer&){};
    std::size_t (*out_floats)(const layer&){};
    std::size_t (*packed_floats)(const layer&, const winograd_plan&){};
    std::size_t (*scratch_floats)(const layer&, const winograd_plan&){};
    void (*pack)(const layer&, const winograd_plan&, const float* weight, float* packed){};   ///< weight (out, in / groups, rows, kernel)
    void (*fill)(const layer&, const float* planar, float* in){};                 ///< planar (in, height, width)
    std::size_t (*quads_floats)(const layer&){};
    void (*fill_quads)(const layer&, const float* planar, float* in){};           ///< as a network's picture lies for a `strided` plan: four floats a pixel, with its halo
    /// A strided plan's `in` is what fill_quads wrote.
    void (*run)(const layer&, const winograd_plan&, const float* in, const float* packed, float* scratch, float* out){};
    float (*at)(const layer&, const float* out, int channel, int y, int x){};
    double (*multiply_adds)(long times){};                                        ///< as many fused multiply-adds as it returns, in registers
};

template <splitdsl::instruction_set Set>
const layer_code& code_for();
/// The widest that runs here, or the one SPLITDSL_ISA names.
const layer_code& chosen_code();

} // namespace timed
