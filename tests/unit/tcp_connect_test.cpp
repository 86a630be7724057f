// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tcp_connect_test.cpp
/// From a name to a connection: resolvers that take their time, names with several addresses.
#include "stream_ends.hpp"

#include <fcntl.h>
#include <netinet/in.h>

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {
std::atomic<bool> resolver_hangs{true};
std::atomic<int> resolver_calls{}, resolver_returns{};
int slow_resolver(const char*, const char* service, const addrinfo* wanted, addrinfo** found) {
    ++resolver_calls;
    while (resolver_hangs) std::this_thread::sleep_for(1ms);
    const int failure = ::getaddrinfo("127.0.0.1", service, wanted, found);
    ++resolver_returns;
    return failure;
}
bool comes_true(const std::function<bool()>& what) {
    for (int i = 0; i < 5000 && !what(); ++i) std::this_thread::sleep_for(1ms);
    return what();
}
} // namespace

TEST_CASE("a TCP link waits for a resolver as long as it may and no longer, and asks it once at a time") {
    resolver_hangs = true;
    resolver_calls = resolver_returns = 0;
    tcp_listener at{0, "127.0.0.1"};
    {
        tcp from{"tail.local", at.port(), {.resolve = &slow_resolver}};
        for (int i = 0; i < 3; ++i) CHECK(refusal<error>([&] { from.connect(5ms); }).find("expected a name that resolves within 5 ms") != std::string::npos);
        CHECK(comes_true([] { return resolver_calls == 1; }));
        resolver_hangs = false;
        CHECK(from.connect(patience));
        CHECK(resolver_calls == 1);
        CHECK(from.connect(patience)); // a new connection asks anew
        CHECK(resolver_calls == 2);
    }
    resolver_hangs = true;
    {
        tcp given_up{"tail.local", at.port(), {.resolve = &slow_resolver}};
        CHECK_THROWS_AS(given_up.connect(1ms), link_error);
        CHECK(comes_true([] { return resolver_calls == 3; }));
    } // gone while the resolver still works
    CHECK(resolver_returns == 2);
    resolver_hangs = false;
    CHECK(comes_true([] { return resolver_returns == 3; }));
}

TEST_CASE("an address in numbers asks no resolver, with or without brackets") {
    resolver_calls = 0;
    tcp_listener at{0, "127.0.0.1"};
    tcp from{"127.0.0.1", at.port(), {.resolve = &slow_resolver}};
    CHECK(from.connect(patience));
    CHECK(resolver_calls == 0);
    CHECK(tcp{"[::1]", 7447}.describe() == "tcp [::1]:7447");
    CHECK(tcp{"::1", 7447}.describe() == "tcp [::1]:7447");
}

TEST_CASE("a relay waits for a resolver no longer than it was told, and goes where the name leads") {
    resolver_calls = resolver_returns = 0;
    tcp_listener at{0, "127.0.0.1"};
    resolver_hangs = true;
    relay_options o{.host = "tail.local", .port = at.port(), .resolve = &slow_resolver, .resolve_time = 5ms};
    CHECK(refusal<link_error>([&] { relay{o}; }).find("relay to tail.local:" + std::to_string(at.port()) + ": expected a name that resolves within 5 ms") != std::string::npos);
    CHECK(comes_true([] { return resolver_calls == 1; }));
    resolver_hangs = false;
    CHECK(comes_true([] { return resolver_returns == 1; })); // gone while the resolver still worked
    o.resolve_time = patience;
    const relay between{o};
    CHECK(resolver_calls == 2);
    const auto through = tcp{"127.0.0.1", between.port()}.connect(patience);
    CHECK(at.accept(patience));
    o.resolve_time = 0ms;
    CHECK(refusal<option_error>([&] { relay{o}; }).find("resolve_time above 0 s") != std::string::npos);
    o.host = "127.0.0.1";
    o.resolve_time = patience;
    CHECK_NOTHROW(relay{o});
    CHECK(resolver_calls == 2); // an address in numbers needs none
}

namespace {
std::uint16_t silent_port{}, open_port{};
/// A name with two addresses.
int two_addresses(const char*, const char*, const addrinfo* wanted, addrinfo** found) {
    const int first = ::getaddrinfo("127.0.0.1", std::to_string(silent_port).c_str(), wanted, found);
    return first != 0 ? first : ::getaddrinfo("127.0.0.1", std::to_string(open_port).c_str(), wanted, &(*found)->ai_next);
}
} // namespace

