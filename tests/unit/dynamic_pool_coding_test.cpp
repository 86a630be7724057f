// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_coding_test.cpp
/// Dynamic pooling's bytes: both codings say the same, prefixes give their channels, and no bytes give anything wild.
#include "catch.hpp"
#include "pooled_maps.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

using namespace splitdsl;

TEST_CASE("maps that are not square nest as well, and end at the plain quantised patches") {
    numbers n{11};
    const int shapes[][3] = {{8, 24, 4}, {24, 8, 4}, {6, 10, 2}, {2, 64, 2}, {60, 36, 12}};
    for (const auto& s : shapes)
        for (const pool_form form : forms)
            for (const pool_coding coding : codings) {
                const pool_ladder l = pool_ladder_of({.channels = 2, .height = s[0], .width = s[1], .stride = s[2]});
                REQUIRE(l.levels == std::max(s[0], s[1]) / s[2] + 1);
                CHECK(l.rows(l.levels - 1) == 2 * s[0] / s[2]);
                CHECK(l.columns(l.levels - 1) == 2 * s[1] / s[2]);
                const auto map = features(n, l.shape, 0.2f);
                dynamic_pool_encoder encoder{l, {form, coding}};
                dynamic_pool_decoder decoder{l, {form, coding}};
                encoder.pool(map.data());
                take_all(encoder, decoder);
                for (int i = 0; i < l.levels; ++i) {
                    std::vector<std::uint8_t> out(static_cast<std::size_t>(l.values(i)));
                    decoder.rebuild(i, 1, out.data());
                    const auto rows = strip_ends(s[0], s[2], 2 * (l.rows(i) - l.cell_rows())),
                               columns = strip_ends(s[1], s[2], 2 * (l.columns(i) - l.cell_columns()));
                    REQUIRE(out.size() == (rows.size() - 1) * (columns.size() - 1));
                    const affine_parameters q = encoder.parameters();
                    double worst = 0;
                    for (std::size_t r = 0; r + 1 < rows.size(); ++r)
                        for (std::size_t c = 0; c + 1 < columns.size(); ++c) {
                            const double mean =
                                mean_over(map.data() + s[0] * s[1], s[1], {rows[r], rows[r + 1], columns[c], columns[c + 1]});
                            worst = std::max(
                                worst,
                                2 * std::abs(mean / static_cast<double>(q.scale) + q.zero_point - out[r * (columns.size() - 1) + c]));
                        }
                    CHECK(worst <= (form == pool_form::means ? 7.001 : 2.001));
                }
            }
}

TEST_CASE("Rice coded levels say the same as packed ones, in fewer bytes for features and never in more") {
    numbers n{12};
    for (const pool_form form : forms)
        for (const bool noise : {false, true}) {
            const pool_ladder l = pool_ladder_of({.channels = 16, .height = 28, .width = 28, .stride = 4}, {.largest = 14});
            std::vector<float> map = features(n, l.shape);
            if (noise)
                for (float& v : map) v = n.uniform(0, 1);
            dynamic_pool_encoder packed{l, {form, pool_coding::packed}}, rice{l, {form, pool_coding::rice}};
            dynamic_pool_decoder from_packed{l, {form, pool_coding::packed}}, from_rice{l, {form, pool_coding::rice}};
            packed.pool(map.data());
            rice.pool(map.data());
            take_all(packed, from_packed);
            take_all(rice, from_rice);
            std::size_t bytes = 0, most = 0;
            for (int i = 0; i < l.levels; ++i) {
                CHECK(rice.encode(i).size() <= max_level_bytes(l, form, i));
                bytes += rice.encode(i).size();
                most += packed.encode(i).size();
                std::vector<float> a(16 * static_cast<std::size_t>(l.values(i))), b(a.size());
                CHECK(from_packed.rebuild(i, a.data()) == 16);
                CHECK(from_rice.rebuild(i, b.data()) == 16);
                CHECK(a == b);
            }
            CHECK(most == max_pool_bytes(l, form));
            if (!noise) CHECK(bytes < most * 3 / 4);
        }
}

