// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file recorder.hpp
/// Starts the kernel of each kind of step on a stream, so that a graph can be captured from it.
#pragma once

#include <splitdsl/codec/entropy_bottleneck.hpp>
#include <splitdsl/gpu/layers.hpp>
#include <splitdsl/gpu/stream_pooling.hpp>

#include <bit>

namespace splitdsl::gpu {

/// The memory that `layers::images` frames run in: device addresses.
struct frame_addresses {
    cudnn::device_address arena{}, parameters{}, workspace{}, partials{};
    cudnn::device_address outputs{};                    ///< of each output every frame's floats, one output after another
    cudnn::device_address sizes{};                      ///< of each stream exit every frame's byte, which chooses its branch; batches alone have it
    std::vector<cudnn::device_address> inputs{};        ///< raw bytes, one an input, every frame's
};
/// Bytes from one frame's to the next where several lie together: inputs, and what crosses a cut.
constexpr std::size_t frame_step(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

/// cuDNN's handle outlives our streams: whoever recorded leaves it with the default one.
struct released_stream {
    const cudnn::device& of;
    ~released_stream() {
        if (of.network_handle()) of.network().use_stream(of.network_handle(), nullptr);
    }
};

class recorder {
public:
    static constexpr int threads = 256;                 ///< of a block; reductions have room for as many
    static constexpr int range_parts = 1024;            ///< blocks that look for a tensor's range: two keys each in `partials`

    recorder(const cudnn::device& on, const layers& of, const frame_addresses& memory, const cudnn::device_stream& to) : gpu{on}, net{of}, m{memory}, stream{to} {}

    void start(std::size_t index) const {
        const step& s = net.of().steps[index];
        const layer& l = net.at(index);
        if (l.is_melted) return;
        switch (s.plan.kind) {
        case step_kind::load_input: return load_input(s);
        case step_kind::conv:
        case step_kind::grouped_conv:
        case step_kind::winograd_2x2:
        case step_kind::winograd_4x4:
        case step_kind::winograd_4x4_strided:
        case step_kind::winograd_3x3_strided:
        case step_kind::winograd_line:
        case step_kind::winograd_2x2_of_5x5: return l.way.plan ? by_cudnn(s, l) : l.way.tile ? in_value_tiles(s, l) : window(cudnn::kernel::convolve, s, l);
        case step_kind::depthwise: return window(cudnn::kernel::convolve_depthwise, s, l, cudnn::kernel::convolve_depthwise_eights);
        case step_kind::conv_transpose: return window(cudnn::kernel::convolve_transposed, s, l);
        case step_kind::max_pool:
        case step_kind::avg_pool: return window(cudnn::kernel::pool_windows, s, l, cudnn::kernel::pool_windows_eights);
        case step_kind::dense: return l.way.plan ? by_cudnn(s, l) : dense(index);
        case step_kind::affine:
        case step_kind::activate:
        case step_kind::magnitude:
        case step_kind::divisive:
        case step_kind::add:
        case step_kind::multiply: return elementwise(s, l);
        case step_kind::softmax:
        case step_kind::radix_softmax:
        case step_kind::l2_normalise:
        case step_kind::global_pool: return by_pixel(s, l);
        case step_kind::upsample:
        case step_kind::pad:
        case step_kind::subsample: return resample(s);
        case step_kind::pad_channels: return channels(s, -s.plan.offset, 0, net.out_of(s).channels);
        case step_kind::slice_channels: return channels(s, s.plan.offset, 0, net.out_of(s).channels);
        case step_kind::copy_channels: return net.is_in_place(s) ? void() : channels(s, 0, s.plan.offset, net.in_of(s).channels, index);
        case step_kind::flatten: return order(cudnn::kernel::flatten, net.in_of(s), s.plan.in, pointer(s.plan.out), place_of(s.plan.out).image);
        case step_kind::output:
            if (l.does_before) return dense(index - 1, static_cast<float*>(address(m.outputs + 4 * static_cast<cudnn::device_address>(s.plan.offset) * images())));
            return order(cudnn::kernel::to_planar, net.in_of(s), s.plan.in, address(m.outputs + 4 * static_cast<cudnn::device_address>(s.plan.offset) * images()), net.in_of(s).size());
        case step_kind::encode: return encode(s, l);
        case step_kind::decode: return decode(s);
        case step_kind::copy_input:
        case step_kind::branch: return;
        case step_kind::load_u8: return load_bytes(s);
        case step_kind::conv_u8: return l.tile ? in_tiles(s, l) : byte_window(cudnn::kernel::convolve_bytes, s, l);
        case step_kind::depthwise_u8: return byte_window(cudnn::kernel::convolve_bytes_depthwise, s, l);
        case step_kind::dense_u8: return byte_dense(s, l);
        case step_kind::global_pool_u8: return launch(cudnn::kernel::pool_image_of_bytes, byte_move(s, tensor(s.plan.in), tensor(s.plan.out), l), (net.in_of(s).channels + 31) / 32);
        case step_kind::quantise_u8: return launch_over(cudnn::kernel::bytes_of_values, byte_move(s, tensor(s.plan.in), tensor(s.plan.out), l), net.in_of(s).size());
        case step_kind::dequantise_u8: return launch_over(cudnn::kernel::values_of_bytes, byte_move(s, tensor(s.plan.in), tensor(s.plan.out), l), net.in_of(s).size());
        case step_kind::max_pool_u8:
        case step_kind::avg_pool_u8: return byte_pool(s, l);
        case step_kind::pointwise_u8: return byte_alone(cudnn::kernel::scale_bytes, s, l, tensor(s.plan.addend), s.plan.offset);
        case step_kind::multiply_u8: return byte_alone(cudnn::kernel::multiply_bytes, s, l, tensor(s.plan.in2), 0);
        default: throw device_error(device_failure::unsupported, "GPU: a step without a kernel (is_on_device)");
        }
    }

    /// The map that a stream leaves, as the trunk has it.
    void pool(int buffer, const stream_pooling& into) const { into.start(tensor(buffer), net.element(), stream); }

private:
    static void* address(cudnn::device_address a) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(a)); }
    unsigned images() const { return static_cast<unsigned>(net.images()); }
    const place& place_of(int buffer) const { return net.arena().places[static_cast<std::size_t>(buffer)]; }
    cudnn::device_address at(int buffer) const { return m.arena + place_of(buffer).offset; }
    void* pointer(int buffer) const { return address(at(buffer)); }
    cudnn::device_tensor tensor(int buffer) const {
        if (buffer < 0) return {};
        return {pointer(buffer), place_of(buffer).image, place_of(buffer).pixel};
    }
    const float* floats(std::size_t from) const { return static_cast<const float*>(address(m.parameters + from)); }

