// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file unsplit.hpp
/// The network in one piece, without a link: what every answer is compared with.
#pragma once

#include "album.hpp"

#include <splitdsl/codec/dynamic_pool_packets.hpp>
#include <splitdsl/codec/dynamic_pool_stream.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/link/frame.hpp>
#include <splitdsl/runtime/edge_options.hpp>
#include <splitdsl/runtime/stream_terms.hpp>

#include <cstring>
#include <span>
#include <vector>

namespace visual_wake {

inline int best_of(std::span<const float> values) {
    return static_cast<int>(std::max_element(values.begin(), values.end()) - values.begin());
}
inline bool same(std::span<const float> a, std::span<const float> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// Of a stream, in a message of 48 bytes more: together one packet of the radio.
inline constexpr std::size_t packet_bytes = 196;

/// All that the network says of one picture.
class unsplit {
public:
    unsplit(const splitdsl::pipeline& net_, std::span<const std::byte> packed_)
        : net{net_},
          packed{packed_},
          exits{splitdsl::exits_of(net, {})},
          terms{net},
          arena{net.arena_bytes},
          outputs(net.output_floats),
          coded(terms.info.size()) {
        for (const splitdsl::pool_ladder& l : terms.ladders) {
            encoders.push_back(std::make_unique<splitdsl::dynamic_pool_encoder>(l));
            writers.emplace_back(*encoders.back(), splitdsl::pool_packet_options{.packet_bytes = packet_bytes});
            decoders.push_back(std::make_unique<splitdsl::dynamic_pool_decoder>(l));
        }
    }
    /// Trunk and exits on the device, and the streams as they would be sent.
    void look_at(const still& picture) {
        const void* const input = picture.pixels.data();
        for (int stage = 0; stage < net.stages; ++stage) {
            net.run({arena.data(), packed.data(), &input, outputs.data()}, stage, stage + 1, nullptr);
            for (std::size_t s = 0; s < terms.info.size(); ++s) {
                if (terms.info[s].stage != stage) continue;
                encoders[s]->pool(reinterpret_cast<const float*>(arena.data() + terms.info[s].map), terms.pooling);
                coded[s].clear();
                for (int l = 0; l < terms.ladders[s].levels; ++l)
                    coded[s].emplace_back(encoders[s]->encode(l).begin(), encoders[s]->encode(l).end());
            }
        }
    }
    std::span<const float> trunk() const { return std::span{outputs}.first(classes); }
    std::span<const float> exit(int which) const {
        const splitdsl::exit_place& e = exits[static_cast<std::size_t>(which)];
        return std::span{outputs}.subspan(e.first_float, e.floats);
    }
    int streams() const { return terms.count(); }
    std::vector<int> stages_of_streams() const {
        std::vector<int> stages;
        for (const splitdsl::stream_info& i : terms.info) stages.push_back(i.stage);
        return stages;
    }
    int levels(int stream) const { return terms.ladders[static_cast<std::size_t>(stream)].levels; }
    /// Whether the cloud's exit says this of the stream and the one before it, in any of their sizes, and in which.
    bool cloud_may_say(int stream, std::span<const float> values, int& before, int& here) {
        for (before = stream > 0 ? levels(stream - 1) : 0; before >= 0; --before)
            for (here = levels(stream); here > 0; --here)
                if (same(cloud_exit(stream, before, here), values)) return true;
        before = here = -1;
        return false;
    }
    /// Bytes on the way, messages' headers included, until each size of a stream is complete: what an edge writes.
    std::vector<std::int64_t> message_ends(int stream, std::vector<std::int64_t>* messages = nullptr) {
        return message_ends(stream, levels(stream), messages);
    }
    /// The same if no size above the first `wanted` is sent: then the last message is shorter. `messages`: where each of them ends.
    std::vector<std::int64_t> message_ends(int stream, int wanted, std::vector<std::int64_t>* messages = nullptr) {
        const auto s = static_cast<std::size_t>(stream);
        std::vector<std::int64_t> ends;
        std::vector<std::byte> packet(packet_bytes);
        std::int64_t sent = 0;
        writers[s].start(1);
        for (std::size_t size = 0; (size = writers[s].next(packet, wanted)) != 0;) {
            sent += static_cast<std::int64_t>(splitdsl::link::header_bytes + size);
            if (messages != nullptr) messages->push_back(sent);
            const int at = writers[s].next_level();
            const bool level_over = at < wanted && writers[s].next_offset() >= coded[s][static_cast<std::size_t>(at)].size();
            ends.resize(static_cast<std::size_t>(at + level_over), sent);
        }
        ends.resize(static_cast<std::size_t>(wanted), sent);
        return ends;
    }
    std::span<const float> cloud_exit(int stream, int before, int here) {
        const splitdsl::stream_exit_info& e = *terms.answering(stream);
        for (int s = 0; s <= stream; ++s) {
            if ((e.reads >> s & 1U) == 0) continue;
            const auto k = static_cast<std::size_t>(s);
            const int whole = s == stream ? here : before;
            decoders[k]->start();
            for (int l = 0; l < whole; ++l) (void)decoders[k]->take(l, coded[k][static_cast<std::size_t>(l)]);
            decoders[k]->rebuild_from(whole - 1, terms.ladders[k].levels - 1,
                                      reinterpret_cast<float*>(arena.data() + terms.info[k].pooled));
        }
        net.run({arena.data(), packed.data(), nullptr, outputs.data()}, e.stage, e.stage + 1, nullptr);
        return std::span{outputs}.subspan(e.first_float, e.floats);
    }

    const splitdsl::pipeline& net;
    const std::span<const std::byte> packed;
    const std::vector<splitdsl::exit_place> exits;

private:
    const splitdsl::stream_terms terms;
    const splitdsl::aligned_buffer arena;
    std::vector<float> outputs;
    std::vector<std::unique_ptr<splitdsl::dynamic_pool_encoder>> encoders;
    std::vector<splitdsl::pool_packet_writer> writers;
    std::vector<std::unique_ptr<splitdsl::dynamic_pool_decoder>> decoders;
    std::vector<std::vector<std::vector<std::byte>>> coded; // of each stream, by size
};

} // namespace visual_wake