TEST_CASE("any prefix of any level gives its first channels, exactly") {
    numbers n{13};
    std::vector<std::uint16_t> order(12);
    std::iota(order.begin(), order.end(), std::uint16_t{0});
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[n.below(i + 1)]);
    const pool_ladder l = pool_ladder_of({.channels = 12, .height = 16, .width = 16, .stride = 4}, {.largest = 16});
    const auto map = features(n, l.shape);
    for (const pool_form form : forms)
        for (const pool_coding coding : codings) {
            dynamic_pool_encoder encoder{l, {form, coding}, order};
            encoder.pool(map.data());
            dynamic_pool_decoder whole{l, {form, coding}, order};
            take_all(encoder, whole);
            dynamic_pool_decoder part{l, {form, coding}, order};
            for (int i = 0; i < l.levels; ++i) {
                const auto bytes = encoder.encode(i);
                int before = 0;
                for (std::size_t size = 0; size <= bytes.size(); ++size) {
                    REQUIRE(part.take(i, bytes.first(size)) == level_fault::none);
                    const int have = part.channels_at(i);
                    REQUIRE(have >= before);
                    if (size == bytes.size() / 2) { // fewer bytes than before change nothing, not even half way through a channel
                        REQUIRE(part.take(i, bytes.first(size / 2)) == level_fault::none);
                        REQUIRE(part.channels_at(i) == have);
                        std::vector<std::uint8_t> known(static_cast<std::size_t>(l.values(i))), right(known.size());
                        for (int p = 0; p < have; ++p) {
                            REQUIRE(whole.rebuild(i, order[static_cast<std::size_t>(p)], right.data()));
                            REQUIRE(part.rebuild(i, order[static_cast<std::size_t>(p)], known.data()));
                            REQUIRE(known == right);
                        }
                    }
                    std::vector<std::uint8_t> a(static_cast<std::size_t>(l.values(i))), b(a.size());
                    for (int p = before; p < have; ++p) {
                        REQUIRE(whole.rebuild(i, order[static_cast<std::size_t>(p)], a.data()));
                        REQUIRE(part.rebuild(i, order[static_cast<std::size_t>(p)], b.data()));
                        REQUIRE(a == b);
                    }
                    before = have;
                    if (size == bytes.size() / 2) CHECK((have > 0 && have < 12)); // half of the bytes are some of the channels
                }
                REQUIRE(before == 12);
                REQUIRE(part.take(i, bytes.first(1)) == level_fault::none); // fewer bytes than before change nothing
                REQUIRE(part.channels_at(i) == 12);
            }
            std::vector<float> a(12 * 256), b(a.size());
            whole.rebuild(l.levels - 1, a.data());
            part.rebuild(l.levels - 1, b.data());
            CHECK(a == b);
        }
}

TEST_CASE("a map from its first levels alone is the same whatever else has arrived") {
    const pool_ladder l = pool_ladder_of({.channels = 5, .height = 16, .width = 16, .stride = 4}, {.smallest = 4, .largest = 16, .step = 3});
    REQUIRE(l.levels == 5);
    std::vector<float> map(5 * 16 * 16);
    for (std::size_t i = 0; i < map.size(); ++i) map[i] = static_cast<float>((i * 7919) % 251);
    dynamic_pool_encoder encoder{l};
    encoder.pool(map.data());
    dynamic_pool_decoder all{l};
    for (int i = 0; i < l.levels; ++i) REQUIRE(all.take(i, encoder.encode(i)) == level_fault::none);
    const auto most = static_cast<std::size_t>(5 * l.values(l.levels - 1));
    std::vector<float> a(most), b(most);
    for (int known = -1; known < l.levels; ++known) {
        dynamic_pool_decoder part{l};
        for (int i = 0; i <= known; ++i) REQUIRE(part.take(i, encoder.encode(i)) == level_fault::none);
        CHECK(part.rebuild(l.levels - 1, a.data()) == (known + 1 == l.levels ? 5 : 0));
        CHECK(all.rebuild_from(known, l.levels - 1, b.data()) == (known < 0 ? 0 : 5));
        CHECK(a == b);
    }
}

TEST_CASE("what has not arrived repeats the smaller size, and a channel of which nothing came is zero") {
    const pool_ladder l = pool_ladder_of({.channels = 2, .height = 4, .width = 4, .stride = 2}, {.step = 2});
    std::vector<float> map(32);
    for (std::size_t i = 0; i < 32; ++i) map[i] = static_cast<float>(i * 8);
    dynamic_pool_encoder encoder{l, {pool_form::lifted, pool_coding::packed}};
    dynamic_pool_decoder decoder{l, {pool_form::lifted, pool_coding::packed}};
    encoder.pool(map.data());
    std::vector<float> small(8), large(32, -1.0f);
    CHECK(decoder.rebuild(1, large.data()) == 0);
    CHECK(large == std::vector<float>(32, 0.0f));
    decoder.take(0, encoder.encode(0).first(1 + pool_preamble_bytes + 4));
    CHECK(decoder.channels_at(0) == 1);
    CHECK(decoder.rebuild(0, small.data()) == 1);
    CHECK(decoder.rebuild(1, large.data()) == 0);
    for (std::size_t i = 0; i < 16; ++i) {
        CHECK(large[i] == small[i / 8 * 2 + i % 4 / 2]);
        CHECK(large[16 + i] == 0.0f);
    }
    CHECK(small[0] > 0);
}

