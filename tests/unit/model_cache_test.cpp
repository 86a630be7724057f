// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file model_cache_test.cpp
/// EDGE-10 and EDGE-11: models beyond the memory take turns in it, none that runs is taken away, and none leaves its tenant's data behind.
#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/runtime/model_cache.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t weight_bytes = 4096, arena_bytes = 1024, model_bytes = weight_bytes + arena_bytes;

/// Pipelines that run nothing, with loaders that count what lives.
struct tenants {
    struct tenant {
        pipeline net{};
        int number{};
        bool fails{};
        std::atomic<int> loads{};
        bool left_clean{true}; // of the last arena that went
        static void see_arena(const void* self, const std::byte* arena) {
            auto* const t = static_cast<tenant*>(const_cast<void*>(self));
            t->left_clean = std::all_of(arena, arena + arena_bytes, [](std::byte b) { return b == std::byte{}; });
        }
    };
    std::deque<tenant> all{};
    std::atomic<std::size_t> alive{}, most_alive{};

    cached_model make(int number, left_behind arena = left_behind::wiped) {
        tenant& t = all.emplace_back();
        t.number = number;
        t.net = {.network = "fake", .arena_bytes = arena_bytes, .packed_bytes = weight_bytes, .self = &t, .functions = {.forget = &tenant::see_arena}};
        return {"tenant " + std::to_string(number), &t.net, [this, &t] { return load(t); }, arena};
    }
    packed_model load(tenant& t) {
        ++t.loads;
        if (t.fails) throw weights_error("no such file");
        alive += model_bytes;
        for (std::size_t most = most_alive; alive > most && !most_alive.compare_exchange_weak(most, alive);) {}
        std::shared_ptr<std::vector<std::byte>> owner{new std::vector<std::byte>(weight_bytes, static_cast<std::byte>(t.number)), [this](auto* gone) {
                                                          alive -= model_bytes;
                                                          delete gone;
                                                      }};
        const std::span<const std::byte> bytes{*owner};
        return {std::move(owner), bytes};
    }
};
int number_in(const model_cache::lease& l) { return std::to_integer<int>(*l.memory(nullptr, nullptr).packed_weights); }

} // namespace

TEST_CASE("a model is loaded when it is wanted, and the one that was used least recently makes room") {
    tenants t;
    model_cache cache{2 * model_bytes + 100};
    const auto a = cache.add(t.make(1)), b = cache.add(t.make(2)), c = cache.add(t.make(3));
    CHECK(t.alive == 0); // nothing before its first use
    CHECK(cache.use(a).was_loaded());
    CHECK(number_in(cache.use(b)) == 2);
    CHECK_FALSE(cache.use(a).was_loaded());
    CHECK(cache.counters().resident == 2);
    CHECK(cache.use(c).was_loaded()); // b goes: a was used after it
    CHECK_FALSE(cache.use(a).was_loaded());
    CHECK(cache.use(b).was_loaded()); // c goes
    CHECK_FALSE(cache.use(a).was_loaded());
    const cache_counters seen = cache.counters();
    CHECK((seen.hits == 3 && seen.loads == 4 && seen.evictions == 2 && seen.resident == 2));
    CHECK((seen.bytes == 2 * model_bytes && seen.most_bytes == 2 * model_bytes && t.alive == 2 * model_bytes));
    CHECK((t.all[0].loads == 1 && t.all[1].loads == 2 && t.all[2].loads == 1));
    CHECK(cache.unload(a));
    CHECK_FALSE(cache.unload(a));
    CHECK((cache.counters().bytes == model_bytes && t.alive == model_bytes));
}

