// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file resample.hpp
/// Upsampling, padding and taking every k-th pixel.
#pragma once

#include "vec.hpp"
#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

struct upsample_shape {
    int channels = 0, in_height = 0, in_width = 0, out_height = 0, out_width = 0;
    bool bilinear = false;      ///< else nearest
    bool align_corners = false; ///< of bilinear
};

SPLITDSL_INLINE constexpr extent result_of(const upsample_shape& s) { return {s.channels, s.out_height, s.out_width}; }

/// Two neighbours in the input and the share of the second; nearest: the share is 0.
struct neighbours {
    int low = 0, high = 0;
    float share = 0;
};

/// PyTorch's positions: the scale in float; bilinear positions in double, the nearest neighbour's in float.
SPLITDSL_INLINE neighbours neighbours_of(int position, int in, int out, bool bilinear, bool align_corners) {
    neighbours n;
    const float scale = !(bilinear && align_corners) ? static_cast<float>(in) / static_cast<float>(out)
                        : out > 1                    ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                                                     : 0.0F;
    if (!bilinear) {
        n.low = n.high = smaller(static_cast<int>(static_cast<float>(position) * scale), in - 1);
        return n;
    }
    double at = align_corners ? static_cast<double>(scale) * position : static_cast<double>(scale) * (position + 0.5) - 0.5;
    at = at < 0 ? 0 : at;
    n.low = smaller(static_cast<int>(at), in - 1);
    n.high = smaller(n.low + 1, in - 1);
    n.share = static_cast<float>(at - n.low);
    return n;
}

inline int upsample_tasks(const upsample_shape& s) { return row_tasks(result_of(s)); }

inline void upsample(const upsample_shape& s, const const_view& in, const view& out, int first, int last) {
    for_each_row(result_of(s), first, last, [&](int block, int y) {
        const neighbours v = neighbours_of(y, s.in_height, s.out_height, s.bilinear, s.align_corners);
        const float* upper = in.at + block * in.block + v.low * in.row;
        const float* lower = in.at + block * in.block + v.high * in.row;
        float* to = out.at + block * out.block + y * out.row;
        const vec down = broadcast(v.share), up = broadcast(1.0F - v.share);
        for (int x = 0; x < s.out_width; ++x) {
            const neighbours h = neighbours_of(x, s.in_width, s.out_width, s.bilinear, s.align_corners);
            const std::ptrdiff_t left = std::ptrdiff_t{h.low} * lanes, right = std::ptrdiff_t{h.high} * lanes;
            if (!s.bilinear) {
                store(to + x * lanes, load(upper + left));
                continue;
            }
            const vec to_right = broadcast(h.share), to_left = broadcast(1.0F - h.share);
            const vec a = to_left * load(upper + left) + to_right * load(upper + right);
            const vec b = to_left * load(lower + left) + to_right * load(lower + right);
            store(to + x * lanes, up * a + down * b);
        }
    });
}

struct pad_shape {
    int channels = 0, in_height = 0, in_width = 0;
    halo by{};
    float value = 0;
};

SPLITDSL_INLINE constexpr extent result_of(const pad_shape& s) {
    return {s.channels, s.in_height + s.by.top + s.by.bottom, s.in_width + s.by.left + s.by.right};
}

inline int pad_tasks(const pad_shape& s) { return row_tasks(result_of(s)); }

/// in (channels, height, width) → out with a frame of `value`.
inline void pad(const pad_shape& s, const const_view& in, const view& out, int first, int last) {
    const extent e = result_of(s);
    const vec value = broadcast(s.value);
    for_each_row(e, first, last, [&](int block, int y) {
        float* to = out.at + block * out.block + y * out.row;
        const int from = y - s.by.top;
        if (from < 0 || from >= s.in_height) {
            for (int x = 0; x < e.width; ++x) store(to + x * lanes, value);
            return;
        }
        const float* at = in.at + block * in.block + from * in.row - std::ptrdiff_t{s.by.left} * lanes;
        for (int x = 0; x < s.by.left; ++x) store(to + x * lanes, value);
        for (int x = s.by.left; x < s.by.left + s.in_width; ++x) store(to + x * lanes, load(at + x * lanes));
        for (int x = s.by.left + s.in_width; x < e.width; ++x) store(to + x * lanes, value);
    });
}

/// Row y, column x of out is row y * step_h, column x * step_w of in. Tasks: row_tasks(out_extent).
inline void subsample(const extent& out_extent, int step_h, int step_w, const const_view& in, const view& out, int first, int last) {
    for_each_row(out_extent, first, last, [&](int block, int y) {
        const float* from = in.at + block * in.block + std::ptrdiff_t{y} * step_h * in.row;
        float* to = out.at + block * out.block + y * out.row;
        for (int x = 0; x < out_extent.width; ++x) store(to + x * lanes, load(from + std::ptrdiff_t{x} * step_w * lanes));
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
