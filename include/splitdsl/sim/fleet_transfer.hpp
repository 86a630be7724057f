// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet_transfer.hpp
/// What is on its way in a simulation of exits: runs of packets, and what the cloud has of them.
#pragma once

#include <splitdsl/policy/confidence.hpp>
#include <splitdsl/units.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace splitdsl::sim::detail {

/// One run of packets on its way: sizes `from` to `to` of a stream, or an offload's.
struct transfer {
    std::uint32_t frame{};
    std::size_t picture{};
    int cut{-2}, choice{-1}; // of an offload: its smallest size among the answers
    int stream{-1};
    int from{}, to{};
    std::int64_t begin{}, end{}; // bytes of the whole stream
    int packets{}, queued{}, told{}, got{};
    bool lost{};
    int whole{}; // sizes complete, as the receiver counts
    /// Where each packet ends and each size, in bytes of the whole stream; a copy, for a transfer may outlast its picture. Empty: packets
    /// of `room` without gaps, and sizes as the world has them.
    std::vector<std::int64_t> packet_ends{}, size_ends{};

    /// Counts its packets; `ends` are those of all the stream's packets, empty if they have no gaps.
    void cut_into_packets(std::int64_t room, const std::vector<std::int64_t>& ends) {
        if (ends.empty()) {
            packets = static_cast<int>((end - begin + room - 1) / room);
            return;
        }
        for (const std::int64_t e : ends)
            if (e > begin && e < end) packet_ends.push_back(e);
        packet_ends.push_back(end);
        packets = static_cast<int>(packet_ends.size());
    }
    /// Bytes of the whole stream that are there with the first so many packets.
    std::int64_t arrived_with(int n, std::int64_t room) const {
        if (n == 0) return begin;
        if (n == packets) return end;
        return packet_ends.empty() ? begin + std::int64_t{n} * room : packet_ends[static_cast<std::size_t>(n) - 1];
    }
};

/// The frame whose packets the cloud has.
struct cloud_side {
    std::uint32_t frame{};
    std::size_t picture{};
    std::vector<int> there{}; // sizes of each stream
    int cut{-2}, choice{-1}, offload_there{};
    bool stopped{};

    void begin(std::uint32_t which, std::size_t of) {
        frame = which, picture = of;
        std::fill(there.begin(), there.end(), 0);
        cut = -2, choice = -1, offload_there = 0;
        stopped = false;
    }
    void take(const transfer& t) {
        if (t.stream >= 0) {
            int& have = there[static_cast<std::size_t>(t.stream)];
            if (t.from <= have) have = std::max(have, t.whole);
        } else
            offload_there = std::max(offload_there, t.whole > t.from ? t.whole : 0);
    }
};

/// What the cloud can answer: a stream with the sizes of two layers, or an offload's size.
struct cloud_question {
    std::uint32_t frame{};
    int stream{-1}, before{}, here{};
    int width{-1};
    bool any() const { return stream >= 0 || width >= 0; }
    friend bool operator==(const cloud_question&, const cloud_question&) = default;
};

/// What the cloud said to one, on its way back.
struct answered_question {
    policy::prediction what{};
    int exit{-1};
    int size{};
};

/// What the device handed over of its frame instead of going on.
struct offload_state {
    int cut{-2}, first_choice{-1}, sizes{};
    bool progressive{};
    instant since{};
};

} // namespace splitdsl::sim::detail
