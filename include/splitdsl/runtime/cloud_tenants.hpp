// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_tenants.hpp
/// Several customers of one cloud: how each is known, what it may have of the cloud, and that none finds what another left in memory.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/link/handshake.hpp>
#include <splitdsl/runtime/request_queue.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl {

inline constexpr std::size_t least_token = 16;
inline constexpr std::size_t most_tenants = 64;
inline constexpr int largest_share = 1000;

/// Edges that belong together and say the same token (`edge_options::tenant_token`). It crosses the link as it is: inside a tunnel (VPN, TLS), or whoever listens
/// has it.
///
/// ```cpp
/// cloud<lane_keeper> cloud{weights, {.tenants = {{"north", north_token, 2}, {"south", south_token}}}, std::move(listener)};
/// ```
struct cloud_tenant {
    std::string name{};    ///< in refusals to its own edges
    std::string token{};   ///< 16 to 256 bytes that nobody guesses; each tenant another
    int share{1};          ///< 1 to 1000: of the requests computed, beside other tenants' shares, while those wait too
    int connections_max{}; ///< 0: as many as the cloud takes. Unless their sum fits into the cloud's, one tenant can keep the others out
    int waiting_max{};     ///< requests that wait; 0: as many as the cloud takes
};

/// Refuses, in a sentence, what cannot be meant.
inline void check_tenants(std::span<const cloud_tenant> all) {
    if (all.size() > most_tenants)
        throw option_error("cloud: at most " + std::to_string(most_tenants) + " tenants were expected, found " + std::to_string(all.size()));
    for (std::size_t i = 0; i < all.size(); ++i) {
        const cloud_tenant& t = all[i];
        const std::string who = "cloud: tenant " + link::handshake_words::peer_text(t.name) + ": ";
        if (t.token.size() < least_token || t.token.size() > link::largest_name)
            throw option_error(who + "a token of " + std::to_string(least_token) + " to " + std::to_string(link::largest_name) + " bytes was expected, found "
                               + std::to_string(t.token.size()));
        if (t.share < 1 || t.share > largest_share)
            throw option_error(who + "a share of 1 to " + std::to_string(largest_share) + " was expected, found " + std::to_string(t.share));
        if (t.connections_max < 0 || t.waiting_max < 0) throw option_error(who + "a connections_max and a waiting_max of 0 or more were expected");
        for (const cloud_tenant& other : all.first(i))
            if (other.token == t.token) throw option_error(who + "a token of its own was expected, found that of " + link::handshake_words::peer_text(other.name));
    }
}

inline std::vector<queue_share> shares_of(std::span<const cloud_tenant> all) {
    std::vector<queue_share> s;
    for (const cloud_tenant& t : all) s.push_back({.share = t.share, .waiting_max = t.waiting_max == 0 ? SIZE_MAX : static_cast<std::size_t>(t.waiting_max)});
    return s;
}

namespace detail {

/// Takes the same time for every pair of tokens of these lengths, wherever they differ.
inline bool same_token(std::string_view a, std::string_view b) noexcept {
    std::array<unsigned char, link::largest_name> x{}, y{};
    std::copy_n(a.begin(), std::min(a.size(), x.size()), x.begin());
    std::copy_n(b.begin(), std::min(b.size(), y.size()), y.begin());
    volatile unsigned char differ = a.size() != b.size();
    for (std::size_t i = 0; i < x.size(); ++i) differ = static_cast<unsigned char>(differ | (x[i] ^ y[i]));
    return differ == 0;
}
/// Of memory that is given up next: not left out by a compiler that sees nobody read it.
inline void wipe(void* from, std::size_t bytes) noexcept {
    if (bytes > 0) ::explicit_bzero(from, bytes); // who was not let in has no memory
}

} // namespace detail

/// Whose token this is; every tenant's is compared, whichever it is.
inline std::optional<std::size_t> tenant_of(std::string_view token, std::span<const cloud_tenant> all) noexcept {
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < all.size(); ++i)
        if (detail::same_token(token, all[i].token)) found = i;
    return found;
}

} // namespace splitdsl
