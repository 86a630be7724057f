// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file widths_test.cpp
/// Streams that grow by channels: which ladders there are, what each width is, and what a lost one leaves. Their packets:
/// dynamic_pool_packets_test.cpp.
#include "catch.hpp"
#include "pooled_maps.hpp"

#include <splitdsl/codec/stream_sizes.hpp>
#include <splitdsl/language.hpp>

#include <numeric>

using namespace splitdsl;

namespace {

constexpr pool_ladder quarters = pool_ladder_of({.channels = 32, .height = 8, .width = 8}, widths(4, 8, 16, 32));
static_assert(quarters.by_width() && quarters.levels == 4 && quarters.octaves == 0);
static_assert(quarters.channels(0) == 4 && quarters.first_channel(0) == 0 && quarters.channels(3) == 32 && quarters.first_channel(3) == 16);
static_assert(quarters.rows(0) == 8 && quarters.values(2) == 64 && quarters.new_values(2) == 64);
static_assert(!pool_ladder_of({.channels = 32, .height = 8, .width = 8, .stride = 2}).by_width());

template <int... Widths>
struct cut_once {
    static constexpr auto width(int, int here) { return named("width", named(here, conv(6, {.kernel = 1}))); }
    static constexpr auto graph() {
        return input("x", f32, {.channels = 3, .height = 8, .width = 8})
               | head("device", named("a", conv(6, {.kernel = 3})) | stream("cut", identity(), widths(Widths...)) | global_pool())
               | beside("cloud", early_exit("exit", from("cut") | by_sizes<1, sizeof...(Widths)>(width) | global_pool()));
    }
};
using one_cut = cut_once<1, 2, 6>;
static_assert(check<one_cut>);
static_assert(stream_ladder<one_cut>("cut") == pool_ladder_of({.channels = 6, .height = 8, .width = 8}, widths(1, 2, 6)));
static_assert(stream_bytes<one_cut>("cut", 0) == 6 + 64 && stream_bytes<one_cut>("cut", 2) == 6 + 64 + 1 + 64 + 1 + 4 * 64);
static_assert(fingerprint<one_cut> != fingerprint<cut_once<1, 3, 6>>, "other widths are another network to the other side");

/// Steps of the quantiser, from the definition: all channels share one, whatever width is sent.
std::vector<std::uint8_t> quantised(const std::vector<float>& map, affine_parameters& q) {
    q = pool_parameters_of(range_of(map));
    std::vector<std::uint8_t> steps;
    for (const float v : map) steps.push_back(quantise<std::uint8_t>(v, q));
    return steps;
}

} // namespace

TEST_CASE("widths grow to exactly all channels, or are refused by name") {
    const pool_shape s{.channels = 32, .height = 8, .width = 8};
    CHECK(try_pool_ladder(s, widths(32)).fault == pool_fault::none);
    CHECK(try_pool_ladder(s, widths(1, 2, 3, 4, 5, 6, 7, 32)).fault == pool_fault::none);
    CHECK(try_pool_ladder(s, width_choice{}).fault == pool_fault::no_levels);
    CHECK(try_pool_ladder(s, width_choice{.channels = {32}, .count = 9}).fault == pool_fault::too_many_levels);
    CHECK(try_pool_ladder(s, widths(0, 32)).fault == pool_fault::widths_not_increasing);
    CHECK(try_pool_ladder(s, widths(-1, 32)).fault == pool_fault::widths_not_increasing);
    CHECK(try_pool_ladder(s, widths(8, 8, 32)).fault == pool_fault::widths_not_increasing);
    CHECK(try_pool_ladder(s, widths(8, 16)).fault == pool_fault::last_width_not_all);
    CHECK(try_pool_ladder(s, widths(8, 33)).fault == pool_fault::last_width_not_all);
    CHECK(try_pool_ladder(s, widths(33, 32)).fault == pool_fault::last_width_not_all);
    CHECK(try_pool_ladder({.channels = 32, .height = 5000, .width = 8}, widths(32)).fault == pool_fault::too_large);
    CHECK(try_pool_ladder({.channels = 0, .height = 8, .width = 8}, widths(1)).fault == pool_fault::size_below_one);
    CHECK(pool_ladder_of(s, widths(8, 16)).levels == 0);
}

