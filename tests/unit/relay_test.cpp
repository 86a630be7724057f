// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file relay_test.cpp
/// The relay in connection-event mode, with real sockets: whole, in order, and as fast as the model of BLE; L2CAP with fake ones.
#include "stream_ends.hpp"

#include <splitdsl/link/l2cap.hpp>

#include <deque>

using radio::ble_delivery;

namespace {

/// Pairs of local sockets that keep packets apart, as L2CAP's do.
struct fake_air final : listener, connector {
    fake_air(std::size_t sent, std::size_t received) : most_sent{sent}, most_received{received} {}
    std::unique_ptr<stream> connect(duration) override {
        int pair[2]{};
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) throw link_error("no sockets");
        waiting.push_back(make(pair[1]));
        return make(pair[0]);
    }
    std::string describe() const override { return "fake"; }
    std::unique_ptr<stream> accept(duration) override {
        if (waiting.empty()) return nullptr;
        auto first = std::move(waiting.front());
        waiting.pop_front();
        return first;
    }
    void close() noexcept override {}

private:
    std::unique_ptr<stream> make(int descriptor) const {
        return std::make_unique<link::detail::packet_stream>(link::detail::owned_descriptor{descriptor}, most_sent, most_received);
    }
    std::size_t most_sent, most_received;
    std::deque<std::unique_ptr<stream>> waiting;
};

} // namespace

TEST_CASE("packets of an L2CAP channel make a stream like any other") {
    for (const std::size_t mtu : {std::size_t{247}, std::size_t{2048}}) {
        fake_air air{mtu, 2048};
        behaves_as_a_stream(air, air);
    }
    // A packet is read in as many pieces as the reader likes, and the rest of it is ready at once.
    fake_air air{247, 2048};
    auto [edge, cloud] = meet(air, air);
    const auto data = pattern(247, 41);
    CHECK(edge->write(pattern(1000, 41)).bytes == 247);
    std::vector<std::byte> got(247);
    for (std::size_t at = 0; at < 247; at += 19) {
        CHECK(cloud->wait(true, false, patience));
        CHECK(cloud->read(std::span{got}.subspan(at, 19)).bytes == 19);
    }
    CHECK(got == data);
    CHECK_FALSE(cloud->wait(true, false, 0ms));
    CHECK(cloud->read(got).what == io_result::would_block);
}

TEST_CASE("a packet longer than agreed ends the stream instead of leaving a hole in it") {
    fake_air air{247, 100};
    auto [edge, cloud] = meet(air, air);
    CHECK(edge->write(pattern(100, 42)).bytes == 100);
    CHECK(edge->write(pattern(101, 42)).bytes == 101);
    std::vector<std::byte> got(247);
    CHECK(cloud->read(got).bytes == 100);
    CHECK(cloud->read(got).what == io_result::closed);
    CHECK(sees_end(*edge));
}

TEST_CASE("L2CAP addresses are read as they are printed, and what cannot be is refused by name") {
    CHECK(link::detail::parse_device("C0:FF:EE:00:a1:02") == std::array<std::uint8_t, 6>{0x02, 0xa1, 0x00, 0xee, 0xff, 0xc0});
    for (const char* wrong : {"", "C0:FF:EE:00:00", "C0:FF:EE:00:00:0g", "C0-FF-EE-00-00-01", "C0:FF:EE:00:00:01:", "C0:FF:EE:0 :00:01"})
        CHECK(refusal<error>([=] { l2cap{wrong, 0x80}; }).find("expected a device address like") != std::string::npos);
    CHECK(refusal<error>([] { l2cap{"C0:FF:EE:00:00:01", 0}; }).find("expected a PSM from 1 to 255") != std::string::npos);
    CHECK(refusal<error>([] { l2cap{"C0:FF:EE:00:00:01", 256}; }).find("found 256") != std::string::npos);
    CHECK(refusal<error>([] { l2cap{"C0:FF:EE:00:00:01", 0x80, {.receive_mtu = 22}}; }).find("receive_mtu") != std::string::npos);
    CHECK(refusal<error>([] { l2cap_listener{0}; }).find("expected a PSM from 1 to 255") != std::string::npos);
    l2cap to{"C0:FF:EE:00:00:01", 0x80};
    CHECK(to.describe() == "l2cap C0:FF:EE:00:00:01 psm 128");
    // Whatever this machine has: no Bluetooth or no adapter is said, never crashed on.
    try {
        const auto nobody = to.connect(50ms);
        CHECK_FALSE(nobody);
    } catch (const link_error& e) { CHECK(std::string{e.what()}.find("l2cap C0:FF:EE:00:00:01 psm 128: expected ") == 0); }
}

