// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file request_queue.hpp
/// Waiting requests of all connections, earliest deadline first, bounded.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace splitdsl {

/// Not synchronised. Requests of one deadline leave in the order they came. Never grows beyond its bound.
template <class Request>
class request_queue {
public:
    explicit request_queue(std::size_t bound) : limit{bound} { heap.reserve(bound); }

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

private:
    struct entry {
        instant deadline{};
        std::uint64_t order{};
        Request request{};
    };
    static bool later(const entry& a, const entry& b) { return a.deadline != b.deadline ? a.deadline > b.deadline : a.order > b.order; }
    std::size_t limit;
    std::vector<entry> heap;
    std::uint64_t puts{};
};

} // namespace splitdsl
