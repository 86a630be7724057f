// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file message_boundary.hpp
/// Where a byte stream's messages end, for a radio that puts no two of them into one packet.
#pragma once

#include <splitdsl/link/frame.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace splitdsl::link::detail {

/// Of one direction of a connection. A message begins a packet of its own, as an SDU of an L2CAP channel does; bytes that are no messages
/// go as they come. One thread.
class message_boundary {
public:
    /// The most that the next packet takes of what lies in a socket: the rest of a message, and no more than `most`. 0: a header is not
    /// there as a whole yet.
    std::size_t next(int descriptor, std::size_t most) {
        if (left == 0) {
            std::array<std::byte, header_bytes> head{};
            const auto there = ::recv(descriptor, head.data(), head.size(), MSG_PEEK | MSG_DONTWAIT);
            const auto seen = std::span{head}.first(static_cast<std::size_t>(std::max<ssize_t>(there, 0)));
            left = message_size(seen);
            if (left == 0 && begins_message(seen)) {
                pollfd ended{descriptor, POLLRDHUP, 0};
                if (::poll(&ended, 1, 0) == 0) return 0;
            }
        }
        return left > 0 ? std::min(most, left) : most;
    }
    void took(std::size_t size) { left -= std::min(left, size); }

private:
    std::size_t left{}; // of the message that is being taken
};

} // namespace splitdsl::link::detail
