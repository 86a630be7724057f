// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file layers.hpp
/// What all frames of a network share on a device: where buffers lie in an arena, which convolution runs how, and the parameters.
#pragma once

#include <kernels/cudnn/device.hpp>
#include <splitdsl/codec/half.hpp>
#include <splitdsl/gpu/arena.hpp>
#include <splitdsl/gpu/byte_layers.hpp>
#include <splitdsl/gpu/lanes.hpp>
#include <splitdsl/gpu/value_tiles.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace splitdsl::gpu {

/// How numbers lie in memory and are multiplied. Sums are always in 32 bits.
enum class precision : std::uint8_t {
    f32,        ///< 32-bit floats throughout
    tf32,       ///< 32-bit floats in memory; cuDNN may round a product's operands to 10 bits of mantissa
    f16,        ///< 16-bit floats in memory
    bf16        ///< 16 bits with the range of 32: 8 bits of mantissa
};
inline constexpr precision every_precision[]{precision::f32, precision::tf32, precision::f16, precision::bf16};
constexpr const char* name_of(precision p) {
    constexpr const char* names[]{"f32", "tf32", "f16", "bf16"};
    return names[static_cast<int>(p)];
}

constexpr bool is_dense_conv(step_kind k) {
    return k == step_kind::conv || k == step_kind::grouped_conv || k == step_kind::winograd_2x2 || k == step_kind::winograd_4x4 || k == step_kind::winograd_4x4_strided ||
           k == step_kind::winograd_3x3_strided || k == step_kind::winograd_line || k == step_kind::winograd_2x2_of_5x5;
}
constexpr bool has_weight(step_kind k) {
    return is_dense_conv(k) || k == step_kind::depthwise || k == step_kind::conv_transpose || k == step_kind::dense || k == step_kind::l2_normalise;
}
/// Whether a step encodes with a calibrated range.
inline bool has_codec_range(const step& s) { return s.plan.kind == step_kind::encode && graph::has_range(s.from); }
/// Or rounds about a prior's medians.
inline bool has_medians(const step& s) { return s.plan.kind == step_kind::encode && graph::has_prior(s.from); }
constexpr bool has_shift(step_kind k) { return (has_weight(k) && k != step_kind::l2_normalise) || k == step_kind::affine; }

/// One of the ways in which a convolution may run.
struct convolution_way {
    std::shared_ptr<const cudnn::convolution_plan> plan{};     ///< cuDNN's
    bool plan_ends{}, plan_shifts{};            ///< it also activates; it also adds bias and addend
    bool is_last_resort{};                      ///< it is of the engines of which cuDNN says no more than that they work
    const value_tile* tile{};                   ///< our own kernel, which does everything; neither: our kernel for any shape
    int melted{-1};                             ///< and so much that it does this step in front of it as well
};

/// One step's share: bytes from the parameters' begin, and cuDNN's plan if it runs the convolution.
struct layer {
    std::size_t weight{}, weight_values{};
    std::size_t scale{}, shift{}, channels{};   ///< of 32-bit floats; a bias is a shift, of a layer on bytes of whole numbers
    std::size_t bias{};                         ///< the shift as cuDNN takes it: of the values' type
    std::size_t terms{};                        ///< of steps on bytes: a `byte_terms`; of a calibrated encoder: two keys, as find_range leaves them; of a prior's: its medians
    convolution_way way{};                      ///< of a convolution
    bool is_melted{};                           ///< the step behind it does this one
    bool does_before{};                         ///< of a fully connected layer and an output: likewise
    const byte_tile* tile{};                    ///< of a layer on bytes: null: not on tensor cores
};

