// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file convolution.hpp
/// A convolution with bias, addend and activation as one cuDNN graph, planned once.
#pragma once

#include <kernels/cudnn/api.hpp>
#include <kernels/cudnn/source/all.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace splitdsl::kernels::cudnn {

/// Interleaved tensors of `images` images, all of one type, the bias too: no engine that is compiled in advance adds a 32-bit bias to 16-bit values.
/// `addend` may be the output's memory.
struct convolution_shape {
    int images{1};
    int in_channels{}, in_height{}, in_width{};
    int out_channels{}, out_height{}, out_width{};
    int kernel_h{1}, kernel_w{1}, stride_h{1}, stride_w{1};
    int pad_top{}, pad_left{}, pad_bottom{}, pad_right{};
    int dilation_h{1}, dilation_w{1}, groups{1};
    int in_pixel{}, out_pixel{}, addend_pixel{};    ///< elements between pixels: more than the channels where a tensor is a slice of a wider one
    element type{};                     ///< of values; sums are in 32 bits
    bool tensor_cores{true};            ///< for 32-bit values: TF32
    bool has_bias{}, has_addend{};
    int activation{};                   ///< graph::activation_kind; only those that `fuses` takes
    float slope{};
    bool is_last_resort{};              ///< of the engines of which cuDNN says that they work, not that they are quick
    bool operator==(const convolution_shape&) const = default;
};
/// Activations that cuDNN's engines have at once: none, relu, leaky_relu. For relu6, sigmoid and tanh it would compile one, for seconds a shape in every process, or
/// take the one without tensor cores; a pass of our own costs less.
constexpr bool fuses(int activation) { return activation <= 1 || activation == 3; }

struct convolution_operands {
    device_address in{}, weight{}, bias{}, addend{}, out{}, workspace{};
};

/// One descriptor of cuDNN's backend.
class descriptor {
public:
    descriptor() = default;
    descriptor(const network_api& with, int kind) : api{&with} {
        if (api->create_descriptor(kind, &is) != 0) is = nullptr, good = false;
    }
    descriptor(descriptor&& other) noexcept : api{other.api}, is{std::exchange(other.is, nullptr)}, good{other.good} {}
    descriptor& operator=(descriptor&& other) noexcept {
        std::swap(api, other.api), std::swap(is, other.is), std::swap(good, other.good);
        return *this;
    }
    ~descriptor() {
        if (is) api->destroy_descriptor(is);
    }
    template <class Value>
    descriptor& set(int attribute, int type, const Value& value) { return set(attribute, type, 1, &value); }
    descriptor& set(int attribute, int type, std::int64_t count, const void* values) {
        good = good && api->set(is, attribute, type, count, values) == 0;
        return *this;
    }
    bool finalise() { return good = good && api->finalise(is) == 0; }
    bool valid() const { return good && is; }
    handle get() const { return is; }

private:
    const network_api* api{};
    handle is{};
    bool good{true};
};

/// One of cuDNN's ways to run a convolution.
class convolution_plan {
public:
    /// Those that cuDNN's heuristics put first among those that work here, in their order, no more than `most`; none: then our own kernels run. It is asked once.
    static std::vector<std::shared_ptr<const convolution_plan>> best_of(const network_api& with, handle dnn, const convolution_shape& s, int most) {
        auto made_of = std::make_shared<std::vector<descriptor>>();
        const handle graph = build(with, dnn, s, *made_of);
        return graph ? choose(with, dnn, graph, s, most, std::move(made_of)) : std::vector<std::shared_ptr<const convolution_plan>>{};
    }

    std::int64_t workspace() const { return room; }

