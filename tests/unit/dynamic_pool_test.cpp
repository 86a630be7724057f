// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_test.cpp
/// Dynamic pooling: sizes that nest, levels that come back exactly, errors that stay within what was promised.
#include "catch.hpp"
#include "pooled_maps.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <string>

using namespace splitdsl;

namespace {

/// A map whose patches have the given means (whole numbers) and are not flat; sums stay exact in f32.
void fill_patches(numbers& n, float* map, int rows, int columns, int side, const std::vector<int>& means) {
    const int width = columns * side;
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < columns; ++c) {
            int rest = means[static_cast<std::size_t>(r * columns + c)] * side * side;
            for (int i = 0; i < side * side; ++i) {
                const int v = i + 1 == side * side ? rest : static_cast<int>(n.below(256));
                rest -= v;
                map[(r * side + i / side) * width + c * side + i % side] = static_cast<float>(v);
            }
        }
}

/// The exact form's level from its definition: quarters x (0..255) of a map of `rows` x `columns` cells, one octave, t steps taken.
/// Cells are split along the axis that the ladder splits first, so cell (r, c) of a square map into rows first if r <= c.
int lifted_value(const int* x, bool row_wise, bool tall, bool wide, int i, int j) { // x: a, b, c, d in reading order
    const int first = row_wise ? (x[0] + x[1] + 1) / 2 : (x[0] + x[2] + 1) / 2;
    const int second = row_wise ? (x[2] + x[3] + 1) / 2 : (x[1] + x[3] + 1) / 2;
    if (tall && wide) return x[2 * i + j];
    if (tall || wide) return i + j == 0 ? first : second;
    return (first + second) / 2;
}

} // namespace

// ---- geometry -------------------------------------------------------------------------------------------------------------

TEST_CASE("the paper's example has 14 to 28 rows, and no size costs more than its own number of values") {
    constexpr pool_ladder l = pool_ladder_of({.channels = 24, .height = 56, .width = 56, .stride = 4});
    static_assert(l.levels == 15 && l.octaves == 1 && l.half_stride() == 2);
    for (int i = 0; i < l.levels; ++i) {
        const int size = 14 + i;
        CHECK(l.rows(i) == size);
        CHECK(l.columns(i) == size);
        CHECK(l.half_strips(i) == 2 * size - 2 * 56 / 4); // n
        CHECK(l.whole_strips(i) == 2 * 56 / 4 - size);    // m
        CHECK(4 * l.whole_strips(i) + 2 * l.half_strips(i) == 56);
        CHECK(l.values(i) == size * size);
        CHECK(packed_pool_bits(l, pool_form::means, i) == 8 * l.new_values(i));
    }
}

TEST_CASE("the paper's three sets of sizes need two octaves each") {
    constexpr auto imagenet =
        pool_ladder_of({.channels = 1, .height = 56, .width = 56, .stride = 8}, {.smallest = 10, .largest = 28, .step = 2});
    constexpr auto cifar = pool_ladder_of({.channels = 1, .height = 16, .width = 16, .stride = 8}, {.smallest = 3, .largest = 8});
    constexpr auto tiny =
        pool_ladder_of({.channels = 1, .height = 32, .width = 32, .stride = 8}, {.smallest = 6, .largest = 16, .step = 2});
    static_assert(imagenet.levels == 10 && imagenet.octaves == 2 && cifar.levels == 6 && cifar.octaves == 2 && tiny.levels == 6
                  && tiny.octaves == 2);
    CHECK(imagenet.rows(0) == 10);
    CHECK(imagenet.rows(9) == 28);
    CHECK(cifar.rows(5) == 8);
    CHECK(try_pool_ladder({.channels = 1, .height = 16, .width = 16, .stride = 2}, {.smallest = 3, .largest = 8}).fault
          == pool_fault::smallest_out_of_range);
}

