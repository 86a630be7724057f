// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_helper.hpp
/// A device that computes tiles for others: `tile_helper<Network>`.
#pragma once

#include <splitdsl/runtime/cloud_core.hpp>
#include <splitdsl/runtime/tile_agreement.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace splitdsl {

struct tile_helper_counters {
    cloud_counters serving{};                               ///< `answered`: tiles
    std::array<std::uint64_t, link::tile_faults> refused{}; ///< questions, by `link::tile_fault`: each ended its connection
};

/// Computes tiles of the plan's first segment for whoever asks with the same network, weights, plan and instruction set, until destroyed. A cloud's session serves them
/// (runtime/cloud_core.hpp): bounded memory a connection, refusals in a sentence, shedding of what cannot be in time. Holds the weights of the first segment alone, and computes one
/// tile at a time.
///
/// Refused (option_error): what `tiled_network` and `cloud_options` refuse; more than one tile at once (`parallel`, `batch`), more than one tenant, streams, an `onward`, a
/// `decode_input`; a `pace` below 0.
///
/// ```cpp
/// const auto values = match_weights<watcher>(read_safetensors("watcher.safetensors"), "watcher.safetensors");
/// const tile_helper<watcher> helper{values, plan_tiles<watcher>({.rows = 4, .until = "body"}), {}, std::make_unique<link::tcp_listener>(7450, "0.0.0.0")};
/// ```
template <class Network>
class tile_helper {
public:
    /// `pace`: a tile takes at least so long, as on a slower device.
    tile_helper(const std::vector<std::vector<float>>& values, const tile_plan& plan, cloud_options options, std::unique_ptr<link::listener> where, duration pace = {},
                const tile_code& code = tile_code_of<Network>())
        : network{values, first_of(plan), 1, code}, terms{network}, least{pace},
          core{code_of(*this), {}, checked(std::move(options), pace, detail::digest_of(parameters<Network>(), values)), std::move(where)} {}
    tile_helper(const tile_helper&) = delete;
    tile_helper& operator=(const tile_helper&) = delete;

    std::uint16_t port() const { return core.port(); }
    tile_helper_counters counters() const {
        tile_helper_counters c{.serving = core.counters()};
        for (std::size_t k = 0; k < c.refused.size(); ++k) c.refused[k] = refused[k].load(std::memory_order_relaxed);
        return c;
    }
    /// Packed weights and working memory, without connections.
    std::size_t peak_bytes() const { return network.peak_bytes(); }

private:
    static cloud_options checked(cloud_options o, duration pace, std::uint64_t digest) {
        if (o.parallel != 1 || o.batch != 1) throw option_error("tile helper: one tile at a time was expected (parallel and batch of 1), found " + std::to_string(o.parallel) + " and " + std::to_string(o.batch));
        if (o.tenants.size() > 1) throw option_error("tile helper: at most one tenant was expected, found " + std::to_string(o.tenants.size()));
        if (o.streams != nullptr || o.onward != nullptr || o.decode_input) throw option_error("tile helper: neither streams, nor an onward, nor a decode_input was expected, found one");
        if (pace < duration{}) throw option_error("tile helper: a pace of 0 or more was expected, found " + detail::number_text(to_milliseconds(pace)) + " ms");
        o.weights_digest = digest;
        o.batch_wait = duration{1}; // leaves computing to a thread of the cloud's own: the connection reads the next tile meanwhile, and measures its way rightly
        return o;
    }
    static pipeline code_of(tile_helper& me) {
        pipeline p = me.terms.described();
        p.self = &me;
        p.functions.load_payload = [](const void* self, const frame_memory& m, int, std::span<const std::byte> question) { return of(self).load(m, question); };
        p.functions.run = [](const void* self, const frame_memory& m, int, int last, const std::atomic<bool>* stop) {
            if (stop != nullptr && stop->load(std::memory_order_relaxed)) return false;
            if (last == 2) of(self).compute(m);
            return true;
        };
        return p;
    }
    static tile_helper& of(const void* self) { return *static_cast<tile_helper*>(const_cast<void*>(self)); }

    /// The arena: which tile, and its question 64 bytes on.
    bool load(const frame_memory& m, std::span<const std::byte> question) {
        link::tile_head h;
        if (const link::tile_fault f = link::check_question(question, terms.contract(), h); f != link::tile_fault::none) {
            refused[static_cast<std::size_t>(f)].fetch_add(1, std::memory_order_relaxed);
            return false;
        }
        std::memcpy(m.arena, &h.tile, sizeof h.tile);
        std::memcpy(m.arena + 64, question.data() + link::tile_head_bytes, question.size() - link::tile_head_bytes);
        return true;
    }
    void compute(const frame_memory& m) {
        const instant begun = std::chrono::steady_clock::now();
        std::uint32_t tile{};
        std::memcpy(&tile, m.arena, sizeof tile); // 0 at construction, when the cloud measures
        const int k = static_cast<int>(tile);
        const std::span<std::byte> out{reinterpret_cast<std::byte*>(m.outputs), terms.answer_bytes()};
        const std::size_t size = network.answer_bytes(k);
        network.answer(k, {m.arena + 64, network.question_bytes(k)}, out.subspan(link::tile_head_bytes, size));
        std::memset(out.data() + link::tile_head_bytes + size, 0, out.size() - link::tile_head_bytes - size);
        if (least > duration{}) std::this_thread::sleep_until(begun + least);
        const auto took = std::chrono::steady_clock::now() - begun;
        link::encode_tile_head(terms.head(k, link::wire_microseconds(took)), out.first<link::tile_head_bytes>());
    }

    tiled_network<Network> network;
    tile_agreement terms;
    const duration least;
    std::array<std::atomic<std::uint64_t>, link::tile_faults> refused{};
    cloud_core core; // last: it computes until it is gone
};

} // namespace splitdsl
