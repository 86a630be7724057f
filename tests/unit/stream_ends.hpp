// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_ends.hpp
/// Two connected ends of a link for tests, with a relay between them or without; what every stream must do.
#pragma once

#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/link/relay.hpp>
#include <splitdsl/link/tcp_listener.hpp>

#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::link;
using namespace std::chrono_literals;

inline constexpr duration patience = 20s; // bounds a broken test; no assertion rests on it

inline instant now() { return std::chrono::steady_clock::now(); }

inline std::vector<std::byte> pattern(std::size_t size, std::uint64_t seed) {
    splitdsl::detail::xoshiro256 random{seed};
    std::vector<std::byte> result(size);
    for (auto& b : result) b = static_cast<std::byte>(random.next());
    return result;
}

/// Bytes written before the stream ended or patience did.
inline std::size_t write_all(stream& s, std::span<const std::byte> from) {
    const instant limit = now() + patience;
    std::size_t done = 0;
    while (done < from.size() && now() < limit) {
        const io step = s.write(from.subspan(done));
        if (step.what == io_result::closed) break;
        done += step.bytes;
        if (step.what == io_result::would_block) s.wait(false, true, 100ms);
    }
    return done;
}

struct received {
    std::vector<std::byte> bytes;
    bool closed{};
    std::size_t at_first{};
    instant first{}, last{};
};
inline received read_up_to(stream& s, std::size_t size, duration limit = patience) {
    received r;
    r.bytes.resize(size);
    const instant deadline = now() + limit;
    std::size_t done = 0;
    while (done < size) {
        const io step = s.read(std::span{r.bytes}.subspan(done));
        if (step.what == io_result::closed) {
            r.closed = true;
            break;
        }
        if (step.what == io_result::ok) {
            r.last = now();
            if (done == 0) {
                r.first = r.last;
                r.at_first = step.bytes;
            }
            done += step.bytes;
            continue;
        }
        if (now() >= deadline) break;
        s.wait(true, false, std::min<duration>(deadline - now(), 100ms));
    }
    r.bytes.resize(done);
    return r;
}

inline bool sees_end(stream& s) { return read_up_to(s, 1'000'000).closed; }

using ends = std::pair<std::unique_ptr<stream>, std::unique_ptr<stream>>;
inline ends meet(connector& from, listener& at) {
    auto client = from.connect(patience);
    auto server = at.accept(patience);
    REQUIRE(client);
    REQUIRE(server);
    return {std::move(client), std::move(server)};
}

/// Every stream must pass this, whatever carries it.
inline void behaves_as_a_stream(connector& from, listener& at) {
    auto [client, server] = meet(from, at);
    std::byte few[4]{};

    // Nothing there: neither blocks nor ends.
    CHECK(client->read(few).what == io_result::would_block);
    CHECK_FALSE(client->wait(true, false, 0ms));
    CHECK(client->wait(false, true, 0ms));
    CHECK(client->write({}).what == io_result::ok);

    // Both directions at once, more than any buffer holds, each stream used by two threads.
    const auto up = pattern(3'000'000, 1);
    const auto down = pattern(2'000'000, 2);
    {
        auto writes_up = std::async(std::launch::async, [&, c = client.get()] { return write_all(*c, up); });
        auto writes_down = std::async(std::launch::async, [&, s = server.get()] { return write_all(*s, down); });
        auto reads_up = std::async(std::launch::async, [&, s = server.get()] { return read_up_to(*s, up.size()); });
        const auto got_down = read_up_to(*client, down.size());
        CHECK(writes_up.get() == up.size());
        CHECK(writes_down.get() == down.size());
        CHECK(reads_up.get().bytes == up);
        CHECK(got_down.bytes == down);
    }

    // Back-pressure: a peer that does not read makes write refuse, not block.
    std::size_t taken = 0;
    io last{};
    while ((last = client->write(up)).what == io_result::ok && taken < 100'000'000) taken += last.bytes;
    CHECK(last.what == io_result::would_block);
    CHECK(last.bytes == 0);
    CHECK(read_up_to(*server, taken).bytes.size() == taken);

    // A wake before the wait is kept, a wake during it ends it; both say "not ready".
    client->wake();
    CHECK_FALSE(client->wait(true, false, patience));
    std::thread waker{[c = client.get()] {
        std::this_thread::sleep_for(20ms);
        c->wake();
    }};
    const instant before = now();
    CHECK_FALSE(client->wait(true, false, patience));
    CHECK(now() - before < patience / 2);
    waker.join();

    // Bytes sent before the end are delivered before it.
    CHECK(write_all(*client, std::span{up}.first(100)) == 100);
    client->shutdown();
    const auto rest = read_up_to(*server, 1000);
    CHECK(rest.bytes.size() == 100);
    CHECK(rest.closed);
    CHECK(server->read(few).what == io_result::closed);
    CHECK(client->write(few).what == io_result::closed);
    CHECK(client->wait(true, true, patience));
}

/// An edge, the relay and a cloud.
struct relayed {
    tcp_listener cloud_listener;
    std::unique_ptr<relay> between;
    std::unique_ptr<stream> edge, cloud;

    explicit relayed(relay_options o) {
        o.port = cloud_listener.port();
        between = std::make_unique<relay>(std::move(o));
        std::tie(edge, cloud) = connect();
    }
    ends connect() {
        tcp to{"127.0.0.1", between->port()};
        return meet(to, cloud_listener);
    }
    void eventually(const std::function<bool()>& condition) const {
        const instant limit = now() + patience;
        while (!condition() && now() < limit) std::this_thread::sleep_for(1ms);
        CHECK(condition());
    }
};

/// Both ways at once, whole and in order.
inline void exchange(relayed& r, const std::vector<std::byte>& up, const std::vector<std::byte>& down) {
    auto writes_up = std::async(std::launch::async, [&] { return write_all(*r.edge, up); });
    auto writes_down = std::async(std::launch::async, [&] { return write_all(*r.cloud, down); });
    auto reads_up = std::async(std::launch::async, [&] { return read_up_to(*r.cloud, up.size()); });
    CHECK(read_up_to(*r.edge, down.size()).bytes == down);
    CHECK(reads_up.get().bytes == up);
    CHECK(writes_up.get() == up.size());
    CHECK(writes_down.get() == down.size());
}
