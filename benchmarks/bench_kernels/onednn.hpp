// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file onednn.hpp
/// The same layers in oneDNN, whose types stay in onednn.cpp.
#pragma once

#include "layer_code.hpp"

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

} // namespace timed