    /// `blocks` for each of the frames.
    template <class Job>
    void launch(cudnn::kernel k, Job job, long long blocks, int of_threads = threads) const { launch_for(images(), k, job, blocks, of_threads); }
    template <class Job>
    void launch_for(unsigned frames, cudnn::kernel k, Job job, long long blocks, int of_threads = threads) const {
        void* parameters[]{&job};
        gpu.expect(gpu.driver().launch(gpu.function(k, net.element()), static_cast<unsigned>(std::clamp<long long>(blocks, 1, 65535)), frames, 1, static_cast<unsigned>(of_threads), 1, 1, 0, stream.get(), parameters, nullptr),
                   (std::string("starting ") + cudnn::kernel_names[static_cast<int>(k)]).c_str());
    }
    /// A thread an item, as many blocks as keep the device busy.
    template <class Job>
    void launch_over(cudnn::kernel k, Job job, long long items) const {
        const long long most = std::max(1LL, 32LL * std::max(gpu.multiprocessors(), 1) / images());
        launch(k, job, std::min<long long>((items + threads - 1) / threads, most));
    }
    /// Of items that are eight channels each: in smaller blocks where there are few, so that every multiprocessor has some.
    template <class Job>
    void launch_over_eights(cudnn::kernel k, Job job, long long items) const {
        const long long processors = std::max(gpu.multiprocessors(), 1);
        const int of_threads = items * images() < 2 * threads * processors ? 64 : threads;
        const long long most = std::max(1LL, 8192 / of_threads * processors / images());
        launch(k, job, std::min((items + of_threads - 1) / of_threads, most), of_threads);
    }
    bool in_eights(const step& s) const {
        const bool whole = net.comes_in_eights(s.plan.out) && net.comes_in_eights(s.plan.in) && (s.plan.in2 < 0 || net.comes_in_eights(s.plan.in2));
        return whole && (s.plan.addend < 0 || net.comes_in_eights(s.plan.addend));
    }
    cudnn::ending_job ending(const step& s) const { return {static_cast<int>(s.plan.activation), s.plan.slope, tensor(s.plan.addend)}; }
    /// Eight channels of a pixel are one thread's where a tensor changes its order.
    static long long groups(const shape& s) { return pixels(s) * ((s.channels + 7) / 8); }
    static long long pixels(const shape& s) { return static_cast<long long>(s.height) * s.width; }

