// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file executor.hpp
/// Runs a network's program with the SIMD kernels of the instruction set this file is compiled for.
///
/// Everything here lives in that instruction set's inline namespace and instantiates nothing outside it, so objects built with
/// different flags may be linked into one program.
#pragma once

#include <splitdsl/runtime/chain_rows.hpp>
#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/runtime/interface_tables.hpp>
#include <splitdsl/runtime/step_kernels.hpp>

#include <new>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

/// One network behind plain function pointers.
template <class Network>
struct engine {
    static_assert(check<Network>);
    static constexpr int count = static_cast<int>(program<Network>::count);

    struct tables : interface_tables<Network> {
        using interface_tables<Network>::all;
        tables() noexcept;
    };
    static const tables& table() {
        static const tables t;
        return t;
    }

    static const instruction& at(int i) { return program_of<Network>.code[static_cast<std::size_t>(i)]; }

    static constexpr bool has_step(step_kind kind) {
        for (const instruction& c : program_of<Network>.code)
            if (c.kind == kind) return true;
        return false;
    }
    static constexpr bool has_chains = [] {
        for (const instruction& c : program_of<Network>.code)
            if (c.chain > 0) return true;
        return false;
    }();
    static constexpr bool has_picture_conv = [] {
        for (const instruction& c : program_of<Network>.code)
            if (c.kind == step_kind::conv && c.in.in_quads) return true;
        return false;
    }();
    template <step_kind Kind>
    static constexpr step_kernel kernel_if_used() {
        if constexpr (!has_step(Kind)) return {};
        else if constexpr (Kind == step_kind::conv && has_picture_conv) {
            return {&kernel_of_pictures::packed_floats, &kernel_of_pictures::tasks, &kernel_of_pictures::run, &kernel_of_pictures::pack};
        } else {
            step_kernel k{&kernel_of<Kind>::packed_floats, &kernel_of<Kind>::tasks, &kernel_of<Kind>::run, &kernel_of<Kind>::pack};
            if constexpr (requires { &kernel_of<Kind>::run_frames; }) k.run_frames = &kernel_of<Kind>::run_frames, k.least_shared = kernel_of<Kind>::least_shared;
            if constexpr (requires { &kernel_of<Kind>::packed_floats_of; }) k.packed_floats_of = &kernel_of<Kind>::packed_floats_of;
            return k;
        }
    }
    template <int... Kind>
    static constexpr std::array<step_kernel, step_kinds> list_kernels(std::integer_sequence<int, Kind...>) {
        return {kernel_if_used<static_cast<step_kind>(Kind)>()...};
    }
    /// Kernels by kind of step; null for those the network does not have.
    static constexpr std::array<step_kernel, step_kinds> kernels = list_kernels(std::make_integer_sequence<int, step_kinds>{});
    static const step_kernel& kernel_for(const instruction& c) { return kernels[static_cast<std::size_t>(c.kind)]; }

