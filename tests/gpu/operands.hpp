// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file operands.hpp
/// The memory that each kernel may touch, from its job: what it reads, what it writes, and what it may read although nobody wrote it.
///
/// Written from what jobs.hpp says of the jobs, not from the kernels.
#pragma once

#include "on_host.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace fake {

namespace cudnn = splitdsl::kernels::cudnn;

/// The operands of one launch of `grid` blocks for each of `images` frames, of a kernel whose values have `each` bytes.
class operand_list {
public:
    operand_list(int images_, int grid_, std::size_t each_) : images{images_}, grid{grid_}, each{each_} {}
    std::vector<shadow::operand> all;

    void add(const char* name, const void* at, long long bytes, unsigned mode) {
        if (at && bytes > 0) all.push_back({name, reinterpret_cast<std::uintptr_t>(at), static_cast<std::size_t>(bytes), mode});
    }
    void read(const char* name, const void* at, long long bytes) { add(name, at, bytes, shadow::reads); }
    void write(const char* name, const void* at, long long bytes) { add(name, at, bytes, shadow::writes | shadow::must_be_written); }
    /// Channels of every pixel, of every image; `channels` from `from` on; `size` of a value.
    void tensor(const char* name, const cudnn::device_tensor& t, long long pixels, int channels, unsigned mode, std::size_t size, int of_images, int from = 0) {
        if (!t.at || channels <= 0) return;
        const auto bytes = static_cast<long long>(size);
        for (int i = 0; i < of_images; ++i) {
            const auto* const image = static_cast<const char*>(t.at) + bytes * (i * t.image + from);
            if (t.pixel == channels || pixels == 1) add(name, image, bytes * pixels * channels, mode);
            else
                for (long long p = 0; p < pixels; ++p) add(name, image + bytes * p * t.pixel, bytes * channels, mode);
        }
    }
    void in(const cudnn::device_tensor& t, long long pixels, int channels) { tensor("the input", t, pixels, channels, shadow::reads, each, images); }
    void addend(const cudnn::device_tensor& t, long long pixels, int channels) { tensor("the addend", t, pixels, channels, shadow::reads, each, images); }
    void out(const cudnn::device_tensor& t, long long pixels, int channels) { tensor("the result", t, pixels, channels, written, each, images); }
    /// Of bytes: what lies behind a pixel's last channel up to `reach` is read with weights of 0, and written with anything.
    void bytes_in(const char* name, const cudnn::device_tensor& t, long long pixels, int channels, int reach, int of_images) {
        tensor(name, t, pixels, channels, shadow::reads, 1, of_images);
        tensor(name, t, pixels, reach - channels, shadow::reads | shadow::may_be_unwritten, 1, of_images, channels);
    }
    void bytes_out(const cudnn::device_tensor& t, long long pixels, int channels, int reach, int of_images) {
        tensor("the result", t, pixels, channels, written, 1, of_images);
        tensor("the result", t, pixels, reach - channels, shadow::writes, 1, of_images, channels);
    }
    /// Values one image after another, each from a multiple of `step` values on.
    void planar(const char* name, const void* at, long long step, long long values, std::size_t size, unsigned mode) {
        for (int i = 0; i < images; ++i) add(name, static_cast<const char*>(at) + static_cast<long long>(size) * i * step, static_cast<long long>(size) * values, mode);
    }

    static constexpr unsigned written = shadow::writes | shadow::must_be_written;
    int images, grid;
    std::size_t each;
};

inline int to_multiple(int n, int of) { return (n + of - 1) / of * of; }

