// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file roi_align.hpp
/// RoIAlign (He et al. 2017): a region of a feature map, sampled bilinearly into a grid of fixed size.
#pragma once

#include <splitdsl/detect/box.hpp>
#include <splitdsl/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace splitdsl::detect {

/// One planar feature map: (channels, height, width) values; `scale`: its pixels per pixel of the picture (1/4, 1/8, ...).
struct feature_map {
    const float* values;
    int channels, height, width;
    float scale;
};

/// Samples regions into `size` × `size` cells, `samples` × `samples` points a cell. `aligned` shifts by half a pixel (torchvision's
/// detectors do not). Allocates at construction only.
class roi_align {
public:
    explicit roi_align(int cells_a_side = 7, int samples_a_side = 2, bool half_pixel = false) : size{cells_a_side}, samples{samples_a_side}, aligned{half_pixel} {
        if (size < 1 || samples < 1 || size > 64 || samples > 16)
            throw option_error("roi_align: " + std::to_string(size) + " cells and " + std::to_string(samples) + " samples a side; they must be in [1, 64] and [1, 16]");
        points.resize(static_cast<std::size_t>(size * size * samples * samples));
    }

    /// Writes (channels, size, size) values to `out`, value (c, y, x) at `out[((c * size + y) * size + x) * stride]`.
    void operator()(const feature_map& from, const box& region, float* out, std::size_t stride = 1) {
        plan(from, region);
        const auto plane = static_cast<std::size_t>(from.height) * static_cast<std::size_t>(from.width);
        const int each = samples * samples;
        const float count = static_cast<float>(each);
        for (int c = 0; c < from.channels; ++c) {
            const float* in = from.values + static_cast<std::size_t>(c) * plane;
            const point* p = points.data();
            for (int cell = 0; cell < size * size; ++cell) {
                float sum = 0;
                for (int i = 0; i < each; ++i, ++p) sum += p->w[0] * in[p->at[0]] + p->w[1] * in[p->at[1]] + p->w[2] * in[p->at[2]] + p->w[3] * in[p->at[3]];
                *out = sum / count;
                out += stride;
            }
        }
    }

    int cells() const { return size; }
    int samples_a_side() const { return samples; }
    bool half_pixel() const { return aligned; }

private:
    struct point {
        std::size_t at[4];
        float w[4];
    };
    int size, samples;
    bool aligned;
    std::vector<point> points;

    void plan(const feature_map& from, const box& region) {
        const float shift = aligned ? 0.5F : 0.0F;
        const float left = region.x1 * from.scale - shift, top = region.y1 * from.scale - shift;
        float width = region.x2 * from.scale - shift - left, height = region.y2 * from.scale - shift - top;
        if (!aligned) width = std::max(width, 1.0F), height = std::max(height, 1.0F);
        const float cell_width = width / static_cast<float>(size), cell_height = height / static_cast<float>(size), parts = static_cast<float>(samples);
        point* p = points.data();
        for (int cy = 0; cy < size; ++cy)
            for (int cx = 0; cx < size; ++cx)
                for (int sy = 0; sy < samples; ++sy)
                    for (int sx = 0; sx < samples; ++sx)
                        *p++ = sampled(from, top + static_cast<float>(cy) * cell_height + (static_cast<float>(sy) + 0.5F) * cell_height / parts,
                                       left + static_cast<float>(cx) * cell_width + (static_cast<float>(sx) + 0.5F) * cell_width / parts);
    }
    static point sampled(const feature_map& from, float y, float x) {
        // Written so that NaN counts as outside.
        if (!(y >= -1.0F && y <= static_cast<float>(from.height) && x >= -1.0F && x <= static_cast<float>(from.width))) return {};
        const auto [y0, y1, down] = between(y, from.height);
        const auto [x0, x1, right] = between(x, from.width);
        const auto row = static_cast<std::size_t>(from.width);
        const float up = 1.0F - down, left = 1.0F - right;
        return {{y0 * row + x0, y0 * row + x1, y1 * row + x0, y1 * row + x1}, {up * left, up * right, down * left, down * right}};
    }
    struct neighbours {
        std::size_t first, second;
        float share;
    };
    static neighbours between(float v, int limit) {
        v = std::max(v, 0.0F);
        const auto low = static_cast<std::size_t>(v), last = static_cast<std::size_t>(limit - 1);
        if (low >= last) return {last, last, 0.0F};
        return {low, low + 1, v - static_cast<float>(low)};
    }
};

/// Which level of a feature pyramid a region is read from (Lin et al. 2017, Eq. 1): level 4 for 224 × 224 pixels, one less for each
/// halving, within [first, last].
inline int pyramid_level(const box& region, int first = 2, int last = 5) {
    const float level = std::floor(4.0F + std::log2(std::sqrt(area(region)) / 224.0F) + 1e-6F);
    if (!(level > static_cast<float>(first))) return first;     // an empty region's level is minus infinity
    return static_cast<int>(std::min(level, static_cast<float>(last)));
}

} // namespace splitdsl::detect
