// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file word_networks.hpp
/// One tiny network a word and setting, at odd sizes: what is compared with PyTorch, op by op.
#pragma once

#include <splitdsl/language.hpp>

#include <tuple>

namespace words {
using namespace splitdsl;

#define SPLITDSL_WORD(name, channels_, height_, width_, ...)                                                                          \
    struct name {                                                                                                                     \
        static constexpr auto graph() { return input("x", f32, {.channels = channels_, .height = height_, .width = width_}) | __VA_ARGS__; } \
    };

SPLITDSL_WORD(conv_1x1, 5, 13, 7, named("w", conv(9, {.kernel = 1})))
SPLITDSL_WORD(conv_1x1_stride, 17, 13, 7, named("w", conv(33, {.kernel = 1, .stride = 2})))
SPLITDSL_WORD(conv_2x2, 3, 22, 17, named("w", conv(3, {.kernel = 2, .stride = 2, .pad = 1})))
SPLITDSL_WORD(conv_3x3, 19, 11, 15, named("w", conv(21, {.kernel = 3})))
SPLITDSL_WORD(conv_3x3_stride, 16, 15, 18, named("w", conv(24, {.kernel = 3, .stride = 2})))
SPLITDSL_WORD(conv_5x5, 4, 17, 9, named("w", conv(10, {.kernel = 5})))
SPLITDSL_WORD(conv_7x7_stem, 3, 33, 31, named("w", conv(16, {.kernel = 7, .stride = 2})))
SPLITDSL_WORD(conv_row, 8, 9, 17, named("w", conv(12, {.kernel = {1, 7}})))
SPLITDSL_WORD(conv_column, 8, 17, 9, named("w", conv(12, {.kernel = {7, 1}, .stride = {2, 1}})))
SPLITDSL_WORD(conv_dilated, 6, 19, 23, named("w", conv(11, {.kernel = 3, .dilation = {2, 3}})))
SPLITDSL_WORD(conv_uneven_padding, 6, 12, 13, named("w", conv(8, {.kernel = 3, .stride = 2, .pad = {0, 0, 1, 1}})))
SPLITDSL_WORD(conv_no_bias, 6, 12, 13, named("w", conv(8, {.kernel = 3, .with_bias = bias::no})))
SPLITDSL_WORD(conv_deep, 256, 7, 7, named("w", conv(128, {.kernel = 3})))
SPLITDSL_WORD(conv_in_tiles_of_2, 96, 9, 10, named("w", conv(100, {.kernel = 3})) | relu6())
SPLITDSL_WORD(conv_in_tiles_of_4, 40, 22, 19, residual(named("w", conv(40, {.kernel = 3})) | named("n", batch_norm())) | relu())
SPLITDSL_WORD(conv_depthwise, 19, 13, 11, named("w", conv(19, {.kernel = 3, .groups = 19})))
SPLITDSL_WORD(conv_depthwise_5x5_stride, 33, 14, 15, named("w", conv(33, {.kernel = 5, .stride = 2, .groups = 33})))
SPLITDSL_WORD(conv_grouped, 12, 9, 10, named("w", conv(20, {.kernel = 3, .groups = 4})))
SPLITDSL_WORD(conv_multiplied_depthwise, 7, 9, 10, named("w", conv(14, {.kernel = 3, .groups = 7})))
SPLITDSL_WORD(conv_up_2x2, 10, 7, 9, named("w", conv_transpose(6, {.kernel = 2, .stride = 2})))
SPLITDSL_WORD(conv_up_3x3, 5, 8, 7, named("w", conv_transpose(17, {.kernel = 3, .stride = 2, .pad = 1, .output_pad = 1})))
SPLITDSL_WORD(conv_up_4x4, 9, 6, 5, named("w", conv_transpose(8, {.kernel = 4, .stride = 2, .pad = {1, 1}})))
SPLITDSL_WORD(dense_small, 37, 1, 1, named("w", dense(19)))
SPLITDSL_WORD(dense_large, 1, 23, 29, flatten() | named("w", dense(130, bias::no)))
SPLITDSL_WORD(batch_norm_alone, 21, 7, 9, named("w", batch_norm(1e-3F)))
SPLITDSL_WORD(batch_norm_folded, 21, 7, 9, named("c", conv(13, {.kernel = 3})) | named("w", batch_norm()) | relu())
SPLITDSL_WORD(relu_word, 5, 7, 9, relu())
SPLITDSL_WORD(relu6_word, 5, 7, 9, named("c", batch_norm()) | relu6())
SPLITDSL_WORD(leaky_relu_word, 5, 7, 9, leaky_relu(0.2F))
SPLITDSL_WORD(hard_swish_word, 5, 7, 9, hard_swish())
SPLITDSL_WORD(hard_sigmoid_word, 5, 7, 9, hard_sigmoid())
SPLITDSL_WORD(sigmoid_word, 5, 7, 9, sigmoid())
SPLITDSL_WORD(tanh_word, 5, 7, 9, tanh())
SPLITDSL_WORD(softmax_vector, 101, 1, 1, softmax())
SPLITDSL_WORD(softmax_image, 11, 5, 7, softmax())
SPLITDSL_WORD(max_pool_2, 9, 13, 15, max_pool({.kernel = 2}))
SPLITDSL_WORD(max_pool_3_padded, 9, 13, 15, max_pool({.kernel = 3, .stride = 2, .pad = 1}))
SPLITDSL_WORD(max_pool_ceil, 9, 14, 15, max_pool({.kernel = 3, .stride = 2, .ceil = true}))
SPLITDSL_WORD(avg_pool_2, 9, 13, 15, avg_pool({.kernel = 2}))
SPLITDSL_WORD(avg_pool_padded, 9, 13, 15, avg_pool({.kernel = 3, .stride = 2, .pad = 1}))
SPLITDSL_WORD(avg_pool_not_counting, 9, 13, 15, avg_pool({.kernel = 3, .stride = 1, .pad = 1, .count_include_pad = false}))
SPLITDSL_WORD(avg_pool_ceil, 9, 14, 15, avg_pool({.kernel = 3, .stride = 2, .pad = 1, .ceil = true}))
SPLITDSL_WORD(global_pool_word, 35, 9, 11, global_pool())
SPLITDSL_WORD(upsample_nearest, 6, 5, 7, upsample({.factor = 2}))
SPLITDSL_WORD(upsample_nearest_size, 6, 5, 7, upsample({.size = {11, 9}}))
SPLITDSL_WORD(upsample_bilinear, 6, 5, 7, upsample({.factor = {2, 3}, .bilinear = true}))
SPLITDSL_WORD(upsample_bilinear_wide, 2, 3, 1999, upsample({.size = {2, 640}, .bilinear = true}))
SPLITDSL_WORD(upsample_bilinear_corners, 6, 5, 7, upsample({.size = {13, 12}, .bilinear = true, .align_corners = true}))
SPLITDSL_WORD(pad_word, 6, 5, 7, pad(padding{1, 2, 3, 0}, -0.5F))
SPLITDSL_WORD(pad_channels_word, 6, 5, 7, pad_channels(3, 10))
SPLITDSL_WORD(pad_channels_even, 32, 5, 7, subsample(2) | pad_channels(16, 16))
SPLITDSL_WORD(slice_channels_word, 21, 5, 7, slice_channels(3, 11))
SPLITDSL_WORD(slice_channels_even, 48, 5, 7, slice_channels(16, 16))
SPLITDSL_WORD(l2_normalise_word, 19, 5, 7, named("w", l2_normalise()))
SPLITDSL_WORD(l2_normalise_zeros, 16, 5, 7, max_pool({.kernel = 3, .stride = 1, .pad = 1}) | relu() | named("b", named("w", l2_normalise(1e-3F))))
SPLITDSL_WORD(radix_softmax_word, 44, 1, 1, radix_softmax(2))
SPLITDSL_WORD(radix_softmax_groups, 96, 2, 3, radix_softmax(3, 2))
SPLITDSL_WORD(radix_softmax_odd, 30, 3, 2, radix_softmax(3, 2))
SPLITDSL_WORD(gdn_word, 19, 5, 7, named("g", gdn()))
SPLITDSL_WORD(gdn_squares, 19, 5, 7, named("g", gdn(gdn_form::squares)))
SPLITDSL_WORD(igdn_word, 9, 6, 7, named("c", conv(19, {.kernel = 2, .pad = 1})) | named("g", igdn()) | relu())
SPLITDSL_WORD(igdn_squares, 19, 5, 7, named("g", igdn(gdn_form::squares)))
SPLITDSL_WORD(subsample_word, 6, 5, 7, subsample({2, 3}))
SPLITDSL_WORD(flatten_word, 6, 5, 7, flatten())
SPLITDSL_WORD(residual_word, 6, 5, 7, residual(named("w", conv(6, {.kernel = 3}))) | relu())
SPLITDSL_WORD(projection_word, 6, 5, 7, residual(named("w", conv(10, {.kernel = 3, .stride = 2})), named("p", projection(10, 2))))
SPLITDSL_WORD(concat_word, 5, 5, 7, concat(named("a", conv(3, {.kernel = 1})), identity(), named("b", conv(9, {.kernel = 3})), relu()))
SPLITDSL_WORD(multiply_word, 12, 5, 7, multiply(identity(), global_pool() | named("a", conv(12, {.kernel = 1})) | sigmoid()))
SPLITDSL_WORD(multiply_same_shape, 12, 5, 7, multiply(named("a", conv(12, {.kernel = 1})), sigmoid()))
SPLITDSL_WORD(add_unfused, 12, 5, 7, add(relu(), sigmoid()) | hard_swish())
SPLITDSL_WORD(repeat_word, 6, 9, 7, repeat<3>([](int i) { return named(i, residual(named("w", conv(6, {.kernel = 3}))) | relu()); }))
SPLITDSL_WORD(tap_word, 6, 9, 7, tap("t", named("a", conv(6, {.kernel = 3}))) | named("b", conv(6, {.kernel = 3})) | add(identity(), from("t")))
SPLITDSL_WORD(vector_with_halo, 13, 5, 7, global_pool() | residual(named("w", conv(13, {.kernel = 3})), named("p", conv(13, {.kernel = 1}))) | relu() | concat(named("d", dense(5)), named("q", conv(7, {.kernel = 3}))))
SPLITDSL_WORD(quantise_u8, 6, 9, 7, cut("c", affine_u8()) | named("a", conv(6, {.kernel = 1})))
SPLITDSL_WORD(quantise_u16, 6, 9, 7, cut("c", affine_u16()) | named("a", conv(6, {.kernel = 1})))
SPLITDSL_WORD(quantise_f16, 6, 9, 7, cut("c", half_f16()) | named("a", conv(6, {.kernel = 1})))
#undef SPLITDSL_WORD

struct normalise_u8 {
    static constexpr auto graph() { return input("x", u8, {.channels = 3, .height = 11, .width = 13}) | normalise(imagenet) | named("w", conv(5, {.kernel = 3})); }
};
struct normalise_hwc {
    static constexpr auto graph() { return input("x", u8, {.channels = 3, .height = 11, .width = 13, .layout = image_layout::hwc}) | normalise(minus_one_to_one) | relu(); }
};

using all = std::tuple<conv_1x1, conv_1x1_stride, conv_2x2, conv_3x3, conv_3x3_stride, conv_5x5, conv_7x7_stem, conv_row, conv_column, conv_dilated, conv_uneven_padding,
                       conv_no_bias, conv_deep, conv_in_tiles_of_2, conv_in_tiles_of_4, conv_depthwise, conv_depthwise_5x5_stride, conv_grouped, conv_multiplied_depthwise, conv_up_2x2, conv_up_3x3, conv_up_4x4,
                       dense_small, dense_large, batch_norm_alone, batch_norm_folded, relu_word, relu6_word, leaky_relu_word, hard_swish_word, hard_sigmoid_word, sigmoid_word,
                       tanh_word, softmax_vector, softmax_image, max_pool_2, max_pool_3_padded, max_pool_ceil, avg_pool_2, avg_pool_padded, avg_pool_not_counting, avg_pool_ceil,
                       global_pool_word, upsample_nearest, upsample_nearest_size, upsample_bilinear, upsample_bilinear_wide, upsample_bilinear_corners, pad_word, pad_channels_word, pad_channels_even, slice_channels_word, slice_channels_even,
                       l2_normalise_word, l2_normalise_zeros, radix_softmax_word, radix_softmax_groups, radix_softmax_odd, gdn_word, gdn_squares, igdn_word, igdn_squares, subsample_word, flatten_word,
                       residual_word, projection_word, concat_word, multiply_word, multiply_same_shape, add_unfused, repeat_word, tap_word, vector_with_halo, quantise_u8, quantise_u16,
                       quantise_f16, normalise_u8, normalise_hwc>;

} // namespace words