TEST_CASE("bytes pass whole and in order through connection events with loss, both ways at once") {
    relayed r{{.ble = radio::ble_setting{.phy = radio::ble_phy::le_2m, .interval = 7500us, .delivery = ble_delivery::resending, .loss = 0.2}}};
    const auto up = pattern(40'000, 31);
    const auto down = pattern(20'000, 32);
    exchange(r, up, down);
    const relay_counts c = r.between->counts();
    CHECK(c.packets_lost > 0);
    CHECK(c.bytes_up <= c.events * 4 * 251);
    // An end passes through, as bytes do.
    r.edge->shutdown();
    CHECK(sees_end(*r.cloud));
    r.cloud.reset();
    r.eventually([&] { return r.between->counts().open == 0; });
}

TEST_CASE("a message begins a packet of its own, other bytes fill packets") {
    const auto events_for = [](bool messages) {
        relayed r{{.ble = radio::ble_setting{.interval = 7500us, .packets = 1}}};
        std::vector<std::byte> all;
        for (int i = 0; i < 40; ++i) {
            auto one = pattern(60, 50);
            if (messages) link::seal({.kind = message_kind::ping}, one);
            all.insert(all.end(), one.begin(), one.end());
        }
        const std::uint64_t before = r.between->counts().events;
        CHECK(write_all(*r.edge, all) == all.size());
        CHECK(read_up_to(*r.cloud, all.size()).bytes == all);
        r.eventually([&] { return r.between->counts().bytes_up == all.size(); });
        return std::pair{r.between->counts().events - before, r.between->counts()};
    };
    CHECK(events_for(true).first >= 40); // 10 packets would do
    // Whoever ends within a header is heard to the end.
    relayed r{{.ble = radio::ble_setting{.interval = 7500us}}};
    std::vector<std::byte> half(48);
    link::seal({.kind = message_kind::ping}, half);
    half.resize(20);
    CHECK(write_all(*r.edge, half) == half.size());
    r.edge->shutdown();
    CHECK(read_up_to(*r.cloud, half.size()).bytes == half);
}

TEST_CASE("connection events carry what the model says", "[live]") {
    // Bytes are counted against the relay's own events, so a machine that is late changes nothing; against the clock it is never faster.
    for (const ble_delivery d : {ble_delivery::resending, ble_delivery::reliable}) {
        const radio::ble_setting s{.interval = 7500us, .packets = 4, .delivery = d};
        relayed r{{.ble = s}};
        std::atomic<bool> stop{};
        auto writes = std::async(std::launch::async, [&] {
            const auto some = pattern(8192, 33);
            while (!stop.load()) {
                if (r.edge->write(some).what == io_result::closed) return;
                r.edge->wait(false, true, 20ms);
            }
        });
        auto reads = std::async(std::launch::async, [&] {
            std::vector<std::byte> into(65536);
            while (!stop.load()) {
                if (r.cloud->read(into).what == io_result::closed) return;
                r.cloud->wait(true, false, 20ms);
            }
        });
        const auto after = [&](std::uint64_t events) {
            r.eventually([&] { return r.between->counts().events >= events; });
            return r.between->counts();
        };
        const relay_counts before = after(20);
        const instant begin = now();
        const relay_counts done = after(before.events + 200);
        const duration took = now() - begin;
        stop = true;
        writes.get();
        reads.get();
        const double events = static_cast<double>(done.events - before.events);
        const bits_per_second rate{static_cast<double>(done.bytes_up - before.bytes_up) * 8 / (events * to_seconds(s.interval))};
        CHECK(rate / sustained_rate(s) == Approx(1).margin(0.03));
        CHECK(took >= static_cast<int>(events) * s.interval - 30ms);
    }
}

TEST_CASE("at 100 percent loss nothing passes, and the relay still ends and resets") {
    relayed r{{.ble = radio::ble_setting{.interval = 7500us, .loss = 1}}};
    CHECK(write_all(*r.edge, pattern(1000, 34)) == 1000);
    CHECK(read_up_to(*r.cloud, 1, 100ms).bytes.empty());
    CHECK(r.between->counts().bytes_up == 0);
    r.between->reset_connections();
    CHECK(sees_end(*r.edge));
    CHECK(sees_end(*r.cloud));
}

TEST_CASE("several connections share one connection event's packets") {
    relayed r{{.ble = radio::ble_setting{.interval = 30ms, .packets = 2}}};
    auto [edge, cloud] = r.connect();
    const auto first = pattern(2510, 35), second = pattern(2510, 36);
    CHECK(write_all(*r.edge, first) == first.size());
    CHECK(write_all(*edge, second) == second.size());
    auto reads = std::async(std::launch::async, [&, c = cloud.get()] { return read_up_to(*c, second.size()); });
    CHECK(read_up_to(*r.cloud, first.size()).bytes == first);
    CHECK(reads.get().bytes == second);
    CHECK(r.between->counts().events >= 10);     // 20 packets, two an event
}
