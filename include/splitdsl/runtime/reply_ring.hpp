// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file reply_ring.hpp
/// Replies on their way from whoever reads the connection to the compute thread.
#pragma once

#include <splitdsl/runtime/finite.hpp>
#include <splitdsl/runtime/frame_rules.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace splitdsl {

struct incoming_reply {
    reply_facts facts{};
    std::vector<float> values{}; ///< allocated once, of the network's output size
};

/// One producer at a time, one consumer, 16 places; a full ring refuses.
class reply_ring {
public:
    explicit reply_ring(std::size_t output_floats) {
        for (auto& p : places) p.values.resize(output_floats);
    }
    /// Whoever holds the reading side: copies the values and looks whether each is finite.
    bool push(reply_facts f, std::span<const std::byte> values) noexcept {
        const std::size_t at = put.load(std::memory_order_relaxed);
        if (at - taken.load(std::memory_order_acquire) == capacity) return false;
        incoming_reply& r = places[at % capacity];
        const std::size_t whole = r.values.size() * sizeof(float), size = values.size();
        if (size == whole || (f.exit >= 0 && size < whole)) { // an exit's values are fewer; who handed them on knows how many
            if (!values.empty()) std::memcpy(r.values.data(), values.data(), size);
            f.finite = f.finite && all_finite(std::span{r.values}.first(size / sizeof(float)));
        } else if (f.crc_ok && !f.shed)
            f.size_ok = false;
        r.facts = f;
        put.store(at + 1, std::memory_order_release);
        return true;
    }
    /// Compute thread: null if there is none.
    const incoming_reply* oldest() const noexcept {
        const std::size_t at = taken.load(std::memory_order_relaxed);
        return put.load(std::memory_order_acquire) == at ? nullptr : &places[at % capacity];
    }
    void pop() noexcept { taken.store(taken.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

private:
    static constexpr std::size_t capacity = 16;
    std::array<incoming_reply, capacity> places{};
    alignas(64) std::atomic<std::size_t> put{};
    alignas(64) std::atomic<std::size_t> taken{};
};

} // namespace splitdsl
