// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file input_mailbox.hpp
/// Hands a frame's inputs from the caller to the compute thread; a newer frame replaces one not yet taken.
#pragma once

#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/edge_options.hpp>
#include <splitdsl/runtime/fixed_array.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

namespace splitdsl {

/// Three buffers and one atomic: neither side ever waits for the other. Copying means that the caller's memory is free on
/// return even if the compute thread hangs in an older frame.
class input_mailbox {
public:
    struct letter {
        std::uint32_t frame{};
        instant start{};
        aligned_buffer store{};
        const void** inputs{};                 // into `store`, one an input
        std::span<const std::byte>* spans{}; // the same with their sizes
    };

    explicit input_mailbox(std::span<const tensor_info> shapes) : pointers{3 * shapes.size()}, parts{3 * shapes.size()} {
        std::size_t size{};
        for (const auto& s : shapes) size += (s.bytes + 63) / 64 * 64;
        for (std::size_t k = 0; k < 3; ++k) {
            letter& l = letters[k];
            l.store = aligned_buffer{size};
            l.inputs = pointers.data() + k * shapes.size();
            l.spans = parts.data() + k * shapes.size();
            std::size_t at{};
            for (std::size_t i = 0; i < shapes.size(); ++i) {
                l.inputs[i] = l.store.data() + at;
                l.spans[i] = {l.store.data() + at, shapes[i].bytes};
                at += (shapes[i].bytes + 63) / 64 * 64;
            }
        }
    }
    /// Caller: copies the inputs (sizes checked before) and makes them the newest frame.
    void post(std::uint32_t frame, instant start, frame_inputs in) noexcept {
        letter& l = letters[back];
        l.frame = frame;
        l.start = start;
        for (std::size_t i = 0; i < in.size(); ++i)
            if (!in[i].empty()) std::memcpy(l.store.data() + (l.spans[i].data() - l.store.data()), in[i].data(), in[i].size());
        back = middle.exchange(back | fresh, std::memory_order_acq_rel) & index;
    }
    /// Compute thread: the newest frame not taken yet, or null. Stays valid until the next call that returns one.
    const letter* take() noexcept {
        if ((middle.load(std::memory_order_acquire) & fresh) == 0) return nullptr;
        front = middle.exchange(front, std::memory_order_acq_rel) & index;
        return &letters[front];
    }

private:
    static constexpr std::uint32_t fresh = 4, index = 3;
    fixed_array<const void*> pointers;
    fixed_array<std::span<const std::byte>> parts;
    letter letters[3]{};
    std::uint32_t back{0};
    alignas(64) std::atomic<std::uint32_t> middle{1};
    alignas(64) std::uint32_t front{2};
};

} // namespace splitdsl
