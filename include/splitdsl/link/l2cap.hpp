// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file l2cap.hpp
/// Bluetooth Low Energy as a link: L2CAP connection-oriented channels of Linux, as byte streams like any other.
///
/// Needs a kernel with Bluetooth and nothing at build time: the few constants of the kernel's interface stand below. A channel carries
/// packets; a stream of bytes is cut into them on one side and put together on the other. Retransmission is the link layer's.
#pragma once

#include <splitdsl/link/descriptor.hpp>

#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

namespace splitdsl::link {

namespace detail {

/// The kernel's address of a channel (include/net/bluetooth/l2cap.h); numbers are little-endian on the wire and here.
struct l2cap_address {
    sa_family_t family{};
    std::uint16_t psm{};
    std::array<std::uint8_t, 6> device{};   // last octet of the printed form first
    std::uint16_t channel{};
    std::uint8_t device_type{};             // 1: public, 2: random
};
static_assert(sizeof(l2cap_address) == 14 && offsetof(l2cap_address, channel) == 10);
inline constexpr int bluetooth_family = 31, l2cap_protocol = 0, bluetooth_level = 274, send_mtu_option = 12, receive_mtu_option = 13;
inline constexpr std::size_t largest_l2cap_packet = 65'535;

constexpr std::uint16_t little_endian(std::uint16_t v) {
    return std::endian::native == std::endian::little ? v : static_cast<std::uint16_t>(v << 8 | v >> 8);
}

/// "AA:BB:CC:DD:EE:FF"; `link_error` for anything else.
inline std::array<std::uint8_t, 6> parse_device(std::string_view text) {
    const auto refuse = [&] {
        throw link_error("l2cap: expected a device address like AA:BB:CC:DD:EE:FF, found \"" + std::string{text.substr(0, 40)} + "\"");
    };
    std::array<std::uint8_t, 6> device{};
    if (text.size() != 17) refuse();
    for (std::size_t i = 0; i < 6; ++i) {
        const char* const at = text.data() + 3 * i;
        const auto [end, code] = std::from_chars(at, at + 2, device[5 - i], 16);
        if (code != std::errc{} || end != at + 2 || (i < 5 && *end != ':')) refuse();
    }
    return device;
}

/// A socket that keeps packets apart (SOCK_SEQPACKET) as a stream: a write sends at most one packet, a read takes what is left of one.
/// The socket must be non-blocking. Allocates one packet's room, once.
class packet_stream final : public descriptor_stream {
public:
    packet_stream(owned_descriptor connected, std::size_t most_sent, std::size_t most_received)
        : descriptor_stream{std::move(connected)},
          send_limit{std::clamp<std::size_t>(most_sent, 1, largest_l2cap_packet)},
          packet(std::clamp<std::size_t>(most_received, 1, largest_l2cap_packet)) {}

    io write(std::span<const std::byte> from) noexcept override { return descriptor_stream::write(from.first(std::min(from.size(), send_limit))); }