/// A program laid out for a device, for `images` frames at once. The parameters' layout does not depend on their number.
class layers {
public:
    layers(const cudnn::device& on, const program& of, precision how, int images = 1) : gpu{on}, p{of}, as{how}, count{images} {
        std::size_t end = 0;
        const auto take = [&](std::size_t bytes) {
            const std::size_t at = end;
            end += (bytes + 255) / 256 * 256;
            return at;
        };
        for (const step& s : p.steps) {
            layer& l = list.emplace_back();
            const step_kind k = s.plan.kind;
            if (has_shift(k)) {
                l.channels = static_cast<std::size_t>(out_of(s).channels);
                l.shift = take(4 * l.channels);
                if (k == step_kind::affine) l.scale = take(4 * l.channels);
                l.bias = has_short_bias(k) ? take(cudnn::bytes_of(element()) * l.channels) : l.shift;
            }
            if (has_weight(k)) {
                l.weight_values = weight_count(s);
                l.weight = take(l.weight_values * (k == step_kind::l2_normalise ? 4 : cudnn::bytes_of(element())));
            }
            if (multiplies_bytes(k)) {
                l.channels = fours(k == step_kind::pointwise_u8 ? in_of(s).channels : out_of(s).channels);
                l.shift = take(4 * l.channels), l.scale = take(4 * l.channels);
                l.tile = tile_of(p, s, count, gpu.compute_capability(), gpu.multiprocessors());
                l.weight = take(byte_weight_size(p, s, l.tile));
            }
            if (has_byte_terms(k)) l.terms = take(sizeof(cudnn::byte_terms));
            if (has_codec_range(s)) l.terms = take(2 * sizeof(std::int32_t));
            if (has_medians(s)) l.terms = take(sizeof(float) * static_cast<std::size_t>(in_of(s).channels));
        }
        parameter_bytes = end;
        place_and_plan();
        for (std::size_t i = 0; i < list.size(); ++i)
            if (is_timed(i)) this->take(i, way_by_rule(i));
        for (std::size_t i = 1; i < list.size(); ++i) list[i - 1].is_melted = list[i - 1].is_melted || (list[i].does_before = does_what_is_before(i));
    }

    const program& of() const { return p; }
    int images() const { return count; }
    const arena_plan& arena() const { return memory; }
    const layer& at(std::size_t step) const { return list[step]; }
    /// What one lane's convolutions need; the next lane's begins behind it.
    std::size_t workspace() const {
        std::size_t most = 0;
        for (const layer& l : list)
            if (l.way.plan) most = std::max(most, static_cast<std::size_t>(l.way.plan->workspace()));
        return (most + 255) / 256 * 256;
    }
    std::size_t parameters() const { return parameter_bytes; }
    cudnn::element element() const {
        return as == precision::f16 ? cudnn::element::f16 : as == precision::bf16 ? cudnn::element::bf16 : cudnn::element::f32;
    }
    shape in_of(const step& s) const { return p.buffers[static_cast<std::size_t>(s.plan.in)].of; }
    shape out_of(const step& s) const { return p.buffers[static_cast<std::size_t>(s.plan.out)].of; }
    /// The stream that a step runs on beside others, and how many there are.
    int lane_of(std::size_t i) const { return beside.of[i]; }
    int lanes() const { return beside.count; }
    /// Whether a step, with what it does of the steps in front of it, reads or writes memory that `first` writes, or writes what that reads.
    bool must_wait(std::size_t later, std::size_t first) const {
        const touched a = touched_by(first), b = touched_by(later);
        const auto any = [&](const std::vector<int>& some, const std::vector<int>& others) {
            return std::any_of(some.begin(), some.end(), [&](int x) { return std::any_of(others.begin(), others.end(), [&](int y) { return share_memory(x, y); }); });
        };
        return any(a.written, b.read) || any(a.written, b.written) || any(a.read, b.written);
    }
    /// Whether a concatenation's operand stands where it belongs already.
    bool is_in_place(const step& s) const {
        return detail::is_concat_copy(s) && slices[static_cast<std::size_t>(s.plan.in)].of == s.plan.out && slices[static_cast<std::size_t>(s.plan.in)].channel == s.plan.offset;
    }
    /// Concatenations' operands, and those of them that are copied.
    int operands() const { return static_cast<int>(std::count_if(p.steps.begin(), p.steps.end(), detail::is_concat_copy)); }
    int copied() const { return static_cast<int>(std::count_if(p.steps.begin(), p.steps.end(), [&](const step& s) { return detail::is_concat_copy(s) && !is_in_place(s); })); }
    /// Convolutions that cuDNN runs, those of them with everything that follows in one graph, and those it was asked to.
    int planned() const { return static_cast<int>(std::count_if(list.begin(), list.end(), [](const layer& l) { return l.way.plan != nullptr; })); }
    int fused() const { return static_cast<int>(std::count_if(list.begin(), list.end(), [](const layer& l) { return l.way.plan && l.way.plan_ends; })); }
    /// Convolutions in our own tiles, and steps that these do on the way.
    int in_tiles() const { return static_cast<int>(std::count_if(list.begin(), list.end(), [](const layer& l) { return l.way.tile != nullptr; })); }
    int melted() const { return static_cast<int>(std::count_if(list.begin(), list.end(), [](const layer& l) { return l.is_melted; })); }
    int convolutions() const { return static_cast<int>(std::count_if(p.steps.begin(), p.steps.end(), [](const step& s) { return is_dense_conv(s.plan.kind); })); }

