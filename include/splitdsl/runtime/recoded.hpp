// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file recoded.hpp
/// A compiled network whose lossless cuts send another codec: chosen when the program starts, nothing is compiled again.
#pragma once

#include <splitdsl/check/check.hpp>
#include <splitdsl/codec/tensor_codec.hpp>
#include <splitdsl/runtime/dispatch.hpp>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>

namespace splitdsl {

namespace detail {

/// The functions of `recoded_pipeline`. The payload as the network wants it stands behind the network's own arena.
template <class Network, codec_id Codec>
class recoding {
public:
    static const pipeline& get() {
        static const recoding all;
        return all.outer;
    }

    template <class Predicate>
    static constexpr bool has(Predicate predicate) {
        for (int k = 0; k < groups().count; ++k)
            for (int q = 0; q < groups().groups[k].count; ++q)
                if (predicate(groups().groups[k].items[q])) return true;
        return false;
    }
    static constexpr bool changes(const graph::crossing& x) { return !x.is_input && x.codec == codec_id::float32; }

private:
    static constexpr const graph::cut_table& groups() { return cuts_of<Network>; }
    static constexpr std::size_t raw_bytes(const graph::crossing& x) { return static_cast<std::size_t>(x.bytes); }
    static constexpr std::size_t sent_bytes(const graph::crossing& x) { return changes(x) ? encoded_bytes(Codec, raw_bytes(x) / 4) : raw_bytes(x); }
    static std::size_t own_arena() { return (pipeline_of<Network>().arena_bytes + 63) / 64 * 64; }

    static std::size_t store(const void*, const frame_memory& m, int cut, std::byte* payload) {
        std::byte* const raw = m.arena + own_arena();
        pipeline_of<Network>().store_payload(m, cut, raw);
        const graph::cut_group& g = groups().groups[cut];
        std::size_t from = 0, to = 0;
        for (int q = 0; q < g.count; ++q) {
            const graph::crossing& x = g.items[q];
            if (changes(x)) {
                std::byte* const values = raw + from / 4 * 4;     // what stood there is sent already
                if (from % 4 != 0) std::memmove(values, raw + from, raw_bytes(x));
                encode(Codec, reinterpret_cast<const float*>(values), raw_bytes(x) / 4, payload + to);
            } else {
                std::memcpy(payload + to, raw + from, raw_bytes(x));
            }
            from += raw_bytes(x);
            to += sent_bytes(x);
        }
        return to;
    }
    static bool load(const void*, const frame_memory& m, int cut, std::span<const std::byte> payload) {
        if (cut < 0 || cut >= groups().count) return false;
        std::byte* const raw = m.arena + own_arena();
        const graph::cut_group& g = groups().groups[cut];
        std::size_t from = 0, to = 0;
        for (int q = 0; q < g.count; ++q) {
            const graph::crossing& x = g.items[q];
            if (payload.size() - from < sent_bytes(x)) return false;
            if (changes(x)) {
                std::byte* const values = raw + (to + 3) / 4 * 4;
                if (!decode(Codec, payload.data() + from, sent_bytes(x), reinterpret_cast<float*>(values), raw_bytes(x) / 4)) return false;
                if (to % 4 != 0) std::memmove(raw + to, values, raw_bytes(x));
            } else {
                std::memcpy(raw + to, payload.data() + from, raw_bytes(x));
            }
            from += sent_bytes(x);
            to += raw_bytes(x);
        }
        return from == payload.size() && pipeline_of<Network>().load_payload(m, cut, {raw, to});
    }

    recoding() : outer{pipeline_of<Network>()} {
        std::size_t largest = 0;
        for (std::size_t k = 0; k < outer.cuts.size(); ++k) {
            const graph::cut_group& g = groups().groups[k];
            cuts[k] = outer.cuts[k];
            largest = cuts[k].payload_bytes > largest ? cuts[k].payload_bytes : largest;
            cuts[k].payload_bytes = 0;
            for (int q = 0; q < g.count; ++q) cuts[k].payload_bytes += sent_bytes(g.items[q]);
            if (changes(g.items[0])) cuts[k].codec = graph::codec_words[static_cast<std::size_t>(Codec)];
        }
        outer.cuts = {cuts.data(), outer.cuts.size()};
        outer.arena_bytes = own_arena() + (largest + 67) / 64 * 64;
        outer.functions.store_payload = &recoding::store;
        outer.functions.load_payload = &recoding::load;
    }

    std::array<cut_info, max_network_cuts> cuts{};
    pipeline outer;
};

} // namespace detail

/// `pipeline_of<Network>()` with `Codec` in place of `lossless_f32()` at every cut, carried taps included. Weights and stages are the same; give it to both
/// sides, or the handshake refuses and names the codec.
///
/// Unlike a codec in the declaration, this one is applied only to what travels: an answer that is computed here has not met it, so edge and cloud may differ
/// by what the quantiser does. SD309 does not apply; look at `cuts` for what is worth sending. Inputs travel as they are, and cuts that declare a codec keep it.
/// Cost: another copy of the payload when it is sent and when it arrives; the largest lossless payload more memory.
///
/// ```cpp
/// const pipeline& net = recoded_pipeline<mobilenet, codec_id::affine8>();    // one build: cloud and edge take the codec from their options
/// cloud_core cloud{net, weights.bytes(), options, std::move(listener)};
/// ```
template <class Network, codec_id Codec>
const pipeline& recoded_pipeline() {
    static_assert(check<Network>);
    static_assert(Codec != codec_id::entropy, "splitdsl: a learned prior is trained with its network; declare it");
    using recoding = detail::recoding<Network, Codec>;
    if constexpr (recoding::has([](const graph::crossing& x) { return x.codec == codec_id::entropy; })) {
        static_assert(!recoding::has(&recoding::changes), "splitdsl: payloads of a learned prior vary in size; declare the codecs of the network's other cuts and taps as well");
        return pipeline_of<Network>();
    } else {
        return recoding::get();
    }
}

} // namespace splitdsl