    void load_input(const step& s) const {
        const shape of = net.out_of(s);
        const std::size_t input = static_cast<std::size_t>(s.input);
        cudnn::image_job j{address(m.inputs[input]), static_cast<long long>(frame_step(net.of().inputs[input])), tensor(s.plan.out), of.channels, of.height, of.width, s.is_u8, s.interleaved, s.normalises, {}, {}};
        for (int c = 0; c < 4; ++c) j.mean[c] = s.from.values[static_cast<std::size_t>(c)], j.deviation[c] = s.from.values[static_cast<std::size_t>(4 + c)];
        launch_over(cudnn::kernel::load_image, j, of.size());
    }
    void by_cudnn(const step& s, const layer& l) const {
        if (gpu.network().use_stream(gpu.network_handle(), stream.get()) != 0) throw device_error(device_failure::lost, "cuDNN does not take a stream");
        const int status = l.way.plan->run(gpu.network_handle(), {at(s.plan.in), m.parameters + l.weight, m.parameters + l.bias, s.plan.addend < 0 ? 0 : at(s.plan.addend), at(s.plan.out), m.workspace});
        if (status != 0)
            throw device_error(device_failure::unsupported, std::string("cuDNN does not run a planned convolution (") + (gpu.network().error_text ? gpu.network().error_text(status) : "?") + ")");
        if (l.way.plan_ends) return;
        const bool needs_shift = !l.way.plan_shifts;
        if (!needs_shift && s.plan.activation == graph::activation_kind::none) return;
        cudnn::ending_job then = ending(s);
        if (l.way.plan_shifts) then.addend = {};
        cudnn::combine_job j = combination(s, net.out_of(s), then);
        j.a = tensor(s.plan.out), j.b = {};
        if (needs_shift) j.operation = cudnn::op_shift, j.shift = floats(l.shift);
        combine(j, net.out_of(s), net.comes_in_eights(s.plan.out) && (!then.addend.at || net.comes_in_eights(s.plan.addend)));
    }
    void combine(const cudnn::combine_job& j, const shape& of, bool whole) const {
        const bool often = j.operation == cudnn::op_pass || j.operation == cudnn::op_affine || j.operation == cudnn::op_shift || j.operation == cudnn::op_add || j.operation == cudnn::op_multiply;
        if (whole && often) launch_over_eights(cudnn::kernel::combine_eights, j, of.size() / 8);
        else launch_over(cudnn::kernel::combine, j, of.size());
    }
    cudnn::window_job window_of(const step& s, const layer& l) const {
        const cudnn::convolution_shape c = net.convolution_of(s);
        const bool averages = s.plan.kind == step_kind::avg_pool, pools = averages || s.plan.kind == step_kind::max_pool;
        return {tensor(s.plan.in), tensor(s.plan.out), pools ? nullptr : address(m.parameters + l.weight), pools ? nullptr : floats(l.shift), ending(s), c.in_channels, c.in_height,
                c.in_width, c.out_channels, c.out_height, c.out_width, c.kernel_h, c.kernel_w, c.stride_h, c.stride_w, c.pad_top, c.pad_left, c.pad_bottom, c.pad_right,
                c.dilation_h, c.dilation_w, c.groups, averages, averages && has(s.from.flags, op_flag::count_include_pad)};
    }
    void window(cudnn::kernel k, const step& s, const layer& l) const { launch_over(k, window_of(s, l), net.out_of(s).size()); }
    void window(cudnn::kernel k, const step& s, const layer& l, cudnn::kernel of_eights) const {
        if (in_eights(s) && net.in_of(s).channels == net.out_of(s).channels) launch_over_eights(of_eights, window_of(s, l), net.out_of(s).size() / 8);
        else window(k, s, l);
    }
    /// The rows of all frames are one product's.
    void in_value_tiles(const step& s, const layer& l) const {
        cudnn::value_tile_job j = value_tile_job_of(window_of(s, l), net.images());
        if (l.way.melted >= 0) {
            const step& before = net.of().steps[static_cast<std::size_t>(l.way.melted)];
            const layer& its = net.at(static_cast<std::size_t>(l.way.melted));
            j.window.in = tensor(before.plan.in);
            if (before.plan.kind == step_kind::affine) j.scale = floats(its.scale), j.shift = floats(its.shift);
            else j.factor = pointer(before.plan.in2);
            j.entry_rectifies = before.plan.activation == graph::activation_kind::relu;
        }
        launch_for(1, l.way.tile->is(net.element()), j, tiles_of(l.way.tile->rows, l.way.tile->columns, j.rows, j.window.out_channels));
    }
    /// A warp a unit. `to`: where the results go as floats instead.
    void dense(std::size_t index, float* to = nullptr) const {
        const step& s = net.of().steps[index];
        const layer& l = net.at(index);
        const int units = net.out_of(s).channels;
        cudnn::dense_job j{tensor(s.plan.in), tensor(s.plan.out), address(m.parameters + l.weight), floats(l.shift), ending(s), net.in_of(s).channels, units, 0, to};
        if (l.does_before) {
            const step& pool = net.of().steps[index - 1];
            j.in = tensor(pool.plan.in), j.pooled_pixels = pixels(net.in_of(pool));
        }
        const int of_threads = l.does_before ? threads : threads / 2;
        launch(cudnn::kernel::multiply_rows, j, (units + of_threads / 32 - 1) / (of_threads / 32), of_threads);
    }
    cudnn::combine_job combination(const step& s, const shape& of, const cudnn::ending_job& then) const {
        return {tensor(s.plan.in), tensor(s.plan.in2), tensor(s.plan.out), nullptr, nullptr, then, pixels(of), of.channels, cudnn::op_pass, 0};
    }
    void elementwise(const step& s, const layer& l) const {
        const shape of = net.out_of(s);
        cudnn::combine_job j = combination(s, of, ending(s));
        const bool squared = has(s.from.flags, op_flag::squared), inverse = has(s.from.flags, op_flag::inverse);
        switch (s.plan.kind) {
        case step_kind::affine: j.operation = cudnn::op_affine, j.scale = floats(l.scale), j.shift = floats(l.shift); break;
        case step_kind::add: j.operation = cudnn::op_add; break;
        case step_kind::multiply: j.operation = cudnn::op_multiply, j.by_channel = !(net.of().buffers[static_cast<std::size_t>(s.plan.in2)].of == of); break;
        case step_kind::magnitude: j.operation = squared ? cudnn::op_square : cudnn::op_absolute; break;
        case step_kind::divisive: j.operation = inverse ? (squared ? cudnn::op_multiply_by_root : cudnn::op_multiply) : squared ? cudnn::op_divide_by_root : cudnn::op_divide; break;
        default: break;
        }
        combine(j, of, in_eights(s));
    }
    void by_pixel(const step& s, const layer& l) const {
        const shape from = net.in_of(s);
        const cudnn::pixel_job j{tensor(s.plan.in), tensor(s.plan.out), l.weight_values > 0 ? floats(l.weight) : nullptr, from.channels, pixels(from), s.plan.offset, s.from.groups, s.from.values[0]};
        switch (s.plan.kind) {
        case step_kind::softmax: return launch(cudnn::kernel::softmax, j, pixels(from));
        case step_kind::l2_normalise: return launch(cudnn::kernel::to_unit_length, j, pixels(from));
        case step_kind::global_pool: return launch(in_eights(s) ? cudnn::kernel::pool_image_eights : cudnn::kernel::pool_image, j, (from.channels + 31) / 32);
        default: return launch_over(cudnn::kernel::softmax_of_splits, j, from.size() / s.plan.offset);
        }
    }
    void resample(const step& s) const {
        const shape from = net.in_of(s), of = net.out_of(s);
        cudnn::resample_job j{tensor(s.plan.in), tensor(s.plan.out), of.channels, from.height, from.width, of.height, of.width, has(s.from.flags, op_flag::bilinear),
                              has(s.from.flags, op_flag::align_corners), 0, 0, 1, 1, 0};
        if (s.plan.kind == step_kind::pad) j.top = s.from.pad.top, j.left = s.from.pad.left, j.value = s.from.values[0];
        if (s.plan.kind == step_kind::subsample) j.step_h = s.from.stride.height, j.step_w = s.from.stride.width;
        launch_over(s.plan.kind == step_kind::upsample ? cudnn::kernel::upsample : cudnn::kernel::place_pixels, j, of.size());
    }
    /// A branch's result becomes its select's value only in those frames whose command chose it.
    void channels(const step& s, int from, int to, int count, std::size_t index = 0) const {
        const shape of = net.out_of(s);
        cudnn::channels_job j{tensor(s.plan.in), tensor(s.plan.out), pixels(of), net.in_of(s).channels, from, to, count, nullptr, 0, 0};
        if (const int b = net.images() > 1 ? branch_that_ends_behind(index) : -1; b >= 0) {
            const step& branch = net.of().steps[static_cast<std::size_t>(b)];
            if (branch.exit >= 0) {
                j.command = static_cast<const unsigned char*>(address(m.sizes + static_cast<std::size_t>(branch.exit) * static_cast<std::size_t>(net.images()) * frame_step(1)));
                j.command_image = static_cast<long long>(frame_step(1));
            } else {
                const std::size_t input = static_cast<std::size_t>(branch.input);
                j.command = static_cast<const unsigned char*>(address(m.inputs[input]));
                j.command_image = static_cast<long long>(frame_step(net.of().inputs[input]));
            }
            j.wanted = branch.plan.offset;
        }
        launch_over(cudnn::kernel::move_channels, j, pixels(of) * count);
    }
    int branch_that_ends_behind(std::size_t index) const {
        for (std::size_t i = 0; i < index; ++i)
            if (const step& s = net.of().steps[i]; s.plan.kind == step_kind::branch && s.plan.skip == static_cast<int>(index) + 1 && (s.input >= 0 || s.exit >= 0)) return static_cast<int>(i);
        return -1;
    }
    /// Between a tensor and values in planar order, `planar_image` of them from a frame to the next.
    void order(cudnn::kernel k, const shape& of, int buffer, void* planar, std::int64_t planar_image) const {
        launch_over(k, cudnn::order_job{tensor(buffer), planar, planar_image, of.channels, pixels(of)}, groups(of));
    }
    /// The same with the payload bytes of a step of 4 or 2 bytes a value.
    void recode(cudnn::kernel k, const shape& of, int buffer, int bytes, int each) const { order(k, of, buffer, pointer(bytes), place_of(bytes).image / each); }