    io read(std::span<std::byte> to) noexcept override {
        if (has_ended()) return {io_result::closed, 0};
        if (to.empty()) return {io_result::ok, 0};
        if (first == last) {
            // MSG_TRUNC gives a packet's full length: one that was longer than agreed lost bytes, and a stream with a hole has ended.
            const auto got = ::recv(handle(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_TRUNC);
            if (got <= 0) return got == 0 ? io{io_result::closed, 0} : outcome(got);
            if (static_cast<std::size_t>(got) > packet.size()) {
                shutdown();
                return {io_result::closed, 0};
            }
            first = 0;
            last = static_cast<std::size_t>(got);
        }
        const std::size_t size = std::min(to.size(), last - first);
        std::memcpy(to.data(), packet.data() + first, size);
        first += size;
        return {io_result::ok, size};
    }

    bool wait(bool readable, bool writable, duration timeout) noexcept override {
        return (readable && first != last) || descriptor_stream::wait(readable, writable, timeout);
    }

private:
    std::size_t send_limit;
    std::vector<std::byte> packet;      // the reader's
    std::size_t first{}, last{};        // what is left of it
};

/// A new socket, bound to any adapter of this machine.
inline owned_descriptor open_l2cap(std::uint16_t psm, int receive_mtu, const std::string& who) {
    owned_descriptor made{::socket(bluetooth_family, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, l2cap_protocol)};
    if (made.get() < 0)
        throw link_error(who + ": expected a system with Bluetooth, found: " + detail::error_text(errno));
    const l2cap_address here{.family = bluetooth_family, .psm = little_endian(psm), .device = {}, .channel = 0, .device_type = 1};
    if (::bind(made.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0)
        throw link_error(who + ": expected a Bluetooth adapter and a free PSM, found: " + detail::error_text(errno));
    const auto mtu = static_cast<std::uint16_t>(receive_mtu);
    ::setsockopt(made.get(), bluetooth_level, receive_mtu_option, &mtu, sizeof mtu);   // refused: the kernel's own is used, and asked for below
    return made;
}
/// A connected channel as a stream, with the packet sizes both sides agreed on; 23, the least there is, where the kernel does not say.
inline std::unique_ptr<stream> as_stream(owned_descriptor connected) {
    const auto limit = [&](int option) -> std::size_t {
        std::uint16_t mtu = 0;
        socklen_t size = sizeof mtu;
        return ::getsockopt(connected.get(), bluetooth_level, option, &mtu, &size) == 0 && mtu >= 23 ? mtu : 23;
    };
    const std::size_t sent = limit(send_mtu_option), received = limit(receive_mtu_option);
    return std::make_unique<packet_stream>(std::move(connected), sent, std::max<std::size_t>(received, 2048));
}

} // namespace detail

/// How an L2CAP channel is set up.
struct l2cap_options {
    bool random_address{};   ///< the peer's address is random, not public
    int receive_mtu{512};    ///< bytes of a packet this side takes, 23 to 65535
};

/// Connects to a channel of a BLE device. PSMs of LE channels are 0x0001 to 0x00ff; 0x0080 to 0x00ff are free for anyone.
///
/// `link_error` for an address or PSM out of form, a system without Bluetooth or adapter, a refused connection.
///
/// ```cpp
/// splitdsl::link::l2cap to{"C0:FF:EE:00:00:01", 0x0080};
/// auto connection = to.connect(2s);     // null: no answer within 2 s
/// ```
class l2cap final : public connector {
public:
    l2cap(const std::string& device_address, std::uint16_t psm_number, l2cap_options tuning = {})
        : address{device_address}, device{detail::parse_device(device_address)}, psm{psm_number}, options{tuning} {
        if (psm < 1 || psm > 0xff) throw link_error(describe() + ": expected a PSM from 1 to 255, found " + std::to_string(psm));
        if (options.receive_mtu < 23 || options.receive_mtu > 65'535)
            throw link_error(describe() + ": expected a receive_mtu from 23 to 65535, found " + std::to_string(options.receive_mtu));
    }

    std::unique_ptr<stream> connect(duration timeout) override {
        const instant deadline = detail::after(timeout);
        detail::owned_descriptor made = detail::open_l2cap(0, options.receive_mtu, describe());
        const detail::l2cap_address peer{.family = detail::bluetooth_family, .psm = detail::little_endian(psm), .device = device, .channel = 0,
                                         .device_type = static_cast<std::uint8_t>(options.random_address ? 2 : 1)};
        const auto [in_time, failure] = detail::connect_until(made.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof peer, deadline);
        if (!in_time) return nullptr;
        if (failure != 0) throw link_error(describe() + ": expected a listening peer, found: " + detail::error_text(failure));
        return detail::as_stream(std::move(made));
    }

    std::string describe() const override { return "l2cap " + address + " psm " + std::to_string(psm); }

private:
    std::string address;
    std::array<std::uint8_t, 6> device;
    std::uint16_t psm;
    l2cap_options options;
};

/// Listens on a channel of this machine's adapter. `link_error` as above, and for a PSM that is taken.
class l2cap_listener final : public listener {
public:
    explicit l2cap_listener(std::uint16_t psm_number, l2cap_options tuning = {})
        : psm{psm_number}, socket{detail::open_l2cap(checked(psm_number, tuning), tuning.receive_mtu, who(psm_number))} {
        if (::listen(socket.get(), 16) != 0)
            throw link_error(who(psm) + ": expected a PSM to listen on, found: " + detail::error_text(errno));
    }
    ~l2cap_listener() override { close(); }

    std::unique_ptr<stream> accept(duration timeout) override {
        const instant deadline = detail::after(timeout);
        spare.fill();
        while (!closed.load()) {
            pollfd descriptors[2]{{socket.get(), POLLIN, 0}, {event.descriptor(), POLLIN, 0}};
            if (!detail::poll_until(descriptors, 2, deadline) || closed.load()) return nullptr;
            detail::owned_descriptor taken{::accept4(socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
            if (taken.get() >= 0) return detail::as_stream(std::move(taken));
            if (const int failure = errno; detail::is_shortage(failure)) {
                spare.turn_away(socket.get());
                throw link_error(who(psm) + ": expected a descriptor and memory for another connection, found: " + detail::error_text(failure));
            }
            if (detail::steady_now() >= deadline) return nullptr;
        }
        return nullptr;
    }

    std::uint16_t port() const override { return psm; }

    void close() noexcept override {
        if (!closed.exchange(true)) ::shutdown(socket.get(), SHUT_RDWR);
        event.set();
    }

private:
    static std::string who(std::uint16_t number) { return "l2cap listener on psm " + std::to_string(number); }
    static std::uint16_t checked(std::uint16_t number, const l2cap_options& o) {
        if (number < 1 || number > 0xff) throw link_error(who(number) + ": expected a PSM from 1 to 255");
        if (o.receive_mtu < 23 || o.receive_mtu > 65'535)
            throw link_error(who(number) + ": expected a receive_mtu from 23 to 65535, found " + std::to_string(o.receive_mtu));
        return number;
    }
    std::uint16_t psm;
    detail::owned_descriptor socket;
    detail::wake_event event;
    detail::spare_descriptor spare;
    std::atomic<bool> closed{};
};

} // namespace splitdsl::link
