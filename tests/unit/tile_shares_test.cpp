// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tile_shares_test.cpp
/// Which device takes which tile by the model, from which rate on that pays, and what a tile's message is refused for.
#include "../catch.hpp"

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/graph/tile_shares.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/link/tile_frame.hpp>
#include <splitdsl/runtime/describe_tiles.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace {
using namespace splitdsl;
using namespace std::chrono_literals;

/// `tiles` equal ones of `macs` each, whose questions and answers take `in` and `out` bytes of the air, headers included.
tile_figures equal_tiles(int tiles, std::int64_t macs, std::int64_t in, std::int64_t out) {
    tile_figures f;
    f.rows = tiles, f.columns = 1, f.whole_macs = tiles * macs;
    for (int k = 0; k < tiles; ++k) {
        f.tiles[k] = {.macs = macs, .in_bytes = in - graph::tile_message_bytes, .out_bytes = out - graph::tile_message_bytes};
        f.macs += macs, f.in_bytes += f.tiles[k].in_bytes, f.out_bytes += f.tiles[k].out_bytes;
    }
    return f;
}
int taken(const tile_figures& f, const tile_shares& s, int device) {
    int n = 0;
    for (int k = 0; k < f.count(); ++k) n += s.device[static_cast<std::size_t>(k)] == device;
    return n;
}
} // namespace

TEST_CASE("tile shares: times are those of computing, of one medium at each worker's own rate, and of the round trip") {
    const tile_figures f = equal_tiles(2, 1000, 150, 125);
    const tile_times here{.macs_per_second = 1000, .behind = 0.5, .alone = 2.5};
    const std::array worker{tile_worker{.macs_per_second = 500, .rate_up = {8 * 1000.0}, .rate_down = {8 * 500.0}, .round_trip = 20ms}};
    tile_shares s;
    s.device[1] = 1;
    graph::time_shares(f, here, worker, s);
    CHECK(s.sent == 1);
    CHECK(s.back[0] == Approx(1.0));
    CHECK(s.back[1] == Approx(0.15 + 0.01 + 2 + 0.01 + 0.25)); // up, half the round trip, computed, the other half, down
    CHECK(s.tiles_seconds == Approx(s.back[1]));
    CHECK(s.seconds == Approx(s.back[1] + 0.5));
    CHECK_FALSE(s.pays(here, 0));
    CHECK(s.pays({.macs_per_second = 1000, .behind = 0.5, .alone = 3}, 0));
    CHECK_FALSE(s.pays({.macs_per_second = 1000, .behind = 0.5, .alone = 3}, 0.05));
}

TEST_CASE("tile shares: a worker takes as many tiles as its speed is worth, and one that would make the frame later none") {
    const tile_figures f = equal_tiles(8, 1000, 100, 100);
    const tile_times here{.macs_per_second = 1000, .behind = 0, .alone = 8};
    const tile_worker fast_link{.macs_per_second = 1000, .rate_up = {1e9}, .round_trip = 1ms};
    const auto with = [&](std::vector<tile_worker> workers) { return share_tiles(f, here, workers); };
    CHECK(taken(f, with({fast_link}), 1) == 4);
    tile_worker quick = fast_link, slow = fast_link, far = fast_link, gone = fast_link, unmeasured = fast_link;
    quick.macs_per_second = 3000, slow.macs_per_second = 50, far.rate_up = {8 * 1.0}, gone.rate_up = {}, unmeasured.macs_per_second = 0;
    CHECK(taken(f, with({quick}), 1) == 6);
    CHECK(with({slow}).sent == 0); // one tile takes it 20 s
    CHECK(with({far}).sent == 0);  // one tile travels for more than 3 minutes
    CHECK(with({gone}).sent == 0);
    CHECK(with({unmeasured}).sent == 0);
    CHECK(with({}).seconds == Approx(8));
    const tile_shares four = with({fast_link, slow, fast_link, quick}); // 1 + 1 + 1 + 3 speeds for 8 tiles
    CHECK(taken(f, four, 2) == 0);
    CHECK(taken(f, four, 4) >= 3);
    CHECK(four.tiles_seconds < 2.1);
    // Many workers beyond what is looked at are no harm.
    CHECK(share_tiles(f, here, std::vector<tile_worker>(40, fast_link)).tiles_seconds == Approx(1).margin(0.1));
}

