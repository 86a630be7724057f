// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bytes_test.cpp
/// Everything that becomes bytes and comes back: codecs, checksum, wire frames, handshakes, saved profiles; and bytes that lie.
#include "catch.hpp"
#include "numeric/affine_golden.hpp"

#include <splitdsl/codec/tensor_codec.hpp>
#include <splitdsl/link/frame_reader.hpp>
#include <splitdsl/link/handshake.hpp>
#include <splitdsl/runtime/profile_file.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace splitdsl;
using namespace splitdsl::link;

namespace {

using blob = std::vector<std::byte>;

blob blob_of(std::string_view text) {
    blob b;
    for (const char c : text) b.push_back(static_cast<std::byte>(c));
    return b;
}

/// A small deterministic source of numbers, so that failures repeat.
struct numbers {
    std::uint64_t state;
    std::uint64_t next() {
        state += 0x9E3779B97F4A7C15u;
        std::uint64_t z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    float uniform(float low, float high) { return low + (high - low) * static_cast<float>(next() >> 40) / 16777216.0f; }
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
};

float from_bits(std::uint32_t b) { return std::bit_cast<float>(b); }
std::uint32_t to_bits(float v) { return std::bit_cast<std::uint32_t>(v); }

blob encoded(codec_id kind, const std::vector<float>& values) {
    blob b(encoded_bytes(kind, values.size()));
    encode(kind, values.data(), values.size(), b.data());
    return b;
}
bool decoded(codec_id kind, const blob& b, std::vector<float>& values) {
    return decode(kind, b.data(), b.size(), values.data(), values.size());
}

constexpr codec_id codecs[] = {codec_id::float32, codec_id::float16, codec_id::affine8, codec_id::affine16};
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float largest = std::numeric_limits<float>::max();

/// Rounding of the f32 operations, in steps of the quantiser: a few times levels * 2^-24.
template <affine_level Q>
constexpr float rounding_steps = 4 * static_cast<float>(affine_levels<Q>) * 0x1p-24f;

} // namespace

// ---- checksum -------------------------------------------------------------------------------------------------------------

TEST_CASE("CRC-32C gives the published values") {
    blob rising(32), falling(32);
    for (std::size_t i = 0; i < 32; ++i) rising[i] = static_cast<std::byte>(i), falling[i] = static_cast<std::byte>(31 - i);
    CHECK(crc32c({}) == 0);
    CHECK(crc32c(blob_of("123456789")) == 0xE3069283u);   // the check value of the CRC catalogue
    CHECK(crc32c(blob(32, std::byte{0})) == 0x8A9136AAu); // RFC 3720, B.4, and the next three
    CHECK(crc32c(blob(32, std::byte{255})) == 0x62A8AB43u);
    CHECK(crc32c(rising) == 0x46DD794Eu);
    CHECK(crc32c(falling) == 0x113FDB5Cu);
    CHECK(crc32c(blob_of("a")) == 0xC1D04330u);
}

TEST_CASE("CRC-32C works at compile time") {
    constexpr std::array<std::byte, 9> digits = [] {
        std::array<std::byte, 9> d{};
        for (std::size_t i = 0; i < 9; ++i) d[i] = static_cast<std::byte>('1' + i);
        return d;
    }();
    static_assert(crc32c(digits) == 0xE3069283u);
    CHECK(crc32c(digits) == 0xE3069283u);
}

TEST_CASE("CRC-32C of pieces equals that of the whole, at every length and cut") {
    numbers n{1};
    blob b(150);
    for (auto& x : b) x = static_cast<std::byte>(n.next());
    for (std::size_t size = 0; size <= b.size(); size += 7) {
        const std::span<const std::byte> all{b.data(), size};
        std::uint32_t bitwise = 0xFFFFFFFFu;
        for (const std::byte x : all) {
            bitwise ^= static_cast<std::uint32_t>(x);
            for (int i = 0; i < 8; ++i) bitwise = (bitwise >> 1) ^ ((bitwise & 1u) != 0 ? 0x82F63B78u : 0u);
        }
        REQUIRE(crc32c(all) == ~bitwise);
        for (std::size_t cut = 0; cut <= size; ++cut) REQUIRE(crc32c(all.subspan(cut), crc32c(all.first(cut))) == ~bitwise);
    }
}

// ---- half -----------------------------------------------------------------------------------------------------------------

TEST_CASE("every half survives the way through f32") {
    for (std::uint32_t h = 0; h < 65536; ++h) {
        const auto half = static_cast<std::uint16_t>(h);
        const bool is_nan = (h & 0x7c00u) == 0x7c00u && (h & 0x03ffu) != 0;
        REQUIRE(half_from_float(float_from_half(half)) == (is_nan ? (h | 0x0200u) : h));
    }
}

TEST_CASE("halves mean what IEEE 754 says") {
    CHECK(float_from_half(0x0000) == 0.0f);
    CHECK(std::signbit(float_from_half(0x8000)));
    CHECK(float_from_half(0x3c00) == 1.0f);
    CHECK(float_from_half(0xc000) == -2.0f);
    CHECK(float_from_half(0x7bff) == 65504.0f);
    CHECK(float_from_half(0x0400) == 0x1p-14f);
    CHECK(float_from_half(0x0001) == 0x1p-24f);
    CHECK(float_from_half(0x03ff) == 1023 * 0x1p-24f);
    CHECK(float_from_half(0x7c00) == infinity);
    CHECK(float_from_half(0xfc00) == -infinity);
    CHECK(std::isnan(float_from_half(0x7c01)));
}

TEST_CASE("f32 becomes the nearest half, ties to even, between every pair of neighbours") {
    for (std::uint32_t h = 0; h < 0x7bffu; ++h) {
        const auto low = static_cast<std::uint16_t>(h), high = static_cast<std::uint16_t>(h + 1);
        const float a = float_from_half(low), b = float_from_half(high);
        const float middle = a + (b - a) / 2; // exact in f32
        const std::uint16_t even = (h & 1u) == 0 ? low : high;
        REQUIRE(half_from_float(middle) == even);
        REQUIRE(half_from_float(-middle) == (even | 0x8000u));
        REQUIRE(half_from_float(std::nextafter(middle, 0.0f)) == low);
        REQUIRE(half_from_float(std::nextafter(middle, infinity)) == high);
    }
    CHECK(half_from_float(65519.996f) == 0x7bff);
    CHECK(half_from_float(65520.0f) == 0x7c00);
    CHECK(half_from_float(largest) == 0x7c00);
    CHECK(half_from_float(-infinity) == 0xfc00);
    CHECK(half_from_float(0x1p-25f) == 0x0000);
    CHECK(half_from_float(std::nextafter(0x1p-25f, 1.0f)) == 0x0001);
    CHECK(half_from_float(std::numeric_limits<float>::denorm_min()) == 0x0000);
    CHECK((half_from_float(nan_value) & 0x7e00) == 0x7e00);
}

TEST_CASE("bfloat16 rounds to nearest even and keeps NaN") {
    CHECK(bfloat_from_float(1.0f) == 0x3f80);
    CHECK(bfloat_from_float(from_bits(0x3f808000u)) == 0x3f80); // a tie, down to even
    CHECK(bfloat_from_float(from_bits(0x3f818000u)) == 0x3f82); // a tie, up to even
    CHECK(bfloat_from_float(from_bits(0x3f808001u)) == 0x3f81);
    CHECK(bfloat_from_float(largest) == 0x7f80);
    CHECK(std::isnan(float_from_bfloat(bfloat_from_float(from_bits(0x7f800001u)))));
    for (std::uint32_t b = 0; b < 65536; ++b) {
        const float v = float_from_bfloat(static_cast<std::uint16_t>(b));
        if (v == v) REQUIRE(bfloat_from_float(v) == b);
    }
}

// ---- affine ---------------------------------------------------------------------------------------------------------------

TEST_CASE("the affine quantiser equals PyTorch bit for bit") {
    for (const auto& c : golden::affine_cases) {
        INFO(c.name);
        std::vector<float> x;
        for (const auto b : c.x) x.push_back(from_bits(b));
        const auto p8 = affine_parameters_of<std::uint8_t>(range_of(x));
        const auto p16 = affine_parameters_of<std::uint16_t>(range_of(x));
        CHECK(to_bits(p8.scale) == c.scale_u8);
        CHECK(p8.zero_point == c.zero_point_u8);
        CHECK(to_bits(p16.scale) == c.scale_u16);
        CHECK(p16.zero_point == c.zero_point_u16);
        for (std::size_t i = 0; i < x.size(); ++i) {
            REQUIRE(quantise<std::uint8_t>(x[i], p8) == c.q_u8[i]);
            REQUIRE(to_bits(dequantise<std::uint8_t>(c.q_u8[i], p8)) == c.back_u8[i]);
            REQUIRE(quantise<std::uint16_t>(x[i], p16) == c.q_u16[i]);
            REQUIRE(to_bits(dequantise<std::uint16_t>(c.q_u16[i], p16)) == c.back_u16[i]);
        }
    }
}

namespace {
/// Half a step everywhere, a whole step where the truncated zero point cuts the bottom off.
template <affine_level Q>
void check_error_bounds() {
    numbers n{7};
    for (int round = 0; round < 300; ++round) {
        const float width = std::exp(n.uniform(-20, 20));
        std::vector<float> x(1 + n.below(200));
        for (auto& v : x) v = n.uniform(-width, width * 0.7f);
        x.push_back(0);
        const finite_range r = range_of(x);
        if (r.low == r.high) continue;
        const affine_parameters p = affine_parameters_of<Q>(r);
        REQUIRE(usable<Q>(p));
        const float cut = -r.low / p.scale - static_cast<float>(p.zero_point); // [0, 1): what truncation took
        REQUIRE(cut >= 0);
        REQUIRE(cut < 1);
        for (const float v : x) {
            const float steps = std::fabs(dequantise<Q>(quantise<Q>(v, p), p) - v) / p.scale;
            const bool at_bottom = v < r.low + p.scale;
            REQUIRE(steps <= (at_bottom ? std::max(0.5f, cut) : 0.5f) + rounding_steps<Q>);
        }
        REQUIRE(dequantise<Q>(quantise<Q>(0, p), p) == 0); // zero stays zero: padding and dead channels cost nothing
    }
}
} // namespace

TEST_CASE("with 0 in the range, 8 bits err by at most half a step, and by one where the zero point was truncated") {
    check_error_bounds<std::uint8_t>();
}
TEST_CASE("with 0 in the range, 16 bits err by at most half a step, and by one where the zero point was truncated") {
    check_error_bounds<std::uint16_t>();
}

TEST_CASE("the truncated zero point moves the minimum by almost a whole step") {
    const std::vector<float> x{-0.99f, 254.01f};
    const auto p = affine_parameters_of<std::uint8_t>(range_of(x));
    CHECK(p.zero_point == 0); // rounding would have said 1
    CHECK(dequantise<std::uint8_t>(quantise<std::uint8_t>(-0.99f, p), p) == 0);
}

TEST_CASE("a range without 0 saturates, as the published quantiser does") {
    const std::vector<float> above{990, 995, 1000};
    const auto p = affine_parameters_of<std::uint8_t>(range_of(above));
    CHECK(p.zero_point == 0);
    for (const float v : above) CHECK(quantise<std::uint8_t>(v, p) == 255);
    CHECK(dequantise<std::uint8_t>(255, p) == 255 * (10.0f / 255));
    const std::vector<float> below{-990, -1000};
    const auto q = affine_parameters_of<std::uint8_t>(range_of(below));
    CHECK(q.zero_point == 255);
    for (const float v : below) CHECK(quantise<std::uint8_t>(v, q) == 0);
}

TEST_CASE("a flat tensor keeps its constant exactly") {
    for (const float c : {0.0f, -0.0f, 1.0f, -1.0f, 3.14159f, -2.5e-20f, 1e20f, -1e20f, std::numeric_limits<float>::min()})
        for (const auto kind : {codec_id::affine8, codec_id::affine16}) {
            std::vector<float> back(9);
            const blob b = encoded(kind, std::vector<float>(9, c));
            REQUIRE(decoded(kind, b, back));
            for (const float v : back) REQUIRE(v == c);
        }
    // Too large to be the scale itself: within one part in two million. Too small for a normal f32: 0.
    std::vector<float> back(3);
    for (const float c : {largest, -largest, 1.5e38f}) {
        REQUIRE(decoded(codec_id::affine8, encoded(codec_id::affine8, {c, c, c}), back));
        const float expected = std::copysign(std::min(std::fabs(c), largest / 2), c);
        for (const float v : back) CHECK(std::fabs(v - expected) <= std::fabs(expected) * 5e-7f);
    }
    REQUIRE(decoded(codec_id::affine8, encoded(codec_id::affine8, {1e-40f, 1e-40f, 1e-40f}), back));
    for (const float v : back) CHECK(v == 0);
}

TEST_CASE("a range too narrow for a normal scale counts as flat") {
    const std::vector<float> x{0.0f, 1e-37f};
    const auto p = affine_parameters_of<std::uint8_t>(range_of(x));
    CHECK(p == affine_parameters{1, 0});
    const std::vector<float> y{-2e-37f, 1e-37f};
    CHECK(affine_parameters_of<std::uint16_t>(range_of(y)) == affine_parameters{1, 0});
}

TEST_CASE("values that are not finite neither widen the range nor leave the encoder") {
    const std::vector<float> x{-1, 2, nan_value, infinity, -infinity, -nan_value};
    const finite_range r = range_of(x);
    CHECK(r.any);
    CHECK(r.low == -1);
    CHECK(r.high == 2);
    for (const auto kind : {codec_id::affine8, codec_id::affine16}) {
        std::vector<float> back(x.size());
        REQUIRE(decoded(kind, encoded(kind, x), back));
        CHECK(back[2] == 0);
        CHECK(back[5] == 0);
        CHECK(back[3] == Approx(2).margin(3.0 / 255));
        CHECK(back[4] == Approx(-1).margin(3.0 / 255));
    }
    std::vector<float> back(2);
    REQUIRE(decoded(codec_id::affine8, encoded(codec_id::affine8, {nan_value, infinity}), back));
    CHECK(!range_of(std::vector<float>{nan_value, -infinity}).any);
    CHECK(!range_of(std::vector<float>{}).any);
    CHECK(encoded(codec_id::affine8, {})
          == blob{std::byte{0}, std::byte{0}, std::byte{0x80}, std::byte{0x3f}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}});
}

