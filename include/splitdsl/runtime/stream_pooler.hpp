// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_pooler.hpp
/// Who pools a stream's map where it was made, so that only coefficients come to the processor: a GPU.
#pragma once

#include <splitdsl/codec/dynamic_pool_cells.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace splitdsl {

/// A pooled map up to its coefficients: of each channel, octave by octave, the planes P, D, E, F (codec/dynamic_pool_cells.hpp).
struct pooled_map {
    pool_form form{};
    affine_parameters quantiser{};
    std::span<const std::int16_t> coefficients{};   ///< empty: not pooled
};

/// Given to `edge_stream_options::pooler`; outlives the edge's streams.
struct stream_pooler {
    /// Of the stream that the last run in `arena` left behind its stage; empty where the processor has to pool the map itself. Valid until the
    /// next run. Compute thread: never waits, allocates or throws.
    virtual pooled_map pooled(int stream, const std::byte* arena) const noexcept = 0;

protected:
    ~stream_pooler() = default;
};

} // namespace splitdsl
