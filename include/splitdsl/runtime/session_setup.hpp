// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file session_setup.hpp
/// What a session is told at its start, and the one thing of its link that a frame machine goes by.
#pragma once

#include <splitdsl/link/handshake.hpp>
#include <splitdsl/runtime/edge_options.hpp>
#include <splitdsl/runtime/stream_hooks.hpp>
#include <splitdsl/runtime/threads.hpp>

#include <cstddef>
#include <cstdint>

namespace splitdsl {

struct session_setup {
    link::handshake identity{};
    std::size_t payload_max{};
    std::size_t output_floats{};
    session_options options{};
    thread_options threads{};
    edge_stream_hooks* streams{}; ///< null: none
};

/// Up or down, and how often it came up: a change of either is news for the frame machine.
struct link_status {
    bool up{};
    std::uint32_t times_up{};
    friend bool operator==(const link_status&, const link_status&) = default;
};

} // namespace splitdsl
