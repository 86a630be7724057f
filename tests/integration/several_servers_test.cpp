// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file several_servers_test.cpp
/// An edge with two or three servers: who answers a frame when one is killed, slowed, silent or wrong, and that every answer is right and in time.
#include "live_rig.hpp"
#include "tiers_rig.hpp"

#include <splitdsl/policy/by_server.hpp>
#include <splitdsl/runtime/servers.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace tiers;
using std::vector;

fake::behaviour near_behaviour{}, middle_way_behaviour{}, far_behaviour{};

/// One of the clouds and the way to it.
template <fake::behaviour& B>
struct answering {
    explicit answering(cloud_options terms = {}) { cloud.emplace(fake::network<B>(), std::span<const std::byte>{}, std::move(terms), std::move(at.listener)); }
    door at;
    std::optional<cloud_core> cloud;
};

template <class Policy>
using robot = edge_core<Policy, servers<>>;
using sender = robot<send_at>;

servers_options without_copies() { return {.second_share = 0, .first_probe = {}}; }

const server_report& report_of(const vector<server_report>& all, const std::string& name) {
    return *std::find_if(all.begin(), all.end(), [&](const server_report& r) { return r.name == name; });
}
template <class Edge>
server_counters counts(const Edge& e, const std::string& name) {
    return report_of(e.connection()->reports(), name).counters;
}
template <class Edge>
bool all_measured(const Edge& e) {
    return comes_true([&] {
        const auto all = e.connection()->reports();
        return std::all_of(all.begin(), all.end(), [](const server_report& r) { return r.link.up && r.link.age < 1h && r.link.rate_up.value > 0; });
    });
}
template <class Edge>
answer ask(Edge& who, std::uint32_t tag) {
    const fake::tagged_input in{tag};
    std::array<float, fake::outputs> out{};
    const answer a = who.infer(in.spans, out);
    CHECK(a.on_time);
    CHECK(is_own(a.source));
    for (std::size_t i = 0; i < out.size(); ++i) CHECK(out[i] == fake::answer_to(tag) + static_cast<float>(i));
    return a;
}

struct all_calm {
    all_calm() {
        for (fake::behaviour* b : {&fake::edge_behaviour, &near_behaviour, &middle_way_behaviour, &far_behaviour}) b->calm(0ms);
    }
};

/// A chooser of a user's own: the first that there is, so that the second is asked only if the first fails.
struct in_order {
    int choose(const server_question& q, std::span<const server_view> all) const noexcept {
        for (std::size_t k = 0; k < all.size(); ++k)
            if (all[k].link.up && !all[k].link.busy && expected_answer(q, all[k]) < 10s) return static_cast<int>(k);
        return -1;
    }
};
/// Two clouds in this process behind an edge.
struct couple {
    explicit couple(servers_options o = without_copies()) {
        device.emplace(fake::network<fake::edge_behaviour>(), std::span<const std::byte>{}, send_at{0}, device_terms(),
                       servers<in_order>::place{{{"near", near.at.way}, {"far", far.at.way}}, o});
        REQUIRE(all_measured(*device));
    }
    all_calm first; // a cloud measures itself when it is made
    answering<near_behaviour> near;
    answering<far_behaviour> far;
    std::optional<edge_core<send_at, servers<in_order>>> device;
};

} // namespace

TEST_CASE("frames go to the chosen server, and the reports say which one did what") {
    couple c;
    for (std::uint32_t tag = 1; tag <= 5; ++tag) {
        const answer a = ask(*c.device, tag);
        CHECK(a.source == answer_source::cloud);
        CHECK(a.server == 0);
        CHECK(a.tier == 1);
    }
    CHECK(c.near.cloud->counters().requests == 5);
    CHECK(c.far.cloud->counters().requests == 0);
    CHECK(counts(*c.device, "near").chosen == 5);
    CHECK(counts(*c.device, "near").answered == 5);
    CHECK(counts(*c.device, "near").bytes_up == 5 * (fake::payload_bytes + link::header_bytes));
    CHECK(counts(*c.device, "far").asked() == 0);
    CHECK(comes_true([&] { return c.device->counters().frame.accepted == 5; }));
    CHECK(c.device->link_failure().empty());
}

TEST_CASE("a server that throws is stood in for within the frame") {
    couple c;
    near_behaviour.throw_stage = 1;
    const answer a = ask(*c.device, 3);
    CHECK(a.source == answer_source::cloud);
    CHECK(a.server == 1);
    CHECK(counts(*c.device, "near").shed == 1);
    CHECK(counts(*c.device, "far").stood_in == 1);
    CHECK(c.device->counters().frame.rolled_back == 0);
}

