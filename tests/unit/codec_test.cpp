// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file codec_test.cpp
/// Codecs and checksum: what becomes bytes and comes back; and bytes that lie.
#include "blobs.hpp"
#include "catch.hpp"
#include "numeric/affine_golden.hpp"

#include <splitdsl/codec/crc32c.hpp>
#include <splitdsl/codec/tensor_codec.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace splitdsl;

namespace {

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

TEST_CASE("CRC-32C by tables equals the processor's own instruction at every length") {
    numbers n{2};
    blob b(5000);
    for (auto& x : b) x = static_cast<std::byte>(n.next());
    for (std::size_t size = 0; size <= b.size(); size += size < 200 ? 1 : 97) {
        const auto piece = std::span{b}.first(size);
        CHECK(~detail::crc32c_by_tables(piece.data(), piece.size(), ~std::uint32_t{7}) == crc32c(piece, 7));
    }
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

TEST_CASE("decoding refuses scales and zero points that no encoder makes") {
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
}

TEST_CASE("f32 carries every value, NaN and infinities among them, with its own bits") {
    numbers n{11};
    std::vector<float> x{nan_value, -nan_value, infinity, -infinity, largest, from_bits(0x7f800001), from_bits(0xffffffff), -0.0f};
    for (int i = 0; i < 1000; ++i) x.push_back(from_bits(static_cast<std::uint32_t>(n.next())));
    std::vector<float> back(x.size());
    REQUIRE(decoded(codec_id::float32, encoded(codec_id::float32, x), back));
    CHECK(std::memcmp(x.data(), back.data(), x.size() * sizeof(float)) == 0);
}

TEST_CASE("f16 carries NaN and infinities, and what is too large for it becomes an infinity") {
    const std::vector<float> x{nan_value, infinity, -infinity, 65519, 65520, -65520, 3e7f, -largest, 1};
    std::vector<float> back(x.size());
    REQUIRE(decoded(codec_id::float16, encoded(codec_id::float16, x), back));
    CHECK(std::isnan(back[0]));
    CHECK(std::vector<float>(back.begin() + 1, back.end()) == std::vector<float>{infinity, -infinity, 65504, infinity, -infinity, infinity, -infinity, 1});
    for (std::uint32_t h = 0; h <= 0xffff; ++h) { // every bit pattern is a payload
        blob b(2);
        detail::store_u16(b.data(), static_cast<std::uint16_t>(h));
        std::vector<float> one(1);
        REQUIRE(decoded(codec_id::float16, b, one));
        REQUIRE(to_bits(one[0]) == to_bits(float_from_half(static_cast<std::uint16_t>(h))));
    }
}