    /// Packed weights begin with where each step's lie, in lines of a cache: layers of one shape may take different room; then how many lines behind its own a step brings.
    using line_number = std::uint32_t;
    static constexpr std::size_t line = 64, lines_of_table = (2 * static_cast<std::size_t>(count) * sizeof(line_number) + line - 1) / line;
    static std::size_t lines_for(std::size_t floats) { return (floats + 31) / 16; }    // every step's parameters start on a line
    static const float* packed_of(const frame_memory& m, int i) {
        return reinterpret_cast<const float*>(m.packed_weights + line * reinterpret_cast<const line_number*>(m.packed_weights)[i]);
    }
    /// What a convolution brings towards a second-level cache of a megabyte, if its maps leave room there: the weights behind its own, up to the next convolution's. Where a network's
    /// weights leave the third level between frames, the next layers would wait for their first ones.
    static constexpr std::size_t most_lines_ahead = simd::brings_by_tap ? 256 * 1024 / line : 0;
    static constexpr std::int64_t most_map_floats = 160 * 1024;
    static simd::weights_ahead ahead_of(const frame_memory& m, int i) {
        if (i + 1 == count) return {};
        return {packed_of(m, i + 1), static_cast<std::ptrdiff_t>(reinterpret_cast<const line_number*>(m.packed_weights)[count + i])};
    }
    static void plan_ahead(line_number* table, std::size_t end) {
        for (int i = 0; i + 1 < count; ++i) {
            int behind = i + 1;
            while (behind < count && at(behind).kind != step_kind::conv) ++behind;
            const std::size_t lines = (behind + 1 < count ? table[behind + 1] : end) - table[i + 1];
            const bool brings = at(i).kind == step_kind::conv && at(i).in.of.size() + at(i).out.of.size() <= most_map_floats;
            table[count + i] = static_cast<line_number>(!brings ? 0 : lines < most_lines_ahead ? lines : most_lines_ahead);
        }
    }
    static std::size_t floats_of(const instruction& c, const float* const* parameters) {
        const step_kernel& kernel = kernel_for(c);
        const bool by_values = kernel.packed_floats_of && c.parameters >= 0 && c.norm_parameters < 0;
        return by_values ? kernel.packed_floats_of(c, parameters[c.parameters]) : kernel.packed_floats(c);
    }
    static std::size_t packed_bytes(const void*, const float* const* parameters) {
        std::size_t lines = lines_of_table;
        for (int i = 0; i < count; ++i) lines += lines_for(floats_of(at(i), parameters));
        return line * lines;
    }

    /// Channels of the widest layer: what packing a step folds into its weights is at most two values for each.
    static constexpr std::size_t widest = [] {
        int n = 1;
        for (const instruction& c : program_of<Network>.code) {
            if (c.conv.out_channels > n) n = c.conv.out_channels;
            if (c.conv.in_channels > n) n = c.conv.in_channels;
        }
        return static_cast<std::size_t>(n);
    }();
    static void pack(const void*, const float* const* parameters, std::byte* packed) {
        // Plain operator new: set-up may allocate, but a container's methods would be weak symbols of this instruction set.
        auto* const room = static_cast<float*>(::operator new(2 * widest * sizeof(float)));
        std::size_t next = lines_of_table;
        for (int i = 0; i < count; ++i) {
            reinterpret_cast<line_number*>(packed)[i] = static_cast<line_number>(next);
            pack_step(kernel_for(at(i)), at(i), parameters, reinterpret_cast<float*>(packed + line * next), {room, room + widest});
            next += lines_for(floats_of(at(i), parameters));
        }
        plan_ahead(reinterpret_cast<line_number*>(packed), next);
        ::operator delete(room);
    }

    static void run_step(const step_run& s) {
        const step_kernel& kernel = kernel_for(s.c);
        const int tasks = kernel.tasks(s.c);
        if (tasks < 2 || !s.m.workers) {
            if (needs_halo(s.c)) zero_halo(s);
            return kernel.run(s, 0, tasks);
        }
        struct shared_step { const step_run& s; const step_kernel& kernel; int tasks; bool needs_halo; } shared{s, kernel, tasks, needs_halo(s.c)};
        const auto body = [](void* context, int first, int last) {
            const auto* step = static_cast<const shared_step*>(context);
            if (step->needs_halo) zero_halo(step->s, first, last, step->tasks);
            step->kernel.run(step->s, first, last);
        };
        if (s.m.crew) s.m.crew->run(*s.m.crew, tasks, body, &shared);
        else s.m.workers->run(tasks, body, &shared);
    }

    static bool needs_halo(const instruction& c) { return c.defines && c.out.has_halo(); }
    /// Tasks [first, last) zero their share of it: of the channel blocks, or of a tensor of bytes or of quads with task 0 all.
    static void zero_halo(const step_run& s, int first = 0, int last = 1, int tasks = 1) {
        const placed& b = s.c.out;
        const simd::halo around{b.top, b.left, b.bottom, b.right};
        if constexpr (has_ranges<Network>) {
            if (b.is_u8) {
                if (first == 0) simd::byte_halo(s.out_u8(), s.of(), around, zero_of_bytes(s));
                return;
            }
        }
        if (b.in_quads) {
            if (first == 0) simd::zero_halo_of_quads(s.out(), s.of(), around);
            return;
        }
        const int blocks = simd::blocks_of(b.of.channels), begin = first * blocks / tasks, end = last * blocks / tasks;
        simd::view part = s.out();
        part.at += begin * std::ptrdiff_t{part.block};
        simd::zero_halo(part, {(end - begin) * simd::lanes, b.of.height, b.of.width}, around);
    }

