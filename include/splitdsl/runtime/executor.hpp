// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file executor.hpp
/// Runs a network's program with the SIMD kernels of the instruction set this file is compiled for.
///
/// Everything here lives in that instruction set's inline namespace and instantiates nothing outside it, so objects built with
/// different flags may be linked into one program.
#pragma once

#include <kernels/simd/simd.hpp>
#include <splitdsl/codec/tensor_codec.hpp>
#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/runtime/program.hpp>

#include <new>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

using graph::step_kind;

SPLITDSL_INLINE simd::extent extent_of(const shape& s) { return {s.channels, s.height, s.width}; }
SPLITDSL_INLINE simd::view written(const frame_memory& m, const placed& b) { return {reinterpret_cast<float*>(m.arena + b.at), b.row, b.block}; }
SPLITDSL_INLINE simd::const_view read(const frame_memory& m, const placed& b) {
    return b.at < 0 ? simd::const_view{} : simd::const_view{reinterpret_cast<const float*>(m.arena + b.at), b.row, b.block};
}
SPLITDSL_INLINE simd::epilogue ending(const frame_memory& m, const instruction& c) { return {c.activation, c.slope, read(m, c.addend)}; }
SPLITDSL_INLINE simd::pool_shape pool_of(const instruction& c) {
    const simd::conv_shape& w = c.conv;
    return {w.in_channels, w.in_height, w.in_width, w.out_height, w.out_width, w.kernel_h, w.kernel_w, w.stride_h, w.stride_w,
            w.pad_top,     w.pad_left,  c.pad_bottom, c.pad_right, c.flag_b};
}
SPLITDSL_INLINE simd::dense_shape dense_of(const instruction& c) { return {c.conv.in_channels, c.conv.out_channels}; }

/// Floats of packed parameters a step needs.
inline std::size_t packed_floats(const instruction& c) {
    switch (c.kind) {
    case step_kind::conv: return simd::direct_conv_packed_floats(c.conv);
    case step_kind::depthwise: return simd::depthwise_conv_packed_floats(c.conv);
    case step_kind::grouped_conv: return simd::grouped_conv_packed_floats(c.conv);
    case step_kind::conv_transpose: return simd::conv_transpose_packed_floats(c.conv);
    case step_kind::dense: return simd::dense_packed_floats(dense_of(c));
    case step_kind::affine: return simd::affine_packed_floats(c.conv.in_channels);
    case step_kind::l2_normalise: return simd::l2_normalise_packed_floats(c.conv.in_channels);
    default: return 0;
    }
}

/// Parallel tasks of a step.
inline int tasks_of(const instruction& c) {
    const simd::extent out = extent_of(c.out.of);
    switch (c.kind) {
    case step_kind::conv: return simd::direct_conv_tasks(c.conv);
    case step_kind::depthwise: return simd::depthwise_conv_tasks(c.conv);
    case step_kind::grouped_conv: return simd::grouped_conv_tasks(c.conv);
    case step_kind::conv_transpose: return simd::conv_transpose_tasks(c.conv);
    case step_kind::dense: return simd::dense_tasks(dense_of(c));
    case step_kind::global_pool: return simd::global_avg_pool_tasks(extent_of(c.in.of));
    case step_kind::l2_normalise: return simd::l2_normalise_tasks(out);
    case step_kind::radix_softmax: return simd::radix_softmax_tasks(out);
    case step_kind::affine:
    case step_kind::activate:
    case step_kind::max_pool:
    case step_kind::avg_pool:
    case step_kind::upsample:
    case step_kind::pad:
    case step_kind::pad_channels:
    case step_kind::slice_channels:
    case step_kind::magnitude:
    case step_kind::divisive:
    case step_kind::subsample:
    case step_kind::add:
    case step_kind::multiply: return simd::row_tasks(out);
    default: return 1;
    }
}

