// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file model_cache.hpp
/// More networks than the memory holds: each is loaded when it is asked for, and the one that was used least recently makes room.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/runtime/cloud_tenants.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/pipeline.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

namespace splitdsl {

inline constexpr std::size_t most_cached_models = 4096;

/// A cache without room, or with a model that is being used: what was wanted, and what holds the memory.
struct cache_error : error { using error::error; };

/// Packed weights as a loader hands them over. The cache's accounts hold if nobody else keeps the owner.
struct packed_model {
    std::shared_ptr<const void> owner{};
    std::span<const std::byte> packed{};
};
/// Of `network_weights<Network>`.
template <class Weights>
packed_model hand_over(Weights weights) {
    auto kept = std::make_shared<const Weights>(std::move(weights));
    return {kept, kept->bytes()};
}

/// What becomes of an arena, where a tenant's inputs and activations were, when its model makes room.
enum class left_behind : std::uint8_t { as_it_is, wiped };

/// One tenant's model. `net` outlives the cache; `load` is called whenever the model is wanted and not there, by the thread that wants it, one call
/// at a time for a model. It may throw: whoever asked gets that.
struct cached_model {
    std::string name{};
    const pipeline* net{};
    std::function<packed_model()> load{};
    left_behind arena{left_behind::wiped};
};

struct cache_counters {
    std::uint64_t hits{};      ///< uses that found the model there
    std::uint64_t loads{};     ///< uses that did not
    std::uint64_t evictions{};
    std::uint64_t failures{};  ///< loads that threw
    std::uint64_t refusals{};  ///< uses without room, or of a model that was in use, to the end of their patience
    std::size_t bytes{}, most_bytes{}; ///< of weights and arenas there: now, and at the most ever
    std::size_t resident{};    ///< models there now
};

/// Models within `limit` bytes of packed weights and arenas. A model in use is never taken away; of the others the one used least recently goes first,
/// and none goes for a model that would not fit even then. Any thread may call anything; a model serves one use at a time. A hit takes a mutex, and a
/// load as long as its loader: for servers and benches, not for a frame with a deadline. What a loader itself needs while it reads is not counted.
///
/// Refused (option_error): a limit of 0, a model without a name, net or loader, of a name that is taken, larger than the limit, more than 4,096 of them.
///
/// ```cpp
/// model_cache cache{256 << 20};
/// const auto north = cache.add({"north", &pipeline_of<ssd>(), [] { return hand_over(load_weights<ssd>("north.safetensors")); }});
/// {
///     const model_cache::lease here = cache.use(north);           // loads it if it is not there
///     here.net().run(here.memory(inputs, outputs), 0, here.net().stages, nullptr);
/// }                                                               // from here on it may make room
/// ```
///
/// Source: Liang et al., "AI on the Edge", section 6: an Edge TPU keeps what does not fit in the host's memory and swaps it in.
class model_cache {
    struct entry {
        cached_model model;
        packed_model weights{};
        std::unique_ptr<frame_arena> arena{};
        std::size_t bytes{};           // counted now; while it loads, the most that it may take
        std::uint64_t used{};          // by the clock of uses
        bool in_use{}, resident{};
    };

public:
    using id = std::size_t;

    explicit model_cache(std::size_t limit) : most{limit} {
        if (limit == 0) throw option_error("model cache: a limit of at least 1 byte was expected, found 0");
    }
    model_cache(const model_cache&) = delete;
    model_cache& operator=(const model_cache&) = delete;
    /// No lease may outlive it.
    ~model_cache() {
        for (entry& e : all) drop(e);
    }

    id add(cached_model m) {
        const std::string who = "model cache: model " + link::handshake_words::peer_text(m.name) + ": ";
        if (m.name.empty()) throw option_error("model cache: a model with a name was expected");
        if (m.net == nullptr || !m.load) throw option_error(who + "a pipeline and a loader were expected");
        const std::size_t needs = needed(m);
        if (needs > most)
            throw option_error(who + "at most " + std::to_string(most) + " bytes of weights and arena were expected, found " + std::to_string(needs));
        const std::lock_guard hold{mutex};
        if (all.size() == most_cached_models) throw option_error("model cache: at most " + std::to_string(most_cached_models) + " models were expected, found more");
        for (const entry& e : all)
            if (e.model.name == m.name) throw option_error(who + "a name of its own was expected");
        all.push_back({std::move(m)});
        return all.size() - 1;
    }

    /// A model in use, from `use` on until it goes: its weights and its arena stay where they are.
    class lease {
    public:
        lease(lease&& other) noexcept : from{std::exchange(other.from, nullptr)}, which{other.which}, fresh{other.fresh} {}
        lease& operator=(lease&&) = delete;
        ~lease() {
            if (from != nullptr) from->give_back(*which);
        }
        const pipeline& net() const { return *which->model.net; }
        /// What its frame runs in; see `frame_memory`.
        frame_memory memory(const void* const* inputs, float* outputs, const task_runner* workers = nullptr) const {
            return {.arena = which->arena->data(), .packed_weights = which->weights.packed.data(), .inputs = inputs, .outputs = outputs, .workers = workers};
        }
        bool was_loaded() const { return fresh; } ///< by this use

