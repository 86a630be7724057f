// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_rig.hpp
/// A cloud on the fake network, and an edge made of bytes that speaks to it.
#pragma once

#include "../catch.hpp"

#include "fake_network.hpp"
#include "raw_peer.hpp"

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/runtime/cloud_core.hpp>

#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;
using link::message_kind;

namespace {

struct served {
    explicit served(cloud_options o = {}, duration stage = {}) {
        fake::cloud_behaviour.calm(stage);
        auto listener = std::make_unique<link::in_process_listener>();
        door.emplace(*listener);
        cloud.emplace(fake::network<fake::cloud_behaviour>(), std::span<const std::byte>{}, std::move(o), std::move(listener));
    }
    /// Waits until the counters say so: at most two seconds.
    template <class Condition>
    bool until(Condition c) const {
        for (int i = 0; i < 2000; ++i, std::this_thread::sleep_for(1ms))
            if (c(cloud->counters())) return true;
        return false;
    }
    bool ended(ending why, std::uint64_t times = 1) const {
        return until([&](const cloud_counters& c) { return c.endings[static_cast<std::size_t>(why)] == times; });
    }
    std::optional<link::in_process> door;
    std::optional<cloud_core> cloud;
};

/// An edge made of bytes.
struct raw_edge : raw_peer {
    explicit raw_edge(served& s) : raw_peer{s.door->connect(1s), link::frame_limits::of_edge(fake::outputs * sizeof(float))} {}
    using raw_peer::send;
    void send(link::frame_header h, std::size_t payload = 0, std::byte fill = {}) const { send(h, std::vector<std::byte>(payload, fill)); }
    void hello(std::uint64_t weights = 0) const {
        auto m = introduction_of(introduction_for(fake::network<fake::edge_behaviour>(), weights));
        link::seal({.kind = message_kind::hello, .epoch = 9}, m);
        write(m);
    }
    /// What a refusal says.
    std::string sentence() const { return {reinterpret_cast<const char*>(reader.payload().data()), reader.payload().size()}; }
    /// A payload whose answer shows its tag.
    void ask_tagged(std::uint32_t tag, duration budget, std::uint8_t cut = 0) const {
        std::vector<std::byte> payload(cut == link::whole_input ? fake::input_bytes : fake::payload_bytes);
        std::memcpy(payload.data(), &tag, sizeof tag);
        send({.kind = message_kind::payload, .cut = cut, .epoch = 9, .sequence = tag, .budget_us = link::wire_microseconds(budget)}, payload);
    }
    bool answered(std::uint32_t tag) {
        if (next() != message_kind::reply || reader.header().sequence != tag || reader.payload().size() != fake::outputs * sizeof(float)) return false;
        std::array<float, fake::outputs> values{};
        std::memcpy(values.data(), reader.payload().data(), sizeof values);
        for (std::size_t i = 0; i < values.size(); ++i)
            if (values[i] != fake::answer_to(tag) + static_cast<float>(i)) return false;
        return true;
    }
    void ask(std::uint32_t sequence, duration budget, std::size_t size = fake::payload_bytes, std::uint8_t cut = 0) const {
        send({.kind = message_kind::payload, .cut = cut, .epoch = 9, .sequence = sequence, .budget_us = link::wire_microseconds(budget)},
             size);
    }
};

} // namespace
