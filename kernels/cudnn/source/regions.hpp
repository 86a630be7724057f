// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file regions.hpp
/// Device code: RoIAlign, as splitdsl/detect/roi_align.hpp.
#pragma once

#include "elements.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_CODE(regions_text,

struct sampled_line {
    int first;
    int second;
    float share;
};
SPLITDSL_DEVICE sampled_line sample_line(float v, int limit) {
    sampled_line s;
    v = fmaxf(v, 0.0f);
    const int low = (int)v;
    s.first = s.second = limit - 1;
    s.share = 0.0f;
    if (low >= limit - 1) return s;
    s.first = low;
    s.second = low + 1;
    s.share = v - (float)low;
    return s;
}
SPLITDSL_KERNEL align_regions(region_job j) {
    const int cells = j.rows * j.columns;
    const float shift = j.aligned ? 0.5f : 0.0f;
    for (long long i = first_item(); i < (long long)j.regions * cells * j.channels; i += item_step()) {
        const int cell = (int)(i % cells);
        const int c = (int)(i / cells % j.channels);
        const int region = (int)(i / cells / j.channels);
        const float* in = j.in + (long long)c * j.height * j.width;
        const float* box = j.boxes + 4 * region;
        const float left = exact_add(exact_multiply(box[0], j.scale), -shift);
        const float top = exact_add(exact_multiply(box[1], j.scale), -shift);
        float width = exact_add(exact_add(exact_multiply(box[2], j.scale), -shift), -left);
        float height = exact_add(exact_add(exact_multiply(box[3], j.scale), -shift), -top);
        if (!j.aligned) {
            width = fmaxf(width, 1.0f);
            height = fmaxf(height, 1.0f);
        }
        const float cell_width = exact_divide(width, (float)j.columns);
        const float cell_height = exact_divide(height, (float)j.rows);
        float sum = 0.0f;
        for (int sy = 0; sy < j.samples; ++sy)
            for (int sx = 0; sx < j.samples; ++sx) {
                const float y = top + (float)(cell / j.columns) * cell_height + ((float)sy + 0.5f) * cell_height / (float)j.samples;
                const float x = left + (float)(cell % j.columns) * cell_width + ((float)sx + 0.5f) * cell_width / (float)j.samples;
                if (!(y >= -1.0f && y <= (float)j.height && x >= -1.0f && x <= (float)j.width)) continue;
                const sampled_line v = sample_line(y, j.height);
                const sampled_line h = sample_line(x, j.width);
                const float* upper = in + (long long)v.first * j.width;
                const float* lower = in + (long long)v.second * j.width;
                sum += (1.0f - v.share) * ((1.0f - h.share) * upper[h.first] + h.share * upper[h.second]) + v.share * ((1.0f - h.share) * lower[h.first] + h.share * lower[h.second]);
            }
        j.out[((long long)c * cells + cell) * j.step + j.place[region]] = sum / (float)(j.samples * j.samples);
    }
}

)

} // namespace splitdsl::kernels::cudnn
