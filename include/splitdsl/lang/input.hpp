// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file input.hpp
/// A network input: an image or a vector, as the application hands it over.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// An image as it comes from a camera: (channels, height, width).
struct image {
    int channels{}, height{}, width{};
    image_layout layout{image_layout::chw};     ///< memory order of the caller's buffer
};

/// A vector of `count` values: a speed, a command.
struct values { int count{}; };

/// Declares an image input. u8 images must pass through `normalise` before any other op (SD212).
/// Inputs belong to the network's first place; one that is read at another place travels in that cut's payload group.
/// Two inputs of one name are the same input and must agree, also in layout (SD216).
///
/// ```cpp
/// input("camera", u8, {.channels = 3, .height = 88, .width = 200})     // (3, 88, 200)
/// ```
constexpr body<1> input(text name, element_type element, image of) {
    op o = detail::beginning(op_kind::input, name);
    o.element = element;
    o.flags = of.layout == image_layout::hwc ? op_flag::is_hwc : op_flag::none;
    o.size = {of.channels, of.height, of.width};
    return detail::single(o);
}

/// Declares a vector input, (count, 1, 1). As u8 it is a command (see `select`).
///
/// ```cpp
/// input("speed", f32, values{1})      // (1, 1, 1)
/// input("command", u8, 1)             // the same size, shorter
/// ```
constexpr body<1> input(text name, element_type element, values of) {
    op o = detail::beginning(op_kind::input, name);
    o.element = element;
    o.size = {of.count, 1, 1};
    return detail::single(o);
}
constexpr body<1> input(text name, element_type element, int count) { return input(name, element, values{count}); }

} // namespace splitdsl
