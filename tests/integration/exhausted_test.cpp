// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exhausted_test.cpp
/// No descriptor, memory or thread left: a cloud and a relay turn newcomers away and serve the others, an edge answers here.
#include "cloud_rig.hpp"

#include <splitdsl/link/relay.hpp>
#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/edge_core.hpp>

#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <new>
#include <string>
#include <system_error>

namespace {
std::atomic<int> threads_left{-1}; // that may still begin; below 0: any number
}
/// In front of the system's own.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*), void* argument) noexcept {
    using create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const auto begin = reinterpret_cast<create>(::dlsym(RTLD_NEXT, "pthread_create"));
    if (threads_left.load() == 0) return EAGAIN;
    if (threads_left.load() > 0) --threads_left;
    return begin(thread, attributes, body, argument);
}

namespace {

/// Takes every descriptor that this process may have; gives them back at the end.
struct no_descriptors {
    explicit no_descriptors(int left = 0) {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        rlimit few = before;
        few.rlim_cur = 128; // so that there are few to take
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
        for (int d = ::dup(2); d >= 0; d = ::dup(2)) taken.push_back(d);
        REQUIRE(taken.size() > static_cast<std::size_t>(left));
        for (; left > 0; --left) give_one();
    }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;
    ~no_descriptors() {
        while (!taken.empty()) give_one();
        ::setrlimit(RLIMIT_NOFILE, &before);
    }
    void give_one() {
        ::close(taken.back());
        taken.pop_back();
    }
    rlimit before{};
    std::vector<int> taken;
};

/// Threads begun from here on find no room for their stack.
struct no_threads {
    no_threads() {
        REQUIRE(::pthread_getattr_default_np(&before) == 0);
        pthread_attr_t huge;
        REQUIRE(::pthread_getattr_default_np(&huge) == 0);
        REQUIRE(::pthread_attr_setstacksize(&huge, std::size_t{1} << 48) == 0); // more than a process can address
        REQUIRE(::pthread_setattr_default_np(&huge) == 0);
        ::pthread_attr_destroy(&huge);
    }
    no_threads(const no_threads&) = delete;
    no_threads& operator=(const no_threads&) = delete;
    ~no_threads() {
        ::pthread_setattr_default_np(&before);
        ::pthread_attr_destroy(&before);
    }
    pthread_attr_t before{};
};

constexpr link::frame_limits edge_limits() { return link::frame_limits::of_edge(fake::outputs * sizeof(float)); }

struct tcp_edge : raw_peer {
    explicit tcp_edge(std::uint16_t port) : raw_peer{link::tcp{"127.0.0.1", port}.connect(1s), edge_limits()} {}
    bool welcome() {
        auto m = introduction_of(introduction_for(fake::network<fake::edge_behaviour>(), 0));
        link::seal({.kind = message_kind::hello, .epoch = 9}, m);
        write(m);
        return next() == message_kind::hello_ack;
    }
    bool is_served() {
        send({.kind = message_kind::ping, .epoch = 9}, std::span<const std::byte>{});
        return next() == message_kind::pong;
    }
};
/// A client that has its one descriptor before they are gone, and needs no other to connect.
struct bare_client {
    bool is_turned_away(std::uint16_t port) const {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval patience{.tv_sec = 2, .tv_usec = 0};
        if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) return false;
        if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return errno == ECONNRESET;
        char one{};
        const auto got = ::recv(socket.get(), &one, 1, 0);
        return got == 0 || (got < 0 && errno == ECONNRESET);
    }
    link::detail::owned_descriptor socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};
bool counted(const cloud_core& cloud, std::uint64_t least = 1) {
    const auto now = [&] { return cloud.counters().endings[static_cast<std::size_t>(ending::no_resources)]; };
    for (int i = 0; i < 2000 && now() < least; ++i) std::this_thread::sleep_for(1ms);
    return now() >= least;
}
cloud_core tcp_cloud() {
    fake::cloud_behaviour.calm({});
    return {fake::network<fake::cloud_behaviour>(), {}, {}, std::make_unique<link::tcp_listener>(std::uint16_t{0})};
}

/// Fails as often as it is told to before it does what the one inside does.
struct failing_listener final : link::listener {
    std::unique_ptr<link::stream> accept(duration timeout) override {
        if (fails.fetch_sub(1) > 0) how();
        return inner.accept(timeout);
    }
    void close() noexcept override { inner.close(); }
    link::in_process_listener inner{};
    std::atomic<int> fails{};
    std::function<void()> how{};
};
struct failing_connector final : link::connector {
    explicit failing_connector(const link::in_process_listener& to) : inner{to} {}
    std::unique_ptr<link::stream> connect(duration timeout) override {
        if (fails-- > 0) {
            if (fails == 1) throw 7;
            throw std::bad_alloc{};
        }
        return inner.connect(timeout);
    }
    std::string describe() const override { return inner.describe(); }
    link::in_process inner;
    int fails{3};
};

} // namespace

