// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file frame_fuzz.cpp
/// Any bytes as a connection, a handshake, a profile, an encoded tensor: a named refusal, or values that encode to the same bytes again.
#include <splitdsl/codec/tensor_codec.hpp>
#include <splitdsl/link/frame_reader.hpp>
#include <splitdsl/link/handshake.hpp>
#include <splitdsl/runtime/profile_file.hpp>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

namespace {

using namespace splitdsl;
using namespace splitdsl::link;
using blob = std::vector<std::byte>;

void must(bool condition) {
    if (!condition) std::abort();
}

constexpr std::uint32_t cuts[] = {96, 40};

/// Makes the checksums fit, frame by frame, so that what lies behind them is reached.
void mend(blob& b) {
    for (std::size_t at = 0; b.size() - at >= header_bytes;) {
        std::byte* const h = b.data() + at;
        const std::size_t rest = b.size() - at - header_bytes;
        const std::size_t payload = splitdsl::detail::load_u32(h + 16);
        if (payload <= rest) splitdsl::detail::store_u32(h + 40, crc32c({h + header_bytes, payload}));
        splitdsl::detail::store_u32(h + 44, crc32c({h, 44}));
        if (payload > rest) return;
        at += header_bytes + payload;
    }
}

void connection(const blob& b, std::uint8_t how) {
    const frame_limits limits =
        (how & 1u) != 0 ? frame_limits::of_edge(12, 3)
                        : frame_limits::of_cloud(cuts, {.input_bytes = 200, .probe_bytes = 128, .codecs = 2, .stream_bytes = 64, .streams = 3});
    const std::size_t step = 1 + (how >> 1) % 64u;
    blob room((how & 128u) != 0 ? 50 : limits.largest()); // of exactly that size, so that the sanitizer sees one byte too many
    frame_reader reader{room, limits};
    std::span<const std::byte> rest{b};
    while (!rest.empty()) {
        const std::size_t taken = reader.push(rest.first(std::min(step, rest.size())));
        must(taken > 0 || ends_connection(reader.fault()));
        if (reader.complete()) {
            must(reader.payload().size() == reader.header().payload_bytes && crc32c(reader.payload()) == reader.header().payload_crc);
            must(limits.check(reader.header()) == frame_fault::none && reader.payload().size() <= room.size());
            blob again(header_bytes + reader.payload().size());
            for (std::size_t i = 0; i < reader.payload().size(); ++i) again[header_bytes + i] = reader.payload()[i];
            seal(reader.header(), again);
            frame_header h{};
            must(decode_header(again, limits, h) == frame_fault::none && h == reader.header());
        }
        if (ends_connection(reader.fault())) {
            must(!reader.complete() && reader.space().empty() && reader.push(rest) == 0);
            return;
        }
        rest = rest.subspan(taken);
    }
}

void metadata(const blob& b, bool is_profile) {
    try {
        if (is_profile) {
            blob whole = encode_profile({});
            whole.resize(12);
            whole.insert(whole.end(), b.begin(), b.end());
            splitdsl::detail::store_u32(whole.data() + 8, crc32c(b));
            must(encode_profile(decode_profile(whole)) == whole);
        } else {
            const handshake h = decode_handshake(b);
            must(encode_handshake(h) == b);
            must(compare(h, h).fits());
            (void)compare({}, h);
        }
    } catch (const wire_error&) {}
}

void tensor(const blob& b, std::uint8_t how) {
    const auto kind = static_cast<codec_id>(how % 4u);
    const std::size_t prefix = encoded_bytes(kind, 0), each = encoded_bytes(kind, 1) - prefix;
    const std::size_t count = b.size() > prefix ? (b.size() - prefix) / each : 0;
    std::vector<float> values(count);
    if (!decode(kind, b.data(), b.size(), values.data(), count)) return;
    const bool is_affine = kind == codec_id::affine8 || kind == codec_id::affine16;
    for (const float v : values) must(!is_affine || std::isfinite(v));
    blob again(encoded_bytes(kind, count));
    encode(kind, values.data(), count, again.data());
    if (kind == codec_id::float32) must(again == b);
    must(decode(kind, again.data(), again.size(), values.data(), count));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    blob b(size - 2);
    for (std::size_t i = 2; i < size; ++i) b[i - 2] = std::byte{data[i]};
    switch (data[0] % 5u) {
    case 0: connection(b, data[1]); break;
    case 1:
        mend(b);
        connection(b, data[1]);
        break;
    case 2: metadata(b, false); break;
    case 3: metadata(b, true); break;
    default: tensor(b, data[1]); break;
    }
    return 0;
}