TEST_CASE("an encoder's bytes do not depend on the frames before, and it stays usable through values that are not numbers") {
    numbers n{14};
    const pool_ladder l = pool_ladder_of({.channels = 3, .height = 12, .width = 12, .stride = 4});
    auto odd = features(n, l.shape);
    const auto map = odd;
    odd[7] = std::numeric_limits<float>::quiet_NaN();
    odd[90] = std::numeric_limits<float>::infinity();
    for (const pool_form form : forms) {
        dynamic_pool_encoder used{l, {.form = form}}, anew{l, {.form = form}};
        dynamic_pool_decoder decoder{l, {.form = form}};
        used.pool(odd.data());
        take_all(used, decoder);
        std::vector<float> out(3 * static_cast<std::size_t>(l.values(l.levels - 1)));
        decoder.rebuild(l.levels - 1, out.data());
        CHECK(std::all_of(out.begin(), out.end(), [](float v) { return std::isfinite(v); }));
        used.pool(map.data());
        anew.pool(map.data());
        for (int i = 0; i < l.levels; ++i) {
            const auto a = used.encode(i), b = anew.encode(i);
            CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
        }
    }
}

TEST_CASE("Rice codes come back for every difference, stop at the end of their room, and say when they starve") {
    numbers n{15};
    for (int trial = 0; trial < 300; ++trial) {
        std::vector<int> said;
        for (int d = -255; d <= 255; ++d) said.push_back(d);
        const std::size_t calm = n.below(60) + 1;
        for (int i = 0; i < 1500; ++i)
            said.push_back(n.below(calm) != 0 ? static_cast<int>(n.below(3)) - 1 : static_cast<int>(n.below(511)) - 255);
        for (std::size_t i = said.size(); i > 1; --i) std::swap(said[i - 1], said[n.below(i)]);
        blob bytes((said.size() * 21 + 7) / 8);
        detail::rice_model writing, reading, again, late;
        detail::bit_packer packer{bytes.data(), bytes.data() + bytes.size()};
        for (const int d : said) writing.write(packer, d);
        const std::byte* const end = packer.finish();
        REQUIRE(end != nullptr);
        detail::bit_unpacker unpacker{bytes.data(), end};
        for (const int d : said) REQUIRE(reading.read(unpacker) == d);
        REQUIRE_FALSE(unpacker.starved());
        const auto size = static_cast<std::size_t>(end - bytes.data());
        blob narrow(size - 1);
        detail::bit_packer squeezed{narrow.data(), narrow.data() + narrow.size()};
        for (const int d : said) again.write(squeezed, d);
        REQUIRE(squeezed.finish() == nullptr); // one byte less, and it says so instead of writing on
        detail::bit_unpacker early{bytes.data(), bytes.data() + n.below(size)};
        for (const int d : said) {
            const int got = late.read(early);
            if (early.starved()) break;
            REQUIRE(got == d);
        }
        REQUIRE(early.starved());
    }
}

TEST_CASE("Rice codes are the bits of their definition, and none beyond their room") {
    numbers n{16};
    for (int trial = 0; trial < 200; ++trial) {
        std::vector<bool> bits; // one by one, from the definition
        std::vector<int> said;
        std::uint32_t mean = 64;
        const std::size_t wide = n.below(20) + 1;
        for (std::size_t i = n.below(trial < 100 ? 12 : 900); i > 0; --i) {
            const int d = n.below(wide) == 0 ? static_cast<int>(n.below(511)) - 255 : static_cast<int>(n.below(2 * wide + 1)) - static_cast<int>(wide);
            said.push_back(d);
            const auto folded = static_cast<std::uint32_t>(d < 0 ? -2 * d - 1 : 2 * d);
            int k = 0;
            while (mean / 16 >> k > 1) ++k;
            const std::uint32_t quotient = std::min(folded >> k, 12u);
            for (std::uint32_t z = 0; z < quotient; ++z) bits.push_back(false);
            if (quotient < 12) bits.push_back(true);
            for (int b = 0; b < (quotient < 12 ? k : 9); ++b) bits.push_back((folded >> b & 1u) != 0);
            mean += folded - mean / 16;
        }
        blob want((bits.size() + 7) / 8);
        for (std::size_t i = 0; i < bits.size(); ++i)
            if (bits[i]) want[i / 8] |= std::byte{1} << (i % 8);
        for (const std::size_t more : {0, 1, 7, 8, 30}) { // the last bytes are written one by one
            blob got(want.size() + more + 16, std::byte{0xa5});
            detail::rice_model model;
            detail::bit_packer packer{got.data(), got.data() + want.size() + more};
            for (const int d : said) model.write(packer, d);
            REQUIRE(packer.finish() == got.data() + want.size());
            REQUIRE(std::equal(want.begin(), want.end(), got.begin()));
            REQUIRE(std::count(got.end() - 16, got.end(), std::byte{0xa5}) == 16);
        }
    }
}

