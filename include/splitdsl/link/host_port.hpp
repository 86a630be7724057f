// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file host_port.hpp
/// Where the other side listens, as programs are told it: HOST:PORT, an IPv6 address in brackets.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/detail/printable.hpp>
#include <splitdsl/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace splitdsl::link {

/// A host name or address, without brackets, and a port from 1 to 65535.
struct host_port {
    std::string host;
    std::uint16_t port{};

    friend bool operator==(const host_port&, const host_port&) = default;
};

/// As `parse_host_port` reads it.
inline std::string to_text(const host_port& p) {
    return (p.host.find(':') == std::string::npos ? p.host : "[" + p.host + "]") + ":" + std::to_string(p.port);
}

/// Reads "cloud.local:7447", "192.0.2.1:7447" or "[2001:db8::1]:7447". `option_error` opens with `who`, the option it was given to; an IPv6
/// address without brackets is refused, because it could end in the port or go without one. Whether the host exists shows when it is
/// connected to.
///
/// ```cpp body
/// const auto peer = splitdsl::link::parse_host_port("[::1]:7447", "--connect");
/// splitdsl::link::tcp to{peer.host, peer.port};
/// ```
inline host_port parse_host_port(std::string_view text, const std::string& who) {
    const auto refuse = [&](const std::string& expected) {
        throw option_error(who + ": expected " + expected + ", found " + splitdsl::detail::quoted(text, 300));
    };
    const std::size_t colon = text.rfind(':');
    std::string_view host = text.substr(0, colon == std::string_view::npos ? 0 : colon);
    const std::string_view digits = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (!bracketed && host.find(':') != std::string_view::npos) refuse("an IPv6 address in brackets and a port, as in [::1]:7447");
    const auto port = splitdsl::detail::read_number<std::uint16_t>(digits);
    if (host.empty() || host.find_first_of("[]") != std::string_view::npos || (bracketed && host.find(':') == std::string_view::npos) || !port || *port == 0)
        refuse("HOST:PORT with a port from 1 to 65535");
    return {std::string{host}, *port};
}

/// "[::1]" as "::1", anything else as it is: an address to listen on, which has no port that brackets would tell it from, may still have them.
inline std::string without_brackets(std::string address) {
    const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']' && address.find(':') != std::string::npos;
    if (bracketed) address = address.substr(1, address.size() - 2); // not with ?:, whose temporary g++ 12 at -O2 takes for uninitialised
    return address;
}

} // namespace splitdsl::link