TEST_CASE("the widest ranges still decode to finite values") {
    for (const auto& x : {std::vector<float>{-largest, largest},
                          {0, largest},
                          {-largest, 0},
                          {-largest, 1},
                          {largest, largest / 2},
                          {largest / 2, largest / 1.01f}})
        for (const auto kind : {codec_id::affine8, codec_id::affine16}) {
            std::vector<float> back(x.size());
            REQUIRE(decoded(kind, encoded(kind, x), back));
            for (const float v : back) REQUIRE(std::isfinite(v));
        }
}

TEST_CASE("random bit patterns always encode to something that decodes") {
    numbers n{99};
    for (int round = 0; round < 2000; ++round) {
        std::vector<float> x(n.below(20)), back(x.size());
        for (auto& v : x) v = from_bits(static_cast<std::uint32_t>(n.next()));
        for (const auto kind : {codec_id::affine8, codec_id::affine16}) {
            REQUIRE(decoded(kind, encoded(kind, x), back));
            for (const float v : back) REQUIRE(std::isfinite(v));
        }
    }
}

TEST_CASE("quantising works at compile time with the same result") {
    constexpr affine_parameters p = affine_parameters_of<std::uint8_t>({-1, 1, true});
    static_assert(p.zero_point == 127);
    static_assert(quantise<std::uint8_t>(0.5f, p) == 191);
    CHECK(quantise<std::uint8_t>(0.5f, p) == 191);
}

