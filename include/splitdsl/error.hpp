// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file error.hpp
/// The exceptions of set-up: weights, connections, options, traces, pictures. The frame path throws none of them.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace splitdsl {

/// Root of everything this library throws. The text names what was expected and what was found.
struct error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct weights_error : error { using error::error; };   ///< a weights file, or how it fits the network
struct wire_error : error { using error::error; };      ///< a malformed or refused message
struct link_error : error { using error::error; };      ///< connecting, listening, name resolution
struct option_error : error { using error::error; };    ///< an option out of range or contradictory
struct trace_error : error { using error::error; };     ///< a link trace or scenario file
struct image_error : error { using error::error; };     ///< a picture: damaged, of an unsupported kind, larger than allowed


/// What is wrong with a GPU or with the libraries that drive it.
enum class device_failure : std::uint8_t {
    missing,        ///< a library, or a function in it
    too_old,        ///< a library or driver
    no_device,      ///< the machine has none, or not that many
    out_of_memory,  ///< on the device, or pinned memory of the host
    unsupported,    ///< a layer, or an option on this device
    lost,           ///< the device stopped answering, or work on it failed: whatever lay there is gone
};
struct device_error : error {
    device_error(device_failure kind, const std::string& what) : error{what}, why{kind} {}
    device_failure why;
};

} // namespace splitdsl
