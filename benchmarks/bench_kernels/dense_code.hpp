// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dense_code.hpp
/// What each instruction set's object offers to time fully connected layers: plain data and pointers, no vector code.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>

#include <cstddef>

namespace timed {

inline constexpr const char* weight_forms[]{"f32", "f16", "bf16"};

/// Vectors lie one channel block behind the other, in 64-byte aligned floats.
struct dense_code {
    const char* instruction_set{};
    int forms{};                                                            ///< of `weight_forms`, that it has
    std::size_t (*vector_floats)(int values){};
    std::size_t (*packed_floats)(int inputs, int outputs, int form){};
    void (*pack)(int inputs, int outputs, int form, const float* weight, float* packed){};  ///< weight (outputs, inputs), exact in that form
    void (*run)(int inputs, int outputs, const float* in, const float* packed, float* out){};
};

template <splitdsl::instruction_set Set>
const dense_code& dense_code_for();
/// The widest that runs here, or the one SPLITDSL_ISA names.
const dense_code& chosen_dense_code();

} // namespace timed