// ---- tensors --------------------------------------------------------------------------------------------------------------

TEST_CASE("the layout of every codec is as documented") {
    CHECK(encoded_bytes(codec_id::float32, 936) == 3744);
    CHECK(encoded_bytes(codec_id::float16, 936) == 1872);
    CHECK(encoded_bytes(codec_id::affine8, 936) == 944);
    CHECK(encoded_bytes(codec_id::affine16, 936) == 1880);
    const auto bytes_are = [](const blob& b, std::initializer_list<int> expected) {
        REQUIRE(b.size() == expected.size());
        std::size_t i = 0;
        for (const int e : expected) CHECK(static_cast<int>(b[i++]) == e);
    };
    bytes_are(encoded(codec_id::float32, {1.0f}), {0, 0, 0x80, 0x3f});
    bytes_are(encoded(codec_id::float16, {1.0f, -2.0f}), {0, 0x3c, 0, 0xc0});
    bytes_are(encoded(codec_id::affine8, {-1.0f, 254.0f, 0.0f}), {0, 0, 0x80, 0x3f, 1, 0, 0, 0, 0, 255, 1});
    bytes_are(encoded(codec_id::affine16, {-1.0f, 65534.0f}), {0, 0, 0x80, 0x3f, 1, 0, 0, 0, 0, 0, 255, 255});
}

TEST_CASE("f32 is lossless and f16 is the nearest half") {
    numbers n{3};
    std::vector<float> x(1001), back(x.size());
    for (auto& v : x) v = n.uniform(-100, 100);
    REQUIRE(decoded(codec_id::float32, encoded(codec_id::float32, x), back));
    CHECK(std::memcmp(x.data(), back.data(), x.size() * sizeof(float)) == 0);
    REQUIRE(decoded(codec_id::float16, encoded(codec_id::float16, x), back));
    for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(back[i] == float_from_half(half_from_float(x[i])));
}

TEST_CASE("quantising what was dequantised changes nothing more") {
    numbers n{5};
    for (int round = 0; round < 200; ++round) {
        std::vector<float> x(50), once(50), again(50);
        for (auto& v : x) v = n.uniform(-3, 4);
        x[0] = 0;
        const auto p = affine_parameters_of<std::uint8_t>(range_of(x));
        for (std::size_t i = 0; i < x.size(); ++i) once[i] = dequantise<std::uint8_t>(quantise<std::uint8_t>(x[i], p), p);
        for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(dequantise<std::uint8_t>(quantise<std::uint8_t>(once[i], p), p) == once[i]);
    }
}

TEST_CASE("decoding refuses every wrong size") {
    for (const codec_id kind : codecs) {
        const blob good = encoded(kind, std::vector<float>(20, 0.5f));
        std::vector<float> back(20);
        REQUIRE(decoded(kind, good, back));
        for (std::size_t size = 0; size <= good.size() + 9; ++size) {
            blob b = good;
            b.resize(size);
            REQUIRE(decoded(kind, b, back) == (size == good.size()));
        }
    }
}

