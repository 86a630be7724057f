// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file packet_line.hpp
/// Packets in the order in which they wait for a radio.
#pragma once

#include <cstddef>
#include <vector>

namespace splitdsl::radio::detail {

/// The first `head` packets are over. Their room is used again once they are many, so that taking one costs the same however many wait.
template <class Packet>
struct packet_line {
    std::vector<Packet> packets{};
    std::size_t head{};

    std::size_t count() const { return packets.size() - head; }
    void compact() {
        if (head == packets.size()) {
            packets.clear();
            head = 0;
        } else if (head >= 256 && head * 2 >= packets.size()) {
            packets.erase(packets.begin(), packets.begin() + static_cast<std::ptrdiff_t>(head));
            head = 0;
        }
    }
};

} // namespace splitdsl::radio::detail