TEST_CASE("so is one whose answer is not finite, and if both are wrong the frame falls back at once") {
    couple c;
    near_behaviour.answers_nan = true;
    CHECK(ask(*c.device, 3).server == 1);
    far_behaviour.answers_nan = true;
    const answer a = ask(*c.device, 4);
    CHECK(a.source == answer_source::fallback);
    CHECK(a.server == 0); // it was asked first
    CHECK(comes_true([&] { return c.device->counters().frame.not_finite == 1; }));
}

TEST_CASE("so is one that dies while the frame waits for it") {
    couple c;
    near_behaviour.shut_stage = 1;
    std::thread end{[&] {
        comes_true([&] { return c.near.cloud->counters().requests == 1; });
        std::thread opens{[] { std::this_thread::sleep_for(30ms), near_behaviour.shut_stage = -1; }}; // a stage that runs is waited for
        c.near.cloud.reset();
        opens.join();
    }};
    const answer a = ask(*c.device, 3);
    end.join();
    CHECK(a.source == answer_source::cloud);
    CHECK((a.server == 1 || a.server == 0)); // its last answer may leave before its end
    CHECK(ask(*c.device, 4).server == 1);
    CHECK(report_of(c.device->connection()->reports(), "near").link_failure != "");
    CHECK(c.device->link_failure().empty()); // the other one is there
    CHECK(c.device->link_now().up);
    c.far.cloud.reset();
    REQUIRE(comes_true([&] { return !c.device->link_now().up; }));
    CHECK(c.device->link_failure().find("far: ") != std::string::npos);
    CHECK(ask(*c.device, 5).source == answer_source::edge);
}

TEST_CASE("a second server is asked when the first is late, and its answer is the frame's") {
    couple c{{.second_share = 1, .first_probe = {}}};
    REQUIRE(ask(*c.device, 1).server == 0);
    near_behaviour.shut_stage = 1;
    const answer a = ask(*c.device, 2);
    CHECK(a.source == answer_source::cloud);
    CHECK(a.server == 1);
    CHECK(counts(*c.device, "far").seconds >= 1);
    near_behaviour.shut_stage = -1;
    REQUIRE(comes_true([&] { return ask(*c.device, 3).source == answer_source::cloud && counts(*c.device, "near").beaten + counts(*c.device, "near").late >= 1; })); // what it owed came and was dropped
    CHECK(c.device->counters().frame.unasked == 0);
    CHECK(c.device->counters().frame.wrong_epoch == 0);
}

TEST_CASE("nobody answers: the edge does, in time, as with one server") {
    couple c{{.second_share = 1, .first_probe = {}}};
    near_behaviour.shut_stage = far_behaviour.shut_stage = 1;
    CHECK(ask(*c.device, 3).source == answer_source::fallback);
    near_behaviour.shut_stage = far_behaviour.shut_stage = -1;
    CHECK(c.device->counters().frame.covered_misses == 0);
}

TEST_CASE("a server with other weights is never asked, and its report says why") {
    const all_calm first;
    answering<near_behaviour> other{{.weights_digest = 9}};
    answering<far_behaviour> right;
    sender device{fake::network<fake::edge_behaviour>(), {}, send_at{0}, device_terms(), {{"other", other.at.way}, {"right", right.at.way}}};
    REQUIRE(comes_true([&] { return report_of(device.connection()->reports(), "other").link_failure.find("weights digest") != std::string::npos; }));
    REQUIRE(comes_true([&] { return device.link_now().up; }));
    for (std::uint32_t tag = 1; tag <= 3; ++tag) CHECK(ask(device, tag).server == 1);
    CHECK(other.cloud->counters().requests == 0);
}

TEST_CASE("each server hears its own token, and how often it is pinged is its own too") {
    const all_calm first;
    const std::string ours(16, 'a'), theirs(16, 'b');
    const answering<near_behaviour> depot{{.tenants = {{.name = "us", .token = ours}}}};
    const answering<far_behaviour> hired{{.tenants = {{.name = "us", .token = theirs}}}};
    session_options rarely = eager_link();
    rarely.ping_interval = 10s;
    edge_options terms = device_terms();
    terms.tenant_token = ours;
    const sender device{fake::network<fake::edge_behaviour>(), {}, send_at{0}, terms, {{"depot", depot.at.way}, {"hired", hired.at.way, {.link = rarely, .tenant_token = theirs}}}};
    REQUIRE(all_measured(device)); // both are connected
    REQUIRE(comes_true([&] { return report_of(device.connection()->reports(), "depot").connection.pings >= 10; }));
    CHECK(report_of(device.connection()->reports(), "hired").connection.pings < 10);
}

