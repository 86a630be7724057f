// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file introduction.hpp
/// Both sides' first words: who I am, and whether we fit. Off the frame path; allocates.
#pragma once

#include <splitdsl/link/handshake.hpp>
#include <splitdsl/runtime/message_reader.hpp>
#include <splitdsl/runtime/pipeline.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace splitdsl {

/// What a side with this network says of itself.
inline link::handshake introduction_for(const pipeline& p, std::uint64_t weights_digest) {
    link::handshake h{
        .network = p.network, .fingerprint = p.fingerprint, .weights_digest = weights_digest, .instruction_set = p.instruction_set};
    for (const cut_info& c : p.cuts) h.cuts.push_back({.name = c.name, .codec = c.codec, .payload_bytes = static_cast<std::uint32_t>(c.payload_bytes)});
    return h;
}

/// Room for a header, then the payload: to be sealed.
inline std::vector<std::byte> introduction_of(const link::handshake& me) {
    const auto payload = link::encode_handshake(me);
    std::vector<std::byte> m(link::header_bytes + payload.size());
    std::copy(payload.begin(), payload.end(), m.begin() + link::header_bytes);
    return m;
}
inline std::vector<std::byte> sentence_message(const std::string& sentence) {
    std::vector<std::byte> m(link::header_bytes + std::min<std::size_t>(sentence.size(), 1024));
    std::memcpy(m.data() + link::header_bytes, sentence.data(), m.size() - link::header_bytes);
    return m;
}
/// Edge: why a cloud that says this does not fit; empty if it does.
inline std::string refusal(const link::handshake& me, std::span<const std::byte> their_payload) {
    try {
        return link::compare(me, link::decode_handshake(their_payload)).refusal;
    } catch (const error& e) { return std::string{"from the cloud: "} + e.what(); }
}

struct introduced {
    bool accepted{};
    std::size_t bytes_up{}, bytes_down{};
};

/// Edge: says hello on a new connection and waits for the answer, at most until `until`. `why` says what was wrong.
inline introduced introduce(link::stream& s, const link::handshake& me, std::uint32_t epoch, instant until, std::string& why) {
    auto out = introduction_of(me);
    link::seal({.kind = link::message_kind::hello, .epoch = epoch, .stamp_us = wire_stamp(std::chrono::steady_clock::now())}, out);
    introduced i{.bytes_up = out.size()};
    for (std::span<const std::byte> rest = out; !rest.empty();) {
        const link::io done = s.write(rest);
        rest = rest.subspan(done.bytes);
        const auto now = std::chrono::steady_clock::now();
        if (done.what == link::io_result::closed) return why = "the other side ended the connection before the handshake", i;
        if (!rest.empty() && now >= until) return why = "the other side took no handshake in time", i;
        if (done.what == link::io_result::would_block) s.wait(false, true, until - now);
    }
    message_reader r{link::frame_limits::of_edge(1)};
    while (true) {
        const auto got = r.next(s);
        if (got == message_reader::state::message) break;
        const auto now = std::chrono::steady_clock::now();
        if (got == message_reader::state::closed) return why = "the other side ended the connection during the handshake", i;
        if (got != message_reader::state::more) return why = std::string{"handshake: "} + link::sentence(r.fault()), i;
        if (now >= until) return why = "no answer to the handshake in time", i;
        s.wait(true, false, until - now);
    }
    i.bytes_down = r.bytes();
    if (r.header().kind == link::message_kind::refuse)
        why.assign(reinterpret_cast<const char*>(r.payload().data()), r.payload().size());
    else if (r.header().kind != link::message_kind::hello_ack)
        why = "a hello_ack or a refusal was expected, found " + std::string{link::name_of(r.header().kind)};
    else
        why = refusal(me, r.payload());
    i.accepted = why.empty();
    return i;
}

} // namespace splitdsl
