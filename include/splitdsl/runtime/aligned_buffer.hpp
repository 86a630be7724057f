// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file aligned_buffer.hpp
/// Zeroed, 64-byte aligned bytes whose pages are all touched: allocated once, before the first frame.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <utility>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace splitdsl {

class aligned_buffer {
public:
    aligned_buffer() = default;
    explicit aligned_buffer(std::size_t size) : count{size} {
        const std::size_t room = (size + 63) / 64 * 64 + 64;        // never zero; a kernel may read a vector past the end
        // Large buffers start a page: the kernel's copy out of a socket is half as fast into a place 16 bytes behind its source (AMD Zen 3,
        // counted within a page), which is where a payload behind a 48-byte header would meet an ordinary 64-byte aligned allocation.
        // What holds a network's weights is asked for in large pages: layers that read each weight once then take it from the third-level cache 1.4 times as
        // fast (AMD Zen 5), because a processor's own prefetching ends at a page.
        alignment = std::align_val_t{room < 4096 ? std::size_t{64} : room < large_page ? std::size_t{4096} : large_page};
        memory = static_cast<std::byte*>(::operator new(room, alignment));
#if defined(MADV_HUGEPAGE)
        if (room >= large_page) ::madvise(memory, room, MADV_HUGEPAGE); // a request: without it the pages are small ones
#endif
        std::memset(memory, 0, room);
    }
    aligned_buffer(aligned_buffer&& other) noexcept
        : memory{std::exchange(other.memory, nullptr)}, count{std::exchange(other.count, 0)}, alignment{other.alignment} {}
    aligned_buffer& operator=(aligned_buffer&& other) noexcept {
        std::swap(memory, other.memory);
        std::swap(count, other.count);
        std::swap(alignment, other.alignment);
        return *this;
    }
    ~aligned_buffer() {
        if (memory != nullptr) ::operator delete(memory, alignment);
    }
    std::byte* data() const noexcept { return memory; }
    std::size_t size() const noexcept { return count; }
    std::span<std::byte> bytes() const noexcept { return {memory, count}; }

private:
    static constexpr std::size_t large_page = std::size_t{2} << 20;

    std::byte* memory{};
    std::size_t count{};
    std::align_val_t alignment{64};
};

} // namespace splitdsl