    /// The parameters as the device reads them. `parameters`: as `pipeline::pack` gets them.
    std::vector<std::byte> lay_out(const float* const* parameters) const {
        std::vector<std::byte> to(parameter_bytes);
        for (std::size_t i = 0; i < p.steps.size(); ++i) {
            const layer& l = list[i];
            if (has_codec_range(p.steps[i])) {
                for (std::size_t end = 0; end < 2; ++end) { // in the order of the floats, as find_range compares them
                    const auto bits = std::bit_cast<std::int32_t>(parameters[p.steps[i].parameters][end]);
                    const std::int32_t key = bits ^ ((bits >> 31) & 0x7fffffff);
                    std::memcpy(to.data() + l.terms + 4 * end, &key, 4);
                }
            } else if (has_medians(p.steps[i])) {
                const float* const quantiles = parameters[p.steps[i].parameters + 2];   // (channels, 1, 3)
                for (std::size_t c = 0; c < static_cast<std::size_t>(in_of(p.steps[i]).channels); ++c) std::memcpy(to.data() + l.terms + 4 * c, quantiles + 3 * c + 1, 4);
            } else if (has_byte_terms(p.steps[i].plan.kind)) lay_out_bytes(p, p.steps[i], l.tile, parameters, {to.data() + l.weight, to.data() + l.shift, to.data() + l.scale, to.data() + l.terms});
            else lay_out(p.steps[i], l, parameters, to.data());
        }
        return to;
    }

    /// Whether a tensor's pixels are whole eights of channels, as kernels read them that take eight at once.
    bool comes_in_eights(int buffer) const {
        return p.buffers[static_cast<std::size_t>(buffer)].of.channels % 8 == 0 && memory.places[static_cast<std::size_t>(buffer)].pixel % 8 == 0;
    }
    /// Whether there may be more than one way to run a step.
    bool is_timed(std::size_t i) const { return is_dense_conv(p.steps[i].plan.kind) && (list[i].way.plan || runs_in_value_tiles(shape_of(i), gpu.compute_capability())); }
    /// All ways to run a convolution: cuDNN's, in its heuristics' order, then tiles in the order of their estimates, with what melts in and without.
    std::vector<convolution_way> ways_of(std::size_t i) const {
        std::vector<convolution_way> ways;
        const step& s = p.steps[i];
        convolution_way w;
        if (asks_cudnn(s) && plan_convolution(s, w, true) > 0) {
            cudnn::convolution_shape c = convolution_of(s);
            c.has_bias = w.plan_shifts, c.has_addend = w.plan_shifts && s.plan.addend >= 0, c.activation = w.plan_ends ? static_cast<int>(s.plan.activation) : 0;
            c.is_last_resort = w.is_last_resort;
            for (auto& plan : gpu.plans_for(c, most_plans)) {
                w.plan = std::move(plan);
                ways.push_back(w);
            }
        }
        const std::vector<convolution_way> ours = tiled_ways(i);
        ways.insert(ways.end(), ours.begin(), ours.end());
        return ways;
    }
    /// What decides how long a convolution's ways take, so that layers alike are timed once.
    cudnn::convolution_shape shape_of(std::size_t i) const {
        const step& s = p.steps[i];
        cudnn::convolution_shape c = convolution_of(s);
        c.has_bias = true, c.has_addend = s.plan.addend >= 0, c.activation = static_cast<int>(s.plan.activation);
        return c;
    }
    /// From now on the step runs so.
    void take(std::size_t i, const convolution_way& w) {
        if (list[i].way.melted >= 0) list[static_cast<std::size_t>(list[i].way.melted)].is_melted = false;
        list[i].way = w;
        if (w.melted >= 0) list[static_cast<std::size_t>(w.melted)].is_melted = true;
    }