    /// Starts the work on the handle's stream; cuDNN's status.
    int run(handle dnn, const convolution_operands& o) const {
        std::vector<std::int64_t> ids{1, 2, 5};
        std::vector<void*> at{pointer(o.in), pointer(o.weight), pointer(o.out)};
        if (with_bias) ids.push_back(3), at.push_back(pointer(o.bias));
        if (with_addend) ids.push_back(4), at.push_back(pointer(o.addend));
        void* const work = pointer(o.workspace);
        descriptor variant{*api, dnn::variant_pack};
        variant.set(dnn::variant_ids, dnn::int64, static_cast<std::int64_t>(ids.size()), ids.data())
            .set(dnn::variant_pointers, dnn::pointer, static_cast<std::int64_t>(at.size()), at.data())
            .set(dnn::variant_workspace, dnn::pointer, work);
        return variant.finalise() ? api->execute(dnn, plan.get(), variant.get()) : -1;
    }

private:
    static void* pointer(device_address at) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(at)); }

    /// (images, channels, height, width) that lies interleaved; `pixel`: elements from one to the next, 0: its channels.
    static descriptor tensor(const network_api& with, std::int64_t id, int type, std::array<std::int64_t, 4> dims, bool is_virtual, std::int64_t pixel = 0) {
        if (pixel == 0) pixel = dims[1];
        const std::array<std::int64_t, 4> strides{pixel * dims[2] * dims[3], 1, pixel * dims[3], pixel};
        const std::int64_t alignment = 16;
        descriptor d{with, dnn::tensor};
        d.set(dnn::tensor_data_type, dnn::data_type, type)
            .set(dnn::tensor_dimensions, dnn::int64, 4, dims.data())
            .set(dnn::tensor_strides, dnn::int64, 4, strides.data())
            .set(dnn::tensor_id, dnn::int64, id)
            .set(dnn::tensor_alignment, dnn::int64, alignment)
            .set(dnn::tensor_is_virtual, dnn::boolean, is_virtual);
        d.finalise();
        return d;
    }

    /// The graph of all operations, in `kept` with what it is made of; null: cuDNN does not take it.
    static handle build(const network_api& with, handle dnn, const convolution_shape& s, std::vector<descriptor>& kept) {
        const int type = s.type == element::f16 ? dnn::data_half : s.type == element::bf16 ? dnn::data_bfloat16 : dnn::data_float, sums = dnn::data_float;
        const std::array<std::int64_t, 4> out{s.images, s.out_channels, s.out_height, s.out_width};
        const int steps = 1 + s.has_bias + s.has_addend + (s.activation != 0);
        const auto keep = [&](descriptor d) {
            kept.push_back(std::move(d));
            return kept.back().get();
        };
        const handle x = keep(tensor(with, 1, type, {s.images, s.in_channels, s.in_height, s.in_width}, false, s.in_pixel));
        const handle w = keep(tensor(with, 2, type, {s.out_channels, s.in_channels / s.groups, s.kernel_h, s.kernel_w}, false));
        int at = 0;
        // What each step makes: a value that exists only inside the graph, and last the output.
        const auto result = [&] { return ++at == steps ? keep(tensor(with, 5, type, out, false, s.out_pixel)) : keep(tensor(with, 10 + at, sums, out, true)); };

        const std::int64_t before[]{s.pad_top, s.pad_left}, behind[]{s.pad_bottom, s.pad_right}, strides[]{s.stride_h, s.stride_w}, dilations[]{s.dilation_h, s.dilation_w};
        const std::int64_t dimensions = 2;
        descriptor conv{with, dnn::convolution};
        conv.set(dnn::convolution_precision, dnn::data_type, sums)
            .set(dnn::convolution_mode_of, dnn::convolution_mode, static_cast<int>(dnn::cross_correlation))
            .set(dnn::convolution_dimensions, dnn::int64, dimensions)
            .set(dnn::convolution_pre_paddings, dnn::int64, 2, before)
            .set(dnn::convolution_post_paddings, dnn::int64, 2, behind)
            .set(dnn::convolution_strides, dnn::int64, 2, strides)
            .set(dnn::convolution_dilations, dnn::int64, 2, dilations);
        conv.finalise();
        const handle conv_at = keep(std::move(conv));

        std::vector<handle> operations;
        const float one = 1, nothing = 0;
        handle value = result();
        {
            descriptor forward{with, dnn::operation_convolution};
            forward.set(dnn::forward_x, dnn::descriptor_type, x)
                .set(dnn::forward_w, dnn::descriptor_type, w)
                .set(dnn::forward_y, dnn::descriptor_type, value)
                .set(dnn::forward_convolution, dnn::descriptor_type, conv_at)
                .set(dnn::forward_alpha, dnn::float32, one)
                .set(dnn::forward_beta, dnn::float32, nothing);
            forward.finalise();
            operations.push_back(keep(std::move(forward)));
        }
        const auto pointwise = [&](descriptor how, handle second) {
            how.finalise();
            const handle how_at = keep(std::move(how)), to = result();
            descriptor p{with, dnn::operation_pointwise};
            p.set(dnn::pointwise_descriptor, dnn::descriptor_type, how_at).set(dnn::pointwise_x, dnn::descriptor_type, value);
            if (second) p.set(dnn::pointwise_b, dnn::descriptor_type, second);
            p.set(dnn::pointwise_y, dnn::descriptor_type, to).set(dnn::pointwise_alpha1, dnn::float32, one);
            if (second) p.set(dnn::pointwise_alpha2, dnn::float32, one);
            p.finalise();
            operations.push_back(keep(std::move(p)));
            value = to;
        };
        const auto mode = [&](int m) {
            descriptor d{with, dnn::pointwise};
            d.set(dnn::pointwise_mode_of, dnn::pointwise_mode, m).set(dnn::pointwise_precision, dnn::data_type, sums);
            return d;
        };
        // Addend before bias: the order in which cuDNN has engines compiled in advance.
        if (s.has_addend) pointwise(mode(dnn::mode_add), keep(tensor(with, 4, type, out, false, s.addend_pixel)));
        if (s.has_bias) pointwise(mode(dnn::mode_add), keep(tensor(with, 3, type, {1, s.out_channels, 1, 1}, false)));
        if (s.activation != 0) {
            descriptor d = mode(dnn::mode_relu);
            const double zero = 0, slope = static_cast<double>(s.slope);
            d.set(dnn::relu_lower_clip, dnn::float64, zero);
            if (s.activation == 3) d.set(dnn::relu_lower_slope, dnn::float64, slope);
            pointwise(std::move(d), nullptr);
        }
        for (const descriptor& d : kept)
            if (!d.valid()) return nullptr;
        descriptor graph{with, dnn::operation_graph};
        graph.set(dnn::graph_handle, dnn::handle_type, dnn).set(dnn::graph_operations, dnn::descriptor_type, static_cast<std::int64_t>(operations.size()), operations.data());
        return graph.finalise() ? keep(std::move(graph)) : nullptr;
    }

    static std::vector<std::shared_ptr<const convolution_plan>> choose(const network_api& with, handle dnn, handle graph, const convolution_shape& s, int most,
                                                                       std::shared_ptr<const std::vector<descriptor>> made_of) {
        std::vector<std::shared_ptr<const convolution_plan>> found;
        descriptor asked{with, dnn::engine_heuristic};
        const int heuristic = s.is_last_resort ? dnn::heuristic_fallback : dnn::heuristic_a;
        asked.set(dnn::heuristic_graph, dnn::descriptor_type, graph).set(dnn::heuristic_mode_of, dnn::heuristic_mode, heuristic);
        if (!asked.finalise()) return found;
        std::int64_t count = 0;
        if (with.get(asked.get(), dnn::heuristic_results, dnn::descriptor_type, 0, &count, nullptr) != 0 || count <= 0) return found;
        std::vector<descriptor> configs;
        std::vector<handle> handles;
        for (std::int64_t k = 0; k < count; ++k) {
            configs.emplace_back(with, dnn::engine_config);
            if (!configs.back().valid()) return found;
            handles.push_back(configs.back().get());
        }
        if (with.get(asked.get(), dnn::heuristic_results, dnn::descriptor_type, count, &count, handles.data()) != 0) return found;
        for (std::size_t k = 0; k < static_cast<std::size_t>(count) && std::ssize(found) < most; ++k) {
            if (is_left_out(with, handles[k], s)) continue;
            descriptor p{with, dnn::execution_plan};
            p.set(dnn::plan_handle, dnn::handle_type, dnn).set(dnn::plan_config, dnn::descriptor_type, handles[k]);
            if (!p.finalise()) continue;
            std::int64_t bytes = 0, one = 0;
            if (with.get(p.get(), dnn::plan_workspace, dnn::int64, 1, &one, &bytes) != 0 || bytes > largest_workspace) continue;
            auto made = std::make_shared<convolution_plan>();
            made->api = &with, made->kept = made_of, made->config = std::move(configs[k]), made->plan = std::move(p), made->room = bytes;
            made->with_bias = s.has_bias, made->with_addend = s.has_addend;
            found.push_back(std::move(made));
        }
        return found;
    }
    /// Whether an engine makes 32-bit operands smaller than was asked for, or sums in less than 32 bits; or is compiled when a plan is made, where others are there already.
    /// One that does not say is taken.
    static bool is_left_out(const network_api& with, handle config, const convolution_shape& s) {
        descriptor engine{with, dnn::engine};
        handle at = engine.get();
        std::int64_t count = 0;
        if (!engine.valid() || with.get(config, dnn::config_engine, dnn::descriptor_type, 1, &count, &at) != 0) return false;
        const auto says = [&](int attribute, int type, auto is_meant) {
            std::array<int, 32> notes{};
            if (with.get(at, attribute, type, static_cast<std::int64_t>(notes.size()), &count, notes.data()) != 0) return false;
            return std::any_of(notes.begin(), notes.begin() + std::clamp<std::int64_t>(count, 0, static_cast<std::int64_t>(notes.size())), is_meant);
        };
        return (!s.is_last_resort && says(dnn::engine_behaviour, dnn::behaviour_note, [](int note) { return note == dnn::note_compiled_first; })) ||
               says(dnn::engine_notes, dnn::numerical_note, [&](int note) {
                   return note == dnn::note_short_sums || (s.type == element::f32 && (note == dnn::note_short_inputs || (note == dnn::note_tensor_core && !s.tensor_cores)));
               });
    }

    static constexpr std::int64_t largest_workspace = std::int64_t{256} << 20;
    const network_api* api{};
    std::shared_ptr<const std::vector<descriptor>> kept;        // what the plan was made of
    descriptor config, plan;
    std::int64_t room{};
    bool with_bias{}, with_addend{};
};

} // namespace splitdsl::kernels::cudnn
