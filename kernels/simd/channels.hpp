// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file channels.hpp
/// Copies of channel ranges: the parts of a concatenation, and slices.
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

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