    private:
        friend model_cache;
        lease(model_cache& cache, entry& e, bool loaded) : from{&cache}, which{&e}, fresh{loaded} {}
        model_cache* from;
        entry* which;
        bool fresh;
    };

    /// Waits as long as `patience` for a model that is in use, or for room that models in use take; no order among those who wait. Refused (cache_error)
    /// after that; what the loader throws passes through, and the model may be asked for again. `option_error` for a model that was never added.
    lease use(id which, duration patience = {}) {
        std::unique_lock hold{mutex};
        if (which >= all.size()) throw option_error("model cache: one of " + std::to_string(all.size()) + " models was expected, found number " + std::to_string(which));
        entry& e = all[which]; // a deque: it stays where it is
        const std::size_t needs = needed(e.model);
        const auto may_start = [&] { return !e.in_use && (e.resident || held_by_uses() + needs <= most); };
        // Without patience the clock is not asked: nobody could have come in between.
        if (!may_start() && (patience <= duration{} || !changed.wait_for(hold, std::min(patience, longest_patience), may_start))) {
            ++counts.refusals;
            throw cache_error("model cache: model " + link::handshake_words::peer_text(e.model.name) + ": "
                              + (e.in_use ? std::string{"one use at a time was expected, found one that goes on"}
                                          : "room for " + std::to_string(needs) + " bytes was expected, found " + std::to_string(held_by_uses()) + " of " + std::to_string(most)
                                                + " bytes held by models in use"));
        }
        e.in_use = true;
        e.used = ++clock;
        if (e.resident) {
            ++counts.hits;
            return {*this, e, false};
        }
        while (total + needs > most) drop(least_recent());
        e.bytes = needs;
        total += needs;
        counts.most_bytes = std::max(counts.most_bytes, total);
        ++counts.loads;
        hold.unlock();
        try {
            e.weights = e.model.load();
            if (e.weights.packed.size() > e.model.net->packed_bytes)
                throw weights_error("model cache: model " + link::handshake_words::peer_text(e.model.name) + ": at most " + std::to_string(e.model.net->packed_bytes)
                                    + " bytes of packed weights were expected, found " + std::to_string(e.weights.packed.size()));
            if (e.weights.packed.empty() && e.model.net->packed_bytes > 0)
                throw weights_error("model cache: model " + link::handshake_words::peer_text(e.model.name) + ": packed weights were expected from its loader, found none");
            e.arena = std::make_unique<frame_arena>(*e.model.net);
        } catch (...) {
            hold.lock();
            ++counts.failures;
            e.in_use = false;
            drop(e);
            changed.notify_all();
            throw;
        }
        hold.lock();
        const std::size_t takes = e.weights.packed.size() + e.model.net->arena_bytes;
        total -= needs - takes;
        e.bytes = takes;
        e.resident = true;
        if (takes < needs) changed.notify_all();
        return {*this, e, true};
    }

    /// Gives a model's memory back before somebody needs it. False if it is in use or not there.
    bool unload(id which) {
        const std::lock_guard hold{mutex};
        if (which >= all.size() || all[which].in_use || !all[which].resident) return false;
        drop(all[which]);
        return true;
    }
    cache_counters counters() const {
        const std::lock_guard hold{mutex};
        cache_counters c = counts;
        c.bytes = total;
        for (const entry& e : all) c.resident += e.resident;
        return c;
    }
    std::size_t limit() const { return most; }

private:
    static constexpr duration longest_patience = std::chrono::hours{24 * 365}; // a clock's time and more would not fit an instant
    static std::size_t needed(const cached_model& m) { return m.net->packed_bytes + m.net->arena_bytes; }
    std::size_t held_by_uses() const {
        std::size_t sum = 0;
        for (const entry& e : all)
            if (e.in_use) sum += e.bytes;
        return sum;
    }
    /// There is one: what is not in use holds the bytes that are missing.
    entry& least_recent() {
        entry* found = nullptr;
        for (entry& e : all)
            if (e.resident && !e.in_use && (found == nullptr || e.used < found->used)) found = &e;
        return *found;
    }
    void give_back(entry& e) {
        const std::lock_guard hold{mutex};
        e.in_use = false;
        e.used = ++clock;
        changed.notify_all();
    }
    /// While the lock is held: the bytes are free when others may count on them.
    void drop(entry& e) noexcept {
        if (e.resident) ++counts.evictions;
        if (e.arena && e.model.arena == left_behind::wiped) detail::wipe(e.arena->data(), e.model.net->arena_bytes);
        e.arena.reset();
        e.weights = {};
        e.resident = false;
        total -= std::exchange(e.bytes, 0);
    }

    std::size_t most, total{};
    std::deque<entry> all{};
    std::uint64_t clock{};
    cache_counters counts{};
    mutable std::mutex mutex{};
    std::condition_variable changed{};
};

} // namespace splitdsl
