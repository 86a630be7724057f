// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file request_queue.hpp
/// Waiting requests of all connections: tenants take turns, then connections, and within a turn the earliest deadline is first. Bounded.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace splitdsl {

/// Where a connection stands among those of its tenant. The queue's alone; the connection keeps it, and its requests keep the connection.
struct queue_turn {
    std::size_t tenant{};
    std::uint64_t last{}; ///< the round of its latest request
};

/// What one of several tenants may have of a queue.
struct queue_share {
    int share{1};                      ///< of the requests taken, as long as others wait too
    std::size_t waiting_max{SIZE_MAX}; ///< of its own
};

/// A request's round is its tenant's current one, or the one behind the latest of its own connection: so a second request of a connection leaves behind the first of every
/// other, however short its deadline is. Of one round the earliest deadline leaves first, equal ones in the order they came. Between tenants
/// the same, where one of share 2 has two requests in a turn.
///
/// Not synchronised. Never grows beyond its bound: a newcomer then takes the place of a later round's, of the tenant with the most for its share, or finds none.
/// Cost of `put` and `take`: logarithmic, and a look at each tenant; with a full queue, at each request of one.
///
/// Source: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), with a request as the unit and deadlines between equal start tags.
template <class Request>
class request_queue {
public:
    explicit request_queue(std::size_t bound, std::span<const queue_share> tenants = {}) : slots(bound), vacant(bound) {
        std::iota(vacant.rbegin(), vacant.rend(), std::uint32_t{});
        order.reserve(bound);
        for (std::size_t i = 0; i < std::max<std::size_t>(tenants.size(), 1); ++i) {
            lines.push_back({.share = tenants.empty() ? queue_share{} : tenants[i]});
            lines.back().heap.reserve(std::min(bound, lines.back().share.waiting_max));
        }
    }

    /// Who found no place, if anybody: `r`, or one that waited and came behind it.
    std::optional<Request> put(instant deadline, queue_turn& of, Request r) {
        line& own = lines[of.tenant];
        const std::uint64_t round = std::max(own.round, of.last + 1);
        std::optional<Request> out;
        const bool own_full = own.heap.size() >= own.share.waiting_max;
        if (own_full || vacant.empty()) {
            line& most = own_full ? own : longest(own);
            if (most.heap.empty()) return r;
            const auto last = std::max_element(most.heap.begin(), most.heap.end(), [this](auto a, auto b) { return before(a, b); });
            if (&most == &own && slots[*last].round <= round) return r;
            out = std::move(slots[*last].request);
            slots[*last].turn->last = slots[*last].round - 1;
            vacant.push_back(*last);
            most.heap.erase(last);
            std::make_heap(most.heap.begin(), most.heap.end(), later());
        }
        if (own.heap.empty()) own.used = std::max(own.used, reached); // who comes back has saved nothing
        const std::uint32_t place = vacant.back();
        vacant.pop_back();
        slots[place] = {deadline, round, ++puts, &of, std::move(r)};
        of.last = round;
        own.heap.push_back(place);
        std::push_heap(own.heap.begin(), own.heap.end(), later());
        return out;
    }
    bool empty() const { return vacant.size() == slots.size(); }
    std::size_t size() const { return slots.size() - vacant.size(); }
    Request take() {
        line* next = nullptr;
        for (line& l : lines)
            if (!l.heap.empty() && (next == nullptr || goes_first(l, l.used, l.heap.front(), *next, next->used, next->heap.front()))) next = &l;
        const std::uint32_t place = next->heap.front();
        std::pop_heap(next->heap.begin(), next->heap.end(), later());
        next->heap.pop_back();
        reached = next->used;
        return leave(*next, place);
    }
    /// The places of all that wait, in the order in which `take` would give them; like the places, valid until the next call of anything else.
    /// Cost: sorts all that wait.
    std::span<const std::uint32_t> in_order() {
        order.clear();
        for (line& l : lines) {
            std::sort(l.heap.begin(), l.heap.end(), [this](auto a, auto b) { return before(a, b); }); // which is a heap, too
            l.looked = 0;
            l.would_use = l.used;
        }
        while (order.size() < size()) {
            line* next = nullptr;
            for (line& l : lines)
                if (l.looked < l.heap.size() && (next == nullptr || goes_first(l, l.would_use, l.heap[l.looked], *next, next->would_use, next->heap[next->looked]))) next = &l;
            order.push_back(next->heap[next->looked++]);
            next->would_use += next->step();
        }
        return order;
    }
    const Request& operator[](std::uint32_t place) const { return slots[place].request; }
    /// Appends the requests for which `chosen(request)` says so to `to`, in order. Cost: as `in_order`.
    template <class Chosen>
    void take(std::vector<Request>& to, Chosen&& chosen) {
        bool leads = true;
        for (const std::uint32_t place : in_order()) {
            if (!chosen(std::as_const(slots[place].request))) continue;
            line& l = lines[slots[place].turn->tenant];
            if (std::exchange(leads, false)) reached = l.used;
            std::erase(l.heap, place); // still sorted
            to.push_back(leave(l, place));
        }
    }

private:
    struct entry {
        instant deadline{};
        std::uint64_t round{}, order{};
        queue_turn* turn{};
        Request request{};
    };
    static constexpr std::uint64_t turn_of_all = 1U << 20; // what a share of 1 uses with a request
    struct line {
        queue_share share{};
        std::vector<std::uint32_t> heap{}; // places; the next one first
        std::uint64_t round{1}, used{};
        std::size_t looked{}; // by `in_order`
        std::uint64_t would_use{};
        std::uint64_t step() const { return turn_of_all / static_cast<std::uint64_t>(share.share); }
    };
    bool sooner(std::uint32_t a, std::uint32_t b) const {
        const entry &x = slots[a], &y = slots[b];
        return x.deadline != y.deadline ? x.deadline < y.deadline : x.order < y.order;
    }
    bool before(std::uint32_t a, std::uint32_t b) const { return slots[a].round != slots[b].round ? slots[a].round < slots[b].round : sooner(a, b); }
    auto later() const {
        return [this](std::uint32_t a, std::uint32_t b) { return before(b, a); };
    }
    bool goes_first(const line& a, std::uint64_t a_used, std::uint32_t a_head, const line& b, std::uint64_t b_used, std::uint32_t b_head) const {
        const std::uint64_t x = a_used / turn_of_all, y = b_used / turn_of_all;
        return &a != &b && (x != y ? x < y : sooner(a_head, b_head));
    }
    Request leave(line& l, std::uint32_t place) {
        l.round = std::max(l.round, slots[place].round);
        l.used += l.step();
        vacant.push_back(place);
        return std::move(slots[place].request);
    }
    /// Whose requests are the most for its share, with the newcomer's.
    line& longest(line& newcomers) {
        const auto length = [&](const line& l) { return static_cast<double>(l.heap.size() + (&l == &newcomers)) / l.share.share; };
        line* most = &newcomers;
        for (line& l : lines)
            if (l.heap.size() > 1 && (most->heap.empty() || length(l) > length(*most))) most = &l; // nobody's only one
        return *most;
    }

    std::vector<entry> slots;
    std::vector<std::uint32_t> vacant;
    std::vector<line> lines; // by tenant
    std::vector<std::uint32_t> order;
    std::uint64_t puts{}, reached{}; // reached: what the tenant whose turn it was had used
};

} // namespace splitdsl
