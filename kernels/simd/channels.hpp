// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file channels.hpp
/// Copies of channel ranges: the parts of a concatenation, slices, and channels of zeros around a tensor.
#pragma once

#include "vec.hpp"
#include "views.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Copies channels [in_channel, in_channel + e.channels) of in to [out_channel, ...) of out. Only these channels of out are written, so
/// the parts of a concatenation may be copied in any order and at once. Offsets that are multiples of `lanes` copy whole vectors.
/// Tasks: row_tasks(e).
inline void copy_channels(const extent& e, const const_view& in, int in_channel, const view& out, int out_channel, int first, int last) {
    const bool aligned = in_channel % lanes == 0 && out_channel % lanes == 0;
    for_each_row(e, first, last, [&](int block, int y) {
        const int begin = block * lanes, count = smaller(lanes, e.channels - begin);
        if (aligned && count == lanes) {
            const float* from = in.at + (in_channel / lanes + block) * in.block + y * in.row;
            float* to = out.at + (out_channel / lanes + block) * out.block + y * out.row;
            for (int x = 0; x < e.width; ++x) store(to + x * lanes, load(from + x * lanes));
            return;
        }
        for (int c = begin; c < begin + count; ++c) {
            const int a = in_channel + c, b = out_channel + c;
            const float* from = in.at + a / lanes * in.block + y * in.row + a % lanes;
            float* to = out.at + b / lanes * out.block + y * out.row + b % lanes;
            for (int x = 0; x < e.width; ++x) to[x * lanes] = from[x * lanes];
        }
    });
}

/// Writes every channel of out: in's from channel `before` on, zeros before and behind. Tasks: row_tasks(out_extent).
inline void pad_channels(const extent& out_extent, int in_channels, int before, const const_view& in, const view& out, int first, int last) {
    const vec zero = broadcast(0.0F);
    for_each_row(out_extent, first, last, [&](int block, int y) {
        float* to = out.at + block * out.block + y * out.row;
        const int begin = block * lanes - before;       // in's channel in the first lane
        if (begin % lanes == 0 && begin >= 0 && begin + lanes <= in_channels) {
            const float* from = in.at + begin / lanes * in.block + y * in.row;
            for (int x = 0; x < out_extent.width; ++x) store(to + x * lanes, load(from + x * lanes));
            return;
        }
        for (int x = 0; x < out_extent.width; ++x) store(to + x * lanes, zero);
        for (int lane = 0; lane < lanes; ++lane) {
            const int c = begin + lane;
            if (c < 0 || c >= in_channels) continue;
            const float* from = in.at + c / lanes * in.block + y * in.row + c % lanes;
            for (int x = 0; x < out_extent.width; ++x) to[x * lanes + lane] = from[x * lanes];
        }
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