/// Tasks [first, last) of one step.
inline void work(const instruction& c, const frame_memory& m, const float* packed, int first, int last) {
    const simd::view out = written(m, c.out);
    const simd::const_view in = read(m, c.in);
    const simd::extent of = extent_of(c.out.of);
    switch (c.kind) {
    case step_kind::conv: simd::direct_conv(c.conv, in, out, packed, ending(m, c), first, last); break;
    case step_kind::depthwise: simd::depthwise_conv(c.conv, in, out, packed, ending(m, c), first, last); break;
    case step_kind::grouped_conv: simd::grouped_conv(c.conv, in, out, packed, ending(m, c), first, last); break;
    case step_kind::conv_transpose: simd::conv_transpose(c.conv, in, out, packed, ending(m, c), first, last); break;
    case step_kind::dense: simd::dense(dense_of(c), in.at, out.at, packed, ending(m, c), first, last); break;
    case step_kind::affine: simd::affine(of, in, out, packed, c.activation, c.slope, first, last); break;
    case step_kind::activate: simd::activate(of, in, out, c.activation, c.slope, first, last); break;
    case step_kind::max_pool: simd::max_pool(pool_of(c), in, out, first, last); break;
    case step_kind::avg_pool: simd::avg_pool(pool_of(c), in, out, first, last); break;
    case step_kind::global_pool: simd::global_avg_pool(extent_of(c.in.of), in, out, first, last); break;
    case step_kind::upsample:
        simd::upsample({of.channels, c.in.of.height, c.in.of.width, of.height, of.width, c.flag_a, c.flag_b}, in, out, first, last);
        break;
    case step_kind::pad: simd::pad({of.channels, c.in.of.height, c.in.of.width, {c.conv.pad_top, c.conv.pad_left, c.pad_bottom, c.pad_right}, c.values[0]}, in, out, first, last); break;
    case step_kind::pad_channels: simd::pad_channels(of, c.in.of.channels, c.offset, in, out, first, last); break;
    case step_kind::slice_channels: simd::copy_channels(of, in, c.offset, out, 0, first, last); break;
    case step_kind::l2_normalise: simd::l2_normalise(of, in, out, packed, c.values[0], first, last); break;
    case step_kind::radix_softmax: simd::radix_softmax(of, c.offset, c.conv.groups, in, out, first, last); break;
    case step_kind::magnitude: simd::magnitude(of, in, out, c.flag_a, first, last); break;
    case step_kind::divisive: simd::divisive(of, in, read(m, c.in2), out, {c.flag_a, c.flag_b}, first, last); break;
    case step_kind::subsample: simd::subsample(of, c.conv.stride_h, c.conv.stride_w, in, out, first, last); break;
    case step_kind::add: simd::add(of, in, read(m, c.in2), out, c.activation, c.slope, first, last); break;
    case step_kind::multiply:
        if (c.in2.of == c.out.of) simd::multiply(of, in, read(m, c.in2), out, c.activation, c.slope, first, last);
        else simd::multiply_by_channel(of, in, read(m, c.in2), out, c.activation, c.slope, first, last);
        break;
    default: break;
    }
}

/// f32 image → blocked: (value - mean) / deviation per channel, or the plain value.
inline void floats_to_blocked(const simd::extent& e, const float* from, bool interleaved, const float* mean, const float* deviation, const simd::view& out) {
    const std::ptrdiff_t plane = std::ptrdiff_t{e.height} * e.width;
    const std::ptrdiff_t channel_step = interleaved ? 1 : plane, pixel_step = interleaved ? e.channels : 1;
    for (int c = 0; c < e.channels; ++c)
        for (int y = 0; y < e.height; ++y)
            for (int x = 0; x < e.width; ++x) {
                const float value = from[c * channel_step + (std::ptrdiff_t{y} * e.width + x) * pixel_step];
                out.at[c / simd::lanes * out.block + y * out.row + x * simd::lanes + c % simd::lanes] = mean ? (value - mean[c]) / deviation[c] : value;
            }
}

