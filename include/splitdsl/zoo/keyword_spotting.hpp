// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file keyword_spotting.hpp
/// cnn-trad-fpool3: spoken keywords from a spectrogram.
#pragma once

#include <splitdsl/zoo/blocks.hpp>

namespace splitdsl::zoo {

/// Sainath and Parada 2015, Table 1. Input "spectrogram": (1, Frames, Bands) f32; output: Classes logits. Bias everywhere.
/// Cuts 1-2 "conv1", "conv2". Weights: `conv1`, `conv2`, `lin` (no activation behind it), `dnn`, `output`.
template <int Frames = 99, int Bands = 40, int Classes = 12, cut_choice Cuts = every_cut>
struct cnn_trad_fpool3 {
    static constexpr auto graph() {
        return input("spectrogram", f32, {.channels = 1, .height = Frames, .width = Bands})
             | named("conv1", conv(64, {.kernel = {20, 8}, .pad = 0})) | relu() | max_pool({.kernel = {1, 3}}) | stage_cut<Cuts, 1>("conv1")
             | named("conv2", conv(64, {.kernel = {10, 4}, .pad = 0})) | relu() | stage_cut<Cuts, 2>("conv2")
             | flatten() | named("lin", dense(32)) | named("dnn", dense(128)) | relu() | named("output", dense(Classes));
    }
};

} // namespace splitdsl::zoo