    /// `as_slices`: with the places that tensors have; otherwise as if each had one of its own.
    cudnn::convolution_shape convolution_of(const step& s, bool as_slices = true) const {
        const shape in = in_of(s), out = out_of(s);
        const op& o = s.from;
        const auto pixel = [&](int buffer) { return memory.places[static_cast<std::size_t>(buffer)].pixel; };
        cudnn::convolution_shape c{.images = count, .in_channels = in.channels, .in_height = in.height, .in_width = in.width, .out_channels = out.channels, .out_height = out.height,
                                   .out_width = out.width, .in_pixel = in.channels, .out_pixel = out.channels, .addend_pixel = out.channels, .type = element(),
                                   .tensor_cores = as != precision::f32, .slope = s.plan.slope};
        if (as_slices) c.in_pixel = pixel(s.plan.in), c.out_pixel = pixel(s.plan.out);
        if (as_slices && s.plan.addend >= 0) c.addend_pixel = pixel(s.plan.addend);
        if (s.plan.kind == step_kind::dense) return c;
        c.kernel_h = o.kernel.height, c.kernel_w = o.kernel.width, c.stride_h = o.stride.height, c.stride_w = o.stride.width;
        c.pad_top = o.pad.top, c.pad_left = o.pad.left, c.pad_bottom = o.pad.bottom, c.pad_right = o.pad.right;
        c.dilation_h = o.dilation.height, c.dilation_w = o.dilation.width, c.groups = o.groups;
        return c;
    }

private:
    std::size_t weight_count(const step& s) const {
        const op& o = s.from;
        const std::size_t in = static_cast<std::size_t>(in_of(s).channels), out = static_cast<std::size_t>(out_of(s).channels);
        const std::size_t window = static_cast<std::size_t>(o.kernel.height) * static_cast<std::size_t>(o.kernel.width);
        switch (s.plan.kind) {
        case step_kind::dense: return in * out;
        case step_kind::depthwise: return out * window;
        case step_kind::l2_normalise: return in;
        default: return in / static_cast<std::size_t>(o.groups) * out * window;
        }
    }

    /// Of what cuDNN may run, in 16 bits: it adds no 32-bit bias to such values.
    bool has_short_bias(step_kind k) const { return element() != cudnn::element::f32 && (is_dense_conv(k) || k == step_kind::dense); }
    /// A fully connected layer of several frames is a product of matrices, as a convolution of one pixel is.
    bool asks_cudnn(const step& s) const { return gpu.network_handle() && (is_dense_conv(s.plan.kind) || (s.plan.kind == step_kind::dense && count > 1)); }

    /// Where cuDNN has no engine as good for a slice as for a tensor of its own, that tensor is copied instead.
    void place_and_plan() {
        std::vector<bool> apart(p.buffers.size());
        for (bool settled = false; !settled;) {
            settled = true;
            slices = find_slices(p, cudnn::bytes_of(element()), apart);
            beside = count == 1 ? lanes_of(p, slices) : lane_plan::one(p);        // several frames fill a device by themselves
            memory = arena_plan{p, cudnn::bytes_of(element()), slices, count, beside.last};
            for (std::size_t i = 0; i < p.steps.size(); ++i) {
                const step& s = p.steps[i];
                if (!asks_cudnn(s)) continue;
                const int how = plan_convolution(s, list[i].way, true);
                bool in_slices = false;
                for (const int b : {s.plan.in, s.plan.out, s.plan.addend}) in_slices = in_slices || (b >= 0 && slices[static_cast<std::size_t>(b)].of >= 0);
                convolution_way alone;
                if (!in_slices || how == best_plan || plan_convolution(s, alone, false) <= how) continue;
                for (const int b : {s.plan.in, s.plan.out, s.plan.addend})
                    if (b >= 0 && slices[static_cast<std::size_t>(b)].of >= 0) apart[static_cast<std::size_t>(b)] = true;
                settled = false;
            }
        }
    }

