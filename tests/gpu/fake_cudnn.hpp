// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fake_cudnn.hpp
/// cuDNN's backend made of plain loops: descriptors that refuse what the real ones refuse, and graphs of one convolution and what follows it.
#pragma once

#include "fake_driver.hpp"

namespace fake {

namespace dnn = cudnn::dnn;

struct fake_descriptor {
    int kind{};
    bool finalised{};
    std::map<int, std::vector<std::byte>> values;

    template <class Value>
    std::vector<Value> list(int attribute) const {
        const auto found = values.find(attribute);
        if (found == values.end()) return {};
        std::vector<Value> v(found->second.size() / sizeof(Value));
        std::memcpy(v.data(), found->second.data(), v.size() * sizeof(Value));
        return v;
    }
    template <class Value>
    Value one(int attribute, Value otherwise = {}) const {
        if (const auto found = values.find(attribute); found != values.end() && found->second.size() >= sizeof(Value)) std::memcpy(&otherwise, found->second.data(), sizeof(Value));
        return otherwise;
    }
    const fake_descriptor& at(int attribute) const { return *one<fake_descriptor*>(attribute); }
    bool has(int attribute) const { return values.contains(attribute); }
};

inline std::size_t size_of_type(int type) {
    switch (type) {
    case dnn::boolean: return 1;
    case dnn::int64:
    case dnn::float64:
    case dnn::pointer:
    case dnn::handle_type:
    case dnn::descriptor_type: return 8;
    default: return 4;
    }
}
/// What must be set before a descriptor is finalised, and the type each attribute has.
inline const std::map<int, std::map<int, int>>& required() {
    static const std::map<int, std::map<int, int>> all{
        {dnn::tensor, {{dnn::tensor_data_type, dnn::data_type}, {dnn::tensor_dimensions, dnn::int64}, {dnn::tensor_strides, dnn::int64}, {dnn::tensor_id, dnn::int64}, {dnn::tensor_alignment, dnn::int64}}},
        {dnn::convolution,
         {{dnn::convolution_precision, dnn::data_type}, {dnn::convolution_mode_of, dnn::convolution_mode}, {dnn::convolution_dimensions, dnn::int64}, {dnn::convolution_pre_paddings, dnn::int64},
          {dnn::convolution_post_paddings, dnn::int64}, {dnn::convolution_strides, dnn::int64}, {dnn::convolution_dilations, dnn::int64}}},
        {dnn::pointwise, {{dnn::pointwise_mode_of, dnn::pointwise_mode}, {dnn::pointwise_precision, dnn::data_type}}},
        {dnn::operation_convolution,
         {{dnn::forward_x, dnn::descriptor_type}, {dnn::forward_w, dnn::descriptor_type}, {dnn::forward_y, dnn::descriptor_type}, {dnn::forward_convolution, dnn::descriptor_type},
          {dnn::forward_alpha, dnn::float32}, {dnn::forward_beta, dnn::float32}}},
        {dnn::operation_pointwise, {{dnn::pointwise_descriptor, dnn::descriptor_type}, {dnn::pointwise_x, dnn::descriptor_type}, {dnn::pointwise_y, dnn::descriptor_type}}},
        {dnn::operation_graph, {{dnn::graph_handle, dnn::handle_type}, {dnn::graph_operations, dnn::descriptor_type}}},
        {dnn::engine_heuristic, {{dnn::heuristic_graph, dnn::descriptor_type}, {dnn::heuristic_mode_of, dnn::heuristic_mode}}},
        {dnn::execution_plan, {{dnn::plan_handle, dnn::handle_type}, {dnn::plan_config, dnn::descriptor_type}}},
        {dnn::variant_pack, {{dnn::variant_ids, dnn::int64}, {dnn::variant_pointers, dnn::pointer}, {dnn::variant_workspace, dnn::pointer}}},
    };
    return all;
}
inline int type_of_attribute(int attribute) {
    for (const auto& [kind, list] : required())
        if (const auto found = list.find(attribute); found != list.end()) return found->second;
    switch (attribute) {
    case dnn::tensor_is_virtual: return dnn::boolean;
    case dnn::relu_lower_clip:
    case dnn::relu_lower_slope: return dnn::float64;
    case dnn::pointwise_alpha1:
    case dnn::pointwise_alpha2: return dnn::float32;
    case dnn::pointwise_b: return dnn::descriptor_type;
    default: return -1;
    }
}

constexpr std::int64_t fake_workspaces[]{1000, 3000};       // bytes that a plan of each engine asks for
enum made_up_attribute : int { graph_of_config = -1, engine_of_config = -2, workspace_of_plan = -3 };

/// A tensor of a graph while it runs: in memory, or a value inside the graph.
struct graph_tensor {
    std::int64_t dims[4]{}, strides[4]{};
    int type{};
    void* at{};

