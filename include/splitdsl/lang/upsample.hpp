// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file upsample.hpp
/// Larger images by nearest neighbour or bilinear interpolation.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// `factor` multiplies height and width; `size` asks for an exact size instead (PyTorch's `interpolate`), and a factor beside it, other than 2, must give the same.
struct upsampling {
    extent factor{2};
    extent size{0};
    bool bilinear{false};
    bool align_corners{false};
};

/// (C, H, W) -> (C, H * factor, W * factor) or (C, size). Sampling positions are PyTorch's for the same size.
/// Refused: a factor or a side of `size` below one (SD208), factors above 32,766 (SD218), a factor that gives another size than `size` (SD220).
constexpr body<1> upsample(upsampling u = {}) {
    op o = detail::reading(op_kind::upsample);
    o.stride = u.factor;
    o.size = {0, u.size.height, u.size.width};
    o.flags = (u.bilinear ? op_flag::bilinear : op_flag::none) | (u.align_corners ? op_flag::align_corners : op_flag::none);
    return detail::single(o);
}

} // namespace splitdsl