    struct touched {
        std::vector<int> read, written;
    };
    touched touched_by(std::size_t i) const {
        touched t;
        for (bool more = true; more; more = i-- > 0 && list[i].is_melted) {
            const graph::step& s = p.steps[i].plan;
            for (const int b : {s.in, s.in2, s.addend})
                if (b >= 0) t.read.push_back(b);
            if (s.out >= 0) t.written.push_back(s.out);
        }
        return t;
    }
    bool share_memory(int a, int b) const {
        const place &x = memory.places[static_cast<std::size_t>(a)], &y = memory.places[static_cast<std::size_t>(b)];
        const detail::channel_range c = detail::channels_of(p, slices, a), d = detail::channels_of(p, slices, b);
        return c.root == d.root ? c.meets(d) : x.root < y.root + y.bytes && y.root < x.root + x.bytes;
    }
    /// A fully connected layer makes the means of a map that all its blocks together read quickly, and leaves an output's floats.
    bool does_what_is_before(std::size_t i) const {
        const step &s = p.steps[i], &before = p.steps[i - 1];
        if (!may_do_both(p, i, slices)) return false;
        if (s.plan.kind == step_kind::output) return !list[i - 1].way.plan;
        if (s.plan.kind != step_kind::dense || list[i].way.plan) return false;
        const shape map = in_of(before);
        const long long bytes = map.size() * static_cast<long long>(cudnn::bytes_of(element()));
        const long long waits = (map.channels + 255) / 256 * ((static_cast<long long>(map.height) * map.width + 63) / 64);      // eight warps take 32 channels each, and 64 pixels at once
        return comes_in_eights(before.plan.in) && map.channels <= most_pooled_channels && waits <= most_pooled_waits && bytes <= most_pooled_bytes && (out_of(s).channels + 7) / 8 * bytes <= most_pooled_reads;
    }
    /// By estimate: a multiprocessor reads 64 bytes a clock from the second-level cache, all together 40 times as many, and waits for it some 700; a kernel more takes about 3,000 clocks.
    static constexpr int most_pooled_channels = 1024, most_pooled_waits = 4;
    static constexpr long long most_pooled_bytes = 192 * 1024, most_pooled_reads = 8 << 20;

    std::vector<convolution_way> tiled_ways(std::size_t i) const {
        std::vector<convolution_way> ways;
        const cudnn::convolution_shape c = shape_of(i);
        const auto add = [&](int melted) {
            const auto tiles = value_tiles_for(c, gpu.multiprocessors());
            for (std::size_t k = 0; k < most_tiles; ++k) ways.push_back({.plan = nullptr, .tile = tiles[k], .melted = melted});
        };
        if (!is_dense_conv(p.steps[i].plan.kind) || !runs_in_value_tiles(c, gpu.compute_capability())) return ways;
        if (const int before = melting_into(p, i, slices, count); before >= 0 && memory.places[static_cast<std::size_t>(p.steps[static_cast<std::size_t>(before)].plan.in)].pixel % 8 == 0) add(before);
        add(-1);
        return ways;
    }
    /// Without times: cuDNN, but where it has no engine, or leaves another kernel to start beside its own and a tile would not, few pixels given.
    convolution_way way_by_rule(std::size_t i) const {
        const convolution_way& w = list[i].way;
        const std::vector<convolution_way> ours = tiled_ways(i);
        if (ours.empty()) return w;
        const bool saves_kernel = ours.front().melted >= 0 || !w.plan_ends;
        const bool is_small = blocks_of(*ours.front().tile, shape_of(i)) <= 4LL * std::max(gpu.multiprocessors(), 1);
        return !w.plan || (saves_kernel && is_small) ? ours.front() : w;
    }

    static constexpr int best_plan = 6;
    static constexpr int most_plans = 12;           ///< of cuDNN's engines that are timed
    static constexpr std::size_t most_tiles = 3;    ///< of our tiles, with and without what melts in
    /// Everything in one graph if cuDNN can (3); else without the activation (2); else the sums alone (1). What is left, `combine` does in place. Three more for
    /// an engine that is meant to be quick: one for less of it is better than any other.
    int plan_convolution(const step& s, convolution_way& l, bool as_slices) const {
        cudnn::convolution_shape c = convolution_of(s, as_slices);
        const int activation = static_cast<int>(s.plan.activation);
        const auto attempt = [&](bool shifts, bool ends) {
            c.has_bias = shifts;
            c.has_addend = shifts && s.plan.addend >= 0;
            c.activation = ends ? activation : 0;
            const auto plans = gpu.plans_for(c);
            l.plan = plans.empty() ? nullptr : plans.front();
            l.plan_shifts = shifts, l.plan_ends = ends;
            return l.plan != nullptr;
        };
        for (const bool is_last_resort : {false, true}) {
            c.is_last_resort = l.is_last_resort = is_last_resort;
            const int quick = is_last_resort ? 0 : 3;
            if (cudnn::fuses(activation) && attempt(true, true)) return quick + 3;
            if (activation != 0 && attempt(true, false)) return quick + 2;
            if (attempt(false, false)) return quick + 1;
        }
        return 0;
    }

