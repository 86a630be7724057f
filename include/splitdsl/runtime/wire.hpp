// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file wire.hpp
/// provisional
#pragma once

#include <splitdsl/codec/crc32c.hpp>
#include <splitdsl/detail/byte_order.hpp>
#include <splitdsl/link/estimator.hpp>
#include <splitdsl/link/stream.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

namespace splitdsl::wire {

enum class kind : std::uint8_t { hello = 1, welcome, refused, request, reply, shed, ping, pong };
inline constexpr std::size_t header_bytes = 48;
inline constexpr std::size_t reply_meta_bytes = 24;

struct fields {
    kind what{};
    int cut{-1};
    int codec{-1};
    std::uint32_t sequence{};
    std::uint32_t epoch{};
    duration budget{};
    std::size_t payload_bytes{};
};
struct raw_header {
    std::uint32_t magic{0x4c445053};
    std::uint8_t what{};
    std::int8_t cut{}, codec{};
    std::uint8_t pad{};
    std::uint32_t sequence{}, epoch{};
    std::int64_t budget_us{};
    std::uint64_t payload{};
    std::uint32_t payload_crc{};
    std::uint32_t reserved{};
    std::uint32_t more{};
    std::uint32_t header_crc{};
};
static_assert(sizeof(raw_header) == header_bytes);

inline std::size_t seal(std::span<std::byte> m, const fields& f) {
    raw_header h{};
    h.what = static_cast<std::uint8_t>(f.what);
    h.cut = static_cast<std::int8_t>(f.cut);
    h.codec = static_cast<std::int8_t>(f.codec);
    h.sequence = f.sequence;
    h.epoch = f.epoch;
    h.budget_us = f.budget.count() / 1000;
    h.payload = f.payload_bytes;
    h.payload_crc = crc32c(m.subspan(header_bytes, f.payload_bytes));
    std::memcpy(m.data(), &h, header_bytes);
    h.header_crc = crc32c(m.first(header_bytes - 4));
    std::memcpy(m.data(), &h, header_bytes);
    return header_bytes + f.payload_bytes;
}

struct message : fields {
    bool crc_ok{true};
    std::span<const std::byte> payload{};
    link::received_transfer transfer{};
    instant first{}, last{};
};

struct reply_meta {
    std::size_t at_first{};
    duration spread{}, service{};
    link::received_transfer transfer(std::size_t bytes) const { return {bytes, std::min(at_first, bytes), spread}; }
};
inline void write_meta(std::span<std::byte> to, const reply_meta& m) {
    const std::int64_t w[3]{static_cast<std::int64_t>(m.at_first), m.spread.count(), m.service.count()};
    std::memcpy(to.data(), w, sizeof w);
}
inline reply_meta read_meta(std::span<const std::byte> from) {
    std::int64_t w[3]{};
    if (from.size() >= sizeof w) std::memcpy(w, from.data(), sizeof w);
    return {static_cast<std::size_t>(std::max<std::int64_t>(w[0], 0)), duration{w[1]}, duration{w[2]}};
}

class reader {
public:
    enum class state { more, message, wrong_size, malformed, closed };
    explicit reader(std::size_t largest) : limit{largest}, store{header_bytes + largest} {}
    void restart() { got = 0; pending = false; }
    state next(link::stream& s, instant now, message& m) {
        if (pending) restart();
        while (true) {
            const std::size_t want = got < header_bytes ? header_bytes : total;
            if (got == want && got >= header_bytes && total == want) {
                fill(m, now);
                pending = true;
                return state::message;
            }
            const auto io = s.read(store.bytes().subspan(got, want - got));
            if (io.what == link::io_result::closed) return state::closed;
            if (io.what == link::io_result::would_block) {
                if (got > 0 && at_first == 0) at_first = got;
                return state::more;
            }
            if (got == 0) first = now, at_first = 0, total = 0;
            got += io.bytes;
            if (got == header_bytes && total == 0) {
                std::memcpy(&h, store.data(), header_bytes);
                const std::uint32_t crc = h.header_crc;
                if (h.magic != 0x4c445053 || crc != crc32c(store.bytes().first(header_bytes - 4))) return state::malformed;
                m.sequence = h.sequence;
                m.epoch = h.epoch;
                if (h.payload > limit) return state::wrong_size;
                total = header_bytes + h.payload;
            }
        }
    }

private:
    void fill(message& m, instant now) {
        m.what = static_cast<kind>(h.what);
        m.cut = h.cut;
        m.codec = h.codec;
        m.sequence = h.sequence;
        m.epoch = h.epoch;
        m.budget = std::chrono::microseconds{h.budget_us};
        m.payload_bytes = h.payload;
        m.payload = store.bytes().subspan(header_bytes, h.payload);
        m.crc_ok = crc32c(m.payload) == h.payload_crc;
        m.first = first;
        m.last = now;
        m.transfer = {got, at_first == 0 ? got : at_first, now - first};
    }
    std::size_t limit;
    aligned_buffer store;
    raw_header h{};
    std::size_t got{}, total{}, at_first{};
    instant first{};
    bool pending{};
};

struct peer_identity {
    std::string network{};
    std::uint64_t fingerprint{}, weights_digest{}, codec_digest{};
};
inline std::string difference(std::span<const std::byte> hello, const peer_identity& me) {
    if (hello.size() != 24) return "hello of unexpected size";
    std::uint64_t w[3]{};
    std::memcpy(w, hello.data(), sizeof w);
    if (w[0] != me.fingerprint) return "graph fingerprint differs";
    if (w[1] != me.weights_digest) return "weights digest differs";
    if (w[2] != me.codec_digest) return "codec parameters differ";
    return {};
}
struct introduction {
    bool accepted{};
    std::size_t bytes_up{}, bytes_down{};
};
inline bool write_all(link::stream& s, std::span<const std::byte> from, instant until) {
    while (!from.empty()) {
        const auto io = s.write(from);
        if (io.what == link::io_result::closed) return false;
        from = from.subspan(io.bytes);
        const auto now = std::chrono::steady_clock::now();
        if (now >= until) return false;
        if (io.what == link::io_result::would_block) s.wait(false, true, until - now);
    }
    return true;
}
inline reader::state read_one(link::stream& s, reader& r, message& m, instant until) {
    while (true) {
        const auto now = std::chrono::steady_clock::now();
        const auto got = r.next(s, now, m);
        if (got != reader::state::more) return got;
        if (now >= until) return reader::state::closed;
        s.wait(true, false, until - now);
    }
}
inline introduction introduce(link::stream& s, const peer_identity& me, std::uint32_t epoch, instant until, std::string& why) {
    std::byte out[header_bytes + 24]{};
    const std::uint64_t w[3]{me.fingerprint, me.weights_digest, me.codec_digest};
    std::memcpy(out + header_bytes, w, sizeof w);
    introduction i{};
    i.bytes_up = seal(out, {.what = kind::hello, .epoch = epoch, .payload_bytes = 24});
    if (!write_all(s, out, until)) return why = "the other side hung up before the handshake", i;
    reader r{1024};
    message m{};
    if (read_one(s, r, m, until) != reader::state::message) return why = "no answer to the handshake", i;
    i.bytes_down = m.transfer.bytes;
    if (m.what == kind::welcome) i.accepted = true;
    else why = std::string(reinterpret_cast<const char*>(m.payload.data()), m.payload.size());
    return i;
}

} // namespace splitdsl::wire
