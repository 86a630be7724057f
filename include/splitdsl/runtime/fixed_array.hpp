// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fixed_array.hpp
/// An array whose size is set once: what the frame path holds cannot grow, and costs the compiler a quarter of a std::vector.
#pragma once

#include <cstddef>
#include <type_traits>

namespace splitdsl {

/// Values start at zero. Neither copied nor moved: pointers into it stay good as long as it lives.
template <class T>
class fixed_array {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    explicit fixed_array(std::size_t size) : values{new T[size]{}}, count{size} {}
    fixed_array(const T* from, std::size_t size) : fixed_array{size} {
        for (std::size_t i = 0; i < size; ++i) values[i] = from[i];
    }
    fixed_array(const fixed_array&) = delete;
    fixed_array& operator=(const fixed_array&) = delete;
    ~fixed_array() { delete[] values; }

    T& operator[](std::size_t i) noexcept { return values[i]; }
    const T& operator[](std::size_t i) const noexcept { return values[i]; }
    T* data() noexcept { return values; }
    const T* data() const noexcept { return values; }
    std::size_t size() const noexcept { return count; }

private:
    T* values;
    std::size_t count;
};

} // namespace splitdsl