    void lay_out(const step& s, const layer& l, const float* const* parameters, std::byte* to) const {
        if (!has_shift(s.plan.kind) && !has_weight(s.plan.kind)) return;
        const step_kind k = s.plan.kind;
        const op& o = s.from;
        const bool is_norm = k == step_kind::affine;
        std::vector<double> scale(l.channels, 1.0), shift(l.channels, 0.0);
        if (is_norm && s.norm_parameters < 0) {             // a normalise behind another op: (x - mean) / deviation
            for (std::size_t c = 0; c < l.channels; ++c) {
                scale[c] = 1.0 / static_cast<double>(o.values[4 + c]);
                shift[c] = -static_cast<double>(o.values[c]) / static_cast<double>(o.values[4 + c]);
            }
        } else if (has_shift(k)) {
            const float* const bias = !is_norm && s.has_bias ? parameters[s.parameters + 1] : nullptr;
            for (std::size_t c = 0; c < l.channels; ++c) {
                if (bias) shift[c] = static_cast<double>(bias[c]);
                if (s.norm_parameters < 0) continue;
                const float* const* const n = parameters + s.norm_parameters;       // weight, bias, running mean, running variance
                scale[c] = static_cast<double>(n[0][c]) / std::sqrt(static_cast<double>(n[3][c]) + static_cast<double>(s.epsilon));
                shift[c] = static_cast<double>(n[1][c]) + (shift[c] - static_cast<double>(n[2][c])) * scale[c];
            }
        }
        for (std::size_t c = 0; c < l.channels; ++c) {
            put_float(to + l.shift, c, static_cast<float>(shift[c]));
            if (has_short_bias(k)) put_short(to + l.bias, c, static_cast<float>(shift[c]));
            if (is_norm) put_float(to + l.scale, c, static_cast<float>(scale[c]));
        }
        if (!has_weight(k)) return;
        const float* const w = parameters[s.parameters];
        const std::size_t in = static_cast<std::size_t>(in_of(s).channels / (k == step_kind::dense || k == step_kind::l2_normalise ? 1 : o.groups));
        const std::size_t out = static_cast<std::size_t>(out_of(s).channels), window = static_cast<std::size_t>(o.kernel.height) * static_cast<std::size_t>(o.kernel.width);
        const auto put = [&](std::size_t at, float value, std::size_t channel) {
            value = static_cast<float>(static_cast<double>(value) * scale[channel]);
            if (element() != cudnn::element::f32) {
                put_short(to + l.weight, at, value);
            } else {
                put_float(to + l.weight, at, value);
            }
        };
        if (k == step_kind::l2_normalise) {
            for (std::size_t c = 0; c < in; ++c) put_float(to + l.weight, c, w[c]);
        } else if (k == step_kind::dense) {
            for (std::size_t u = 0; u < out; ++u)
                for (std::size_t c = 0; c < in; ++c) put(u * in + c, w[u * in + c], u);
        } else if (k == step_kind::depthwise) {
            for (std::size_t c = 0; c < out; ++c)
                for (std::size_t x = 0; x < window; ++x) put(x * out + c, w[c * window + x], c);
        } else if (k == step_kind::conv_transpose) {        // PyTorch's (in, out, row, column)
            for (std::size_t c = 0; c < in; ++c)
                for (std::size_t u = 0; u < out; ++u)
                    for (std::size_t x = 0; x < window; ++x) put((x * out + u) * in + c, w[(c * out + u) * window + x], u);
        } else {
            for (std::size_t u = 0; u < out; ++u)
                for (std::size_t c = 0; c < in; ++c)
                    for (std::size_t x = 0; x < window; ++x) put((u * window + x) * in + c, w[(u * in + c) * window + x], u);
        }
    }
    static void put_float(std::byte* to, std::size_t at, float value) { std::memcpy(to + 4 * at, &value, 4); }
    void put_short(std::byte* to, std::size_t at, float value) const {
        const std::uint16_t bits = element() == cudnn::element::f16 ? half_from_float(value) : bfloat_from_float(value);
        std::memcpy(to + 2 * at, &bits, 2);
    }

    const cudnn::device& gpu;
    const program& p;
    precision as;
    int count;
    std::vector<slice> slices;
    lane_plan beside;
    arena_plan memory;
    std::vector<layer> list;
    std::size_t parameter_bytes{};
};

} // namespace splitdsl::gpu
