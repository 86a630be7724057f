// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file views.hpp
/// Pictures and planes as xtensor views of fixed rank, without copying.
#pragma once

#include <splitdsl/detail/xt.hpp>
#include <splitdsl/image/picture.hpp>

#include <array>
#include <cstddef>

namespace splitdsl::imaging {

namespace detail {
inline std::array<std::size_t, 3> shape_of(int a, int b, int c) { return {static_cast<std::size_t>(a), static_cast<std::size_t>(b), static_cast<std::size_t>(c)}; }
} // namespace detail

/// (height, width, channels), writable; valid as long as the picture keeps its pixels.
///
/// ```cpp
/// auto pixels = imaging::view_of(picture);
/// xt::view(pixels, xt::all(), xt::all(), 0) = 0;         // no red
/// ```
inline auto view_of(picture& of) {
    return xt::adapt(of.bytes().data(), of.bytes().size(), xt::no_ownership(), detail::shape_of(of.height(), of.width(), of.channels()));
}
inline auto view_of(const picture& of) {
    return xt::adapt(of.bytes().data(), of.bytes().size(), xt::no_ownership(), detail::shape_of(of.height(), of.width(), of.channels()));
}
auto view_of(picture&&) = delete;

/// (channels, height, width), writable.
template <class T>
auto view_of(planes<T>& of) {
    return xt::adapt(of.values.data(), of.values.size(), xt::no_ownership(), detail::shape_of(of.channels, of.size.height, of.size.width));
}
template <class T>
auto view_of(const planes<T>& of) {
    return xt::adapt(of.values.data(), of.values.size(), xt::no_ownership(), detail::shape_of(of.channels, of.size.height, of.size.width));
}
template <class T>
auto view_of(planes<T>&&) = delete;

} // namespace splitdsl::imaging
