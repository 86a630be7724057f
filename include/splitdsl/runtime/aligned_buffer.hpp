// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file aligned_buffer.hpp
/// Zeroed, 64-byte aligned bytes whose pages are all touched: allocated once, before the first frame.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace splitdsl {

class aligned_buffer {
public:
    aligned_buffer() = default;
    explicit aligned_buffer(std::size_t size) : count{size} {
        const std::size_t room = (size + 63) / 64 * 64 + 64;        // never zero; a kernel may read a vector past the end
        // Large buffers start a page: the kernel's copy out of a socket is half as fast into a place 16 bytes behind its source (AMD Zen 3,
        // counted within a page), which is where a payload behind a 48-byte header would meet an ordinary 64-byte aligned allocation.
        const std::align_val_t alignment{room < 4096 ? std::size_t{64} : std::size_t{4096}};
        memory = {static_cast<std::byte*>(::operator new(room, alignment)), release{alignment}};
        std::memset(memory.get(), 0, room);
    }
    std::byte* data() const noexcept { return memory.get(); }
    std::size_t size() const noexcept { return count; }
    std::span<std::byte> bytes() const noexcept { return {memory.get(), count}; }

private:
    struct release {
        std::align_val_t alignment;
        release() noexcept : alignment{64} {}
        explicit release(std::align_val_t a) noexcept : alignment{a} {}
        void operator()(std::byte* p) const noexcept { ::operator delete(p, alignment); }
    };
    std::unique_ptr<std::byte, release> memory{};
    std::size_t count{};
};

} // namespace splitdsl