/// Steps of one task that move values between the caller's bytes, the wire's bytes and tensors.
inline void convert(const instruction& c, const frame_memory& m, float* planar) {
    switch (c.kind) {
    case step_kind::copy_input: __builtin_memcpy(m.arena + c.out.at, m.inputs[c.input], static_cast<std::size_t>(c.encoded)); break;
    case step_kind::load_input: {
        const void* from = c.slot >= 0 ? static_cast<const void*>(m.arena + c.slot) : m.inputs[c.input];
        const simd::extent e = extent_of(c.out.of);
        const simd::view to = written(m, c.out);
        const float* mean = c.normalises ? c.values.data() : nullptr;
        const float* deviation = c.normalises ? c.values.data() + 4 : nullptr;
        if (c.is_u8) {
            simd::bytes_to_blocked(e, static_cast<const std::uint8_t*>(from), c.flag_a ? simd::byte_order::interleaved : simd::byte_order::planar, mean, deviation, to, 0, simd::row_tasks(e));
        } else if (!c.flag_a && !mean) {
            simd::planar_to_blocked(e, static_cast<const float*>(from), to, 0, simd::row_tasks(e));
        } else {
            floats_to_blocked(e, static_cast<const float*>(from), c.flag_a, mean, deviation, to);
        }
        break;
    }
    case step_kind::copy_channels: simd::copy_channels(extent_of(c.in.of), read(m, c.in), 0, written(m, c.out), c.offset, 0, simd::row_tasks(extent_of(c.in.of))); break;
    case step_kind::softmax: simd::softmax(extent_of(c.out.of), read(m, c.in), written(m, c.out), 0, simd::softmax_tasks(extent_of(c.out.of))); break;
    case step_kind::flatten: simd::blocked_to_planar(extent_of(c.in.of), read(m, c.in), reinterpret_cast<float*>(m.arena + c.out.at), 0, simd::row_tasks(extent_of(c.in.of))); break;
    case step_kind::encode:
        simd::blocked_to_planar(extent_of(c.in.of), read(m, c.in), planar, 0, simd::row_tasks(extent_of(c.in.of)));
        encode(c.codec, planar, static_cast<std::size_t>(c.in.of.size()), m.arena + c.out.at);
        break;
    case step_kind::decode:
        (void)decode(c.codec, m.arena + c.in.at, static_cast<std::size_t>(c.encoded), planar, static_cast<std::size_t>(c.out.of.size()));
        simd::planar_to_blocked(extent_of(c.out.of), planar, written(m, c.out), 0, simd::row_tasks(extent_of(c.out.of)));
        break;
    case step_kind::output: simd::blocked_to_planar(extent_of(c.in.of), read(m, c.in), m.outputs + c.offset, 0, simd::row_tasks(extent_of(c.in.of))); break;
    default: break;
    }
}

inline void run_one(const instruction& c, const frame_memory& m, const float* packed, float* planar, const task_runner* workers) {
    if (c.defines && c.out.has_halo()) simd::zero_halo(written(m, c.out), extent_of(c.out.of), {c.out.top, c.out.left, c.out.bottom, c.out.right});
    const int tasks = tasks_of(c);
    if (tasks > 1 && workers) {
        struct shared_step { const instruction* c; const frame_memory* m; const float* packed; } shared{&c, &m, packed};
        workers->run(tasks, [](void* context, int first, int last) {
            const auto* s = static_cast<const shared_step*>(context);
            work(*s->c, *s->m, s->packed, first, last);
        }, &shared);
        return;
    }
    work(c, m, packed, 0, tasks);
    convert(c, m, planar);
}

/// Scale and shift of a folded batch norm, computed in double and rounded once. Without one: null scale, the layer's own bias.
struct folding {
    float* scale{};
    float* shift{};
};
inline void fold(const instruction& c, int channels, const float* const* parameters, const float* bias, folding to) {
    const float* gamma = parameters[c.norm_parameters];
    const float* beta = parameters[c.norm_parameters + 1];
    const float* mean = parameters[c.norm_parameters + 2];
    const float* variance = parameters[c.norm_parameters + 3];
    for (int k = 0; k < channels; ++k) {
        const double s = static_cast<double>(gamma[k]) / __builtin_sqrt(static_cast<double>(variance[k]) + static_cast<double>(c.epsilon));
        to.scale[k] = static_cast<float>(s);
        to.shift[k] = static_cast<float>(static_cast<double>(beta[k]) + ((bias ? static_cast<double>(bias[k]) : 0.0) - static_cast<double>(mean[k])) * s);
    }
}