TEST_CASE("decoding refuses scales, zero points and values that no encoder makes") {
    std::vector<float> back(2);
    const blob good = encoded(codec_id::affine8, {-1, 1});
    const auto with_scale = [&](float s) {
        blob b = good;
        detail::store_f32(b.data(), s);
        return decoded(codec_id::affine8, b, back);
    };
    const auto with_zero = [&](std::int32_t z) {
        blob b = good;
        detail::store_u32(b.data() + 4, static_cast<std::uint32_t>(z));
        return decoded(codec_id::affine8, b, back);
    };
    CHECK(with_scale(1));
    CHECK(with_zero(255));
    for (const float s : {0.0f, -0.0f, -1.0f, nan_value, infinity, -infinity, largest, 1e-40f, std::numeric_limits<float>::denorm_min()})
        CHECK_FALSE(with_scale(s));
    for (const std::int32_t z : {-1, 256, 65535, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()})
        CHECK_FALSE(with_zero(z));
    blob wide = encoded(codec_id::affine16, {-1, 1});
    detail::store_u32(wide.data() + 4, 65536);
    CHECK_FALSE(decoded(codec_id::affine16, wide, back));
    for (const float v : {nan_value, infinity, -infinity}) {
        CHECK_FALSE(decoded(codec_id::float32, encoded(codec_id::float32, {1, v}), back));
        blob halves = encoded(codec_id::float16, {1, 2});
        detail::store_u16(halves.data() + 2, half_from_float(v));
        CHECK_FALSE(decoded(codec_id::float16, halves, back));
    }
}

// ---- frames ---------------------------------------------------------------------------------------------------------------

namespace {

constexpr std::uint32_t cut_sizes[] = {936, 40};
const frame_limits cloud = frame_limits::of_cloud(cut_sizes, {.probe_bytes = 4096});
const frame_limits cloud_with_input = frame_limits::of_cloud(cut_sizes, {.input_bytes = 5000, .probe_bytes = 4096});
const frame_limits edge = frame_limits::of_edge(12);

blob frame_of(frame_header h, std::size_t payload_size) {
    blob m(header_bytes + payload_size);
    for (std::size_t i = 0; i < payload_size; ++i) m[header_bytes + i] = static_cast<std::byte>(i * 7 + 3);
    seal(h, m);
    return m;
}
blob frame_of(message_kind kind, std::size_t payload_size, std::uint8_t cut = 0, std::uint8_t codec = 0) {
    return frame_of({.kind = kind, .cut = cut, .codec = codec, .epoch = 4, .sequence = 77, .budget_us = 90'000, .stamp_us = 123},
                    payload_size);
}
/// Only a header, whose size field may lie.
blob header_claiming(message_kind kind, std::uint32_t payload_size, std::uint8_t cut = 0) {
    blob m(header_bytes);
    encode_header({.kind = kind, .cut = cut, .payload_bytes = payload_size}, std::span<std::byte, header_bytes>{m});
    return m;
}
/// Changes bytes of a header and makes its checksum fit again: what is wrong then is the field itself.
blob resealed(blob m, std::size_t at, std::initializer_list<int> bytes_there) {
    for (const int b : bytes_there) m[at++] = static_cast<std::byte>(b);
    detail::store_u32(m.data() + 44, crc32c({m.data(), 44}));
    return m;
}
blob with_byte(blob m, std::size_t at, int change) {
    m[at] ^= static_cast<std::byte>(change);
    return m;
}
blob padded(std::string_view text) {
    blob m = blob_of(text);
    m.resize(64);
    return m;
}

/// Reads all of `bytes` in pieces of `step`; the last fault seen, and how many sound frames.
struct reading {
    frame_fault fault{};
    int frames{};
    bool outside_untouched{true};
    std::size_t taken{};
};
reading read_all(const blob& input, const frame_limits& limits, std::size_t step) {
    // The reader's room lies inside a bigger buffer, so that writing outside is seen.
    constexpr std::size_t guard = 64;
    blob memory(limits.largest() + 2 * guard, std::byte{0xA5});
    frame_reader reader{std::span{memory}.subspan(guard, limits.largest()), limits};
    reading r;
    std::span<const std::byte> rest{input};
    while (!rest.empty()) {
        auto piece = rest.first(std::min(step, rest.size()));
        rest = rest.subspan(piece.size());
        while (!piece.empty()) {
            const std::size_t n = reader.push(piece);
            r.taken += n;
            if (reader.complete()) ++r.frames;
            if (reader.fault() != frame_fault::none) r.fault = reader.fault();
            if (n == 0) {
                rest = {};
                break;
            }
            piece = piece.subspan(n);
        }
    }
    for (std::size_t i = 0; i < guard; ++i)
        r.outside_untouched = r.outside_untouched && memory[i] == std::byte{0xA5} && memory[memory.size() - 1 - i] == std::byte{0xA5};
    return r;
}

} // namespace

TEST_CASE("a header takes 48 bytes, each at its documented place") {
    blob m(header_bytes);
    const frame_header h{.kind = message_kind::payload,
                         .cut = 1,
                         .codec = 0,
                         .epoch = 0x01020304,
                         .sequence = 0x11121314,
                         .payload_bytes = 40,
                         .budget_us = 0x21222324,
                         .stamp_us = 0x31323334,
                         .service_us = 0x41424344,
                         .arrival_us = 0x51525354,
                         .first_bytes = 0x61626364,
                         .payload_crc = 0x71727374};
    encode_header(h, std::span<std::byte, header_bytes>{m});
    const int expected[44] = {'s',  'D',  1,    2,    1,    0,    0,    0,    0x04, 0x03, 0x02, 0x01, 0x14, 0x13, 0x12,
                              0x11, 40,   0,    0,    0,    0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31, 0x44, 0x43,
                              0x42, 0x41, 0x54, 0x53, 0x52, 0x51, 0x64, 0x63, 0x62, 0x61, 0x74, 0x73, 0x72, 0x71};
    for (std::size_t i = 0; i < 44; ++i) REQUIRE(static_cast<int>(m[i]) == expected[i]);
    frame_header back{};
    CHECK(decode_header(m, cloud, back) == frame_fault::none);
    CHECK(back == h);
}

TEST_CASE("random headers come back as they were") {
    numbers n{11};
    for (int round = 0; round < 2000; ++round) {
        const auto word = [&] { return static_cast<std::uint32_t>(n.next()); };
        const frame_header h{.kind = message_kind::reply,
                             .cut = static_cast<std::uint8_t>(n.next()),
                             .codec = static_cast<std::uint8_t>(n.next()),
                             .epoch = word(),
                             .sequence = word(),
                             .payload_bytes = 12,
                             .budget_us = word(),
                             .stamp_us = word(),
                             .service_us = word(),
                             .arrival_us = word(),
                             .first_bytes = word(),
                             .payload_crc = word()};
        blob m(header_bytes);
        encode_header(h, std::span<std::byte, header_bytes>{m});
        frame_header back{};
        REQUIRE(decode_header(m, edge, back) == frame_fault::none);
        REQUIRE(back == h);
    }
}

TEST_CASE("any single flipped bit of a frame is found") {
    const blob good = frame_of(message_kind::payload, 40, 1);
    REQUIRE(read_all(good, cloud, good.size()).frames == 1);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        const reading r = read_all(with_byte(good, bit / 8, 1 << (bit % 8)), cloud, good.size());
        REQUIRE(r.frames == 0);
        REQUIRE(r.fault != frame_fault::none);
    }
}

