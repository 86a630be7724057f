// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file error.hpp
/// The exceptions of set-up: weights, connections, options, traces, pictures. The frame path throws none of them.
#pragma once

#include <stdexcept>

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

} // namespace splitdsl