inline void operands_of(operand_list& o, const std::string& name, const cudnn::image_job& j) {
    const long long pixels = static_cast<long long>(j.height) * j.width;
    const bool is_bytes = name == "load_bytes";
    for (int i = 0; i < o.images; ++i) o.read("the input", static_cast<const char*>(j.in) + i * j.in_image, pixels * j.channels * (j.is_u8 ? 1 : 4));
    o.tensor("the result", j.out, pixels, j.channels, o.written, is_bytes ? 1 : o.each, o.images);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::combine_job& j) {
    o.in(j.a, j.pixels, j.channels);
    o.tensor("the second input", j.b, j.by_channel ? 1 : j.pixels, j.channels, shadow::reads, o.each, o.images);
    o.addend(j.then.addend, j.pixels, j.channels);
    o.read("scale", j.scale, 4LL * j.channels);
    o.read("shift", j.shift, 4LL * j.channels);
    o.out(j.out, j.pixels, j.channels);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::channels_job& j) {
    o.in(j.in, j.pixels, j.in_channels);
    if (j.command)
        for (int i = 0; i < o.images; ++i) o.read("the command", j.command + i * j.command_image, 1);
    // Of a batch only those frames whose command chose this branch.
    o.tensor("the result", j.out, j.pixels, j.count, j.command ? static_cast<unsigned>(shadow::writes) : o.written, o.each, o.images, j.to);
}
inline void operands_of(operand_list& o, const std::string& name, const cudnn::order_job& j) {
    const std::size_t of_planar = name.starts_with("flatten") ? o.each : name.ends_with("half_f32") || name.ends_with("half_f16") || name.ends_with("half_bf16") ? 2 : 4;
    const bool is_made = name.starts_with("from_planar") || name.starts_with("decode_half");
    o.tensor(is_made ? "the result" : "the input", j.tensor, j.pixels, j.channels, is_made ? o.written : static_cast<unsigned>(shadow::reads), o.each, o.images);
    o.planar(is_made ? "the planar input" : "the planar result", j.planar, j.planar_image, j.pixels * j.channels, of_planar, is_made ? static_cast<unsigned>(shadow::reads) : o.written);
}
inline void operands_of(operand_list& o, const std::string& name, const cudnn::window_job& j) {
    const long long pixels = static_cast<long long>(j.out_height) * j.out_width, taps = static_cast<long long>(j.kernel_h) * j.kernel_w;
    const long long each_out = name.starts_with("convolve_depthwise") ? 1 : name.starts_with("convolve_transposed") ? j.in_channels : j.in_channels / std::max(j.groups, 1);
    o.in(j.in, static_cast<long long>(j.in_height) * j.in_width, j.in_channels);
    o.addend(j.then.addend, pixels, j.out_channels);
    o.read("weights", j.weight, taps * j.out_channels * each_out * static_cast<long long>(o.each));
    o.read("bias", j.bias, 4LL * j.out_channels);
    o.out(j.out, pixels, j.out_channels);
}
inline void operands_of(operand_list& o, const std::string& name, const cudnn::value_tile_job& j) {
    const cudnn::window_job& w = j.window;
    o.images = j.rows / (w.out_height * w.out_width), o.each = 2;
    operands_of(o, name, w);
    o.read("scale", j.scale, 4LL * w.in_channels);
    o.read("shift", j.shift, 4LL * w.in_channels);
    o.read("factors", j.factor, 2LL * w.in_channels);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::dense_job& j) {
    o.in(j.in, std::max(j.pooled_pixels, 1LL), j.inputs);
    o.read("weights", j.weight, static_cast<long long>(o.each) * j.units * j.inputs);
    o.read("bias", j.bias, 4LL * j.units);
    o.addend(j.then.addend, 1, j.units);
    if (j.floats) o.write("the floats", j.floats, 4LL * j.units * o.images);
    else o.out(j.out, 1, j.units);
}
inline void operands_of(operand_list& o, const std::string& name, const cudnn::pixel_job& j) {
    o.in(j.in, j.pixels, j.channels);
    o.read("weights", j.weight, 4LL * j.channels);
    o.out(j.out, name.starts_with("pool_image") ? 1 : j.pixels, j.channels);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::resample_job& j) {
    o.in(j.in, static_cast<long long>(j.in_height) * j.in_width, j.channels);
    o.out(j.out, static_cast<long long>(j.out_height) * j.out_width, j.channels);
}
inline void operands_of(operand_list& o, const std::string& name, const cudnn::affine_job& j) {
    const bool is_range = name.starts_with("find_range"), decodes = name.starts_with("dequantise");
    const long long bytes = 8 + (name.find("_u16") != std::string::npos ? 2 : 1) * j.pixels * j.channels;
    o.tensor("the tensor", j.tensor, j.pixels, j.channels, decodes ? o.written : static_cast<unsigned>(shadow::reads), o.each, o.images);
    if (is_range) o.write("ranges", j.partial, 8LL * j.parts * o.images);
    else if (!decodes) o.read("ranges", j.partial, 8LL * j.parts * (j.is_calibrated ? 1 : o.images));
    if (!is_range) o.planar("the payload", j.bytes, j.bytes_image, bytes, 1, decodes ? static_cast<unsigned>(shadow::reads) : o.written);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::median_job& j) {
    o.in(j.tensor, j.pixels, j.channels);
    o.read("medians", j.medians, 4LL * j.channels);
    o.planar("the planar result", j.planar, j.planar_image, j.pixels * j.channels, 4, o.written);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::patch_job& j) {
    o.in(j.in, static_cast<long long>(j.rows) * j.columns * j.side * j.side, j.channels);
    o.write("means", j.means, 4LL * j.channels * j.rows * j.columns);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::patch_levels_job& j) {
    if (j.levels) o.read("means", j.means, 4 * j.count);
    o.read("ranges", j.partial, 8LL * j.parts);
    o.write("levels", j.levels, 2 * j.count);
    o.write("parameters", j.parameters, 8);
}
inline void operands_of(operand_list& o, const std::string& name, const cudnn::octave_job& j) {
    const long long cells = static_cast<long long>(j.rows) * j.columns;
    const bool lifts = name == "lift_cells";
    for (int k = 0; k < j.channels; ++k) {
        const long long from = (j.order ? j.order[k] : k) * j.quarters_step;
        if (lifts) o.read("quarters", j.quarters + from, 8 * cells);
        else o.read("quarters", j.means + from, 16 * cells), o.write("means", j.whole + k * j.whole_step, 4 * cells);
        for (short* const plane : {j.p, j.d, j.e, j.f}) o.write("coefficients", plane + k * j.plane_step, 2 * cells);
    }
    o.read("the channels' order", j.order, 2LL * j.channels);
    o.read("the cells' orders", j.row_wise_from, 2LL * j.rows);
    if (lifts) return;
    o.read("rows' levels", j.row_level, j.rows);
    o.read("columns' levels", j.column_level, j.columns);
    o.read("parameters", j.parameters, 8);
}
inline void operands_of(operand_list& o, const std::string& name, const cudnn::byte_window_job& j) {
    const long long pixels = static_cast<long long>(j.out_height) * j.out_width;
    o.read("terms", j.terms, sizeof(cudnn::byte_terms));
    if (name == "scale_bytes" || name == "multiply_bytes") {
        const bool multiplies = name == "multiply_bytes";
        o.bytes_in("the input", j.in, pixels, j.in_channels, j.in_channels, o.images);
        o.bytes_in("the second input", j.addend, multiplies ? 1 : pixels, j.in_channels, j.in_channels, o.images);
        o.bytes_out(j.out, pixels, j.in_channels, j.in_channels, o.images);
        if (multiplies) return;
        o.read("weights", j.weight, 4LL * j.in_channels);
        o.read("bias", j.bias, 4LL * j.in_channels);
        o.read("factors", j.factor, 4LL * j.in_channels);
        return;
    }
    const int ins = to_multiple(j.in_channels, 4), outs = to_multiple(j.out_channels, 4);
    o.bytes_in("the input", j.in, static_cast<long long>(j.in_height) * j.in_width, j.in_channels, ins, o.images);
    o.bytes_in("the addend", j.addend, pixels, j.out_channels, outs, o.images);
    o.bytes_out(j.out, pixels, j.out_channels, outs, o.images);
    o.read("weights", j.weight, static_cast<long long>(j.kernel_h) * j.kernel_w * outs * (name == "convolve_bytes" ? ins : 1));
    o.read("bias", j.bias, 4LL * outs);
    o.read("factors", j.factor, 4LL * outs);
}
inline void operands_of(operand_list& o, const std::string& name, const cudnn::byte_tile_job& j) {
    const cudnn::byte_window_job& w = j.window;
    const int pixels = w.out_height * w.out_width, images = j.rows / pixels, outs = to_multiple(w.out_channels, 4);
    const bool is_dense = name.starts_with("multiply_row_tiles"), is_picture = name == "convolve_tiles_of_picture";
    o.bytes_in("the input", w.in, static_cast<long long>(w.in_height) * w.in_width, w.in_channels, is_picture ? 4 : 16 * j.tap_pieces, images);
    o.read("weights", w.weight, static_cast<long long>(w.out_channels) * j.depth);
    o.read("bias", w.bias, 4LL * outs);
    o.read("factors", w.factor, 4LL * outs);
    if (is_dense) return o.tensor("the result", w.out, 1, w.out_channels, o.written, o.each, images);
    o.read("terms", w.terms, sizeof(cudnn::byte_terms));
    o.bytes_in("the addend", w.addend, pixels, w.out_channels, outs, images);
    o.bytes_out(w.out, pixels, w.out_channels, outs, images);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::byte_pool_job& j) {
    o.bytes_in("the input", j.in, static_cast<long long>(j.in_height) * j.in_width, j.channels, j.channels, o.images);
    o.bytes_out(j.out, static_cast<long long>(j.out_height) * j.out_width, j.channels, j.channels, o.images);
    o.read("terms", j.terms, sizeof(cudnn::byte_terms));
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::byte_dense_job& j) {
    o.bytes_in("the input", j.in, 1, j.inputs, to_multiple(j.inputs, 4), o.images);
    o.read("weights", j.weight, static_cast<long long>(j.units) * to_multiple(j.inputs, 64));
    o.read("bias", j.bias, 4LL * j.units);
    o.read("factors", j.factor, 4LL * j.units);
    o.out(j.out, 1, j.units);
}
inline void operands_of(operand_list& o, const std::string& name, const cudnn::byte_move_job& j) {
    const bool from_bytes = !name.starts_with("bytes_of"), to_bytes = name.starts_with("bytes_of") || name.starts_with("pool_image");
    const bool is_planar = name.find("planar") != std::string::npos;
    const std::size_t of_values = is_planar ? 4 : o.each;
    const auto whole = [&](const char* what, const cudnn::device_tensor& t, unsigned mode) { o.planar(what, t.at, t.image, j.pixels * j.channels, 4, mode); };
    o.read("terms", j.terms, sizeof(cudnn::byte_terms));
    if (is_planar && !from_bytes) whole("the planar input", j.from, shadow::reads);
    else o.tensor("the input", j.from, j.pixels, j.channels, shadow::reads, from_bytes ? 1 : of_values, o.images);
    if (is_planar && !to_bytes) whole("the planar result", j.to, o.written);
    else o.tensor("the result", j.to, name.starts_with("pool_image") ? 1 : j.pixels, j.channels, o.written, to_bytes ? 1 : of_values, o.images);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::region_job& j) {
    o.read("the map", j.in, 4LL * j.channels * j.height * j.width);
    o.read("boxes", j.boxes, 16LL * j.regions);
    o.read("places", j.place, 4LL * j.regions);
    for (int region = 0; region < j.regions; ++region)
        for (long long k = 0; k < static_cast<long long>(j.channels) * j.rows * j.columns; ++k) o.write("samples", j.out + k * j.step + j.place[region], 4);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::class_score_job& j) {
    for (int k = 0; k < j.part_count; ++k) o.read("logits", j.parts[k].logits, 4LL * j.parts[k].cells * j.parts[k].shapes * j.classes);
    o.add("scores", j.scores, 4LL * j.boxes * j.classes, o.written | shadow::reads);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::choice_job& j) {
    if (j.scores) o.read("scores", j.scores, 4LL * o.grid * j.items);
    else
        for (int k = 0; k < o.grid; ++k) o.read("logits", j.parts[k].logits, 4LL * j.parts[k].cells * j.parts[k].shapes);
    o.write("counts", j.counts, 4LL * o.grid);
    o.add("chosen", j.chosen, 4LL * j.most * o.grid, shadow::writes);       // as many as there are
    o.add("values", j.values, 4LL * j.most * o.grid, shadow::writes);
}
inline void operands_of(operand_list& o, const std::string&, const cudnn::decode_job& j) {
    const int parts = j.group_is_part ? o.grid : j.part_count;
    long long boxes = 0, found = 0;
    for (int k = 0; k < parts; ++k) {
        o.read("offsets", j.parts[k].offsets, 16LL * j.parts[k].cells * j.parts[k].shapes);
        boxes += j.starts_are_cells ? j.parts[k].cells : j.parts[k].cells * j.parts[k].shapes;
    }
    for (int k = 0; k < o.grid; ++k) found += j.counts[k];
    o.read("starts", j.starts, 16 * boxes);
    o.read("counts", j.counts, 4LL * o.grid);
    o.read("chosen", j.chosen, 4LL * j.most * o.grid);
    o.read("values", j.values, 4LL * j.most * o.grid);
    o.write("candidates", j.out, static_cast<long long>(sizeof(cudnn::found_candidate)) * found);
}