    const cudnn::byte_terms* terms(const layer& l) const { return static_cast<const cudnn::byte_terms*>(address(m.parameters + l.terms)); }
    const int* whole_numbers(std::size_t from) const { return static_cast<const int*>(address(m.parameters + from)); }
    void load_bytes(const step& s) const {
        const shape of = net.out_of(s);
        const std::size_t input = static_cast<std::size_t>(s.input);
        launch_over(cudnn::kernel::load_bytes,
                    cudnn::image_job{address(m.inputs[input]), static_cast<long long>(frame_step(net.of().inputs[input])), tensor(s.plan.out), of.channels, of.height, of.width, 1, s.interleaved, 0, {}, {}}, of.size());
    }
    cudnn::byte_window_job byte_window_of(const step& s, const layer& l) const {
        const cudnn::convolution_shape c = net.convolution_of(s);
        return {tensor(s.plan.in), tensor(s.plan.out), tensor(s.plan.addend), address(m.parameters + l.weight), whole_numbers(l.shift), floats(l.scale), terms(l), c.in_channels, c.in_height,
                c.in_width, c.out_channels, c.out_height, c.out_width, c.kernel_h, c.kernel_w, c.stride_h, c.stride_w, c.pad_top, c.pad_left, c.dilation_h, c.dilation_w};
    }
    void byte_window(cudnn::kernel k, const step& s, const layer& l) const {
        // A thread's share: four outputs of one pixel, or of four.
        const long long share = (pixels(net.out_of(s)) + (k == cudnn::kernel::convolve_bytes ? 3 : 0)) / (k == cudnn::kernel::convolve_bytes ? 4 : 1);
        launch_over(k, byte_window_of(s, l), share * ((net.out_of(s).channels + 3) / 4));
    }
    /// The rows of all frames are one product's.
    void in_tiles(const step& s, const layer& l) const {
        const cudnn::byte_tile_job j = byte_tile_job_of(byte_window_of(s, l), net.images());
        launch_for(1, l.tile->is, j, tiles_of(*l.tile, j.rows, j.window.out_channels));
    }
    /// Each byte alone, to the result's channels from `channel` on.
    void byte_alone(cudnn::kernel k, const step& s, const layer& l, const cudnn::device_tensor& second, int channel) const {
        const shape of = net.in_of(s);
        cudnn::byte_window_job j{};
        j.in = tensor(s.plan.in), j.out = tensor(s.plan.out), j.addend = second;
        j.out.at = static_cast<unsigned char*>(j.out.at) + channel;
        j.weight = address(m.parameters + l.weight), j.bias = whole_numbers(l.shift), j.factor = floats(l.scale), j.terms = terms(l);
        j.in_channels = of.channels, j.out_height = of.height, j.out_width = of.width;
        launch_over(k, j, of.size());
    }
    void byte_pool(const step& s, const layer& l) const {
        const cudnn::convolution_shape c = net.convolution_of(s);
        const bool averages = s.plan.kind == step_kind::avg_pool_u8;
        launch_over(cudnn::kernel::pool_bytes,
                    cudnn::byte_pool_job{tensor(s.plan.in), tensor(s.plan.out), terms(l), c.in_channels, c.in_height, c.in_width, c.out_height, c.out_width, c.kernel_h, c.kernel_w, c.stride_h, c.stride_w,
                                         c.pad_top, c.pad_left, c.pad_bottom, c.pad_right, averages, averages && has(s.from.flags, op_flag::count_include_pad)},
                    net.out_of(s).size());
    }
    void byte_dense(const step& s, const layer& l) const {
        const int inputs = net.in_of(s).channels, units = net.out_of(s).channels;
        const cudnn::byte_dense_job d{tensor(s.plan.in), tensor(s.plan.out), address(m.parameters + l.weight), whole_numbers(l.shift), floats(l.scale), inputs, units, static_cast<int>(s.plan.activation), s.plan.slope};
        if (!l.tile) return launch(cudnn::kernel::multiply_rows_of_bytes, d, units);
        cudnn::byte_tile_job j = byte_tile_job_of({d.in, d.out, {}, d.weight, d.bias, d.factor, nullptr, inputs, 1, 1, units, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1}, net.images());
        j.activation = d.activation, j.slope = d.slope;
        launch_for(1, l.tile->is, j, tiles_of(*l.tile, j.rows, units));
    }
    cudnn::byte_move_job byte_move(const step& s, const cudnn::device_tensor& from, const cudnn::device_tensor& to, const layer& l) const {
        const shape of = net.in_of(s);
        return {from, to, terms(l), of.channels, pixels(of)};
    }
    /// Of planar floats in a payload.
    cudnn::device_tensor planar(int bytes) const { return {pointer(bytes), place_of(bytes).image / 4, 1}; }

