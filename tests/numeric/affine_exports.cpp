// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file affine_exports.cpp
/// The quantiser behind a C interface, for the comparison with PyTorch in affine_reference.py. No part of the test programs.
#include <splitdsl/codec/affine.hpp>

namespace {
template <splitdsl::affine_level Q>
void run(const float* x, std::size_t n, float* scale, std::int32_t* zero_point, Q* q, float* back) {
    const auto p = splitdsl::affine_parameters_of<Q>(splitdsl::range_of({x, n}));
    *scale = p.scale;
    *zero_point = p.zero_point;
    for (std::size_t i = 0; i < n; ++i) q[i] = splitdsl::quantise<Q>(x[i], p);
    for (std::size_t i = 0; i < n; ++i) back[i] = splitdsl::dequantise<Q>(q[i], p);
}
} // namespace

extern "C" void splitdsl_affine_u8(const float* x, std::size_t n, float* scale, std::int32_t* zero_point, std::uint8_t* q, float* back) {
    run<std::uint8_t>(x, n, scale, zero_point, q, back);
}
extern "C" void splitdsl_affine_u16(const float* x, std::size_t n, float* scale, std::int32_t* zero_point, std::uint16_t* q, float* back) {
    run<std::uint16_t>(x, n, scale, zero_point, q, back);
}
