// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file line_vector.hpp
/// A vector that begins with a cache line, and with a large page where it fills one.
///
/// A vector register's load or store that begins elsewhere takes two lines. A processor's own prefetching ends at a page, and each small one is looked up:
/// where a stream of megabytes goes through, large ones are asked for.
#pragma once

#include <cstddef>
#include <new>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace splitdsl::detail {

template <class Value>
struct line_allocator {
    using value_type = Value;

    line_allocator() = default;
    template <class Other>
    line_allocator(const line_allocator<Other>&) noexcept {}

    Value* allocate(std::size_t count) {
        void* const at = ::operator new(count * sizeof(Value), alignment(count));
#if defined(MADV_HUGEPAGE)
        if (count * sizeof(Value) >= large_page) ::madvise(at, count * sizeof(Value), MADV_HUGEPAGE); // a request: without it the pages are small ones
#endif
        return static_cast<Value*>(at);
    }
    void deallocate(Value* at, std::size_t count) noexcept { ::operator delete(at, alignment(count)); }
    friend bool operator==(line_allocator, line_allocator) noexcept { return true; }

private:
    static constexpr std::size_t large_page = std::size_t{2} << 20;
    static constexpr std::align_val_t alignment(std::size_t count) noexcept {
        return std::align_val_t{count * sizeof(Value) < large_page ? std::size_t{64} : large_page};
    }
};

template <class Value>
using line_vector = std::vector<Value, line_allocator<Value>>;

} // namespace splitdsl::detail