    /// Which sides of a stage's cuts belong to the same run: floats that cross them as they are need no encoding.
    struct joined { bool before, behind; };
    static bool leaves(const instruction& c) { return c.passes && (c.kind == step_kind::encode || c.kind == step_kind::dequantise_u8); }
    static bool needless(const instruction& c, joined with) { return c.is_done || (c.passes && (leaves(c) ? with.behind : with.before)); }

    static void run_range(const frame_memory& m, int begin, int end, joined with) {
        for (int i = begin; i < end;) {
            const instruction& c = at(i);
            if (c.kind == step_kind::branch) {
                const auto* from = static_cast<const unsigned char*>(c.slot >= 0 ? static_cast<const void*>(m.arena + c.slot) : m.inputs[c.input]);
                i = *from == c.offset ? i + 1 : c.skip;
                continue;
            }
            if constexpr (has_chains) {
                if (c.chain > 0) {
                    run_chain(m, i);
                    i += c.chain;
                    continue;
                }
            }
            if (!needless(c, with)) run_step({c, m, packed_of(m, i), reinterpret_cast<float*>(m.arena + c.scratch), ahead_of(m, i)});
            ++i;
        }
    }

    /// Band by band (graph/chains.hpp).
    static void run_chain(const frame_memory& m, int first) {
        const int steps = at(first).chain, height = at(first + steps - 1).rows.height;
        const graph::row_span* spans[graph::longest_chain]{};
        sliding_map maps[graph::longest_chain]; // what each step writes
        int done[graph::longest_chain]{}, until[graph::longest_chain]{};
        for (int k = 0; k < steps; ++k) {
            const instruction& c = at(first + k);
            spans[k] = &c.rows;
            const step_run whole{c, m, packed_of(m, first + k), nullptr};
            std::uint32_t around = 0;
            if constexpr (has_ranges<Network>) {
                if (c.out.is_u8) around = zero_of_bytes(whole);
            }
            maps[k] = sliding_map{m, c.out, around};
            if (c.out.window > 0) maps[k].fill_sides();
            else if (c.defines && c.out.has_halo()) zero_halo(whole);
        }
        for (int y = 0; y < height;) {
            y = simd::smaller(height, y + at(first).band);
            graph::rows_for_band(spans, steps, y, done, until);
            for (int k = 0; k < steps; ++k) {
                const instruction& c = at(first + k);
                if (k + 1 < steps) maps[k].slide(graph::first_kept(*spans[k + 1], done[k + 1], done[k], c.out.top), done[k]);
                if (until[k] > done[k]) {
                    const instruction part = rows_of(c, done[k], until[k], k > 0 ? &maps[k - 1] : nullptr, maps[k]);
                    run_step({part, m, packed_of(m, first + k), reinterpret_cast<float*>(m.arena + c.scratch)});
                    if (c.out.window > 0 && until[k] == c.out.of.height) maps[k].fill_bottom();
                }
                done[k] = until[k];
            }
        }
    }