TEST_CASE("every width is the quantised map's first channels bit for bit, all others 0, and no channel is sent twice") {
    numbers n{31};
    for (int trial = 0; trial < 200; ++trial) {
        const int channels = 1 + static_cast<int>(n.below(20)), height = 1 + static_cast<int>(n.below(9)),
                  width = 1 + static_cast<int>(n.below(9));
        width_choice by;
        for (int w = 1 + static_cast<int>(n.below(3)); w < channels && by.count < 7; w += 1 + static_cast<int>(n.below(6)))
            by.channels[static_cast<std::size_t>(by.count++)] = w;
        by.channels[static_cast<std::size_t>(by.count++)] = channels;
        const pool_ladder l = pool_ladder_of({.channels = channels, .height = height, .width = width}, by);
        REQUIRE(l.levels == by.count);
        std::vector<std::uint16_t> order(static_cast<std::size_t>(channels));
        std::iota(order.begin(), order.end(), std::uint16_t{0});
        if (trial % 2 == 1)
            for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[n.below(i)]);
        auto map = features(n, l.shape, n.uniform(0, 1));
        if (trial % 3 == 0)
            for (float& v : map) v = n.uniform(-3, 5); // noise: no code is shorter than packed
        affine_parameters q;
        const auto steps = quantised(map, q);
        const auto plane = static_cast<std::size_t>(height * width);
        for (const pool_form form : forms)
            for (const pool_coding coding : codings) {
                dynamic_pool_encoder from{l, {form, coding}, order};
                from.pool(map.data());
                dynamic_pool_decoder to{l, {form, coding}, order};
                std::vector<float> out(map.size()), want(map.size());
                for (int level = 0; level < l.levels; ++level) {
                    const auto bytes = from.encode(level);
                    REQUIRE(bytes.size() <= max_level_bytes(l, form, level));
                    if (coding == pool_coding::packed)
                        REQUIRE(bytes.size()
                                == (level == 0 ? 6U : 1U) + plane * static_cast<std::size_t>(l.channels(level) - l.first_channel(level)));
                    REQUIRE(to.take(level, bytes) == level_fault::none);
                    REQUIRE(to.whole_levels() == level + 1);
                    std::fill(want.begin(), want.end(), 0.0F);
                    for (int p = 0; p < l.channels(level); ++p)
                        for (std::size_t i = order[static_cast<std::size_t>(p)] * plane, end = i + plane; i < end; ++i)
                            want[i] = static_cast<float>(steps[i] - q.zero_point) * q.scale;
                    to.rebuild(l.levels - 1, out.data());
                    REQUIRE(out == want);
                    for (int known = -1; known <= level; ++known) { // and any earlier width of what is there
                        to.rebuild_from(known, l.levels - 1, out.data());
                        for (int p = 0; p < channels; ++p)
                            for (std::size_t i = order[static_cast<std::size_t>(p)] * plane, end = i + plane; i < end; ++i)
                                REQUIRE(out[i] == (known >= 0 && p < l.channels(known) ? want[i] : 0.0F));
                    }
                }
            }
    }
}

TEST_CASE("a width is nothing without those before it, whatever comes of it") {
    numbers n{32};
    dynamic_pool_encoder from{quarters};
    from.pool(features(n, quarters.shape).data());
    dynamic_pool_decoder to{quarters};
    for (const int level : {3, 1, 2}) REQUIRE(to.take(level, from.encode(level)) == level_fault::none);
    CHECK(to.whole_levels() == 0);
    CHECK(to.channels_at(3) == 0);
    REQUIRE(to.take(0, from.encode(0).first(from.encode(0).size() / 2)) == level_fault::none); // some of its four channels
    const int some = to.channels_at(0);
    CHECK((some > 0 && some < 4));
    REQUIRE(to.take(1, from.encode(1)) == level_fault::none);
    CHECK((to.channels_at(1) == 0 && to.whole_levels() == 0));
    std::vector<std::uint8_t> one(64);
    CHECK(to.rebuild(3, 0, one.data()));
    CHECK_FALSE(to.rebuild(3, some, one.data()));
    for (int level = 0; level < 4; ++level) REQUIRE(to.take(level, from.encode(level)) == level_fault::none);
    CHECK(to.whole_levels() == 4);
    CHECK(to.channels_at(2) == 16);
    to.start();
    CHECK((to.whole_levels() == 0 && to.channels_at(0) == 0));
}

TEST_CASE("coefficients made elsewhere are taken if they are all there, and give the same bytes") {
    numbers n{33};
    const pool_ladder l = pool_ladder_of({.channels = 3, .height = 8, .width = 8, .stride = 2});
    const auto map = features(n, l.shape);
    dynamic_pool_encoder own{l}, adopted{l};
    own.pool(map.data());
    detail::pool_planes planes{l, {}, {}};
    affine_parameters q;
    const auto steps = quantised(map, q);
    for (std::size_t c = 0; c < 3; ++c) {
        const std::vector<std::int16_t> patch(steps.begin() + static_cast<std::ptrdiff_t>(64 * c),
                                              steps.begin() + static_cast<std::ptrdiff_t>(64 * (c + 1)));
        detail::lift_octave(patch.data(), planes.view(0, c));
    }
    const auto made = std::span<const std::int16_t>{planes.store}.first(planes.coefficients());
    CHECK_FALSE(adopted.adopt(pool_form::means, q, made));
    CHECK_FALSE(adopted.adopt(pool_form::lifted, q, made.first(made.size() - 1)));
    REQUIRE(adopted.adopt(pool_form::lifted, q, made));
    for (int level = 0; level < l.levels; ++level) {
        const auto a = own.encode(level), b = adopted.encode(level);
        CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    }
}
