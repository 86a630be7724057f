// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file aligned_buffer.hpp
/// Zeroed, 64-byte aligned bytes whose pages are all touched: allocated once, before the first frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <utility>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace splitdsl {

/// From 128 KiB on the memory is asked of the system and goes back to it at the end. An allocator would keep it: once it has seen a few large blocks
/// come and go, the next ones lie in its heaps, and a cloud stays as large as its busiest minute.
class aligned_buffer {
public:
    aligned_buffer() = default;
    explicit aligned_buffer(std::size_t size) : count{size} {
#if defined(__linux__)
        if (room() >= mapped_from) {
            memory = map(room());
            return;
        }
#endif
        memory = static_cast<std::byte*>(::operator new(room(), std::align_val_t{alignment()}));
        std::memset(memory, 0, room());
    }
    aligned_buffer(aligned_buffer&& other) noexcept : memory{std::exchange(other.memory, nullptr)}, count{std::exchange(other.count, 0)} {}
    aligned_buffer& operator=(aligned_buffer&& other) noexcept {
        std::swap(memory, other.memory);
        std::swap(count, other.count);
        return *this;
    }
    ~aligned_buffer() {
        if (memory == nullptr) return;
#if defined(__linux__)
        if (room() >= mapped_from) {
            unmap(memory, whole(room()));
            return;
        }
#endif
        ::operator delete(memory, std::align_val_t{alignment()});
    }
    std::byte* data() const noexcept { return memory; }
    std::size_t size() const noexcept { return count; }
    std::span<std::byte> bytes() const noexcept { return {memory, count}; }

private:
    static constexpr std::size_t page = 4096, large_page = std::size_t{2} << 20;

    std::size_t room() const noexcept { return (count + 63) / 64 * 64 + 64; } // never zero; a kernel may read a vector past the end
    // Large buffers start a page: the kernel's copy out of a socket is half as fast into a place 16 bytes behind its source (AMD Zen 3,
    // counted within a page), which is where a payload behind a 48-byte header would meet an ordinary 64-byte aligned allocation.
    // What holds a network's weights is asked for in large pages: layers that read each weight once then take it from the third-level cache 1.4 times as
    // fast (AMD Zen 5), because a processor's own prefetching ends at a page.
    std::size_t alignment() const noexcept { return room() < page ? std::size_t{64} : room() < large_page ? page : large_page; }

#if defined(__linux__)
    /// An address sanitizer watches what its own allocator gave, and nothing else.
#if defined(__SANITIZE_ADDRESS__)
    static constexpr std::size_t mapped_from = SIZE_MAX;
#elif defined(__has_feature)
    static constexpr std::size_t mapped_from = __has_feature(address_sanitizer) ? SIZE_MAX : std::size_t{128} << 10;
#else
    static constexpr std::size_t mapped_from = std::size_t{128} << 10;
#endif
    /// Rounded up to 64 KiB: no Linux system counts in larger pages.
    static constexpr std::size_t whole(std::size_t size) noexcept { return (size + 0xffff) / 0x10000 * 0x10000; }
    std::byte* map(std::size_t size) const {
        const std::size_t spare = alignment() > page ? alignment() : 0; // of which what lies before the first large page, and behind the end, goes back
        void* const found = ::mmap(nullptr, whole(size) + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (found == MAP_FAILED) throw std::bad_alloc{};
        std::byte* const from = static_cast<std::byte*>(found);
        const std::size_t before = spare == 0 ? 0 : (alignment() - reinterpret_cast<std::uintptr_t>(from) % alignment()) % alignment();
        if (before > 0) unmap(from, before);
        if (spare > before) unmap(from + before + whole(size), spare - before);
        std::byte* const to = from + before;
#if defined(MADV_HUGEPAGE)
        if (size >= large_page) ::madvise(to, size, MADV_HUGEPAGE); // a request: without it the pages are small ones
#endif
        for (std::size_t at = 0; at < size; at += page) static_cast<volatile std::byte*>(to)[at] = std::byte{}; // zero already: the system gives it here, not in a frame
        return to;
    }
    static void unmap(std::byte* from, std::size_t size) noexcept { ::munmap(from, size); }
#endif

    std::byte* memory{};
    std::size_t count{};
};

} // namespace splitdsl
