// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file turned_away.hpp
/// Connections that a full cloud refused before their hello, until they have read why.
#pragma once

#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/introduction.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <utility>

namespace splitdsl {

/// One thread. Never waits.
class turned_away {
public:
    /// Says why and goes on at once. A TCP connection that is closed with its peer's hello unread is reset, and what was sent to it may be lost: so it stays
    /// open until the peer has read the sentence and left, and not for long.
    void turn_away(std::unique_ptr<link::stream> newcomer, const std::string& why) {
        auto m = sentence_message(why);
        link::seal({.kind = link::message_kind::refuse}, m);
        newcomer->write(m); // nothing else is under way: it fits
        if (leaving.size() >= most_leaving) leaving.pop_front();
        leaving.push_back({std::move(newcomer), std::chrono::steady_clock::now() + std::chrono::milliseconds{500}});
    }
    /// Reads what they still say, and closes those that have left or had their time.
    void see_off() {
        leaving.remove_if([](const leaver& l) {
            std::array<std::byte, 4096> unread;
            link::io got{};
            for (int i = 0; i < 8 && (i == 0 || got.what == link::io_result::ok); ++i) got = l.stream->read(unread);
            return got.what == link::io_result::closed || std::chrono::steady_clock::now() >= l.until;
        });
    }

private:
    struct leaver {
        std::unique_ptr<link::stream> stream;
        instant until{};
    };
    static constexpr std::size_t most_leaving = 16;
    std::list<leaver> leaving;
};

} // namespace splitdsl