TEST_CASE("tile shares: no other way to share a few tiles is faster by more than a tile") {
    detail::xoshiro256 random{7};
    for (int round = 0; round < 60; ++round) {
        const int tiles = 2 + static_cast<int>(random.uniform(0, 4));
        tile_figures f = equal_tiles(tiles, 1000, 1000, 800);
        const tile_times here{.macs_per_second = random.uniform(500, 2000), .behind = 0.1, .alone = 4};
        std::array<tile_worker, 2> workers{};
        for (tile_worker& w : workers)
            w = {.macs_per_second = random.uniform(300, 4000), .rate_up = {random.uniform(2e4, 1e6)}, .rate_down = {random.uniform(2e4, 1e6)}, .round_trip = from_seconds(random.uniform(0, 0.05))};
        const tile_shares chosen = share_tiles(f, here, workers);
        double least = 1e9;
        int ways = 1;
        for (int k = 0; k < tiles; ++k) ways *= 3;
        for (int way = 0; way < ways; ++way) {
            tile_shares s;
            for (int k = 0, left = way; k < tiles; ++k, left /= 3) s.device[static_cast<std::size_t>(k)] = left % 3;
            graph::time_shares(f, here, workers, s);
            least = std::min(least, s.seconds);
        }
        const double slowest = 1000 / std::min({here.macs_per_second, workers[0].macs_per_second, workers[1].macs_per_second});
        CHECK(chosen.seconds >= least - 1e-9);
        CHECK(chosen.seconds <= least + slowest);
        CHECK(chosen.seconds <= tiles * 1000 / here.macs_per_second + 0.1 + 1e-9); // never behind all tiles here
    }
}

TEST_CASE("tile shares: helpers pay from a rate on, and below it they do not") {
    const tile_figures f = equal_tiles(4, 1'000'000, 20'000, 30'000);
    const tile_times here{.macs_per_second = 1e8, .behind = 0.01, .alone = 0.05};
    const tile_worker worker{.macs_per_second = 1e8, .round_trip = 2ms};
    const auto saves = [&](double rate, double gain) {
        tile_worker w = worker;
        w.rate_up = w.rate_down = {rate};
        return share_tiles(f, here, std::span{&w, 1}).pays(here, gain);
    };
    const double rate = least_paying_rate(f, here, worker).value;
    REQUIRE(rate > 0);
    CHECK(saves(1.02 * rate, 0));
    CHECK_FALSE(saves(0.98 * rate, 0));
    const double fifth = least_paying_rate(f, here, worker, 0.2).value; // two tiles each save 20 ms of 50
    CHECK(fifth > rate);
    CHECK(saves(1.02 * fifth, 0.2));
    CHECK(least_paying_rate(f, here, worker, 0.5).value == 0); // half of 50 ms is less than two tiles and what is behind
    CHECK(least_paying_rate(equal_tiles(1, 1'000'000, 100, 100), {.macs_per_second = 1e8, .behind = 0, .alone = 0.01}, worker).value == 0); // one tile is nobody else's gain
}

namespace {
struct two_layers {
    static constexpr auto graph() {
        return input("x", u8, {.channels = 3, .height = 32, .width = 32}) | normalise(imagenet) | named("a", conv(8, {.kernel = 3})) | relu() | named("b", conv(8, {.kernel = 3})) | relu() | global_pool()
             | named("end", dense(2));
    }
};
constexpr tile_times slow_device{.macs_per_second = 1e6, .behind = 0.001, .alone = 0.8};
constexpr tile_worker slow_helper{.macs_per_second = 1e6, .rate_up = megabits_per_second(10), .round_trip = std::chrono::milliseconds{2}};
static_assert(share_tiles(tiles_of<two_layers>({.rows = 2, .until = "b"}, 0), slow_device, std::span{&slow_helper, 1}).pays(slow_device, 0.3)); // at compile time
} // namespace

TEST_CASE("tile shares: the grid for unequal workers is the fastest of all, and one tile where none pays") {
    const std::array workers{tile_worker{.macs_per_second = 1e6, .rate_up = megabits_per_second(10), .round_trip = 1ms}, tile_worker{.macs_per_second = 3e6, .rate_up = megabits_per_second(2), .round_trip = 5ms}};
    const shared_grid best = choose_shares<two_layers>(1e6, workers, 6);
    REQUIRE(best.figures.why == nullptr);
    CHECK(best.figures.count() > 1);
    CHECK(best.shares.pays(best.here, 0.3));
    const auto& borders = tile_borders<two_layers>;
    for (int k = 1; k + 1 < borders.count; ++k)
        for (int rows = 1; rows <= 6; ++rows)
            for (int columns = 1; rows * columns <= 6; ++columns) {
                const tile_figures f = graph::figures_of(tile_source_of<two_layers>, tile_lives<two_layers>, {borders.at[0], borders.at[k], rows, columns}, 0);
                if (f.why) continue;
                const tile_times here{1e6, static_cast<double>(f.rest_macs) / 1e6, static_cast<double>(f.whole_macs + f.rest_macs) / 1e6};
                CHECK(share_tiles(f, here, workers).seconds >= best.shares.seconds - 1e-12);
            }
    const std::array far{tile_worker{.macs_per_second = 1e6, .rate_up = kilobits_per_second(20), .round_trip = 1ms}};
    CHECK(choose_shares<two_layers>(1e6, far, 6).figures.count() == 1);
}