TEST_CASE("the quantiser of pooled maps keeps every value of every range within half a step, and 0 exact") {
    numbers n{17};
    for (int trial = 0; trial < 20'000; ++trial) {
        const float a = n.uniform(-3, 3), b = n.below(8) == 0 ? 0.0f : n.uniform(-3, 3);
        const affine_parameters q = pool_parameters_of({std::min(a, b), std::max(a, b), true});
        REQUIRE(usable<std::uint8_t>(q));
        CHECK(dequantise(quantise<std::uint8_t>(0.0f, q), q) == 0.0f);
        for (const float v : {a, b, a + (b - a) * n.uniform(0, 1)})
            CHECK(std::abs(dequantise(quantise<std::uint8_t>(v, q), q) - v) <= 0.5001f * q.scale);
    }
    constexpr float most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
    for (const finite_range r : {finite_range{-most, most, true},
                                 {0, most, true},
                                 {-most, 0, true},
                                 {-least, least, true},
                                 {0, 0, true},
                                 {0, 0, false},
                                 {-least, 0, true},
                                 {5, 5, true}})
        CHECK(usable<std::uint8_t>(pool_parameters_of(r)));
}

TEST_CASE("orders that are no order, empty ladders and levels that lie are refused") {
    const pool_ladder l = pool_ladder_of({.channels = 3, .height = 4, .width = 4, .stride = 2});
    const std::uint16_t twice[] = {0, 1, 1}, beyond[] = {0, 1, 3}, few[] = {0, 1};
    CHECK_THROWS_AS((dynamic_pool_encoder{l, {}, twice}), option_error);
    CHECK_THROWS_AS((dynamic_pool_encoder{l, {}, beyond}), option_error);
    CHECK_THROWS_AS((dynamic_pool_decoder{l, {}, few}), option_error);
    CHECK_THROWS_AS((dynamic_pool_encoder{pool_ladder{}}), option_error);
    dynamic_pool_decoder decoder{l};
    blob level(max_level_bytes(l, pool_form::lifted, 0));
    CHECK(decoder.take(3, level) == level_fault::unknown_level);
    CHECK(decoder.take(-1, level) == level_fault::unknown_level);
    CHECK(decoder.take(0, level) == level_fault::bad_quantiser); // a scale of 0
    level[0] = std::byte{2};
    CHECK(decoder.take(0, level) == level_fault::unknown_mode);
    level.resize(level.size() + 1);
    CHECK(decoder.take(0, level) == level_fault::too_long);
    CHECK(decoder.whole_levels() == 0);
    for (int i = 0; i < level_faults; ++i)
        for (int j = 0; j < i; ++j) CHECK(std::string{sentence(static_cast<level_fault>(i))} != sentence(static_cast<level_fault>(j)));
}

TEST_CASE("random bytes as levels give values within the quantiser's range and nothing else") {
    numbers n{16};
    const pool_ladder l = pool_ladder_of({.channels = 4, .height = 16, .width = 16, .stride = 8}, {.largest = 16});
    for (const pool_form form : forms) {
        dynamic_pool_decoder decoder{l, {.form = form}};
        for (int trial = 0; trial < 3000; ++trial) {
            decoder.start();
            for (int i = 0; i < l.levels; ++i) {
                blob b(n.below(max_level_bytes(l, form, i) + 1));
                for (std::byte& x : b) x = static_cast<std::byte>(n.next());
                if (!b.empty()) b[0] = static_cast<std::byte>(n.below(2));
                if (i == 0 && b.size() > 5) detail::store_f32(b.data() + 1, 0.5f);
                decoder.take(i, b);
            }
            const int level = static_cast<int>(n.below(static_cast<std::size_t>(l.levels)));
            std::vector<float> out(4 * static_cast<std::size_t>(l.values(level)));
            decoder.rebuild(level, out.data());
            REQUIRE(std::all_of(out.begin(), out.end(), [](float v) { return v >= -127.5f && v <= 127.5f; }));
        }
    }
}
