// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file delay_line.hpp
/// Bytes on their way through the relay: chunks in order, each with the instant at which it comes out.
#pragma once

#include <splitdsl/units.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace splitdsl::link::detail {

/// Bounded by bytes and by chunks; allocates once. One thread.
class delay_line {
public:
    delay_line(std::size_t byte_capacity, std::size_t chunk_capacity) : store(byte_capacity), chunks(chunk_capacity) {}

    /// Room for the next chunk as one contiguous piece, at most `wanted` bytes; empty if there is none.
    std::span<std::byte> room(std::size_t wanted) {
        if (chunk_count == chunks.size()) return {};
        const std::size_t tail = (head + held) % store.size();
        const std::size_t contiguous = std::min(store.size() - held, store.size() - tail);
        return {store.data() + tail, std::min(wanted, contiguous)};
    }

    /// The first `size` bytes of what `room` gave become a chunk. Chunks never overtake each other.
    void commit(std::size_t size, instant release) {
        last_release = std::max(last_release, release);
        chunks[(first_chunk + chunk_count) % chunks.size()] = {last_release, size};
        ++chunk_count;
        held += size;
    }

    /// Whether a chunk of so many bytes has a place.
    bool takes(std::size_t size) const { return chunk_count < chunks.size() && store.size() - held >= size; }
    /// One chunk, of bytes that `takes` has a place for, whose release nobody knows yet; `settle` tells it. Not mixed with `commit`.
    void put_open(std::span<const std::byte> from) {
        const std::size_t size = from.size(), tail = (head + held) % store.size(), first = std::min(size, store.size() - tail);
        std::copy_n(from.begin(), first, store.begin() + static_cast<std::ptrdiff_t>(tail));
        std::copy(from.begin() + static_cast<std::ptrdiff_t>(first), from.end(), store.begin());
        chunks[(first_chunk + chunk_count) % chunks.size()] = {instant::max(), size};
        ++chunk_count;
        ++open_count;
        held += size;
    }
    /// The first chunk still open comes out at `release`, and not before those ahead of it.
    void settle(instant release) {
        last_release = std::max(last_release, release);
        chunks[(first_chunk + chunk_count - open_count) % chunks.size()].release = last_release;
        --open_count;
    }

    bool empty() const { return chunk_count == 0; }
    bool full() const { return chunk_count == chunks.size() || held == store.size(); }
    /// When the front comes out; `instant::max()` if there is nothing.
    instant next_release() const { return empty() ? instant::max() : chunks[first_chunk].release; }

    /// The front chunk's next contiguous bytes.
    std::span<const std::byte> front() const {
        if (empty()) return {};
        return {store.data() + head, std::min(chunks[first_chunk].size, store.size() - head)};
    }

    /// The first `size` bytes of `front` are gone.
    void drop(std::size_t size) {
        head = (head + size) % store.size();
        held -= size;
        chunks[first_chunk].size -= size;
        if (chunks[first_chunk].size == 0) {
            first_chunk = (first_chunk + 1) % chunks.size();
            --chunk_count;
        }
    }

private:
    struct chunk {
        instant release{};
        std::size_t size{};
    };
    std::vector<std::byte> store;
    std::vector<chunk> chunks;
    std::size_t head{};
    std::size_t held{};
    std::size_t first_chunk{};
    std::size_t chunk_count{};
    std::size_t open_count{};
    instant last_release{instant::min()};
};

} // namespace splitdsl::link::detail