    std::size_t place(std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) const {
        return static_cast<std::size_t>((dims[0] == 1 ? 0 : n * strides[0]) + (dims[1] == 1 ? 0 : c * strides[1]) + (dims[2] == 1 ? 0 : y * strides[2]) + (dims[3] == 1 ? 0 : x * strides[3]));
    }
    float read_at(std::size_t k) const {
        const auto* const bits = static_cast<const std::uint16_t*>(at);
        return type == dnn::data_half ? splitdsl::float_from_half(bits[k]) : type == dnn::data_bfloat16 ? splitdsl::float_from_bfloat(bits[k]) : static_cast<const float*>(at)[k];
    }
    float read(std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) const { return read_at(place(n, c, y, x)); }
    void write(std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x, float value) const {
        const std::size_t k = place(n, c, y, x);
        if (type == dnn::data_float) static_cast<float*>(at)[k] = value;
        else static_cast<std::uint16_t*>(at)[k] = type == dnn::data_half ? splitdsl::half_from_float(value) : splitdsl::bfloat_from_float(value);
    }
};

struct graph_run {
    std::map<std::int64_t, void*> memory;
    std::map<std::int64_t, std::vector<float>> inner;

    graph_tensor open(const fake_descriptor& t) {
        graph_tensor g;
        const auto dims = t.list<std::int64_t>(dnn::tensor_dimensions), strides = t.list<std::int64_t>(dnn::tensor_strides);
        std::copy_n(dims.begin(), 4, g.dims);
        std::copy_n(strides.begin(), 4, g.strides);
        const std::int64_t id = t.one<std::int64_t>(dnn::tensor_id);
        g.type = t.one<int>(dnn::tensor_data_type);
        if (t.one<bool>(dnn::tensor_is_virtual)) {
            if (g.type != dnn::data_float) complain("an inner value of 16 bits");
            inner[id].resize(static_cast<std::size_t>(dims[0] * dims[1] * dims[2] * dims[3]));
            g.at = inner[id].data();
        } else if (!(g.at = memory[id])) {
            complain("a tensor without memory");
        }
        return g;
    }
    template <class Work>
    static void each_value(const graph_tensor& y, Work work) {
        for (std::int64_t n = 0; n < y.dims[0]; ++n)
            for (std::int64_t c = 0; c < y.dims[1]; ++c)
                for (std::int64_t i = 0; i < y.dims[2]; ++i)
                    for (std::int64_t j = 0; j < y.dims[3]; ++j) y.write(n, c, i, j, static_cast<float>(work(n, c, i, j)));
    }
    void convolve(const fake_descriptor& o) {
        const graph_tensor x = open(o.at(dnn::forward_x)), w = open(o.at(dnn::forward_w)), y = open(o.at(dnn::forward_y));
        const fake_descriptor& c = o.at(dnn::forward_convolution);
        const auto before = c.list<std::int64_t>(dnn::convolution_pre_paddings), stride = c.list<std::int64_t>(dnn::convolution_strides), dilation = c.list<std::int64_t>(dnn::convolution_dilations);
        const std::int64_t each = y.dims[1] / (x.dims[1] / w.dims[1]);
        each_value(y, [&](std::int64_t n, std::int64_t k, std::int64_t i, std::int64_t j) {
            double sum = 0;
            for (std::int64_t r = 0; r < w.dims[2]; ++r)
                for (std::int64_t s = 0; s < w.dims[3]; ++s) {
                    const std::int64_t row = i * stride[0] - before[0] + r * dilation[0], column = j * stride[1] - before[1] + s * dilation[1];
                    if (row < 0 || column < 0 || row >= x.dims[2] || column >= x.dims[3]) continue;
                    const std::size_t from = static_cast<std::size_t>(k * w.strides[0] + r * w.strides[2] + s * w.strides[3]);
                    for (std::int64_t q = 0; q < w.dims[1]; ++q)
                        sum += static_cast<double>(x.read(n, k / each * w.dims[1] + q, row, column)) * static_cast<double>(w.read_at(from + static_cast<std::size_t>(q * w.strides[1])));
                }
            return sum;
        });
    }
    void point(const fake_descriptor& o) {
        const graph_tensor x = open(o.at(dnn::pointwise_x)), y = open(o.at(dnn::pointwise_y));
        const fake_descriptor& how = o.at(dnn::pointwise_descriptor);
        const int mode = how.one<int>(dnn::pointwise_mode_of);
        const graph_tensor b = mode == dnn::mode_add ? open(o.at(dnn::pointwise_b)) : graph_tensor{};
        const double low = how.one<double>(dnn::relu_lower_clip), slope = how.one<double>(dnn::relu_lower_slope);
        each_value(y, [&](std::int64_t n, std::int64_t c, std::int64_t i, std::int64_t j) {
            const double v = static_cast<double>(x.read(n, c, i, j));
            if (mode == dnn::mode_add) return v + static_cast<double>(b.read(n, c, i, j));
            return v > low ? v : low + slope * (v - low);
        });
    }
};

/// Whether a real tensor of a graph has room between its pixels: a slice of a wider one.
inline bool has_gaps(const fake_descriptor& o) {
    for (const int which : {dnn::forward_x, dnn::forward_y, dnn::pointwise_x, dnn::pointwise_b, dnn::pointwise_y}) {
        if (!o.has(which) || o.at(which).one<bool>(dnn::tensor_is_virtual)) continue;
        const auto dims = o.at(which).list<std::int64_t>(dnn::tensor_dimensions), strides = o.at(which).list<std::int64_t>(dnn::tensor_strides);
        if (strides[3] != dims[1]) return true;
    }
    return false;
}

/// Whether a graph's tensors are packed as we say, ids differ and every size follows from the others.
inline bool plausible(const fake_descriptor& graph) {
    std::set<std::int64_t> ids;
    for (const auto* o : graph.list<fake_descriptor*>(dnn::graph_operations)) {
        if (!o->finalised) return false;
        if (o->kind != dnn::operation_convolution) continue;
        const auto in = o->at(dnn::forward_x).list<std::int64_t>(dnn::tensor_dimensions), w = o->at(dnn::forward_w).list<std::int64_t>(dnn::tensor_dimensions),
                   out = o->at(dnn::forward_y).list<std::int64_t>(dnn::tensor_dimensions);
        const fake_descriptor& c = o->at(dnn::forward_convolution);
        const auto before = c.list<std::int64_t>(dnn::convolution_pre_paddings), behind = c.list<std::int64_t>(dnn::convolution_post_paddings), stride = c.list<std::int64_t>(dnn::convolution_strides),
                   dilation = c.list<std::int64_t>(dnn::convolution_dilations);
        for (std::size_t k = 0; k < 2; ++k)
            if (out[2 + k] != (in[2 + k] + before[k] + behind[k] - dilation[k] * (w[2 + k] - 1) - 1) / stride[k] + 1) return false;
        if (in[1] % w[1] != 0 || w[0] != out[1] || in[0] != out[0]) return false;
        for (const int t : {dnn::forward_x, dnn::forward_w, dnn::forward_y}) ids.insert(o->at(t).one<std::int64_t>(dnn::tensor_id));
        if (ids.size() != 3) return false;
    }
    return true;
}

/// Of the last operation's result.
inline int type_of_output(const fake_descriptor& graph) {
    const fake_descriptor& o = *graph.list<fake_descriptor*>(dnn::graph_operations).back();
    return o.at(o.kind == dnn::operation_convolution ? dnn::forward_y : dnn::pointwise_y).one<int>(dnn::tensor_data_type);
}

/// What the tensors of a graph are in memory, and all of its workspace.
inline std::vector<shadow::operand> operands_of_graph(const fake_descriptor& graph, const std::map<std::int64_t, void*>& memory, const void* workspace, std::int64_t room) {
    operand_list list(1, 1, 4);
    list.add("the workspace", workspace, room, shadow::writes);
    const auto add = [&](const char* name, const fake_descriptor& t, unsigned mode) {
        if (t.one<bool>(dnn::tensor_is_virtual)) return;
        const auto dims = t.list<std::int64_t>(dnn::tensor_dimensions), strides = t.list<std::int64_t>(dnn::tensor_strides);
        const long long size = t.one<int>(dnn::tensor_data_type) == dnn::data_float ? 4 : 2;
        const auto* const at = static_cast<const char*>(memory.at(t.one<std::int64_t>(dnn::tensor_id)));
        for (std::int64_t n = 0; n < dims[0]; ++n)
            for (std::int64_t y = 0; y < dims[2]; ++y)
                for (std::int64_t x = 0; x < dims[3]; ++x)
                    list.add(name, at + size * ((dims[0] == 1 ? 0 : n * strides[0]) + (dims[2] == 1 ? 0 : y * strides[2]) + (dims[3] == 1 ? 0 : x * strides[3])), size * dims[1], mode);
    };
    for (const auto* o : graph.list<fake_descriptor*>(dnn::graph_operations)) {
        const bool convolves = o->kind == dnn::operation_convolution;
        add("the input", o->at(convolves ? dnn::forward_x : dnn::pointwise_x), shadow::reads);
        if (convolves) add("weights", o->at(dnn::forward_w), shadow::reads);
        if (o->has(dnn::pointwise_b)) add("the addend", o->at(dnn::pointwise_b), shadow::reads);
        add("the result", o->at(convolves ? dnn::forward_y : dnn::pointwise_y), operand_list::written);
    }
    return std::move(list.all);
}

/// cuDNN's handle: of one device, with one stream.
struct fake_handle {
    int device{};
    handle stream{};
};

cudnn::network_api network() {
    cudnn::network_api n;
    n.version = [] { return std::size_t{91900}; };
    n.create = [](handle* h) { return check_context("cudnnCreate"), *h = new fake_handle{in_use}, ++now.handles, 0; };
    n.destroy = [](handle h) { return given_to.erase(h), delete static_cast<fake_handle*>(h), --now.handles, 0; };
    n.use_stream = [](handle h, handle stream) {
        if (stream && *static_cast<int*>(stream) != static_cast<fake_handle*>(h)->device) complain("cudnnSetStream of another device's stream");
        const driver_call here;
        return given_to[h] = static_cast<fake_handle*>(h)->stream = stream, 0;
    };
    n.create_descriptor = [](int kind, handle* d) { return *d = new fake_descriptor{kind, false, {}}, ++now.descriptors, ++now.calls_that_allocate, 0; };
    n.destroy_descriptor = [](handle d) { return delete static_cast<fake_descriptor*>(d), --now.descriptors, 0; };
    n.set = [](handle d, int attribute, int type, std::int64_t count, const void* values) {
        auto& x = *static_cast<fake_descriptor*>(d);
        if (x.finalised || count < 1 || !values || type != type_of_attribute(attribute)) {
            complain("attribute " + std::to_string(attribute) + " set wrongly");
            return 2000;
        }
        const auto* const bytes = static_cast<const std::byte*>(values);
        x.values[attribute].assign(bytes, bytes + static_cast<std::size_t>(count) * size_of_type(type));
        return 0;
    };
    n.finalise = [](handle d) {
        auto& x = *static_cast<fake_descriptor*>(d);
        if (const auto wanted = required().find(x.kind); wanted != required().end())
            for (const auto& [attribute, type] : wanted->second)
                if (!x.has(attribute)) {
                    complain("a descriptor finalised without attribute " + std::to_string(attribute));
                    return 2000;
                }
        for (const int of : {dnn::graph_handle, dnn::plan_handle})
            if (x.has(of) && x.one<fake_handle*>(of)->device != in_use) complain("cuDNN's handle in another device's context");
        if (x.kind == dnn::operation_graph) {
            if (!plausible(x)) {
                complain("a graph that does not fit together");
                return 2000;
            }
            if (!now.takes_any) return 3000;
            for (const auto* o : x.list<fake_descriptor*>(dnn::graph_operations)) {
                if (!now.takes_slices && has_gaps(*o)) return 3000;
                if (o->kind != dnn::operation_pointwise) continue;
                const int mode = o->at(dnn::pointwise_descriptor).one<int>(dnn::pointwise_mode_of);
                // As engines that are compiled in advance: all that is added has the output's type.
                if (mode == dnn::mode_add && o->at(dnn::pointwise_b).one<int>(dnn::tensor_data_type) != type_of_output(x)) return 3000;
                if ((mode == dnn::mode_add && !now.takes_addend) || (mode != dnn::mode_add && !now.takes_activation)) return 3000;
            }
        }
        if (x.kind == dnn::execution_plan) {
            now.engine = x.at(dnn::plan_config).list<int>(engine_of_config)[1];
            const auto* const room = reinterpret_cast<const std::byte*>(fake_workspaces + now.engine);
            x.values[workspace_of_plan].assign(room, room + sizeof(std::int64_t));
        }
        x.finalised = true;
        return 0;
    };
    n.get = [](handle d, int attribute, int, std::int64_t room, std::int64_t* count, void* values) {
        auto& x = *static_cast<fake_descriptor*>(d);
        switch (attribute) {
        case dnn::heuristic_results:
            *count = 2;
            for (std::int64_t k = 0; k < std::min<std::int64_t>(room, 2); ++k) {
                auto& config = *static_cast<fake_descriptor**>(values)[k];
                config.values[graph_of_config] = x.values[dnn::heuristic_graph];
                const int said[]{k == 0 ? now.first_note : -1, static_cast<int>(k), k < now.compiled_first ? dnn::note_compiled_first : -1};
                config.values[engine_of_config].assign(reinterpret_cast<const std::byte*>(said), reinterpret_cast<const std::byte*>(said + 3));
                config.finalised = true;
            }
            return 0;
        case dnn::config_engine: static_cast<fake_descriptor**>(values)[0]->values[engine_of_config] = x.values[engine_of_config]; return *count = 1, 0;
        case dnn::engine_notes:
            *count = x.one<int>(engine_of_config, -1) >= 0 ? 1 : 0;
            if (*count == 1) *static_cast<int*>(values) = x.one<int>(engine_of_config);
            return 0;
        case dnn::engine_behaviour:
            *count = x.list<int>(engine_of_config)[2] >= 0 ? 1 : 0;
            if (*count == 1) *static_cast<int*>(values) = x.list<int>(engine_of_config)[2];
            return 0;
        case dnn::plan_workspace: return *static_cast<std::int64_t*>(values) = x.one<std::int64_t>(workspace_of_plan), *count = 1, 0;
        default: complain("attribute " + std::to_string(attribute) + " read"); return 2000;
        }
    };
    n.execute = [](handle h, handle plan, handle variant) {
        const driver_call here;
        const handle stream = static_cast<fake_handle*>(h)->stream;
        const auto& v = *static_cast<fake_descriptor*>(variant);
        const fake_descriptor& config = static_cast<fake_descriptor*>(plan)->at(dnn::plan_config);
        graph_run run;
        const auto ids = v.list<std::int64_t>(dnn::variant_ids);
        const auto at = v.list<void*>(dnn::variant_pointers);
        if (!stream) return complain("cudnnBackendExecute on the default stream"), 2000;
        check_stream("cudnnBackendExecute", stream);
        if (static_cast<fake_descriptor*>(plan)->one<handle>(dnn::plan_handle) != h) complain("cudnnBackendExecute with another handle than the plan's");
        if (ids.size() != at.size() || v.one<void*>(dnn::variant_workspace) == nullptr) complain("a variant pack that does not fit");
        for (std::size_t k = 0; k < ids.size(); ++k) {
            run.memory[ids[k]] = at[k];
            if (reinterpret_cast<std::uintptr_t>(at[k]) % 16 != 0) complain("a tensor that is not aligned as it was said to be");
        }
        if (now.fail_convolution_after >= 0 && now.convolutions_asked >= now.fail_convolution_after) return 5000;
        ++now.convolutions_asked;
        if (now.capturing && config.list<int>(engine_of_config)[1] == now.breaks_captures) return now.capturing->is_broken = true, 0;
        return enqueue(stream, false, [run, workspace = v.one<void*>(dnn::variant_workspace), room = static_cast<fake_descriptor*>(plan)->one<std::int64_t>(workspace_of_plan), engine = config.list<int>(engine_of_config)[1],
                                        graph = config.one<fake_descriptor*>(graph_of_config)]() mutable {        // a plan's descriptors live as long as it
            ++now.convolutions;
            if (!inside(reinterpret_cast<cudnn::device_address>(workspace), static_cast<std::size_t>(room))) complain("a convolution with a workspace that is too small, or was given back");
            now.clock += now.engine_times[engine];
            ++now.engine_runs[engine];
            if constexpr (shadow::is_on) {
                shadow::seen.loads_plans = !shadow::runs_graph();
                shadow::whole("cuDNN", operands_of_graph(*graph, run.memory, workspace, room));
            }
            for (const auto* o : graph->list<fake_descriptor*>(dnn::graph_operations)) o->kind == dnn::operation_convolution ? run.convolve(*o) : run.point(*o);
            return 0;
        });
    };
    n.error_text = [](int) { return "FAKE_ERROR"; };
    return n;
}

} // namespace fake
