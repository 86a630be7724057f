// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file codec_code.hpp
/// What each instruction set's object offers to time the codecs: plain data and pointers, no vector code.
#pragma once

#include <splitdsl/codec/dynamic_pool_kernels.hpp>
#include <splitdsl/runtime/dispatch.hpp>

/// One instruction set's codecs.
struct codec_code {
    const char* instruction_set{};
    const splitdsl::pool_kernels* pooling{};
    void (*quantise)(const float* x, std::size_t count, splitdsl::affine_parameters with, std::uint8_t* q){};
    void (*dequantise)(const std::uint8_t* q, std::size_t count, splitdsl::affine_parameters with, float* x){};
    void (*range)(const float* x, std::size_t count){};
};

template <splitdsl::instruction_set Set>
const codec_code& codec_code_for();
/// The widest that runs here, or the one SPLITDSL_ISA names.
const codec_code& chosen_codec_code();