    static void run_stage(const frame_memory& m, int stage, joined with) {
        const program<Network>& p = program_of<Network>;
        run_steps(m, p.stage_first[static_cast<std::size_t>(stage)], p.stage_first[static_cast<std::size_t>(stage) + 1], with);
    }
    /// The step behind step i, or behind the branch or the chain that begins there: these run as a whole.
    static int behind(int i) { return at(i).kind == step_kind::branch ? at(i).skip : at(i).chain > 0 ? i + at(i).chain : i + 1; }
    /// Steps of a fan's independent parts run side by side; everything else in order.
    static void run_steps(const frame_memory& m, int i, int end, joined with) {
        while (i < end) {
            int next = i + 1;
            if (m.workers && at(i).part >= 0 && fits_side_by_side(i, end)) {
                while (next < end && at(next).part >= 0 && at(next).fan == at(i).fan) ++next;
                // Its parts' steps ask the workers: whoever has no part left helps with another's.
                if (m.crew) m.crew->rest(*m.crew);
                frame_memory each = m;
                each.crew = nullptr;
                struct fan_run { const frame_memory* m; int begin, end; joined with; } shared{&each, i, next, with};
                int parts = 1;
                for (int k = i + 1; k < next; ++k) parts += at(k).part != at(k - 1).part;
                m.workers->run(parts, [](void* context, int first, int last) {
                    const auto* f = static_cast<const fan_run*>(context);
                    int part = 0, begin = f->begin;
                    for (int k = f->begin + 1; k <= f->end; ++k) {
                        if (k < f->end && at(k).part == at(k - 1).part) continue;
                        if (part >= first && part < last) run_range(*f->m, begin, k, f->with);
                        ++part;
                        begin = k;
                    }
                }, &shared);
            } else {
                next = behind(i);
                while (next < end && at(next).part < 0) next = behind(next);
                run_range(m, i, next, with);
            }
            i = next;
        }
    }
    /// Whether the fan at step i has several parts in this stage. Parts that hold a select run one after another.
    static bool fits_side_by_side(int i, int end) {
        const int fan = at(i).fan;
        bool several = false;
        for (int k = i; k < end && at(k).part >= 0 && at(k).fan == fan; ++k) {
            if (at(k).kind == step_kind::branch) return false;
            several = several || at(k).part != at(i).part;
        }
        return several;
    }

    /// What run_stage left out because the next stage would follow: a stopped run can be taken up again, here or by the cloud.
    static void encode_what_passes(const frame_memory& m, int stage) {
        const program<Network>& p = program_of<Network>;
        for (int i = p.stage_first[static_cast<std::size_t>(stage)]; i < p.stage_first[static_cast<std::size_t>(stage) + 1]; ++i)
            if (leaves(at(i))) run_range(m, i, i + 1, {});
    }

    static bool run(const void*, const frame_memory& m, int first, int last, const std::atomic<bool>* stop) {
        if (!m.workers || !m.workers->with_crew) return run_stages(m, first, last, stop);
        struct crewed_run { frame_memory m; int first, last; const std::atomic<bool>* stop; bool done; } all{m, first, last, stop, false};
        m.workers->with_crew([](void* context, frame_crew* crew) {
            auto& a = *static_cast<crewed_run*>(context);
            a.m.crew = crew;
            a.done = run_stages(a.m, a.first, a.last, a.stop);
        }, &all);
        return all.done;
    }
    static bool run_stages(const frame_memory& m, int first, int last, const std::atomic<bool>* stop) {
        for (int s = first; s < last; ++s) {
            if (stop && stop->load(std::memory_order_acquire)) {
                if (s > first) encode_what_passes(m, s - 1);
                return false;
            }
            run_stage(m, s, {s > first, s + 1 < last});
        }
        return true;
    }

