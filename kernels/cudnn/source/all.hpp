// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file all.hpp
/// All device code, in the order in which it is compiled, and the names of its kernels.
#pragma once

#include "byte_tiles.hpp"
#include "bytes.hpp"
#include "candidates.hpp"
#include "codec.hpp"
#include "elements.hpp"
#include "jobs.hpp"
#include "pooling.hpp"
#include "prelude.hpp"
#include "regions.hpp"
#include "value_tiles.hpp"
#include "windows.hpp"

#include <cstddef>
#include <string>

namespace splitdsl::kernels::cudnn {

inline constexpr const char* device_texts[]{jobs_text, elements_text, windows_text, codec_text, pooling_text, regions_text, bytes_text, byte_tiles_text, value_tiles_text, candidates_text};

/// Calls `X(name, job)` for every kernel that reads or writes tensors; each exists as name_f32, name_f16 and name_bf16.
#define SPLITDSL_TYPED_KERNELS(X)                                                                                                  \
    X(load_image, image_job) X(combine, combine_job) X(move_channels, channels_job) X(to_planar, order_job) X(flatten, order_job)  \
    X(from_planar, order_job) X(convolve, window_job) X(convolve_depthwise, window_job) X(convolve_transposed, window_job)         \
    X(multiply_rows, dense_job) X(pool_windows, window_job) X(pool_image, pixel_job) X(upsample, resample_job)                     \
    X(place_pixels, resample_job) X(softmax, pixel_job) X(softmax_of_splits, pixel_job) X(to_unit_length, pixel_job)               \
    X(find_range, affine_job) X(quantise_u8, affine_job) X(quantise_u16, affine_job) X(dequantise_u8, affine_job)                  \
    X(dequantise_u16, affine_job) X(encode_half, order_job) X(decode_half, order_job) X(round_about_medians, median_job)           \
    X(pool_patches, patch_job)                                                                                                     \
    X(multiply_rows_of_bytes, byte_dense_job) X(multiply_row_tiles, byte_tile_job) X(bytes_of_values, byte_move_job)               \
    X(values_of_bytes, byte_move_job) X(combine_eights, combine_job) X(convolve_depthwise_eights, window_job)                      \
    X(pool_windows_eights, window_job) X(pool_image_eights, pixel_job)
/// And for those that exist once.
#define SPLITDSL_PLAIN_KERNELS(X)                                                                                                  \
    X(level_patches, patch_levels_job) X(lift_cells, octave_job) X(average_cells, octave_job) X(load_bytes, image_job)             \
    X(convolve_bytes, byte_window_job) X(convolve_bytes_depthwise, byte_window_job) X(pool_image_of_bytes, byte_move_job)          \
    X(planar_of_bytes, byte_move_job) X(bytes_of_planar, byte_move_job) X(align_regions, region_job)                               \
    X(scale_bytes, byte_window_job) X(multiply_bytes, byte_window_job) X(pool_bytes, byte_pool_job)                             \
    X(convolve_tiles_128x64, byte_tile_job) X(convolve_tiles_64x64, byte_tile_job) X(convolve_tiles_64x32, byte_tile_job)          \
    X(convolve_tiles_32x32, byte_tile_job) X(convolve_tiles_16x32, byte_tile_job) X(convolve_tiles_16x16, byte_tile_job)           \
    X(convolve_tiles_of_picture, byte_tile_job)                                                                                    \
    X(convolve_half_tiles_128x64, value_tile_job) X(convolve_half_tiles_64x64, value_tile_job)                                     \
    X(convolve_half_tiles_64x32, value_tile_job) X(convolve_half_tiles_32x32, value_tile_job)                                      \
    X(convolve_half_tiles_16x32, value_tile_job) X(convolve_half_tiles_16x16, value_tile_job)                                      \
    X(convolve_bfloat_tiles_128x64, value_tile_job) X(convolve_bfloat_tiles_64x64, value_tile_job)                                 \
    X(convolve_bfloat_tiles_64x32, value_tile_job) X(convolve_bfloat_tiles_32x32, value_tile_job)                                  \
    X(convolve_bfloat_tiles_16x32, value_tile_job) X(convolve_bfloat_tiles_16x16, value_tile_job)                                  \
    X(score_classes, class_score_job) X(choose_candidates, choice_job) X(decode_candidates, decode_job)

enum class kernel : int {
#define SPLITDSL_KERNEL_NUMBER(name, job) name,
    SPLITDSL_TYPED_KERNELS(SPLITDSL_KERNEL_NUMBER)
    SPLITDSL_PLAIN_KERNELS(SPLITDSL_KERNEL_NUMBER)
#undef SPLITDSL_KERNEL_NUMBER
        count
};
inline constexpr int kernels = static_cast<int>(kernel::count);
inline constexpr const char* kernel_names[]{
#define SPLITDSL_KERNEL_NAME(name, job) #name,
    SPLITDSL_TYPED_KERNELS(SPLITDSL_KERNEL_NAME)
    SPLITDSL_PLAIN_KERNELS(SPLITDSL_KERNEL_NAME)
#undef SPLITDSL_KERNEL_NAME
};
constexpr bool is_typed(kernel k) { return k < kernel::level_patches; }

/// Element type of tensors on the device.
enum class element : int { f32, f16, bf16 };
inline constexpr int elements = 3;
constexpr std::size_t bytes_of(element e) { return e == element::f32 ? 4 : 2; }
inline std::string name_of(kernel k, element e) {
    constexpr const char* types[]{"_f32", "_f16", "_bf16"};
    return std::string(kernel_names[static_cast<int>(k)]) + (is_typed(k) ? types[static_cast<int>(e)] : "");
}

} // namespace splitdsl::kernels::cudnn
