// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file prior_exports.cpp
/// The codec of learned priors as plain functions, for prior_reference.py.
#include <splitdsl/codec/entropy_bottleneck.hpp>

#include <vector>

namespace {
using namespace splitdsl;
std::vector<std::uint32_t> packed(const prior_tensors& p, int channels) {
    std::vector<std::uint32_t> words(packed_prior::words_of(channels, p.length));
    packed_prior::pack(p, channels, words.data());
    return words;
}
} // namespace

extern "C" std::size_t splitdsl_encode_by_prior(const float* length, const float* offset, const float* quantiles, const float* cumulative, int columns, int channels,
                                                std::size_t plane, const float* values, std::byte* to) {
    const auto words = packed({length, offset, quantiles, cumulative, columns}, channels);
    return encode_by_prior(packed_prior{words.data()}, channels, plane, values, to);
}
extern "C" std::size_t splitdsl_decode_by_prior(const float* length, const float* offset, const float* quantiles, const float* cumulative, int columns, int channels,
                                                std::size_t plane, const std::byte* from, std::size_t size, float* values) {
    const auto words = packed({length, offset, quantiles, cumulative, columns}, channels);
    return decode_by_prior(packed_prior{words.data()}, channels, plane, from, size, values);
}
