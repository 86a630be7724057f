// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file handshake.hpp
/// What both sides tell each other before the first frame, and the sentence that names every difference.
#pragma once

#include <splitdsl/detail/bounded_archive.hpp>
#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/link/frame.hpp>

#include <algorithm>
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
    std::string tenant{}; ///< an edge's `edge_options::tenant_token`; empty: none. Never printed, and compared by a cloud with tenants only
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

/// Cuts with the same names: what they send. A codec that differs in the same way everywhere is said once, and then sizes follow from it; of many differences the first ones are.
inline void cuts_differ(std::string& list, const std::vector<cut_terms>& edge, const std::vector<cut_terms>& cloud) {
    constexpr int most_told = 4;
    const auto same_everywhere = [](const std::vector<cut_terms>& side) {
        for (const cut_terms& c : side)
            if (c.codec != side.front().codec) return false;
        return true;
    };
    if (edge.size() > 1 && edge.front().codec != cloud.front().codec && same_everywhere(edge) && same_everywhere(cloud))
        return differ(list, "all " + std::to_string(edge.size()) + " cuts: codec", peer_text(edge.front().codec), peer_text(cloud.front().codec));
    int differences = 0;
    for (std::size_t i = 0; i < edge.size(); ++i) {
        const cut_terms& a = edge[i];
        const cut_terms& b = cloud[i];
        const std::string place = "cut " + std::to_string(i) + " (" + peer_text(a.name) + "): ";
        if (a.codec != b.codec && ++differences <= most_told) differ(list, place + "codec", peer_text(a.codec), peer_text(b.codec));
        if (a.payload_bytes != b.payload_bytes && ++differences <= most_told)
            differ(list, place + "payload bytes", std::to_string(a.payload_bytes), std::to_string(b.payload_bytes));
    }
    if (differences > most_told) list += "; and " + std::to_string(differences - most_told) + " more";
}

} // namespace handshake_words

/// What `compare`'s refusals begin with: trying again does not help.
inline constexpr std::string_view do_not_fit = "the two sides do not fit: ";

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

/// Names the differences in one sentence, the telling ones first. A differing instruction set is only noted: answers then agree within the kernels' tolerance,
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
    if (edge.network == cloud.network) { // of two networks nothing else is to be compared
        const std::size_t common = std::min(edge.cuts.size(), cloud.cuts.size());
        std::size_t i = 0;
        while (i < common && edge.cuts[i].name == cloud.cuts[i].name) ++i;
        if (edge.cuts.size() != cloud.cuts.size()) differ(no, "number of cuts", std::to_string(edge.cuts.size()), std::to_string(cloud.cuts.size()));
        if (i < common) // and of two lists of cuts nothing behind the first other name
            differ(no, "cut " + std::to_string(i) + " (" + peer_text(edge.cuts[i].name) + "): name", peer_text(edge.cuts[i].name), peer_text(cloud.cuts[i].name));
        else if (edge.cuts.size() == cloud.cuts.size() && common > 0)
            cuts_differ(no, edge.cuts, cloud.cuts);
    }
    if (!no.empty()) no.insert(0, do_not_fit);
    if (edge.instruction_set != cloud.instruction_set)
        differ(found.note, "instruction set", peer_text(edge.instruction_set), peer_text(cloud.instruction_set));
    return found;
}

} // namespace splitdsl::link