TEST_CASE("shapes that dynamic pooling cannot use are refused with their reason") {
    const auto fault = [](pool_shape s, pool_sizes z = {}) { return try_pool_ladder(s, z).fault; };
    static_assert(fault_of(pool_shape{.channels = 1, .height = 9, .width = 9, .stride = 3}) == pool_fault::odd_stride);
    static_assert(fault_of(pool_shape{.channels = 1, .height = 8, .width = 8, .stride = 4}) == pool_fault::none);
    CHECK(fault({1, 8, 8, 0}) == pool_fault::stride_too_small);
    CHECK(fault({1, 8, 8, -2}) == pool_fault::stride_too_small);
    CHECK(fault({1, 8, 8, 1}) == pool_fault::odd_stride);
    CHECK(fault({0, 8, 8, 2}) == pool_fault::size_below_one);
    CHECK(fault({1, 8, -8, 2}) == pool_fault::size_below_one);
    CHECK(fault({1, 10, 8, 4}) == pool_fault::height_not_divisible);
    CHECK(fault({1, 8, 10, 4}) == pool_fault::width_not_divisible);
    CHECK(fault({1, 8192, 8, 4}) == pool_fault::too_large);
    CHECK(fault({65'536, 8, 8, 4}) == pool_fault::too_large);
    CHECK(fault({1000, 4096, 4096, 4}) == pool_fault::too_large);
    CHECK(fault({1, 8, 8, 4}, {.smallest = 1}) == pool_fault::smallest_out_of_range);
    CHECK(fault({1, 8, 8, 4}, {.smallest = 4}) == pool_fault::smallest_out_of_range);
    CHECK(fault({1, 8, 8, 4}, {.largest = 33}) == pool_fault::largest_out_of_range);
    CHECK(fault({1, 12, 12, 6}, {.largest = 5}) == pool_fault::stride_runs_out);
    CHECK(fault({1, 8, 8, 4}, {.step = 0}) == pool_fault::sizes_not_increasing);
    CHECK(fault({1, 8, 8, 4}, {.step = -1}) == pool_fault::sizes_not_increasing);
    CHECK(fault({1, 1024, 1024, 8}) == pool_fault::too_many_levels);
    CHECK(fault({1, 1024, 1024, 8}, {.step = std::numeric_limits<int>::max()}) == pool_fault::none);
    CHECK(try_pool_ladder({1, 8, 8, 4}, std::span<const int>{}).fault == pool_fault::no_levels);
    constexpr int backwards[] = {3, 2};
    CHECK(try_pool_ladder({1, 8, 8, 4}, backwards).fault == pool_fault::sizes_not_increasing);
    CHECK(pool_ladder_of({1, 9, 9, 3}).levels == 0);
    for (int i = 0; i < pool_faults; ++i)
        for (int j = 0; j < i; ++j) CHECK(std::string{sentence(static_cast<pool_fault>(i))} != sentence(static_cast<pool_fault>(j)));
}

// ---- nesting --------------------------------------------------------------------------------------------------------------

TEST_CASE("for every side up to 64 and every even stride, every size is the mean over its tiles and costs its own number of values") {
    numbers n{5};
    int cases = 0;
    for (int s = 2; s <= 64; ++s)
        for (int k = 2; k <= s; k += 2) {
            if (s % k != 0) {
                CHECK(fault_of({.channels = 1, .height = s, .width = s, .stride = k}) == pool_fault::height_not_divisible);
                continue;
            }
            // Means of quarters are multiples of 4, so those of halves and cells are whole numbers; a second channel stretches the range to
            // 0..255, so that a step of the quantiser is 1: what comes out must be the definition's value, with no tolerance.
            const pool_shape shape{.channels = 2, .height = s, .width = s, .stride = k};
            const pool_ladder l = pool_ladder_of(shape);
            REQUIRE(l.levels == s / k + 1);
            const auto values = static_cast<std::size_t>(s) * static_cast<std::size_t>(s);
            std::vector<float> map(2 * values, 255.0f);
            std::vector<int> means(static_cast<std::size_t>(l.half_rows()) * static_cast<std::size_t>(l.half_columns()));
            for (int& m : means) m = 4 * static_cast<int>(n.below(64));
            fill_patches(n, map.data(), l.half_rows(), l.half_columns(), l.half_stride(), means);
            for (int y = 0; y < l.half_stride(); ++y)
                std::fill_n(map.begin() + static_cast<std::ptrdiff_t>(values) + y * s, l.half_stride(), 0.0f);

            for (const pool_form form : forms) {
                dynamic_pool_encoder encoder{l, {form, pool_coding::packed}};
                dynamic_pool_decoder decoder{l, {form, pool_coding::packed}};
                encoder.pool(map.data());
                REQUIRE(encoder.parameters() == affine_parameters{1.0f, 0});
                std::size_t sent = 0;
                for (int i = 0; i < l.levels; ++i) {
                    const int size = s / k + i;
                    const auto bytes = encoder.encode(i);
                    REQUIRE(bytes.size() == max_level_bytes(l, form, i));
                    if (form == pool_form::means) {
                        sent += bytes.size() - 1 - (i == 0 ? pool_preamble_bytes : 0);
                        REQUIRE(sent
                                == 2 * static_cast<std::size_t>(size)
                                       * static_cast<std::size_t>(size)); // cumulative values = s_o^2 a channel
                    }
                    REQUIRE(decoder.take(i, bytes) == level_fault::none); // each level is read with nothing but those before it
                    REQUIRE(decoder.whole_levels() == i + 1);
                    const std::vector<tile> tiles = square_tiles(s, k, size);
                    std::vector<std::uint8_t> pooled(tiles.size());
                    REQUIRE(decoder.rebuild(i, 0, pooled.data()));
                    std::size_t wrong = 0;
                    for (std::size_t t = 0; t < tiles.size(); ++t) wrong += pooled[t] != mean_over(map.data(), s, tiles[t]) ? 1 : 0;
                    INFO("side " << s << ", stride " << k << ", size " << size << ", form " << static_cast<int>(form));
                    REQUIRE(tiles.size() == static_cast<std::size_t>(size) * static_cast<std::size_t>(size));
                    REQUIRE(wrong == 0);
                }
            }
            ++cases;
        }
    CHECK(cases == 119);
}

TEST_CASE("a size read before keeps its value when larger ones arrive") {
    numbers n{6};
    const pool_ladder l = pool_ladder_of({.channels = 3, .height = 32, .width = 32, .stride = 8}, {.smallest = 5, .largest = 16});
    const auto map = features(n, l.shape);
    dynamic_pool_encoder encoder{l};
    dynamic_pool_decoder decoder{l};
    encoder.pool(map.data());
    std::vector<std::vector<std::uint8_t>> first;
    for (int i = 0; i < l.levels; ++i) {
        decoder.take(i, encoder.encode(i));
        first.emplace_back(static_cast<std::size_t>(l.values(i)));
        decoder.rebuild(i, 1, first.back().data());
        for (int j = 0; j <= i; ++j) {
            std::vector<std::uint8_t> again(first[static_cast<std::size_t>(j)].size());
            REQUIRE(decoder.rebuild(j, 1, again.data()));
            CHECK(again == first[static_cast<std::size_t>(j)]);
        }
    }
}

TEST_CASE("a level's values do not depend on which other sizes the ladder has") {
    numbers n{7};
    const pool_shape shape{.channels = 2, .height = 48, .width = 48, .stride = 8};
    const auto map = features(n, shape);
    const pool_ladder every = pool_ladder_of(shape, {.largest = 24}),
                      some = pool_ladder_of(shape, {.smallest = 8, .largest = 24, .step = 8});
    REQUIRE(some.levels == 3);
    dynamic_pool_encoder all{every}, few{some};
    dynamic_pool_decoder from_all{every}, from_few{some};
    all.pool(map.data());
    few.pool(map.data());
    take_all(all, from_all);
    take_all(few, from_few);
    for (int i = 0; i < some.levels; ++i) {
        std::vector<std::uint8_t> a(static_cast<std::size_t>(some.values(i))), b(a.size());
        REQUIRE(from_all.rebuild(some.sizes[static_cast<std::size_t>(i)] - 6, 0, a.data()));
        REQUIRE(from_few.rebuild(i, 0, b.data()));
        CHECK(a == b);
    }
}

// ---- exactness ------------------------------------------------------------------------------------------------------------

// A cell is coded as two pairs of quarters, then the pair of their means. Each step is a function of one pair, and the means are again in
// 0..255: that both steps come back for all 65,536 pairs is therefore a proof for all 2^32 cells.
TEST_CASE("both lifting steps come back for all pairs of 8-bit values, and their means stay in 8 bits") {
    int wrong = 0;
    for (int a = 0; a < 256; ++a)
        for (int b = 0; b < 256; ++b) {
            const detail::lifted_pair up = detail::lift_up(a, b), down = detail::lift_down(a, b);
            const detail::lifted_pair from_up = detail::unlift_up(up.low, up.high), from_down = detail::unlift_down(down.low, down.high);
            wrong += from_up.low != a || from_up.high != b || from_down.low != a || from_down.high != b;
            wrong += up.low != (a + b + 1) / 2 || down.low != (a + b) / 2 || up.low > 255 || std::abs(up.high) > 255;
        }
    CHECK(wrong == 0);
}

TEST_CASE("a grid of 83,521 cells of 2 x 2 comes back exactly at every level through encoder and decoder") {
    constexpr int grid[] = {0, 1, 2, 3, 17, 63, 64, 100, 126, 127, 128, 129, 191, 200, 253, 254, 255};
    constexpr int batch = 17 * 17 * 17;
    const pool_ladder l = pool_ladder_of({.channels = batch, .height = 2, .width = 2, .stride = 2});
    dynamic_pool_encoder encoder{l, {pool_form::lifted, pool_coding::packed}};
    dynamic_pool_decoder decoder{l, {pool_form::lifted, pool_coding::packed}};
    std::vector<int> cells(4 * batch);
    std::vector<float> map(cells.size()), at0(batch), at1(cells.size());
    for (const int a : grid) {
        std::size_t at = 0;
        for (const int b : grid)
            for (const int c : grid)
                for (const int d : grid)
                    for (const int v : {a, b, c, d}) map[at] = static_cast<float>(v), cells[at++] = v;
        encoder.pool(map.data());
        REQUIRE(encoder.parameters() == affine_parameters{1.0f, 0});
        take_all(encoder, decoder);
        decoder.rebuild(0, at0.data());
        decoder.rebuild(1, at1.data());
        int wrong = 0;
        for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i)
            wrong += at0[i] != static_cast<float>(lifted_value(&cells[4 * i], true, false, false, 0, 0));
        CHECK(wrong == 0);
        CHECK(at1 == map);
    }
}

TEST_CASE("a million random larger maps come back exactly at every level") {
    struct {
        pool_shape shape;
        pool_sizes sizes;
        pool_coding coding;
        int batches;
    } const kinds[] = {
        {{.channels = 5000, .height = 4, .width = 4, .stride = 2}, {}, pool_coding::packed, 120},
        {{.channels = 5000, .height = 6, .width = 6, .stride = 2}, {.step = 2}, pool_coding::packed, 40},
        {{.channels = 5000, .height = 8, .width = 8, .stride = 2}, {}, pool_coding::packed, 20},
        {{.channels = 5000, .height = 4, .width = 4, .stride = 2}, {}, pool_coding::rice, 20},
    };
    numbers n{8};
    std::int64_t maps = 0, wrong = 0;
    for (const auto& kind : kinds) {
        const pool_ladder l = pool_ladder_of(kind.shape, kind.sizes);
        const int s = kind.shape.height, cells = s / 2;
        dynamic_pool_encoder encoder{l, {pool_form::lifted, kind.coding}};
        dynamic_pool_decoder decoder{l, {pool_form::lifted, kind.coding}};
        const auto values = static_cast<std::size_t>(s * s);
        std::vector<float> map(values * 5000), pooled(map.size());
        std::vector<int> whole(map.size());
        for (int b = 0; b < kind.batches; ++b) {
            for (std::size_t i = 0; i < map.size(); i += 8) {
                std::uint64_t r = n.next();
                for (std::size_t j = 0; j < 8; ++j, r >>= 8) whole[i + j] = static_cast<int>(r & 255);
            }
            if (kind.coding == pool_coding::rice) // smooth, so that Rice codes are what is tested
                for (std::size_t i = 0; i < map.size(); ++i)
                    whole[i] = i % values == 0 ? whole[i] : std::clamp(whole[i - 1] + whole[i] % 9 - 4, 0, 255);
            whole[0] = 0, whole[1] = 255;
            for (std::size_t i = 0; i < map.size(); ++i) map[i] = static_cast<float>(whole[i]);
            encoder.pool(map.data());
            REQUIRE(encoder.parameters() == affine_parameters{1.0f, 0});
            take_all(encoder, decoder);
            if (kind.coding == pool_coding::rice) REQUIRE(encoder.encode(2)[0] == std::byte{1});
            for (int i = 0; i < l.levels; ++i) {
                const int size = l.rows(i), t = size - cells;
                decoder.rebuild(i, pooled.data());
                for (std::size_t m = 0; m < 5000; ++m) {
                    const int* const x = whole.data() + m * values;
                    const float* const y = pooled.data() + m * static_cast<std::size_t>(size * size);
                    for (int r = 0; r < cells; ++r)
                        for (int c = 0; c < cells; ++c) {
                            const int q[] = {x[2 * r * s + 2 * c], x[2 * r * s + 2 * c + 1], x[(2 * r + 1) * s + 2 * c],
                                             x[(2 * r + 1) * s + 2 * c + 1]};
                            const bool tall = r < t, wide = c < t;
                            for (int u = 0; u < 1 + tall; ++u)
                                for (int v = 0; v < 1 + wide; ++v)
                                    wrong += y[(r + std::min(r, t) + u) * size + c + std::min(c, t) + v]
                                             != static_cast<float>(lifted_value(q, r <= c, tall, wide, u, v));
                        }
                }
            }
            maps += 5000;
        }
    }
    CHECK(maps == 1'000'000);
    CHECK(wrong == 0);
}

TEST_CASE("the largest level of the exact form is the plain 8-bit quantisation of the half-stride means, over one octave and several") {
    numbers n{9};
    for (const int octaves : {1, 2, 3, 4})
        for (const pool_coding coding : codings) {
            const pool_ladder l = pool_ladder_of({.channels = 3, .height = 48, .width = 48, .stride = 16}, {.largest = 3 << octaves});
            REQUIRE(l.octaves == octaves);
            const auto map = features(n, l.shape);
            dynamic_pool_encoder encoder{l, {pool_form::lifted, coding}};
            dynamic_pool_decoder decoder{l, {pool_form::lifted, coding}};
            encoder.pool(map.data());
            take_all(encoder, decoder);
            std::vector<std::uint8_t> out(static_cast<std::size_t>(l.values(l.levels - 1)));
            decoder.rebuild(l.levels - 1, 2, out.data());
            const std::vector<tile> tiles = square_tiles(48, 16, 3 << octaves);
            int wrong = 0;
            for (std::size_t t = 0; t < tiles.size(); ++t) {
                const double exact = mean_over(map.data() + 2 * 48 * 48, 48, tiles[t]) / static_cast<double>(encoder.parameters().scale)
                                     + encoder.parameters().zero_point;
                wrong += std::abs(exact - out[t]) > 0.5001;
            }
            CHECK(wrong == 0);
        }
}

TEST_CASE("errors stay within 7 half-steps an octave in the paper's form, and within 2 in the exact one") {
    numbers n{10};
    double worst[2][3]{};
    for (int trial = 0; trial < 60; ++trial)
        for (const int octaves : {1, 2}) {
            const pool_ladder l =
                pool_ladder_of({.channels = 4, .height = 32, .width = 32, .stride = 8}, {.smallest = 4, .largest = 4 << octaves});
            std::vector<float> map(4 * 32 * 32);
            const float low = n.uniform(-2, 1); // ranges with 0 inside, at an end, and outside
            for (float& v : map) v = n.uniform(low, low + 2);
            for (const pool_form form : forms) {
                dynamic_pool_encoder encoder{l, {form, pool_coding::packed}};
                dynamic_pool_decoder decoder{l, {form, pool_coding::packed}};
                encoder.pool(map.data());
                take_all(encoder, decoder);
                const affine_parameters q = encoder.parameters();
                for (int i = 0; i < l.levels; ++i) {
                    std::vector<std::uint8_t> out(static_cast<std::size_t>(l.values(i)));
                    const std::vector<tile> tiles = square_tiles(32, 8, l.rows(i));
                    for (int c = 0; c < 4; ++c) {
                        decoder.rebuild(i, c, out.data());
                        for (std::size_t t = 0; t < tiles.size(); ++t) {
                            const double exact =
                                mean_over(map.data() + c * 32 * 32, 32, tiles[t]) / static_cast<double>(q.scale) + q.zero_point;
                            double& w = worst[static_cast<int>(form)][octaves];
                            w = std::max(w, 2 * std::abs(exact - out[t]));
                        }
                    }
                }
            }
        }
    CHECK(worst[0][1] <= 7.001);
    CHECK(worst[0][1] > 5); // the bound is nearly met
    CHECK(worst[0][2] <= 31.001);
    CHECK(worst[0][2] > 14);
    CHECK(worst[1][1] <= 2.001);
    CHECK(worst[1][2] <= 3.001);
}