TEST_CASE("tile plans: the table says where each segment ends, its grid and memory, and why there is no plan") {
    const tile_plan plan = plan_tiles<two_layers>({.rows = 2, .columns = 3, .until = "a"});
    REQUIRE(plan.why == nullptr);
    const std::string table = describe_tiles<two_layers>(plan);
    INFO(table);
    const auto says = [&](const std::string& part) { return table.find(part) != std::string::npos; };
    CHECK(table.starts_with(std::to_string(plan.peak_bytes()) + " bytes: " + std::to_string(plan.weight_bytes) + " of packed weights, " + std::to_string(plan.work_bytes)));
    CHECK(says("\na  "));
    CHECK(says(" 2x3 "));
    CHECK(says("\nthe end  "));
    CHECK(says(" " + std::to_string(plan.work_bytes) + " ")); // the largest segment's
    CHECK(std::count(table.begin(), table.end(), '\n') == 2 + plan.count);
    CHECK(describe_tiles<two_layers>(plan_tiles<two_layers>({.rows = 40, .until = "a"})) == "no plan: the grid has more rows than the map (a)\n");
    CHECK(describe_tiles<two_layers>(plan_within<two_layers>(100)) == "no plan: the weights alone take the memory; share the network out over several devices (devices_within)\n");
}

namespace {
constexpr std::array<link::tile_terms, 2> parts{{{{8, 0, 0, 5, 6}, 400, 960}, {{8, 5, 0, 4, 6}, 380, 768}}};
constexpr link::tile_contract agreed{0x0123'4567'89ab'cdef, parts};

std::vector<std::byte> message_of(std::uint32_t tile, std::size_t behind) {
    std::vector<std::byte> m(link::tile_head_bytes + behind);
    link::encode_tile_head({.tile = tile, .plan = agreed.plan, .part = parts[tile].part, .work_us = 1234}, std::span{m}.first<link::tile_head_bytes>());
    return m;
}
} // namespace

TEST_CASE("tile frame: what was written is read, and every word is a finite float's") {
    for (const std::uint32_t tile : {0U, 1U}) {
        const auto m = message_of(tile, parts[tile].question_bytes);
        link::tile_head h;
        CHECK(link::check_question(m, agreed, h) == link::tile_fault::none);
        CHECK(h == link::tile_head{.tile = tile, .plan = agreed.plan, .part = parts[tile].part, .work_us = 1234});
    }
    std::array<std::byte, link::tile_head_bytes> b{};
    link::encode_tile_head({.tile = 63, .plan = ~0ULL, .part = {65'535, 65'535, 65'535, 65'535, 65'535}, .work_us = ~0U}, b);
    for (std::size_t k = 0; k < 12; ++k) CHECK(std::isfinite(detail::load_f32(b.data() + 4 * k)));
}

TEST_CASE("tile frame: each fault has its name and a sentence, and nothing beyond the message is read") {
    link::tile_head h;
    const auto fault = [&](std::vector<std::byte> m) { return link::check_question(m, agreed, h); };
    const auto changed = [](std::size_t word, std::uint32_t v) {
        auto m = message_of(0, parts[0].question_bytes);
        detail::store_u32(m.data() + 4 * word, v);
        return m;
    };
    CHECK(fault({}) == link::tile_fault::truncated);
    CHECK(fault(std::vector<std::byte>(47)) == link::tile_fault::truncated);
    CHECK(fault(changed(0, 2)) == link::tile_fault::other_version);
    CHECK(fault(changed(2, 0xcdee)) == link::tile_fault::other_plan);
    CHECK(fault(changed(3, 0x1'89ab)) == link::tile_fault::other_plan); // a word of more than 16 bits
    CHECK(fault(changed(1, 2)) == link::tile_fault::unknown_tile);
    CHECK(fault(changed(1, ~0U)) == link::tile_fault::unknown_tile);
    CHECK(fault(changed(1, 1)) == link::tile_fault::other_part); // the other tile's number
    for (std::size_t word = 6; word <= 10; ++word) CHECK(fault(changed(word, 7)) == link::tile_fault::other_part);
    CHECK(fault(message_of(0, parts[0].question_bytes - 1)) == link::tile_fault::wrong_size);
    CHECK(fault(message_of(0, parts[0].question_bytes + 1)) == link::tile_fault::wrong_size);
    CHECK(link::check_answer(message_of(1, parts[1].answer_bytes), agreed, h) == link::tile_fault::none);
    CHECK(link::check_answer(message_of(1, parts[0].answer_bytes), agreed, h) == link::tile_fault::none); // zeros up to the longest
    CHECK(link::check_answer(message_of(0, parts[1].answer_bytes), agreed, h) == link::tile_fault::wrong_size);
    std::vector<std::string_view> said;
    for (int k = 0; k < link::tile_faults; ++k) said.emplace_back(link::sentence(static_cast<link::tile_fault>(k)));
    for (std::size_t a = 0; a < said.size(); ++a)
        for (std::size_t b = 0; b < a; ++b) CHECK(said[a] != said[b]);
    // Any byte of the head but the time's may change nothing silently.
    for (std::size_t at = 0; at < 44; ++at)
        for (const int bit : {0, 3, 7}) {
            auto m = message_of(0, parts[0].question_bytes);
            m[at] ^= static_cast<std::byte>(1 << bit);
            CHECK(fault(m) != link::tile_fault::none);
        }
}
