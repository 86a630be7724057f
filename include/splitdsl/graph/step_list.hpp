// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file step_list.hpp
/// What the fourth pass makes: steps, the buffers they work in, stages, and where streams and exits stand.
#pragma once

#include <splitdsl/graph/cuts.hpp>
#include <splitdsl/graph/limits.hpp>

namespace splitdsl::graph {

enum class step_kind : std::uint8_t {
    copy_input,     ///< raw bytes of an input into its slot, so that they can travel
    load_input,     ///< raw input (normalised or as it is) into a tensor
    conv, winograd_2x2, winograd_4x4, winograd_4x4_strided, winograd_3x3_strided, winograd_line, winograd_2x2_of_5x5,
    depthwise, grouped_conv, conv_transpose, dense,
    affine,         ///< batch norm that could not be folded
    activate, softmax, max_pool, avg_pool, global_pool, upsample, pad, pad_channels, slice_channels, subsample, flatten,
    l2_normalise, radix_softmax,
    magnitude, divisive,        ///< of a gdn: |x| or x^2 for its convolution, and x by what that gave
    add, multiply,
    copy_channels,  ///< one operand of a concat, or a branch's result into its select
    encode, decode, ///< a tensor into its payload bytes and back
    output,         ///< a tensor into the caller's floats
    load_u8,        ///< a picture's bytes as a tensor of bytes
    quantise_u8, dequantise_u8, conv_u8, depthwise_u8, dense_u8, max_pool_u8, avg_pool_u8, global_pool_u8,
    pointwise_u8,   ///< of bytes alone: a batch norm, an activation, an add, one operand of a concat
    multiply_u8,    ///< by a factor for each channel
    branch          ///< runs the steps up to `skip` only if the command says so
};

enum class activation_kind : std::uint8_t { none, relu, relu6, leaky_relu, hard_swish, hard_sigmoid, sigmoid, tanh };
constexpr activation_kind activation_of(op_kind k) {
    return static_cast<activation_kind>(static_cast<int>(k) - static_cast<int>(op_kind::relu) + 1);
}
static_assert(activation_of(op_kind::tanh) == activation_kind::tanh && activation_of(op_kind::relu) == activation_kind::relu);

struct step {
    step_kind kind{};
    activation_kind activation{};
    float slope{};
    int op{-1};             ///< the op it came from
    int norm{-1};           ///< a folded batch norm
    int in{-1}, in2{-1};    ///< tensors; of branch: `in` is the command's input op
    int addend{-1};
    int out{-1};
    int scratch{-1};        ///< bytes it works in
    int chunk{}, tasks{};   ///< of a Winograd convolution
    int offset{};           ///< first channel of a copy; branch index; of output: first float
    int skip{-1};
    int stage{};
    int part{-1};           ///< number of the independent part it belongs to, or -1
    int fan{-1};            ///< number of the fan that part belongs to, or -1
    bool defines{};         ///< the first step that writes `out`, on one of a cut's two sides
    bool passes{};          ///< encodes or decodes values as they are: needless where both sides of the cut run as one
    bool ends_conv{};       ///< encodes what the convolution before it made and nobody else reads, with a calibrated range: that one's epilogue may do it
};

/// Whether a direct convolution runs over a picture with four floats a pixel (kernels/simd/conv_picture.hpp).
constexpr bool sums_quads(const op& o, shape in) {
    return in.channels == 3 && o.groups == 1 && o.stride.height == o.stride.width && o.stride.width <= 2 && o.dilation.height == 1 && o.dilation.width == 1 && o.pad.top >= 0 && o.pad.left >= 0;
}

/// A tensor, or a run of bytes (an encoded payload tensor, an input's slot), in a place's working memory.
struct buffer {
    shape of{};
    std::int16_t top{}, left{}, bottom{}, right{};  ///< zeros kept around the image for the convolutions that read it
    bool is_bytes{};
    bool is_u8{};                                   ///< a tensor of bytes
    bool in_quads{};                                ///< a picture of floats whose pixels take four each, not a block of lanes
    int range{-1};                                  ///< of such a tensor: which of the ranges says what they mean; -1: a picture's
    std::int64_t bytes{};
    int first{}, last{};                            ///< steps between which it is alive
    std::int64_t offset{};
};

/// A dynamic_pool stream: the trunk leaves its map, as planar floats, and who reads it finds its largest size, as planar floats.
struct stream_steps {
    int op{-1};
    int stage{};            ///< of the trunk, ends with it
    int map{-1};            ///< buffers
    int pooled{-1};
};
struct stream_exit_steps {
    int op{-1};             ///< its output
    int stage{};
    std::uint32_t reads{};  ///< streams, a bit each
    int sizes{-1};          ///< buffer of the byte that a by_sizes reads
    int before{}, here{};   ///< its numbers
};

template <std::size_t Ops, std::size_t Scopes>
struct step_list {
    static constexpr std::size_t capacity = 2 * Ops + 2 * Scopes + 16;
    step steps[capacity]{};
    buffer buffers[capacity]{};
    int count{};
    int buffer_count{};
    int stages{};
    std::int64_t stage_macs[max_stages]{};
    int stage_first[max_stages]{};          ///< first step of each stage
    int cut_stage[max_network_cuts]{};      ///< the stage that ends at a cut
    int item_buffer[max_network_cuts][max_group_tensors]{}; ///< where each crossing item's bytes stand
    int slot[Ops]{};                        ///< of an input: its bytes buffer, or -1
    std::int64_t output_floats{};
    int range_op[Ops]{};                    ///< whose values each range is of
    int range_count{};
    int trunk_stages{};                     ///< `stages`; with dynamic_pool streams those of the streams' place, the exits' follow
    int stream_count{};                     ///< of dynamic_pool streams
    int exit_count{};                       ///< that read them
    stream_steps streams[max_network_streams]{};
    stream_exit_steps exits[max_stages]{};
};

} // namespace splitdsl::graph
