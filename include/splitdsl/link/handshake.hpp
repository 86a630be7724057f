// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file handshake.hpp
/// What both sides tell each other before the first frame, and the sentence that names every difference.
#pragma once

#include <splitdsl/detail/bounded_archive.hpp>
#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/link/frame.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace splitdsl::link {

inline constexpr std::size_t largest_handshake = 16 * 1024;
inline constexpr std::size_t largest_name = 256; ///< of a network, cut, codec, instruction set or tenant token
inline constexpr std::size_t most_cuts = 64;

/// One candidate cut as a side understands it.
struct cut_terms {
    std::string name{};
    std::string codec{};           ///< the codecs its type allows, such as "affine_u8"
    std::uint32_t payload_bytes{}; ///< exact for fixed codecs, else the maximum
    friend bool operator==(const cut_terms&, const cut_terms&) = default;
    template <class Archive>
    void serialize(Archive& archive) { // one by one: a single call for all instantiates one more function for each
        archive(name);
        archive(codec);
        archive(payload_bytes);
    }
};

/// A side's introduction.
struct handshake {
    std::uint32_t protocol{wire_version};
    std::string network{};
    std::uint64_t fingerprint{}; ///< of the graph
    std::uint64_t weights_digest{};
    std::vector<cut_terms> cuts{};
    std::string instruction_set{};
    std::string tenant{}; ///< a token that says who asks; empty: none. Never printed, never compared here
    friend bool operator==(const handshake&, const handshake&) = default;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(protocol);
        archive(network);
        archive(fingerprint);
        archive(weights_digest);
        archive(cuts);
        archive(instruction_set);
        archive(tenant);
    }
};

/// What `compare` found. The two sides fit if `refusal` is empty; `note` is what may differ but deserves a line in the log.
struct comparison {
    std::string refusal{};
    std::string note{};
    bool fits() const { return refusal.empty(); }
};

namespace handshake_words {

inline void check_lengths(const handshake& h) {
    const auto within = [](const char* what, const std::string& text) {
        if (text.size() > largest_name)
            throw wire_error("handshake: the " + std::string(what) + " should have at most " + std::to_string(largest_name)
                             + " bytes, found " + std::to_string(text.size()));
    };
    within("network's name", h.network);
    within("instruction set's name", h.instruction_set);
    within("tenant token", h.tenant);
    if (h.cuts.size() > most_cuts)
        throw wire_error("handshake: at most " + std::to_string(most_cuts) + " cuts were expected, found " + std::to_string(h.cuts.size()));
    for (const cut_terms& c : h.cuts) {
        within("cut's name", c.name);
        within("cut's codec", c.codec);
    }
}

/// Text from the other side, fit for a log: printable ASCII, at most 64 bytes.
inline std::string peer_text(std::string_view text) {
    std::string s = "\"";
    for (const char c : text.substr(0, 64)) s += c >= ' ' && c <= '~' && c != '"' ? c : '?';
    return s + (text.size() > 64 ? "...\"" : "\"");
}
using splitdsl::detail::hex;
/// Whoever reads it, on whichever side it was written.
inline void differ(std::string& list, const std::string& what, const std::string& edge, const std::string& cloud) {
    list += (list.empty() ? "" : "; ") + what + " " + edge + " on the edge, " + cloud + " in the cloud";
}

} // namespace handshake_words

/// The payload of `hello` and `hello_ack`. Throws `wire_error` if a name is longer than 256 bytes or there are more than 64 cuts.
inline std::vector<std::byte> encode_handshake(const handshake& h) {
    handshake_words::check_lengths(h);
    return splitdsl::detail::to_bytes(h, largest_handshake);
}

/// Throws `wire_error` for anything that is not exactly one handshake. Never allocates more than some 80 times the bytes' size.
inline handshake decode_handshake(std::span<const std::byte> bytes) {
    if (bytes.size() > largest_handshake)
        throw wire_error("handshake: at most " + std::to_string(largest_handshake) + " bytes were expected, found "
                         + std::to_string(bytes.size()));
    // The version comes first, so that a newer side is named as such instead of as garbage.
    if (bytes.size() >= 4)
        if (const std::uint32_t version = splitdsl::detail::load_u32(bytes.data()); version != wire_version)
            throw wire_error("handshake: protocol version " + std::to_string(wire_version) + " was expected, found "
                             + std::to_string(version));
    auto h = splitdsl::detail::from_bytes<handshake>(bytes);
    handshake_words::check_lengths(h);
    return h;
}

/// Names every difference in one sentence. A differing instruction set is only noted: answers then agree within the kernels' tolerance,
/// not bit for bit.
/// ```cpp
/// const auto verdict = compare(mine, decode_handshake(payload));     // called on the edge
/// if (!verdict.fits()) refuse(verdict.refusal);   // "... graph fingerprint 0x... on the edge, 0x... in the cloud; cut 0 ("uplink"): ..."
/// ```
inline comparison compare(const handshake& edge, const handshake& cloud) {
    using namespace handshake_words;
    comparison found;
    std::string& no = found.refusal;
    if (edge.protocol != cloud.protocol) differ(no, "protocol version", std::to_string(edge.protocol), std::to_string(cloud.protocol));
    if (edge.network != cloud.network) differ(no, "network", peer_text(edge.network), peer_text(cloud.network));
    if (edge.fingerprint != cloud.fingerprint) differ(no, "graph fingerprint", hex(edge.fingerprint), hex(cloud.fingerprint));
    if (edge.weights_digest != cloud.weights_digest) differ(no, "weights digest", hex(edge.weights_digest), hex(cloud.weights_digest));
    if (edge.cuts.size() != cloud.cuts.size())
        differ(no, "number of cuts", std::to_string(edge.cuts.size()), std::to_string(cloud.cuts.size()));
    for (std::size_t i = 0; i < edge.cuts.size() && i < cloud.cuts.size(); ++i) {
        const cut_terms& a = edge.cuts[i];
        const cut_terms& b = cloud.cuts[i];
        const std::string place = "cut " + std::to_string(i) + " (" + peer_text(a.name) + "): ";
        if (a.name != b.name) differ(no, place + "name", peer_text(a.name), peer_text(b.name));
        if (a.codec != b.codec) differ(no, place + "codec", peer_text(a.codec), peer_text(b.codec));
        if (a.payload_bytes != b.payload_bytes)
            differ(no, place + "payload bytes", std::to_string(a.payload_bytes), std::to_string(b.payload_bytes));
    }
    if (!no.empty()) no = "the two sides do not fit: " + no;
    if (edge.instruction_set != cloud.instruction_set)
        differ(found.note, "instruction set", peer_text(edge.instruction_set), peer_text(cloud.instruction_set));
    return found;
}

} // namespace splitdsl::link
