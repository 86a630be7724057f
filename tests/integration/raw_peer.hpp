// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file raw_peer.hpp
/// An edge made of bytes: it says to a cloud whatever a test wants said, and reads what comes back.
#pragma once

#include "../catch.hpp"

#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/message_reader.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

/// One connection from the edge's end.
struct raw_peer {
    raw_peer(std::unique_ptr<splitdsl::link::stream> s, const splitdsl::link::frame_limits& limits) : stream{std::move(s)}, reader{limits} {
        REQUIRE(stream);
    }
    void write(std::span<const std::byte> m) const {
        for (std::size_t done = 0; done < m.size();) {
            const auto io = stream->write(m.subspan(done));
            if (io.what == splitdsl::link::io_result::closed) return;
            done += io.bytes;
            if (io.what == splitdsl::link::io_result::would_block) stream->wait(false, true, std::chrono::milliseconds{10});
        }
    }
    void send(splitdsl::link::frame_header h, std::span<const std::byte> payload) const {
        std::vector<std::byte> m(splitdsl::link::header_bytes + payload.size());
        std::copy(payload.begin(), payload.end(), m.begin() + splitdsl::link::header_bytes);
        splitdsl::link::seal(h, m);
        write(m);
    }
    /// The next message's kind, or nothing if the connection ended or two seconds passed.
    std::optional<splitdsl::link::message_kind> next() {
        using std::chrono::steady_clock;
        for (const auto end = steady_clock::now() + std::chrono::seconds{2}; steady_clock::now() < end;) {
            const auto got = reader.next(*stream);
            if (got == splitdsl::message_reader::state::message) return reader.header().kind;
            if (got != splitdsl::message_reader::state::more) return {};
            stream->wait(true, false, std::chrono::milliseconds{50});
        }
        return {};
    }
    std::unique_ptr<splitdsl::link::stream> stream;
    splitdsl::message_reader reader;
};