TEST_CASE("a cloud without a descriptor turns newcomers away, counts them and serves the others") {
    const cloud_core cloud = tcp_cloud();
    tcp_edge first{cloud.port()};
    REQUIRE(first.welcome());
    {
        const bare_client newcomer;
        const no_descriptors none{GENERATE(0, 1)}; // none is left, or one: for the connection's socket, not for what wakes its thread
        CHECK(newcomer.is_turned_away(cloud.port()));
        CHECK(counted(cloud));
        CHECK(first.is_served());
    }
    tcp_edge later{cloud.port()};
    CHECK(later.welcome());
    CHECK(later.is_served());
    CHECK(first.is_served());
}

TEST_CASE("a cloud without a thread turns newcomers away, counts them and serves the others") {
    const cloud_core cloud = tcp_cloud();
    tcp_edge first{cloud.port()};
    REQUIRE(first.welcome());
    {
        const bare_client newcomer;
        const no_threads none;
        CHECK(newcomer.is_turned_away(cloud.port()));
        CHECK(counted(cloud));
        CHECK(first.is_served());
    }
    tcp_edge later{cloud.port()};
    CHECK(later.welcome());
    CHECK(first.is_served());
    CHECK(cloud.counters().connections == 3);
}

TEST_CASE("whatever a listener throws for a newcomer, a cloud goes on") {
    fake::cloud_behaviour.calm({});
    auto door = std::make_unique<failing_listener>();
    failing_listener& listener = *door;
    listener.how = GENERATE(std::function<void()>{[] { throw std::bad_alloc{}; }}, std::function<void()>{[] { throw link_error("none left"); }},
                            std::function<void()>{[] { throw 7; }},
                            std::function<void()>{[] { throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again)}; }});
    link::in_process way{listener.inner};
    const cloud_core cloud{fake::network<fake::cloud_behaviour>(), {}, {}, std::move(door)};
    listener.fails = 3;
    CHECK(counted(cloud, 3));
    raw_peer edge{way.connect(1s), edge_limits()};
    auto m = introduction_of(introduction_for(fake::network<fake::edge_behaviour>(), 0));
    link::seal({.kind = message_kind::hello, .epoch = 9}, m);
    edge.write(m);
    CHECK(edge.next() == message_kind::hello_ack);
}

TEST_CASE("a relay without a descriptor turns newcomers away and serves the others") {
    const cloud_core cloud = tcp_cloud();
    const link::relay between{{.port = cloud.port()}};
    tcp_edge first{between.port()};
    REQUIRE(first.welcome());
    {
        const bare_client newcomer;
        const no_descriptors none;
        CHECK(newcomer.is_turned_away(between.port()));
        for (int i = 0; i < 2000 && between.counts().refused == 0; ++i) std::this_thread::sleep_for(1ms);
        CHECK(between.counts().refused >= 1);
        CHECK(first.is_served());
    }
    tcp_edge later{between.port()};
    CHECK(later.welcome());
    CHECK(first.is_served());
}

TEST_CASE("an edge whose connector throws, for want of memory or whatever it likes, answers here, and connects when it can") {
    fake::cloud_behaviour.calm({});
    fake::edge_behaviour.calm({});
    auto door = std::make_unique<link::in_process_listener>();
    auto way = std::make_unique<failing_connector>(*door);
    const cloud_core cloud{fake::network<fake::cloud_behaviour>(), {}, {}, std::move(door)};
    edge_options o{.deadline = 500ms, .reserve = 40ms, .calibration_runs = 0};
    o.link.first_retry = 5ms;
    edge_core<fake::quiet> edge{fake::network<fake::edge_behaviour>(), {}, fake::quiet{}, o, std::move(way)};
    std::array<float, fake::outputs> out{};
    CHECK(edge.infer(fake::tagged_input{7}.spans, out).source == answer_source::edge);
    CHECK(out[0] == fake::answer_to(7));
    for (int i = 0; i < 5000 && !edge.link_now().up; ++i) std::this_thread::sleep_for(1ms);
    CHECK(edge.link_now().up);
    CHECK(edge.counters().link.connect_failures == 3);
}

TEST_CASE("an edge or a cloud for whose threads one is missing is refused, and leaves none of the others behind") {
    fake::cloud_behaviour.calm({});
    fake::edge_behaviour.calm({});
    struct nowhere final : link::connector {
        std::unique_ptr<link::stream> connect(duration) override { throw link_error("nowhere"); }
        std::string describe() const override { return "nowhere"; }
    };
    const auto made = [](int threads, auto make) {
        threads_left = threads;
        bool whole = true;
        try {
            make();
        } catch (const std::system_error& e) {
            whole = false;
            CHECK(e.code() == std::errc::resource_unavailable_try_again);
        }
        threads_left = -1;
        return whole;
    };
    const auto edge = [] { edge_core<fake::quiet>{fake::network<fake::edge_behaviour>(), {}, fake::quiet{}, {.calibration_runs = 0}, std::make_unique<nowhere>()}; };
    for (int threads = 0; threads < 4; ++threads) CHECK(!made(threads, edge)); // canary, sentinel, link, compute
    CHECK(made(4, edge));
    const auto cloud = [] { cloud_core{fake::network<fake::cloud_behaviour>(), {}, {.parallel = 2}, std::make_unique<link::in_process_listener>()}; };
    for (int threads = 0; threads < 3; ++threads) CHECK(!made(threads, cloud)); // one for each of `parallel`, and the acceptor's
    CHECK(made(3, cloud));
}
