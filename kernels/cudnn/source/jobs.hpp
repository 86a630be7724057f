// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file jobs.hpp
/// What each device kernel is told: one plain struct each, the kernel's only parameter.
///
/// Tensors are interleaved (height, width, channels), of the element type in the kernel's name: _f32, _f16 or _bf16. Pointers are device
/// addresses; `bias` may be null. A launch's second dimension counts images.
#pragma once

#include "../device_text.hpp"

namespace splitdsl::kernels::cudnn {

SPLITDSL_DEVICE_DATA(jobs_text,

struct device_tensor {          // of one or several images; a slice of a wider tensor has more channels between its pixels than it has itself
    void* at;                   // null: there is none
    long long image;            // elements from an image to the next
    int pixel;                  // elements from a pixel to the next
};

struct ending_job {
    int activation;             // splitdsl::graph::activation_kind
    float slope;
    device_tensor addend;       // of the output's shape
};

struct image_job {              // raw input to a tensor
    const void* in;
    long long in_image;         // bytes
    device_tensor out;
    int channels, height, width;
    int is_u8, interleaved, normalises;
    float mean[4], deviation[4];
};

struct window_job {             // convolution, depthwise, transposed, pooling
    device_tensor in;
    device_tensor out;
    const void* weight;         // (out, row, column, in of the group); depthwise (row, column, channel); transposed (row, column, out, in)
    const float* bias;
    ending_job then;
    int in_channels, in_height, in_width;
    int out_channels, out_height, out_width;
    int kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right, dilation_h, dilation_w, groups;
    int average, count_include_pad;         // of a pooling
};

struct dense_job {
    device_tensor in;
    device_tensor out;
    const void* weight;         // (units, inputs)
    const float* bias;
    ending_job then;
    int inputs, units;
    long long pooled_pixels;    // not 0: `in` is a map of so many, whose means the inputs are
    float* floats;              // not null: there the results go instead, units of each image
};

struct combine_job {            // elementwise
    device_tensor a;
    device_tensor b;
    device_tensor out;
    const float* scale;
    const float* shift;
    ending_job then;
    long long pixels;
    int channels;
    int operation;              // operation_code
    int by_channel;             // b is one pixel
};
enum operation_code { op_pass = 0, op_affine = 1, op_add = 2, op_multiply = 3, op_absolute = 4, op_square = 5, op_divide = 6, op_divide_by_root = 7, op_multiply_by_root = 8, op_shift = 9 };

struct resample_job {           // upsample, pad, subsample
    device_tensor in;
    device_tensor out;
    int channels, in_height, in_width, out_height, out_width;
    int bilinear, align_corners;
    int top, left, step_h, step_w;
    float value;
};

struct channels_job {           // out[to + k] = in[from + k], zero where in has no such channel
    device_tensor in;
    device_tensor out;
    long long pixels;
    int in_channels;
    int from, to, count;
    const unsigned char* command;           // not null: only images whose command is `wanted` are written
    long long command_image;
    int wanted;
};

struct pixel_job {              // softmax, radix softmax, unit length, mean of an image
    device_tensor in;
    device_tensor out;
    const float* weight;
    int channels;
    long long pixels;
    int radix, cardinality;
    float least;
};

struct order_job {              // (height, width, channels) and (channels, height, width)
    device_tensor tensor;
    void* planar;
    long long planar_image;     // elements
    int channels;
    long long pixels;
};

struct affine_job {             // the affine codec
    device_tensor tensor;
    unsigned char* bytes;       // scale, zero point, levels of (channels, height, width)
    long long bytes_image;
    int* partial;               // two keys for each of `parts` blocks of each image
    int parts;
    int channels;
    long long pixels;
    int is_calibrated;          // one range, of all images
};

struct median_job {             // whole numbers of steps from a median for each channel
    device_tensor tensor;
    float* planar;
    long long planar_image;
    const float* medians;
    int channels;
    long long pixels;
    float most;                 // steps
};

struct patch_job {              // dynamic pooling: means over side x side of each channel, planar
    device_tensor in;
    float* means;
    int channels, rows, columns, side;      // rows, columns: of patches
};

struct patch_levels_job {       // planar means to levels of 0..255
    const float* means;
    short* levels;
    long long count;
    const int* partial;         // as find_range leaves it
    int parts;
    int* parameters;            // the scale's bits and the zero point
};

struct octave_job {             // one octave of cells, every channel; steps are between channels
    const short* quarters;      // lifted: levels, or the finer octave's p
    const float* means;         // means form: of the quarters
    float* whole;               // means form: of the cells
    short* p;
    short* d;
    short* e;
    short* f;
    const unsigned short* order;            // channel of each priority; null: as they are, or ordered before
    const short* row_wise_from;
    const unsigned char* row_level;         // means form
    const unsigned char* column_level;
    const int* parameters;
    int channels, rows, columns;            // of cells
    long long quarters_step, whole_step, plane_step;
};

struct byte_terms {             // of a step on bytes, from the ranges: lies on the device, beside the weights
    int zero;                   // of the result, its byte of 0, and the bounds that an activation sets
    int low;
    int high;
    int addend_zero;
    float addend_factor;        // the addend's scale over the result's; of a conversion and a pooling, its factor
    unsigned int around;        // four bytes that stand for 0 around the input; of a product, the zero of its factors
    int curve;                  // splitdsl::graph::activation_kind of a hard_swish or hard_sigmoid, else 0
    float curve_factor;         // 1 / 6 over the result's scale
};

struct byte_window_job {        // convolutions of bytes, and what happens to each byte alone; tensors count in bytes
    device_tensor in;
    device_tensor out;
    device_tensor addend;
    const void* weight;         // (row, column, four inputs, output, input of the four); depthwise (row, column, channel); to fours filled up with 0; else a whole number a channel
    const int* bias;            // these two to fours of outputs
    const float* factor;
    const byte_terms* terms;
    int in_channels, in_height, in_width;
    int out_channels, out_height, out_width;
    int kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
};

struct byte_tile_job {          // the same as products of matrices: row (image, pixel), column (output), depth (tap, input)
    byte_window_job window;     // weight: (output, depth); a dense layer is a convolution of one pixel
    int rows;                   // of all images
    int depth;                  // bytes of an output's weights, to 64
    int pieces;                 // of 16 bytes: of all taps, of one
    int tap_pieces;
    unsigned int by_tap;        // reciprocals of tap_pieces and of the window's width: 2^31 over each, rounded up
    unsigned int by_width;
    int activation;             // of a dense layer
    float slope;
};

struct value_tile_job {         // a convolution of 16-bit values, likewise; tensors count in values
    window_job window;          // weight: (output, row, column, input)
    int rows;                   // of all images
    int depth;                  // bytes of an output's weights
    int pieces;                 // of 16 bytes, 8 values: of all taps, of one
    int tap_pieces;
    unsigned int by_tap;
    unsigned int by_width;
    const float* scale;         // not null: of one tap: each value is scale * value + shift of its channel, or 0 if that is less, before it is multiplied
    const float* shift;
    const void* factor;         // not null: likewise each value is factor * value of its channel; of one image
    int entry_rectifies;
};

struct byte_pool_job {
    device_tensor in;
    device_tensor out;
    const byte_terms* terms;
    int channels, in_height, in_width, out_height, out_width;
    int kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right;
    int average, count_include_pad;
};

struct byte_dense_job {         // bytes in, values out
    device_tensor in;
    device_tensor out;
    const void* weight;         // (units, inputs to 64)
    const int* bias;
    const float* factor;
    int inputs, units, activation;
    float slope;
};

struct byte_move_job {          // conversions and a whole image's mean; planar values are a tensor without gaps
    device_tensor from;
    device_tensor to;
    const byte_terms* terms;
    int channels;
    long long pixels;
};

struct region_job {             // RoIAlign of a planar map: value (channel, row, column) of region i to out[((channel * rows + row) * columns + column) * step + place[i]]
    const float* in;
    float* out;
    const float* boxes;         // x1, y1, x2, y2 of each region
    const int* place;
    long long step;
    int channels, height, width, regions, rows, columns, samples, aligned;
    float scale;
};

struct head_part {              // a level of a detector's head, planar: value v of shape s in a cell at [(s * values + v) * cells + cell]
    const float* logits;
    const float* offsets;
    long long cells;
    int shapes;
    int first;                  // index of its first box
};
enum head_size { most_head_parts = 8 };

struct class_score_job {        // softmax over the classes of every box; NaN, which no score is, for the background
    head_part parts[most_head_parts];
    int part_count, boxes, classes;
    float* scores;
    long long box_step, class_step;
};

struct choice_job {             // a block a group: its surest, in the order of their indices
    head_part parts[most_head_parts];       // of objectness: a group a level
    const float* scores;        // not null: `items` of each group, one group behind the other
    int items, has_least;
    float least;                // only larger values
    int most;                   // of a group
    int* counts;                // a group
    int* chosen;                // indices and values, `most` a group
    float* values;
};

struct found_candidate {        // splitdsl::detect::candidate
    float box[4];
    float value;
    int index;
};
struct decode_job {             // a block a group; one group behind the other
    head_part parts[most_head_parts];
    const float* starts;        // x1, y1, x2, y2 of each box, or of each cell
    const int* counts;
    const int* chosen;
    const float* values;
    found_candidate* out;
    int part_count, group_is_part, starts_are_cells, most;
    float weight[4];
    float width, height;
};

)

} // namespace splitdsl::kernels::cudnn