TEST_CASE("a model in use is never taken away, and none makes room in vain") {
    tenants t;
    model_cache cache{2 * model_bytes};
    const auto a = cache.add(t.make(1)), b = cache.add(t.make(2)), c = cache.add(t.make(3));
    {
        const auto first = cache.use(a);
        { const auto second = cache.use(b); }
        const auto third = cache.use(c); // b makes room, though a was used before it
        CHECK(cache.counters().evictions == 1);
        CHECK(number_in(first) == 1);
        const std::string said = refusal<cache_error>([&] { cache.use(b); });
        CHECK(says(said, "model \"tenant 2\": room for 5120 bytes was expected, found 10240 of 10240 bytes held by models in use"));
        CHECK(says(refusal<cache_error>([&] { cache.use(a, 1ms); }), "one use at a time was expected, found one that goes on"));
        CHECK_FALSE(cache.unload(c));
        CHECK((cache.counters().refusals == 2 && cache.counters().evictions == 1 && cache.counters().resident == 2));
    }
    // With one in use and one idle, a large model would not fit beside the one in use: the idle one stays.
    pipeline large{.network = "large", .arena_bytes = arena_bytes, .packed_bytes = 2 * model_bytes - arena_bytes};
    const auto whole = cache.add({"large", &large, [] { return packed_model{nullptr, {}}; }});
    const auto first = cache.use(a);
    CHECK_THROWS_AS(cache.use(whole), cache_error);
    CHECK(cache.counters().resident == 2);
    CHECK_FALSE(cache.use(c).was_loaded());
}

TEST_CASE("EDGE-11: an arena that makes room is wiped before its memory goes, unless it is said to be of no matter") {
    tenants t;
    model_cache cache{model_bytes};
    const auto secret = cache.add(t.make(1)), open = cache.add(t.make(2, left_behind::as_it_is));
    const auto write = [&](model_cache::id which) { std::memset(cache.use(which).memory(nullptr, nullptr).arena, 0x5a, arena_bytes); };
    write(secret);
    t.all[0].left_clean = false;
    write(open); // secret made room
    CHECK(t.all[0].left_clean);
    { const auto l = cache.use(secret); }
    CHECK_FALSE(t.all[1].left_clean);
    // And what a model finds when it comes back is an arena of its own, zeroed.
    const auto back = cache.use(secret);
    const std::byte* const arena = back.memory(nullptr, nullptr).arena;
    CHECK(std::all_of(arena, arena + arena_bytes, [](std::byte b) { return b == std::byte{}; }));
}

TEST_CASE("a loader that throws is heard by whoever asked, takes no room, and is asked again the next time") {
    tenants t;
    model_cache cache{model_bytes};
    const auto a = cache.add(t.make(1)), b = cache.add(t.make(2));
    t.all[0].fails = true;
    CHECK(says(refusal<weights_error>([&] { cache.use(a); }), "no such file"));
    CHECK((cache.counters().failures == 1 && cache.counters().bytes == 0 && cache.counters().resident == 0));
    CHECK(number_in(cache.use(b)) == 2);
    t.all[0].fails = false;
    CHECK(number_in(cache.use(a)) == 1);
    // More weights than its pipeline can have.
    tenants::tenant& odd = t.all.emplace_back();
    odd.net = {.network = "odd", .arena_bytes = 64, .packed_bytes = 100};
    const auto c = cache.add({"odd", &odd.net, [] { return packed_model{nullptr, std::span<const std::byte>{static_cast<const std::byte*>(nullptr), 101}}; }});
    CHECK(says(refusal<weights_error>([&] { cache.use(c); }), "at most 100 bytes of packed weights were expected, found 101"));
    CHECK(cache.counters().bytes == 0);
    // None at all, of a loader that forgot to hand them over.
    const auto none = cache.add({"none", &odd.net, [] { return packed_model{}; }});
    CHECK(says(refusal<weights_error>([&] { cache.use(none); }), "model \"none\": packed weights were expected from its loader, found none"));
    CHECK(cache.counters().bytes == 0);
    // Fewer than it might have had: the rest is free again.
    odd.net.packed_bytes = model_bytes - 64;
    const auto d = cache.add({"small", &odd.net, [] { return packed_model{nullptr, std::span<const std::byte>{static_cast<const std::byte*>(nullptr), 10}}; }});
    { const auto l = cache.use(d); }
    CHECK(cache.counters().bytes == 74);
}

