// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file region_sampler.hpp
/// Who samples regions of maps that stand elsewhere than in the processor's memory: a GPU.
#pragma once

#include <splitdsl/detect/roi_align.hpp>

#include <cstddef>
#include <span>

namespace splitdsl::detect {

/// Given to `pool_regions`.
class region_sampler {
public:
    /// What `pool_regions` does. False where the maps are not there, or there are more regions than there is room for: then the processor samples.
    virtual bool sample(std::span<const feature_map> maps, std::span<const box> regions, const roi_align& how, float* out, std::size_t capacity) noexcept = 0;

protected:
    ~region_sampler() = default;
};

} // namespace splitdsl::detect