    /// Whether frames of a batch take a step together: its weights do not stay in a cache from frame to frame, and it does little beside reading them.
    static bool shares_weights(const instruction& c) {
        const step_kernel& kernel = kernel_for(c);
        return kernel.run_frames && c.payload < 0 && 4 * kernel.packed_floats(c) >= kernel.least_shared;
    }
    /// The first such step from i on, outside chains and a select's branches; `end` if there is none.
    static int next_shared(int i, int end) {
        while (i < end && (at(i).chain > 0 || !shares_weights(at(i)))) i = at(i).kind == step_kind::branch ? at(i).skip : at(i).chain > 0 ? i + at(i).chain : i + 1;
        return i < end ? i : end;
    }
    static void run_shared(const frames_run& r) {
        for (int f = 0; f < r.count; ++f)
            if (r.c.defines && r.c.out.has_halo()) zero_halo(r.of(f));
        const step_kernel& kernel = kernel_for(r.c);
        const int tasks = kernel.tasks(r.c);
        if (!r.frames->workers) return kernel.run_frames(r, 0, tasks);
        // Few tasks: the frames are shared out too, in parts that run every task.
        constexpr int enough = 8;
        struct shared_step { const frames_run& r; const step_kernel& kernel; int tasks, parts; } all{r, kernel, tasks, simd::smaller(r.count, simd::divide_up(enough, tasks))};
        r.frames->workers->run(tasks * all.parts, [](void* context, int first, int last) {
            const auto& a = *static_cast<const shared_step*>(context);
            while (first < last) {
                const int part = first / a.tasks, task = first % a.tasks, end = simd::smaller(a.tasks, task + last - first);
                const int begin = part * a.r.count / a.parts, behind = (part + 1) * a.r.count / a.parts;
                a.kernel.run_frames({a.r.c, a.r.frames + begin, behind - begin, a.r.packed}, task, end);
                first += end - task;
            }
        }, &all);
    }
    /// Other steps gain nothing by a batch but that threads may take a frame each, and each other's tasks when they have no frame left.
    static void run_each(const frame_memory* frames, int size, int begin, int end, joined with) {
        struct frames_range { const frame_memory* frames; int begin, end; joined with; } all{frames, begin, end, with};
        const auto body = [](void* context, int first, int last) {
            const auto& r = *static_cast<const frames_range*>(context);
            for (int f = first; f < last; ++f) run_steps(r.frames[f], r.begin, r.end, r.with);
        };
        if (frames->workers) frames->workers->run(size, body, &all);
        else body(&all, 0, size);
    }
    static bool run_batch(const void*, const frame_memory* frames, int size, int first, int last, const std::atomic<bool>* stop) {
        for (int s = first; s < last; ++s) {
            if (stop && stop->load(std::memory_order_acquire)) return false;
            const joined with{s > first, s + 1 < last};
            const int end = program_of<Network>.stage_first[static_cast<std::size_t>(s) + 1];
            for (int i = program_of<Network>.stage_first[static_cast<std::size_t>(s)]; i < end;) {
                const int shared = next_shared(i, end);
                if (shared > i) run_each(frames, size, i, shared, with);
                if (shared < end) run_shared({at(shared), frames, size, packed_of(*frames, shared)});
                i = shared + 1;
            }
        }
        return true;
    }