TEST_CASE("who is patient gets the model, or the room, when it is given back") {
    tenants t;
    model_cache cache{model_bytes};
    const auto a = cache.add(t.make(1)), b = cache.add(t.make(2));
    for (const auto wanted : {a, b}) { // the model itself, and the room it takes
        std::atomic<bool> started{};
        int got = 0;
        std::thread waits;
        {
            const auto held = cache.use(a);
            waits = std::thread{[&] {
                started = true;
                got = number_in(cache.use(wanted, duration::max()));
            }};
            while (!started) std::this_thread::yield();
        }
        waits.join();
        CHECK(got == (wanted == a ? 1 : 2));
    }
}

TEST_CASE("EDGE-10: many tenants on few places: each finds its own weights, an arena of its own, and never more than the limit is there") {
    tenants t;
    constexpr int count = 12, places = 5, threads = 4, turns = 400;
    model_cache cache{places * model_bytes};
    std::vector<model_cache::id> ids;
    for (int i = 0; i < count; ++i) ids.push_back(cache.add(t.make(i + 1)));
    std::atomic<int> wrong{};
    std::vector<std::thread> all;
    for (int k = 0; k < threads; ++k)
        all.emplace_back([&, k] {
            detail::xoshiro256 random{static_cast<std::uint64_t>(k)};
            for (int n = 0; n < turns; ++n) {
                const auto which = random.below(count);
                const auto l = cache.use(ids[which], duration::max());
                auto* const arena = l.memory(nullptr, nullptr).arena;
                // Its own mark of an earlier use, or nothing: never another's.
                const int mark = std::to_integer<int>(arena[0]);
                wrong += number_in(l) != static_cast<int>(which) + 1 || (mark != 0 && mark != static_cast<int>(which) + 1) || (l.was_loaded() && mark != 0);
                std::memset(arena, static_cast<int>(which) + 1, arena_bytes);
            }
        });
    for (auto& one : all) one.join();
    const cache_counters c = cache.counters();
    CHECK(wrong == 0);
    CHECK(t.most_alive <= places * model_bytes); // by the loaders' own count
    CHECK((c.most_bytes <= places * model_bytes && c.bytes == t.alive && c.hits + c.loads == threads * turns));
    CHECK((c.evictions == c.loads - c.resident && c.resident == places && c.refusals == 0 && c.failures == 0));
}

TEST_CASE("what cannot be a model, or a cache of models, is refused by name") {
    tenants t;
    CHECK(says(refusal([] { model_cache{0}; }), "a limit of at least 1 byte"));
    model_cache cache{model_bytes};
    CHECK(says(refusal([&] { cache.use(0); }), "one of 0 models was expected, found number 0"));
    cache.add(t.make(1));
    CHECK(says(refusal([&] { cache.add(t.make(1)); }), "model \"tenant 1\": a name of its own"));
    CHECK(says(refusal([&] { cache.add({"x", nullptr, [] { return packed_model{}; }}); }), "a pipeline and a loader"));
    CHECK(says(refusal([&] { cache.add({"x", &t.all[0].net, {}}); }), "a pipeline and a loader"));
    CHECK(says(refusal([&] { cache.add({"", &t.all[0].net, [] { return packed_model{}; }}); }), "a model with a name"));
    pipeline large{.network = "large", .arena_bytes = 1, .packed_bytes = model_bytes};
    CHECK(says(refusal([&] { cache.add({"large", &large, [] { return packed_model{}; }}); }), "at most 5120 bytes of weights and arena were expected, found 5121"));
    for (std::size_t i = 1; i < most_cached_models; ++i) cache.add({std::to_string(i), &t.all[0].net, [] { return packed_model{}; }});
    CHECK(says(refusal([&] { cache.add({"one more", &t.all[0].net, [] { return packed_model{}; }}); }), "at most 4096 models"));
}