inline void pack_one(const instruction& c, const float* const* parameters, float* packed, folding room) {
    if (packed_floats(c) == 0) return;
    if (c.kind == step_kind::affine) {
        if (c.norm_parameters >= 0) fold(c, c.conv.in_channels, parameters, nullptr, room);
        else                                            // a normalise behind another op: (x - mean) / deviation
            for (int k = 0; k < c.conv.in_channels; ++k) {
                room.scale[k] = 1.0F / c.values[static_cast<std::size_t>(4 + k)];
                room.shift[k] = -c.values[static_cast<std::size_t>(k)] / c.values[static_cast<std::size_t>(4 + k)];
            }
        simd::pack_affine(c.conv.in_channels, room.scale, room.shift, packed);
        return;
    }
    if (c.kind == step_kind::l2_normalise) return simd::pack_l2_normalise(c.conv.in_channels, parameters[c.parameters], packed);
    const float* weight = parameters[c.parameters];
    const float* bias = c.has_bias ? parameters[c.parameters + 1] : nullptr;
    const float* scale = nullptr;
    if (c.norm_parameters >= 0) {
        fold(c, c.conv.out_channels, parameters, bias, room);
        scale = room.scale;
        bias = room.shift;
    }
    switch (c.kind) {
    case step_kind::conv: simd::pack_direct_conv(c.conv, weight, scale, bias, packed); break;
    case step_kind::depthwise: simd::pack_depthwise_conv(c.conv, weight, scale, bias, packed); break;
    case step_kind::grouped_conv: simd::pack_grouped_conv(c.conv, weight, scale, bias, packed); break;
    case step_kind::conv_transpose: simd::pack_conv_transpose(c.conv, weight, scale, bias, packed); break;
    case step_kind::dense: simd::pack_dense(dense_of(c), weight, scale, bias, packed); break;
    default: break;
    }
}

/// One network behind plain function pointers.
template <class Network>
struct engine {
    static_assert(check<Network>);
    static constexpr int count = static_cast<int>(program<Network>::count);

    struct tables {
        std::size_t packed_at[static_cast<std::size_t>(count) + 1]{};
        char names[max_network_cuts][64]{};
        cut_info cuts[max_network_cuts]{};
        char input_names[64][64]{};
        tensor_info inputs[64]{};
        char output_names[64][64]{};
        tensor_info outputs[64]{};
        char network[96]{};
        pipeline all{};
        tables() noexcept;
    };
    static const tables& table() {
        static const tables t;
        return t;
    }

    static const instruction& at(int i) { return program_of<Network>.code[static_cast<std::size_t>(i)]; }

    static void pack(const float* const* parameters, std::byte* packed) {
        constexpr std::size_t widest = [] {
            int n = 1;
            for (const instruction& c : program_of<Network>.code) {
                if (c.conv.out_channels > n) n = c.conv.out_channels;
                if (c.conv.in_channels > n) n = c.conv.in_channels;
            }
            return static_cast<std::size_t>(n);
        }();
        // Plain operator new: set-up may allocate, but a container's methods would be weak symbols of this instruction set.
        auto* const room = static_cast<float*>(::operator new(2 * widest * sizeof(float)));
        for (int i = 0; i < count; ++i) pack_one(at(i), parameters, reinterpret_cast<float*>(packed) + table().packed_at[i], {room, room + widest});
        ::operator delete(room);
    }

    static void run_range(const frame_memory& m, int begin, int end) {
        const program<Network>& p = program_of<Network>;
        const float* packed = reinterpret_cast<const float*>(m.packed_weights);
        float* planar = reinterpret_cast<float*>(m.arena + p.scratch);
        for (int i = begin; i < end;) {
            const instruction& c = at(i);
            if (c.kind == step_kind::branch) {
                const auto* from = static_cast<const unsigned char*>(c.slot >= 0 ? static_cast<const void*>(m.arena + c.slot) : m.inputs[c.input]);
                i = *from == c.offset ? i + 1 : c.skip;
                continue;
            }
            run_one(c, m, packed + table().packed_at[i], planar, m.workers);
            ++i;
        }
    }