    static int bad_input(const void*, const frame_memory& m) {
        for (int i = 0; i < count; ++i)
            if (const instruction& c = at(i); c.kind == step_kind::branch && c.input >= 0 && m.inputs && m.inputs[c.input] &&
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

    /// Whether payloads differ from what stands in working memory: a learned prior codes their tensors.
    static constexpr bool has_priors = [] {
        for (const instruction& c : program_of<Network>.code)
            if (c.kind == step_kind::encode && c.codec == codec_id::entropy) return true;
        return false;
    }();
    static packed_prior prior_of(const frame_memory& m, const stored_item& item) { return packed_prior{packed_of(m, item.coder)}; }
    static std::size_t plane_of(const stored_item& item) { return execution::plane_of(at(item.coder).in.of); }

    static std::size_t store_payload(const void*, const frame_memory& m, int cut, std::byte* payload) { return store<has_priors>(m, cut, payload); }
    static std::size_t copy_working(const void*, const frame_memory& m, int cut, std::byte* to) { return store<false>(m, cut, to); }
    template <bool Codes>
    static std::size_t store(const frame_memory& m, int cut, std::byte* payload) {
        const program<Network>& p = program_of<Network>;
        std::size_t n = 0;
        for (int q = 0; q < p.item_count[static_cast<std::size_t>(cut)]; ++q) {
            const stored_item& item = p.items[static_cast<std::size_t>(cut)][static_cast<std::size_t>(q)];
            if constexpr (Codes) {
                if (item.coder >= 0) {
                    n += encode_by_prior(prior_of(m, item), at(item.coder).in.of.channels, plane_of(item), reinterpret_cast<const float*>(m.arena + item.at), payload + n);
                    continue;
                }
            }
            __builtin_memcpy(payload + n, m.arena + item.at, static_cast<std::size_t>(item.bytes));
            n += static_cast<std::size_t>(item.bytes);
        }
        return n;
    }

    static bool load_payload(const void*, const frame_memory& m, int cut, std::span<const std::byte> payload) { return load<has_priors>(m, cut, payload); }
    static bool place_working(const void*, const frame_memory& m, int cut, std::span<const std::byte> from) { return load<false>(m, cut, from); }
    static std::size_t working_bytes(int cut) {
        const program<Network>& p = program_of<Network>;
        std::size_t n = 0;
        for (int q = 0; q < p.item_count[static_cast<std::size_t>(cut)]; ++q) n += static_cast<std::size_t>(p.items[static_cast<std::size_t>(cut)][static_cast<std::size_t>(q)].bytes);
        return n;
    }
    template <bool Codes>
    static bool load(const frame_memory& m, int cut, std::span<const std::byte> payload) {
        const program<Network>& p = program_of<Network>;
        if (cut < 0 || cut >= cuts_of_network) return false;
        if (Codes ? payload.size() > table().cuts[cut].payload_bytes : payload.size() != working_bytes(cut)) return false;
        std::size_t n = 0;
        for (int q = 0; q < p.item_count[static_cast<std::size_t>(cut)]; ++q) {
            const stored_item& item = p.items[static_cast<std::size_t>(cut)][static_cast<std::size_t>(q)];
            const std::byte* from = payload.data() + n;
            if constexpr (Codes) {
                if (item.coder >= 0) {
                    const std::size_t read = decode_by_prior(prior_of(m, item), at(item.coder).in.of.channels, plane_of(item), from, payload.size() - n, reinterpret_cast<float*>(m.arena + item.at));
                    if (read == 0) return false;
                    n += read;
                    continue;
                }
                if (payload.size() - n < static_cast<std::size_t>(item.bytes)) return false;
            }
            if (item.command_limit >= 0 && static_cast<int>(from[0]) >= item.command_limit) return false;
            __builtin_memcpy(m.arena + item.at, from, static_cast<std::size_t>(item.bytes));
            n += static_cast<std::size_t>(item.bytes);
        }
        if (n != payload.size()) return false;
        // Each encoded tensor must decode: a scale that is not finite or a zero point out of range is not a payload.
        for (int i = p.stage_first[static_cast<std::size_t>(table().cuts[cut].stage) + 1]; i < count && at(i).kind == step_kind::decode; ++i)
            if (!decodes(at(i).codec, m.arena + at(i).in.at, static_cast<std::size_t>(at(i).encoded))) return false;
        return true;
    }

    static constexpr int cuts_of_network = cuts_of<Network>.count;
};

template <class Network>
engine<Network>::tables::tables() noexcept {
    std::size_t lines = lines_of_table;
    for (int i = 0; i < count; ++i) lines += lines_for(kernel_for(at(i)).packed_floats(at(i)));
    all.packed_bytes = line * lines;
    all.functions.pack = &engine::pack;
    all.functions.run = &engine::run;
    all.batch_limit = simd::most_frames;
    all.functions.run_batch = &engine::run_batch;
    all.functions.bad_input = &engine::bad_input;
    all.functions.store_payload = &engine::store_payload;
    all.functions.load_payload = &engine::load_payload;
    if constexpr (has_priors) {
        all.functions.copy_working = &engine::copy_working;
        all.functions.place_working = &engine::place_working;
    }
    all.functions.packed_bytes = &engine::packed_bytes;
}

/// The pipeline of this file's instruction set.
template <class Network>
const pipeline& compiled() { return engine<Network>::table().all; }

} // namespace execution

/// What `pipeline_of` finds in files that compile their networks themselves.
template <class Network>
const pipeline& compiled_in(std::type_identity<Network>, this_instruction_set) { return execution::compiled<Network>(); }

} // namespace splitdsl::inline SPLITDSL_ARCH
