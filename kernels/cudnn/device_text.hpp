// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file device_text.hpp
/// Device code is written once: as a text that NVRTC compiles where a program starts, and as C++ where it is tested without a device.
///
/// A block of `SPLITDSL_DEVICE_DATA` (what host and device agree on) is always both. A block of `SPLITDSL_DEVICE_CODE` is only its text, so
/// that a user's compiler does not read kernels; with SPLITDSL_DEVICE_AS_CODE it is code too. A block holds no preprocessor lines, because
/// it is a macro's argument. What differs between device and host (16-bit floats, exact operations, thread numbers) stands in
/// `source/prelude.hpp`, once for each.
#pragma once

#define SPLITDSL_DEVICE_DATA(text_name, ...)            \
    inline constexpr char text_name[] = #__VA_ARGS__;   \
    __VA_ARGS__

#if defined(SPLITDSL_DEVICE_AS_CODE)
#define SPLITDSL_DEVICE_CODE(text_name, ...)            \
    inline constexpr char text_name[] = #__VA_ARGS__;   \
    __VA_ARGS__
#else
#define SPLITDSL_DEVICE_CODE(text_name, ...) inline constexpr char text_name[] = #__VA_ARGS__;
#endif