    /// Steps of a fan's independent parts run side by side; everything else in order.
    static void run_stage(const frame_memory& m, int stage) {
        const program<Network>& p = program_of<Network>;
        const int end = p.stage_first[static_cast<std::size_t>(stage) + 1];
        for (int i = p.stage_first[static_cast<std::size_t>(stage)]; i < end;) {
            int next = i + 1;
            if (m.workers && at(i).part >= 0 && fits_side_by_side(i, end)) {
                while (next < end && at(next).part >= 0 && at(next).fan == at(i).fan) ++next;
                struct fan_run { const frame_memory* m; int begin, end; } shared{&m, i, next};
                int parts = 1;
                for (int k = i + 1; k < next; ++k) parts += at(k).part != at(k - 1).part;
                m.workers->run(parts, [](void* context, int first, int last) {
                    const auto* f = static_cast<const fan_run*>(context);
                    int part = 0, begin = f->begin;
                    for (int k = f->begin + 1; k <= f->end; ++k) {
                        if (k < f->end && at(k).part == at(k - 1).part) continue;
                        if (part >= first && part < last) run_range(*f->m, begin, k);
                        ++part;
                        begin = k;
                    }
                }, &shared);
            } else {
                while (next < end && at(next).part < 0) ++next;
                if (at(i).kind == step_kind::branch && at(i).skip > next) next = at(i).skip;
                run_range(m, i, next);
            }
            i = next;
        }
    }
    /// Steps that use the planar scratch (encode, decode) or branch must not run beside each other.
    static bool fits_side_by_side(int i, int end) {
        const int fan = at(i).fan;
        bool several = false;
        for (int k = i; k < end && at(k).part >= 0 && at(k).fan == fan; ++k) {
            if (at(k).kind == step_kind::encode || at(k).kind == step_kind::decode || at(k).kind == step_kind::branch) return false;
            several = several || at(k).part != at(i).part;
        }
        return several;
    }

    static bool run(const frame_memory& m, int first, int last, const std::atomic<bool>* stop) {
        for (int s = first; s < last; ++s) {
            if (stop && stop->load(std::memory_order_acquire)) return false;
            run_stage(m, s);
        }
        return true;
    }

    static int bad_input(const frame_memory& m) {
        for (int i = 0; i < count; ++i)
            if (const instruction& c = at(i); c.kind == step_kind::branch && m.inputs && m.inputs[c.input] &&
                                              *static_cast<const unsigned char*>(m.inputs[c.input]) >= commands_of(c.input))
                return c.input;
        return -1;
    }
    static int commands_of(int input) {
        int n = 0;
        for (int i = 0; i < count; ++i)
            if (at(i).kind == step_kind::branch && at(i).input == input && at(i).offset + 1 > n) n = at(i).offset + 1;
        return n;
    }

    static std::size_t store_payload(const frame_memory& m, int cut, std::byte* payload) {
        const program<Network>& p = program_of<Network>;
        std::size_t n = 0;
        for (int q = 0; q < p.item_count[static_cast<std::size_t>(cut)]; ++q) {
            const stored_item& item = p.items[static_cast<std::size_t>(cut)][static_cast<std::size_t>(q)];
            __builtin_memcpy(payload + n, m.arena + item.at, static_cast<std::size_t>(item.bytes));
            n += static_cast<std::size_t>(item.bytes);
        }
        return n;
    }