    void encode(const step& s, const layer& l) const {
        const shape of = net.in_of(s);
        if (s.converts >= 0) {
            const step& c = net.of().steps[static_cast<std::size_t>(s.converts)];
            return launch_over(cudnn::kernel::planar_of_bytes, byte_move(c, tensor(c.plan.in), planar(s.plan.out), net.at(static_cast<std::size_t>(s.converts))), groups(of));
        }
        if (s.codec == codec_id::float32 || s.codec == codec_id::pooled) return recode(cudnn::kernel::to_planar, of, s.plan.in, s.plan.out, 4);
        if (s.codec == codec_id::entropy) // what the prior makes of it is the processor's (pipeline_functions::copy_working)
            return launch_over(cudnn::kernel::round_about_medians, cudnn::median_job{tensor(s.plan.in), static_cast<float*>(pointer(s.plan.out)), place_of(s.plan.out).image / 4,
                               static_cast<const float*>(address(m.parameters + l.terms)), of.channels, pixels(of), static_cast<float>(most_steps)}, groups(of));
        if (s.codec == codec_id::float16) return recode(cudnn::kernel::encode_half, of, s.plan.in, s.plan.out, 2);
        const bool is_calibrated = has_codec_range(s);
        const int parts = is_calibrated ? 1 : static_cast<int>(std::min<long long>(range_parts, (of.size() + 4 * threads - 1) / (4 * threads)));
        cudnn::affine_job j = affine(s.plan.in, s.plan.out, of, parts);
        if (is_calibrated) j.partial = static_cast<int*>(address(m.parameters + l.terms)), j.is_calibrated = 1;
        else launch(cudnn::kernel::find_range, j, parts);
        launch_over(s.codec == codec_id::affine8 ? cudnn::kernel::quantise_u8 : cudnn::kernel::quantise_u16, j, groups(of));
    }
    void decode(const step& s) const {
        const shape of = net.out_of(s);
        if (s.converts >= 0) {
            const step& c = net.of().steps[static_cast<std::size_t>(s.converts)];
            return launch_over(cudnn::kernel::bytes_of_planar, byte_move(c, planar(s.plan.in), tensor(c.plan.out), net.at(static_cast<std::size_t>(s.converts))), groups(of));
        }
        if (s.codec == codec_id::float32 || s.codec == codec_id::pooled || s.codec == codec_id::entropy) return recode(cudnn::kernel::from_planar, of, s.plan.out, s.plan.in, 4);
        if (s.codec == codec_id::float16) return recode(cudnn::kernel::decode_half, of, s.plan.out, s.plan.in, 2);
        launch_over(s.codec == codec_id::affine8 ? cudnn::kernel::dequantise_u8 : cudnn::kernel::dequantise_u16, affine(s.plan.out, s.plan.in, of, 0), groups(of));
    }
    cudnn::affine_job affine(int buffer, int bytes, const shape& of, int parts) const {
        return {tensor(buffer), static_cast<unsigned char*>(pointer(bytes)), place_of(bytes).image, static_cast<int*>(address(m.partials)), parts, of.channels, pixels(of), 0};
    }

    const cudnn::device& gpu;
    const layers& net;
    const frame_addresses& m;
    const cudnn::device_stream& stream;
};

} // namespace splitdsl::gpu