TEST_CASE("what an edge with several servers refuses, it names") {
    const door at;
    const auto refused = [&](servers<>::place to) {
        try {
            const sender device{fake::network<fake::edge_behaviour>(), {}, send_at{0}, device_terms(), std::move(to)};
        } catch (const option_error& e) { return std::string{e.what()}; }
        return std::string{};
    };
    CHECK(refused({{"a", at.way}, {"a", at.way}}).find("\"a\" more than once") != std::string::npos);
    CHECK(refused({{"", at.way}}).find("a name for each server") != std::string::npos);
    CHECK(refused({{"a", at.way, {.radio = {.base_mw = -1}}}}).find("a radio power of 0 or more") != std::string::npos);
    CHECK(refused({{"a", at.way, {.link = session_options{.probe_bytes = 70'000}}}}).find("probe_bytes of at most 65536") != std::string::npos);
    CHECK(refused({{"a", at.way, {.tenant_token = std::string(300, 'x')}}}).find("tenant_token of at most 256 bytes") != std::string::npos);
    CHECK(refused({vector<server>(9, server{"a", at.way})}).find("at most 8 servers") != std::string::npos);
    CHECK(refused({{{"a", at.way}}, {.second_share = 2}}).find("a second_share of 0 to 1") != std::string::npos);
    CHECK(refused({{{"a", at.way}}, {.late_factor = 0.5}}).find("late_factor") != std::string::npos);
    CHECK_THROWS_WITH((servers<>::place{vector<server>{}}), "servers: 1 to 8 servers were expected, found none");
    using weighed = policy::by_server<send_at>;
    CHECK_THROWS_WITH((robot<weighed>{fake::network<fake::edge_behaviour>(), {}, weighed{{send_at{0}}}, device_terms(), {{"a", at.way}, {"b", at.way}}}),
                      "servers: a policy with costs for 2 servers was expected, found one for 1");
}

TEST_CASE("without a server the edge answers alone") {
    const all_calm first;
    sender device{fake::network<fake::edge_behaviour>(), {}, send_at{0}, device_terms(), {}};
    const answer a = ask(device, 3);
    CHECK(a.source == answer_source::edge);
    CHECK(a.server == -1);
}

TEST_CASE("three relayed servers: one is killed and comes back, one becomes slow; every answer is right and in time") {
    const all_calm first;
    const auto serve = [](const pipeline& net, std::optional<cloud_core>& to, std::uint16_t port = 0) {
        auto listener = std::make_unique<link::tcp_listener>(port);
        const std::uint16_t bound = listener->port();
        to.emplace(net, std::span<const std::byte>{}, cloud_options{}, std::move(listener));
        return bound;
    };
    std::optional<cloud_core> near, between, far;
    const auto through = [](std::uint16_t port, duration delay) {
        const link::impairment way{.rate = megabits_per_second(50), .delay = delay};
        return link::relay_options{.port = port, .up = way, .down = way};
    };
    link::relay to_near{through(serve(fake::network<near_behaviour>(), near), 1ms)}, to_between{through(serve(fake::network<middle_way_behaviour>(), between), 15ms)},
        to_far{through(serve(fake::network<far_behaviour>(), far), 40ms)};
    sender device{fake::network<fake::edge_behaviour>(), {}, send_at{0}, device_terms(),
                  {{{"near", link::tcp{"127.0.0.1", to_near.port()}}, {"between", link::tcp{"127.0.0.1", to_between.port()}}, {"far", link::tcp{"127.0.0.1", to_far.port()}}},
                   {.first_probe = 50ms, .longest_probe = 200ms}}};
    REQUIRE(all_measured(device));
    std::uint32_t tag = 0;
    // A frame may still go wrong for whoever it was sent to at the moment something happens; then the others have it.
    const auto settles_on = [&](int server) {
        int in_a_row = 0;
        for (int i = 0; i < 2000 && in_a_row < 5; ++i) {
            const answer a = ask(device, ++tag);
            in_a_row = a.source == answer_source::cloud && a.server == server ? in_a_row + 1 : 0;
        }
        return in_a_row == 5;
    };
    CHECK(settles_on(0));
    to_near.accept_connections(false); // killed: refused from here on
    to_near.reset_connections();
    CHECK(settles_on(1));
    middle_way_behaviour.stage_ns[1] = std::chrono::nanoseconds{200ms}.count(); // busy
    CHECK(settles_on(2));
    to_near.accept_connections(true);
    CHECK(settles_on(0));
    CHECK(device.counters().answer.misses <= device.counters().answer.host_stalls);
    CHECK(device.counters().frame.covered_misses == 0);
    CHECK(counts(device, "between").probes > 0);
}