    static bool load_payload(const frame_memory& m, int cut, std::span<const std::byte> payload) {
        const program<Network>& p = program_of<Network>;
        if (cut < 0 || cut >= cuts_of_network || payload.size() != table().cuts[cut].payload_bytes) return false;
        std::size_t n = 0;
        for (int q = 0; q < p.item_count[static_cast<std::size_t>(cut)]; ++q) {
            const stored_item& item = p.items[static_cast<std::size_t>(cut)][static_cast<std::size_t>(q)];
            const std::byte* from = payload.data() + n;
            if (item.command_limit >= 0 && static_cast<int>(from[0]) >= item.command_limit) return false;
            if (item.is_floats && !decodes(codec_id::float32, from, static_cast<std::size_t>(item.bytes))) return false;
            __builtin_memcpy(m.arena + item.at, from, static_cast<std::size_t>(item.bytes));
            n += static_cast<std::size_t>(item.bytes);
        }
        // Each encoded tensor must decode: a scale that is not finite or a zero point out of range is not a payload.
        for (int i = p.stage_first[static_cast<std::size_t>(table().cuts[cut].stage) + 1]; i < count && at(i).kind == step_kind::decode; ++i)
            if (!decodes(at(i).codec, m.arena + at(i).in.at, static_cast<std::size_t>(at(i).encoded))) return false;
        return true;
    }

    static constexpr int cuts_of_network = cuts_of<Network>.count;
};

inline void copy_text(char* to, std::size_t room, const char* from, std::size_t length) {
    const std::size_t n = length + 1 < room ? length : room - 1;
    __builtin_memcpy(to, from, n);
    to[n] = 0;
}

template <class Network>
engine<Network>::tables::tables() noexcept {
    const program<Network>& p = program_of<Network>;
    std::size_t floats = 0;
    for (int i = 0; i < count; ++i) {
        packed_at[i] = floats;
        floats += (packed_floats(at(i)) + 31) / 16 * 16;        // every step's parameters start on a cache line
    }
    packed_at[count] = floats;
    constexpr text type = graph::type_name<Network>();
    copy_text(network, sizeof network, type.data(), type.size());
    all.network = network;
    all.instruction_set = SPLITDSL_ARCH_NAME;
    all.fingerprint = fingerprint<Network>;
    all.arena_bytes = p.arena;
    all.packed_bytes = floats * 4;
    all.output_floats = p.outputs;
    all.stages = p.stages;
    all.stage_macs = p.stage_macs.data();
    static constexpr auto described = describe_interface<Network>();
    for (int k = 0; k < cuts_of_network; ++k) {
        copy_text(names[k], sizeof names[k], described.cuts[k].name.data(), described.cuts[k].name.size());
        cuts[k] = {names[k], static_cast<std::size_t>(described.cuts[k].bytes), described.cuts[k].stage, described.cuts[k].codec};
    }
    for (int k = 0; k < described.input_count; ++k) {
        const auto& t = described.inputs[k];
        copy_text(input_names[k], sizeof input_names[k], t.name.data(), t.name.size());
        inputs[k] = {input_names[k], t.of.channels, t.of.height, t.of.width, static_cast<std::size_t>(t.bytes)};
    }
    for (int k = 0; k < described.output_count; ++k) {
        const auto& t = described.outputs[k];
        copy_text(output_names[k], sizeof output_names[k], t.name.data(), t.name.size());
        outputs[k] = {output_names[k], t.of.channels, t.of.height, t.of.width, static_cast<std::size_t>(t.bytes)};
    }
    all.cuts = {cuts, static_cast<std::size_t>(cuts_of_network)};
    all.inputs = {inputs, static_cast<std::size_t>(described.input_count)};
    all.outputs = {outputs, static_cast<std::size_t>(described.output_count)};
    all.pack = &engine::pack;
    all.run = &engine::run;
    all.bad_input = &engine::bad_input;
    all.store_payload = &engine::store_payload;
    all.load_payload = &engine::load_payload;
}

/// The pipeline of this file's instruction set.
template <class Network>
const pipeline& compiled() { return engine<Network>::table().all; }

} // namespace execution

/// What `pipeline_of` finds in files that compile their networks themselves.
template <class Network>
const pipeline& compiled_in(std::type_identity<Network>, this_instruction_set) { return execution::compiled<Network>(); }

} // namespace splitdsl::inline SPLITDSL_ARCH
