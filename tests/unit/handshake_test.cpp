// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file handshake_test.cpp
/// Handshakes and saved profiles: what becomes bytes and comes back; and bytes that lie.
#include "blobs.hpp"
#include "catch.hpp"
#include "full_disk.hpp"

#include <splitdsl/link/handshake.hpp>
#include <splitdsl/runtime/profile_file.hpp>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

using namespace splitdsl;
using namespace splitdsl::link;

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

TEST_CASE("comparing handshakes names the differences in one sentence") {
    const handshake mine = sample();
    CHECK(compare(mine, mine).fits());
    CHECK(compare(mine, mine).note.empty());
    handshake theirs = mine;
    theirs.fingerprint = 1;
    theirs.weights_digest = 43;
    theirs.cuts[0].codec = "f16";
    theirs.cuts[0].payload_bytes = 1872;
    theirs.cuts[1].payload_bytes = 3;
    theirs.tenant = "another";
    const comparison found = compare(mine, theirs);
    CHECK_FALSE(found.fits());
    CHECK(found.refusal.starts_with(do_not_fit));
    for (const char* part :
         {"graph fingerprint 0x0123456789abcdef on the edge, 0x0000000000000001 in the cloud",
          "weights digest 0x000000000000002a on the edge", "cut 0 (\"uplink\"): codec \"affine_u8\" on the edge, \"f16\" in the cloud",
          "cut 0 (\"uplink\"): payload bytes 936 on the edge, 1872 in the cloud", "cut 1 (\"late\"): payload bytes"})
        CHECK(has(found.refusal, part));
    CHECK_FALSE(has(found.refusal, "token"));
    theirs = mine;
    theirs.cuts.pop_back();
    CHECK(compare(mine, theirs).refusal == "the two sides do not fit: number of cuts 2 on the edge, 1 in the cloud");
    theirs = mine;
    theirs.protocol = 2;
    CHECK(has(compare(mine, theirs).refusal, "protocol version 1 on the edge, 2 in the cloud"));
}

TEST_CASE("what follows from a difference that was named is not listed with it") {
    const handshake mine = sample();
    handshake theirs = mine;
    theirs.network = "other\n\x1b[31m";
    theirs.fingerprint = 1;
    theirs.cuts[0].codec = "f16";
    theirs.cuts.pop_back();
    CHECK(compare(mine, theirs).refusal == "the two sides do not fit: network \"lane_keeper\" on the edge, \"other??[31m\" in the cloud; graph fingerprint "
                                           "0x0123456789abcdef on the edge, 0x0000000000000001 in the cloud");
    theirs = mine;
    theirs.cuts[0].name = "early";
    theirs.cuts[1].codec = "f16";
    CHECK(compare(mine, theirs).refusal == "the two sides do not fit: cut 0 (\"uplink\"): name \"uplink\" on the edge, \"early\" in the cloud");

    handshake lossless = mine, coded = mine;
    lossless.cuts.assign(11, {"c", "f32", 4000});
    coded.cuts.assign(11, {"c", "affine_u8", 1008});
    CHECK(compare(lossless, coded).refusal == "the two sides do not fit: all 11 cuts: codec \"f32\" on the edge, \"affine_u8\" in the cloud");
    coded.cuts[3].codec = "f16"; // not the same everywhere any more: the first differences, and how many more there are
    const std::string refusal = compare(lossless, coded).refusal;
    CHECK(has(refusal, "cut 1 (\"c\"): payload bytes 4000 on the edge, 1008 in the cloud; and 18 more"));
    CHECK_FALSE(has(refusal, "cut 2"));
}

TEST_CASE("another instruction set is noted, not refused, and the tenant is nobody's business here") {
    handshake theirs = sample();
    theirs.instruction_set = "neon";
    theirs.tenant = "someone else";
    const comparison found = compare(sample(), theirs);
    CHECK(found.fits());
    CHECK(found.note == "instruction set \"avx2\" on the edge, \"neon\" in the cloud");
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
    CHECK_THROWS_WITH(load_profile("/tmp"), "profile /tmp: a file of at most 1048576 bytes was expected, found a folder");
    CHECK_THROWS_AS(save_profile(path + "/no/such/folder", p), option_error);
    CHECK(refusal_on_a_full_disk<option_error>([&] { save_profile(path, p); }) == "profile " + path + ": cannot be written: File too large");
    CHECK_FALSE(std::filesystem::exists(path));
    CHECK_FALSE(std::filesystem::exists(path + ".partial"));
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