TEST_CASE("an address that does not answer keeps nobody from the name's next one") {
    // A queue of one that is full: further newcomers are not answered.
    const splitdsl::link::detail::owned_descriptor silent{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(silent.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0);
    REQUIRE(::listen(silent.get(), 0) == 0);
    socklen_t size = sizeof here;
    REQUIRE(::getsockname(silent.get(), reinterpret_cast<sockaddr*>(&here), &size) == 0);
    silent_port = ntohs(here.sin_port);
    std::vector<std::unique_ptr<stream>> filling;
    for (bool answers = true; answers && filling.size() < 8;) {
        filling.push_back(tcp{"127.0.0.1", silent_port}.connect(50ms));
        answers = filling.back() != nullptr;
    }
    REQUIRE(filling.back() == nullptr);
    tcp_listener second;
    open_port = second.port();
    tcp to{"tail.local", 1, {.resolve = &two_addresses}};
    const auto here_now = to.connect(400ms);
    REQUIRE(here_now != nullptr);
    CHECK(second.accept(1s) != nullptr);
    second.close();
    CHECK(to.connect(100ms) == nullptr); // the first may yet have answered: the time was too short, not the peer wrong
}

TEST_CASE("a TCP connection that met itself is told from one to a peer") {
    const auto bound = [] {
        auto s = std::make_unique<link::detail::owned_descriptor>(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
        sockaddr_in any{};
        any.sin_family = AF_INET;
        any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(s->get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0);
        return s;
    };
    const auto address = [](const auto& s) {
        sockaddr_in a{};
        socklen_t size = sizeof a;
        REQUIRE(::getsockname(s->get(), reinterpret_cast<sockaddr*>(&a), &size) == 0);
        return a;
    };
    const auto alone = bound(), listening = bound(), calling = bound();
    CHECK_FALSE(link::detail::meets_itself(alone->get())); // not connected at all
    const sockaddr_in own = address(alone);
    REQUIRE(::connect(alone->get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0); // nobody listens: TCP's simultaneous open, with itself
    CHECK(link::detail::meets_itself(alone->get()));
    REQUIRE(::listen(listening->get(), 1) == 0);
    const sockaddr_in other = address(listening);
    REQUIRE(::connect(calling->get(), reinterpret_cast<const sockaddr*>(&other), sizeof other) == 0);
    CHECK_FALSE(link::detail::meets_itself(calling->get()));
}

TEST_CASE("a relay tries all of its target's addresses") {
    {
        tcp_listener gone;
        silent_port = gone.port(); // nobody's from here on
    }
    tcp_listener second;
    open_port = second.port();
    relay between{{.host = "tail.local", .port = 1, .resolve = &two_addresses}};
    tcp to{"127.0.0.1", between.port()};
    const auto from = to.connect(patience);
    REQUIRE(from != nullptr);
    const auto arrived = second.accept(patience);
    REQUIRE(arrived != nullptr);
    const std::byte sent{7};
    CHECK(from->write({&sent, 1}).bytes == 1);
    REQUIRE(arrived->wait(true, false, patience));
    std::byte got{};
    CHECK(arrived->read({&got, 1}).bytes == 1);
    CHECK(got == sent);
    CHECK(between.counts().refused == 0);
}

namespace {
/// The descriptors of sockets, events and the like that would stay open in a program that this one starts now.
std::set<int> handed_on() {
    std::set<int> numbers;
    for (int number = 3; number < 1024; ++number)
        if (const int flags = ::fcntl(number, F_GETFD); flags >= 0 && (flags & FD_CLOEXEC) == 0) numbers.insert(number);
    return numbers;
}
} // namespace

TEST_CASE("a program that is started meanwhile keeps neither port nor connection of a link or relay") {
    const std::set<int> before = handed_on();
    tcp_listener at{0, "127.0.0.1"};
    relay between{{.port = at.port()}};
    const auto from = tcp{"127.0.0.1", between.port()}.connect(patience);
    REQUIRE(from != nullptr);
    const auto arrived = at.accept(patience);
    REQUIRE(arrived != nullptr);
    CHECK(comes_true([&] { return between.counts().open == 1; }));
    CHECK(handed_on() == before);
}