TEST_CASE("durations travel as whole microseconds and saturate") {
    CHECK(wire_microseconds(duration{1'999}) == 1);
    CHECK(wire_microseconds(duration{-5'000}) == 0);
    CHECK(wire_microseconds(std::chrono::hours{24}) == std::numeric_limits<std::uint32_t>::max());
    CHECK(wire_microseconds(std::chrono::milliseconds{100}) == 100'000);
}

TEST_CASE("every kind a side takes passes with its proper size") {
    for (const auto& [kind, size] : std::vector<std::pair<message_kind, std::size_t>>{{message_kind::hello, 100},
                                                                                      {message_kind::payload, 936},
                                                                                      {message_kind::probe, 4096},
                                                                                      {message_kind::stop, 0},
                                                                                      {message_kind::ping, 0},
                                                                                      {message_kind::goodbye, 0}})
        CHECK(read_all(frame_of(kind, size), cloud, 1000).frames == 1);
    for (const auto& [kind, size] : std::vector<std::pair<message_kind, std::size_t>>{{message_kind::hello_ack, 100},
                                                                                      {message_kind::reply, 12},
                                                                                      {message_kind::shed, 0},
                                                                                      {message_kind::probe_ack, 0},
                                                                                      {message_kind::stop_ack, 0},
                                                                                      {message_kind::pong, 0},
                                                                                      {message_kind::goodbye, 0},
                                                                                      {message_kind::refuse, 300},
                                                                                      {message_kind::refuse, 0}})
        CHECK(read_all(frame_of(kind, size), edge, 1000).frames == 1);
    CHECK(read_all(frame_of(message_kind::payload, 4321, whole_input), cloud_with_input, 1000).frames == 1);
}

TEST_CASE("frames come out whole however the bytes are cut") {
    blob input;
    std::vector<std::size_t> sizes;
    numbers n{21};
    for (int i = 0; i < 40; ++i) {
        const std::uint8_t cut = static_cast<std::uint8_t>(n.below(2));
        const blob f = n.below(3) == 0 ? frame_of(message_kind::ping, 0) : frame_of(message_kind::payload, cut_sizes[cut], cut);
        sizes.push_back(f.size() - header_bytes);
        input.insert(input.end(), f.begin(), f.end());
    }
    for (int round = 0; round < 60; ++round) {
        blob room(cloud.largest());
        frame_reader reader{room, cloud};
        std::size_t found = 0, at = 0;
        while (at < input.size()) {
            std::span<const std::byte> piece{
                input.data() + at, std::min(input.size() - at, round < 3 ? static_cast<std::size_t>(round + 1) : 1 + n.below(500))};
            at += piece.size();
            while (!piece.empty()) {
                piece = piece.subspan(reader.push(piece));
                REQUIRE(reader.fault() == frame_fault::none);
                if (!reader.complete()) continue;
                REQUIRE(reader.payload().size() == sizes.at(found++));
                for (std::size_t i = 0; i < reader.payload().size(); ++i) REQUIRE(reader.payload()[i] == static_cast<std::byte>(i * 7 + 3));
            }
        }
        REQUIRE(found == sizes.size());
    }
}

TEST_CASE("receiving in place is the same as pushing") {
    const blob f = frame_of(message_kind::payload, 936);
    blob room(cloud.largest());
    frame_reader reader{room, cloud};
    std::size_t at = 0;
    while (!reader.complete()) {
        const auto to = reader.space();
        REQUIRE(!to.empty());
        const std::size_t n = std::min<std::size_t>(to.size(), 100);
        std::memcpy(to.data(), f.data() + at, n);
        at += n;
        reader.received(n);
        CHECK(reader.bytes() == at);
    }
    CHECK(at == f.size());
    CHECK(reader.header().sequence == 77);
}

TEST_CASE("a payload with a bad checksum is dropped and the next frame is read") {
    blob input = with_byte(frame_of(message_kind::payload, 936), 100, 1);
    const blob good = frame_of(message_kind::ping, 0);
    input.insert(input.end(), good.begin(), good.end());
    for (const std::size_t step : {1u, 13u, 5000u}) {
        const reading r = read_all(input, cloud, step);
        CHECK(r.fault == frame_fault::bad_payload_crc);
        CHECK(r.frames == 1);
        CHECK(r.taken == input.size());
    }
    CHECK_FALSE(ends_connection(frame_fault::bad_payload_crc));
}

TEST_CASE("a reader whose room is smaller than its limits refuses instead of overflowing") {
    blob room(100);
    frame_reader reader{room, cloud};
    const blob f = frame_of(message_kind::payload, 936);
    reader.push(f);
    CHECK(reader.fault() == frame_fault::too_large);
    CHECK(reader.space().empty());
    CHECK(reader.push(f) == 0);
    reader.restart();
    CHECK(reader.push(frame_of(message_kind::payload, 40, 1)) == 88);
    CHECK(reader.complete());
}

TEST_CASE("hostile frames get the name of what is wrong with them, and nothing is written outside the buffer") {
    struct hostile {
        const char* name;
        blob bytes;
        frame_fault expected;
        const frame_limits* limits{&cloud};
    };
    using k = message_kind;
    using f = frame_fault;
    const blob good = frame_of(k::payload, 936);
    const blob ping = frame_of(k::ping, 0);
    blob swapped_crc = good, foreign_crc = good, zero_crc = good, long_crc = good, reversed_payload = good, shifted_payload = good,
         blank_payload = good;
    for (int i = 0; i < 4; ++i)
        swapped_crc[static_cast<std::size_t>(44 + i)] = good[static_cast<std::size_t>(47 - i)],
                                                  zero_crc[static_cast<std::size_t>(44 + i)] = std::byte{0};
    const auto crc32_of_ethernet = [](std::span<const std::byte> b) {
        std::uint32_t crc = ~0u;
        for (const std::byte x : b) {
            crc ^= static_cast<std::uint32_t>(x);
            for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
        }
        return ~crc;
    };
    detail::store_u32(foreign_crc.data() + 44, crc32_of_ethernet({good.data(), 44}));
    detail::store_u32(long_crc.data() + 44, crc32c({good.data(), 48}));
    std::reverse(reversed_payload.begin() + 48, reversed_payload.end());
    std::rotate(shifted_payload.begin() + 48, shifted_payload.begin() + 49, shifted_payload.end());
    std::fill(blank_payload.begin() + 48, blank_payload.end(), std::byte{0});

    const std::vector<hostile> all{
        {"magic: first byte", with_byte(good, 0, 1), f::bad_magic},
        {"magic: second byte", with_byte(good, 1, 1), f::bad_magic},
        {"magic: bytes swapped", resealed(good, 0, {'D', 's'}), f::bad_magic},
        {"magic: lower case", resealed(good, 0, {'s', 'd'}), f::bad_magic},
        {"all zeros", blob(64), f::bad_magic},
        {"all ones", blob(64, std::byte{255}), f::bad_magic},
        {"an HTTP request", padded("GET / HTTP/1.1\r\nHost: tail\r\n\r\n"), f::bad_magic},
        {"an HTTP/2 preface", padded("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), f::bad_magic},
        {"an SSH greeting", padded("SSH-2.0-OpenSSH_9.2"), f::bad_magic},
        {"a TLS hello", padded("\x16\x03\x01\x02"), f::bad_magic},
        {"a frame that starts one byte late", blob(good.begin() + 1, good.end()), f::bad_magic},
        {"a frame that starts one byte early",
         [&] {
             blob b{std::byte{0}};
             b.insert(b.end(), good.begin(), good.end());
             return b;
         }(),
         f::bad_magic},
        {"version 0", resealed(good, 2, {0}), f::bad_version},
        {"version 2", resealed(good, 2, {2}), f::bad_version},
        {"version 255", resealed(good, 2, {255}), f::bad_version},
        {"changed on the way: kind", with_byte(good, 3, 1), f::bad_header_crc},
        {"changed on the way: cut", with_byte(good, 4, 1), f::bad_header_crc},
        {"changed on the way: codec", with_byte(good, 5, 1), f::bad_header_crc},
        {"changed on the way: flags", with_byte(good, 7, 128), f::bad_header_crc},
        {"changed on the way: epoch", with_byte(good, 8, 1), f::bad_header_crc},
        {"changed on the way: sequence", with_byte(good, 12, 1), f::bad_header_crc},
        {"changed on the way: size", with_byte(good, 19, 128), f::bad_header_crc},
        {"changed on the way: budget", with_byte(good, 20, 1), f::bad_header_crc},
        {"changed on the way: stamp", with_byte(good, 24, 1), f::bad_header_crc},
        {"changed on the way: service time", with_byte(good, 28, 1), f::bad_header_crc},
        {"changed on the way: arrival time", with_byte(good, 32, 1), f::bad_header_crc},
        {"changed on the way: first bytes", with_byte(good, 36, 1), f::bad_header_crc},
        {"changed on the way: the payload's checksum", with_byte(good, 40, 1), f::bad_header_crc},
        {"changed on the way: the header's checksum", with_byte(good, 44, 1), f::bad_header_crc},
        {"header checksum zero", zero_crc, f::bad_header_crc},
        {"header checksum big-endian", swapped_crc, f::bad_header_crc},
        {"header checksum with Ethernet's polynomial", foreign_crc, f::bad_header_crc},
        {"header checksum over all 48 bytes", long_crc, f::bad_header_crc},
        {"the first kind that does not exist", resealed(good, 3, {message_kinds}), f::unknown_kind},
        {"kind 128", resealed(good, 3, {128}), f::unknown_kind},
        {"kind 255", resealed(good, 3, {255}), f::unknown_kind},
        {"lowest flag", resealed(good, 6, {1}), f::unknown_flags},
        {"highest flag", resealed(good, 6, {0, 128}), f::unknown_flags},
        {"the first cut that does not exist", frame_of(k::payload, 936, 2), f::unknown_cut},
        {"cut 254", frame_of(k::payload, 936, 254), f::unknown_cut},
        {"whole input at a cloud that takes none", frame_of(k::payload, 936, whole_input), f::unknown_cut},
        {"the first codec that does not exist", frame_of(k::payload, 936, 0, 1), f::unknown_codec},
        {"codec 255", frame_of(k::payload, 936, 0, 255), f::unknown_codec},
        {"hello_ack at a cloud", frame_of(k::hello_ack, 10), f::unexpected_kind},
        {"reply at a cloud", frame_of(k::reply, 12), f::unexpected_kind},
        {"shed at a cloud", frame_of(k::shed, 0), f::unexpected_kind},
        {"probe_ack at a cloud", frame_of(k::probe_ack, 0), f::unexpected_kind},
        {"stop_ack at a cloud", frame_of(k::stop_ack, 0), f::unexpected_kind},
        {"pong at a cloud", frame_of(k::pong, 0), f::unexpected_kind},
        {"refuse at a cloud", frame_of(k::refuse, 10), f::unexpected_kind},
        {"hello at an edge", frame_of(k::hello, 10), f::unexpected_kind, &edge},
        {"payload at an edge", frame_of(k::payload, 936), f::unexpected_kind, &edge},
        {"probe at an edge", frame_of(k::probe, 10), f::unexpected_kind, &edge},
        {"stop at an edge", frame_of(k::stop, 0), f::unexpected_kind, &edge},
        {"ping at an edge", frame_of(k::ping, 0), f::unexpected_kind, &edge},
        {"hello without a handshake", frame_of(k::hello, 0), f::wrong_size},
        {"hello of 16 KiB and one byte", header_claiming(k::hello, 16 * 1024 + 1), f::too_large},
        {"hello of 4 GiB", header_claiming(k::hello, 0xFFFFFFFFu), f::too_large},
        {"payload of nothing", frame_of(k::payload, 0), f::wrong_size},
        {"payload one byte short", frame_of(k::payload, 935), f::wrong_size},
        {"payload one byte long", frame_of(k::payload, 937), f::too_large},
        {"payload of 4 GiB", header_claiming(k::payload, 0xFFFFFFFFu), f::too_large},
        {"payload of 2 GiB", header_claiming(k::payload, 0x80000000u), f::too_large},
        {"payload of cut 1 named cut 0", frame_of(k::payload, 40, 0), f::wrong_size},
        {"payload of cut 0 named cut 1", frame_of(k::payload, 936, 1), f::too_large},
        {"whole input of nothing", frame_of(k::payload, 0, whole_input), f::wrong_size, &cloud_with_input},
        {"whole input one byte too long", header_claiming(k::payload, 5001, whole_input), f::too_large, &cloud_with_input},
        {"probe of nothing", frame_of(k::probe, 0), f::wrong_size},
        {"probe one byte too long", header_claiming(k::probe, 4097), f::too_large},
        {"stop with a payload", frame_of(k::stop, 1), f::wrong_size},
        {"ping with a payload", frame_of(k::ping, 1), f::wrong_size},
        {"goodbye with a payload", header_claiming(k::goodbye, 0xFFFFFFFFu), f::wrong_size},
        {"hello_ack without a handshake", frame_of(k::hello_ack, 0), f::wrong_size, &edge},
        {"hello_ack of 4 GiB", header_claiming(k::hello_ack, 0xFFFFFFFFu), f::too_large, &edge},
        {"reply of nothing", frame_of(k::reply, 0), f::wrong_size, &edge},
        {"reply one byte too long", frame_of(k::reply, 13), f::too_large, &edge},
        {"reply of 4 GiB", header_claiming(k::reply, 0xFFFFFFFFu), f::too_large, &edge},
        {"shed with a payload", frame_of(k::shed, 12), f::wrong_size, &edge},
        {"probe_ack with a payload", frame_of(k::probe_ack, 1), f::wrong_size, &edge},
        {"stop_ack with a payload", frame_of(k::stop_ack, 1), f::wrong_size, &edge},
        {"pong with a payload", frame_of(k::pong, 24), f::wrong_size, &edge},
        {"a refusal that is a novel", header_claiming(k::refuse, 1025), f::too_large, &edge},
        {"payload: first byte changed", with_byte(good, 48, 1), f::bad_payload_crc},
        {"payload: last byte changed", with_byte(good, good.size() - 1, 128), f::bad_payload_crc},
        {"payload: reversed", reversed_payload, f::bad_payload_crc},
        {"payload: shifted by one", shifted_payload, f::bad_payload_crc},
        {"payload: zeros", blank_payload, f::bad_payload_crc},
        {"a checksum where there is no payload", resealed(ping, 40, {1}), f::bad_payload_crc},
        {"reply: changed value", with_byte(frame_of(k::reply, 12), 50, 64), f::bad_payload_crc, &edge},
    };
    CHECK(all.size() >= 60);
    std::set<std::string> names;
    for (const hostile& h : all) {
        INFO(h.name);
        CHECK(names.insert(h.name).second);
        for (const std::size_t step : {std::size_t{1}, std::size_t{47}, h.bytes.size()}) {
            const reading r = read_all(h.bytes, *h.limits, step);
            CHECK(sentence(r.fault) == std::string(sentence(h.expected)));
            CHECK(r.frames == 0);
            CHECK(r.outside_untouched);
            // Nothing behind a bad header is read.
            if (ends_connection(h.expected)) CHECK(r.taken == header_bytes);
        }
    }
}

TEST_CASE("a header cut short at any length is truncated, not something else") {
    const blob good = frame_of(message_kind::ping, 0);
    for (std::size_t n = 0; n < header_bytes; ++n) {
        frame_header h{};
        REQUIRE(decode_header({good.data(), n}, cloud, h) == frame_fault::truncated);
        const reading r = read_all(blob(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)), cloud, 5);
        REQUIRE(r.frames == 0);
        REQUIRE(r.fault == frame_fault::none); // a reader waits for the rest
    }
}

TEST_CASE("every fault has its own sentence and every kind its own name") {
    std::set<std::string> said, kinds;
    for (int i = 0; i < frame_faults; ++i) said.insert(sentence(static_cast<frame_fault>(i)));
    for (int i = 0; i < message_kinds; ++i) kinds.insert(name_of(static_cast<message_kind>(i)));
    CHECK(said.size() == frame_faults);
    CHECK(kinds.size() == message_kinds);
    CHECK(name_of(static_cast<message_kind>(200)) == std::string("unknown kind"));
}

TEST_CASE("a variable codec's maximum is a maximum") {
    const frame_limits variable = frame_limits::of_cloud(cut_sizes, {.codecs = 3, .exact_cuts = false});
    CHECK(read_all(frame_of(message_kind::payload, 500, 0, 2), variable, 99).frames == 1);
    CHECK(read_all(frame_of(message_kind::payload, 0), variable, 99).fault == frame_fault::wrong_size);
    CHECK(read_all(frame_of(message_kind::payload, 937), variable, 99).fault == frame_fault::too_large);
    CHECK(read_all(frame_of(message_kind::payload, 500, 0, 3), variable, 99).fault == frame_fault::unknown_codec);
}

// ---- handshake ------------------------------------------------------------------------------------------------------------

namespace {
handshake sample() {
    return {.network = "lane_keeper",
            .fingerprint = 0x0123456789ABCDEF,
            .weights_digest = 42,
            .cuts = {{"uplink", "affine_u8", 936}, {"late", "f16", 40}},
            .instruction_set = "avx2",
            .tenant = "secret-token"};
}
std::string error_of(const std::function<void()>& act) {
    try {
        act();
    } catch (const wire_error& e) { return e.what(); }
    return "no error";
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
} // namespace

TEST_CASE("a handshake comes back as it was, little-endian") {
    const handshake h = sample();
    const blob b = encode_handshake(h);
    CHECK(decode_handshake(b) == h);
    CHECK(detail::load_u32(b.data()) == 1);      // protocol
    CHECK(detail::load_u32(b.data() + 4) == 11); // length of the name
    CHECK(static_cast<char>(b[8]) == 'l');
    CHECK(detail::load_u64(b.data() + 19) == 0x0123456789ABCDEF); // fingerprint
    CHECK(decode_handshake(encode_handshake({})) == handshake{});
}

TEST_CASE("a handshake cut short anywhere, or too long, is a wire error") {
    const blob b = encode_handshake(sample());
    for (std::size_t n = 0; n < b.size(); ++n) REQUIRE(error_of([&] { decode_handshake({b.data(), n}); }) != "no error");
    blob more = b;
    more.push_back(std::byte{0});
    CHECK(has(error_of([&] { decode_handshake(more); }), "1 more bytes"));
    CHECK(has(error_of([&] { decode_handshake(blob(largest_handshake + 1)); }), "at most 16384"));
}

TEST_CASE("a handshake that lies about a size allocates nothing and says so") {
    const blob b = encode_handshake(sample());
    const auto lying = [&](std::size_t at, std::uint32_t count) {
        blob bad = b;
        detail::store_u32(bad.data() + at, count);
        return error_of([&] { decode_handshake(bad); });
    };
    CHECK(has(lying(4, 0xFFFFFFFFu), "found 4294967295")); // the network's name
    CHECK(has(lying(4, 0x10000000u), "(the bytes that remain)"));
    CHECK(has(lying(35, 0x7FFFFFFFu), "found 2147483647")); // the number of cuts
    CHECK(lying(35, 3) != "no error");
    CHECK(has(lying(0, 2), "protocol version 1 was expected, found 2"));
    CHECK(has(lying(0, 0), "found 0"));
}

TEST_CASE("any single changed byte of a handshake gives an error or another handshake, never a crash") {
    const blob b = encode_handshake(sample());
    for (std::size_t at = 0; at < b.size(); ++at)
        for (const int change : {1, 128, 255}) {
            const blob bad = with_byte(b, at, change);
            bool refused = false, same = false;
            try {
                same = decode_handshake(bad) == sample();
            } catch (const wire_error&) { refused = true; }
            REQUIRE_FALSE(same);
            if (at < 4) REQUIRE(refused);
        }
}

TEST_CASE("handshakes have limits on both sides") {
    handshake h = sample();
    h.tenant.assign(256, 'x');
    CHECK(decode_handshake(encode_handshake(h)) == h);
    h.tenant.assign(257, 'x');
    CHECK(has(error_of([&] { encode_handshake(h); }), "tenant token should have at most 256 bytes, found 257"));
    CHECK(has(error_of([&] { decode_handshake(detail::to_bytes(h, 10'000)); }), "found 257"));
    h = sample();
    h.cuts.assign(65, {"c", "f32", 4});
    CHECK(has(error_of([&] { encode_handshake(h); }), "at most 64 cuts"));
    CHECK(has(error_of([&] { decode_handshake(detail::to_bytes(h, 10'000)); }), "found 65"));
    CHECK(has(error_of([&] { detail::to_bytes(sample(), 20); }), "at most 20 bytes"));
}

TEST_CASE("comparing handshakes names every difference in one sentence") {
    const handshake mine = sample();
    CHECK(compare(mine, mine).fits());
    CHECK(compare(mine, mine).note.empty());
    handshake theirs = mine;
    theirs.network = "other\n\x1b[31m";
    theirs.fingerprint = 1;
    theirs.weights_digest = 43;
    theirs.cuts[0].codec = "f16";
    theirs.cuts[0].payload_bytes = 1872;
    theirs.cuts[1].name = "early";
    theirs.tenant = "another";
    const comparison found = compare(mine, theirs);
    CHECK_FALSE(found.fits());
    for (const char* part :
         {"network \"lane_keeper\" here, \"other??[31m\" there", "graph fingerprint 0x0123456789abcdef here, 0x0000000000000001 there",
          "weights digest 0x000000000000002a here", "cut 0 (\"uplink\"): codec \"affine_u8\" here, \"f16\" there",
          "cut 0 (\"uplink\"): payload bytes 936 here, 1872 there", "cut 1 (\"late\"): name \"late\" here, \"early\" there"})
        CHECK(has(found.refusal, part));
    CHECK_FALSE(has(found.refusal, "token"));
    CHECK_FALSE(has(found.refusal, "\n"));
    theirs = mine;
    theirs.cuts.pop_back();
    CHECK(compare(mine, theirs).refusal == "the two sides do not fit: number of cuts 2 here, 1 there");
    theirs = mine;
    theirs.protocol = 2;
    CHECK(has(compare(mine, theirs).refusal, "protocol version 1 here, 2 there"));
}

TEST_CASE("another instruction set is noted, not refused, and the tenant is nobody's business here") {
    handshake theirs = sample();
    theirs.instruction_set = "neon";
    theirs.tenant = "someone else";
    const comparison found = compare(sample(), theirs);
    CHECK(found.fits());
    CHECK(found.note == "instruction set \"avx2\" here, \"neon\" there");
}

// ---- profiles -------------------------------------------------------------------------------------------------------------

TEST_CASE("a saved profile comes back from its file") {
    const saved_profile p{.network = "lane_keeper",
                          .device = "nano",
                          .instruction_set = "neon",
                          .fingerprint = 7,
                          .stages = {{"car", 3'000'000, 4'000'000}, {"cloud", 20'000'000, 29'000'000}}};
    const auto path = (std::filesystem::temp_directory_path() / ("splitdsl_profile_" + std::to_string(getpid()))).string();
    save_profile(path, p);
    CHECK(load_profile(path) == p);
    CHECK_FALSE(std::filesystem::exists(path + ".partial"));
    std::ofstream(path, std::ios::binary) << "something else entirely";
    const std::string said = error_of([&] { load_profile(path); });
    CHECK(has(said, path));
    CHECK(has(said, "should start with 'splitpr1'"));
    std::filesystem::remove(path);
    CHECK_THROWS_AS(load_profile(path), option_error);
    CHECK_THROWS_AS(save_profile(path + "/no/such/folder", p), option_error);
}

TEST_CASE("a damaged profile is a wire error") {
    const blob good = encode_profile({.network = "n", .stages = {{"s", 1, 2}}});
    for (std::size_t n = 0; n < good.size(); ++n) REQUIRE(error_of([&] { decode_profile({good.data(), n}); }) != "no error");
    for (std::size_t at = 0; at < good.size(); ++at) REQUIRE(error_of([&] { decode_profile(with_byte(good, at, 4)); }) != "no error");
    CHECK(has(error_of([&] {
                  decode_profile(encode_profile({.stages = {{"head", -5, 2}}}));
              }),
              "stage head should take 0 ns or more, found -5"));
}