/// By the kernel's name.
inline std::vector<shadow::operand> operands_of(const std::string& name, const void* job, int grid, int images) {
    operand_list o(images, grid, name.ends_with("_f16") || name.ends_with("_bf16") ? 2 : 4);
#define SPLITDSL_OPERANDS(kernel, kind) \
    if (name == #kernel) operands_of(o, name, *static_cast<const cudnn::kind*>(job));
#define SPLITDSL_OPERANDS_OF_TYPES(kernel, kind) SPLITDSL_OPERANDS(kernel##_f32, kind) SPLITDSL_OPERANDS(kernel##_f16, kind) SPLITDSL_OPERANDS(kernel##_bf16, kind)
    SPLITDSL_TYPED_KERNELS(SPLITDSL_OPERANDS_OF_TYPES) SPLITDSL_PLAIN_KERNELS(SPLITDSL_OPERANDS)
#undef SPLITDSL_OPERANDS_OF_TYPES
#undef SPLITDSL_OPERANDS
    return std::move(o.all);
}

/// Runs a kernel as `emulate`, and holds its accesses against the rules where they are checked.
inline void run_launch(const cudnn::emulated_kernel& k, const void* job, int blocks, int threads, int images) {
    if constexpr (shadow::is_on) {
        shadow::begin_launch(k.name, operands_of(k.name, job, blocks, images), &cudnn::here.thread);
        shadow::takes_job(job, k.job_bytes);
    }
    cudnn::emulate(k.body, job, k.how, blocks, threads, images);
    if constexpr (shadow::is_on) shadow::end_launch();
}

} // namespace fake
