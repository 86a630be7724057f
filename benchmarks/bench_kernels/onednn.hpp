// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file onednn.hpp
/// The same layers in oneDNN, whose types stay in onednn.cpp.
#pragma once

#include "layer_code.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace timed {

/// A layer with ReLU behind it, in the layout, blocking and algorithm that oneDNN picks; what it picks is converted to once, untimed.
class onednn_layer {
public:
    virtual ~onednn_layer() = default;
    virtual void run() = 0;
    virtual std::vector<float> planar() const = 0; ///< (out, out_height, out_width)
    /// What oneDNN calls what it runs, such as "jit:avx2".
    virtual const char* picked() const = 0;
};

/// One thread, no bias. Null where oneDNN is not built in.
std::unique_ptr<onednn_layer> make_onednn_layer(const layer&, const float* planar, const float* weight);

/// A layer on bytes: u8 by s8 with one scale for each output channel, ReLU, u8 out.
class onednn_byte_layer {
public:
    virtual ~onednn_byte_layer() = default;
    virtual void run() = 0;
    virtual std::vector<std::uint8_t> planar() const = 0; ///< (out, out_height, out_width)
    virtual const char* picked() const = 0;
};

/// One thread, no bias; weights are rounded to 8 bits here. Null where oneDNN is not built in, and for oneDNN 3, which says scales otherwise.
std::unique_ptr<onednn_byte_layer> make_onednn_byte_layer(const layer&, const std::uint8_t* planar, const float* weight, float in_scale, float out_scale);

} // namespace timed
