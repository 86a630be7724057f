// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file request_queue.hpp
/// Waiting requests of all connections, earliest deadline first, bounded.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace splitdsl {

/// Not synchronised. Requests of one deadline leave in the order they came. Never grows beyond its bound.
template <class Request>
class request_queue {
public:
    explicit request_queue(std::size_t bound) : limit{bound} {
        heap.reserve(bound);
        places.reserve(bound);
    }

    /// False: full.
    bool put(instant deadline, Request r) {
        if (heap.size() >= limit) return false;
        heap.push_back({deadline, ++puts, std::move(r)});
        std::push_heap(heap.begin(), heap.end(), later);
        return true;
    }
    bool empty() const { return heap.empty(); }
    std::size_t size() const { return heap.size(); }
    Request take() {
        std::pop_heap(heap.begin(), heap.end(), later);
        Request r = std::move(heap.back().request);
        heap.pop_back();
        return r;
    }
    /// The places of all that wait, most urgent first; like the places, valid until the next call of anything else.
    std::span<const std::size_t> by_urgency() {
        places.resize(heap.size());
        std::iota(places.begin(), places.end(), std::size_t{});
        std::sort(places.begin(), places.end(), [this](std::size_t a, std::size_t b) { return later(heap[b], heap[a]); });
        return places;
    }
    const Request& operator[](std::size_t place) const { return heap[place].request; }
    /// Appends the requests for which `chosen(request)` says so to `to`, most urgent first. Cost: sorts all that wait.
    template <class Chosen>
    void take(std::vector<Request>& to, Chosen&& chosen) {
        for (const std::size_t p : by_urgency())
            if (chosen(std::as_const(heap[p].request))) {
                to.push_back(std::move(heap[p].request));
                heap[p].taken = true;
            }
        std::erase_if(heap, [](const entry& e) { return e.taken; });
        std::make_heap(heap.begin(), heap.end(), later);
    }

private:
    struct entry {
        instant deadline{};
        std::uint64_t order{};
        Request request{};
        bool taken{};
    };
    static bool later(const entry& a, const entry& b) { return a.deadline != b.deadline ? a.deadline > b.deadline : a.order > b.order; }
    std::size_t limit;
    std::vector<entry> heap;
    std::vector<std::size_t> places;
    std::uint64_t puts{};
};

} // namespace splitdsl
