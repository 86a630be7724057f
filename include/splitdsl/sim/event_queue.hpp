// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file event_queue.hpp
/// Events in order of virtual time; events of one instant come in the order they were put in.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace splitdsl::sim {

/// The virtual clock's calendar. Deterministic: ties are broken by the order of `put`.
template <class Event>
class event_queue {
public:
    event_queue() { heap.reserve(256); }

    void put(instant at, const Event& e) {
        heap.push_back({at, ++puts, e});
        std::push_heap(heap.begin(), heap.end(), later);
    }
    /// `instant::max()` if there is none.
    instant next() const { return heap.empty() ? instant::max() : heap.front().at; }
    bool empty() const { return heap.empty(); }
    Event take() {
        std::pop_heap(heap.begin(), heap.end(), later);
        const Event e = heap.back().event;
        heap.pop_back();
        return e;
    }
    void clear() { heap.clear(); }

private:
    struct entry {
        instant at{};
        std::uint64_t order{};
        Event event{};
    };
    static bool later(const entry& a, const entry& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }
    std::vector<entry> heap;
    std::uint64_t puts{};
};

} // namespace splitdsl::sim
