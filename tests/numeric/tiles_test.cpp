// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file tiles_test.cpp
/// Tiles of a network's first layers: every bit as in the whole run, in the memory that the plan says; and the plans, against all there are.
#include "../catch.hpp"
#include "../same_bits.hpp"

#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/channel_device.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/frame_arena.hpp>
#include <splitdsl/runtime/random_weights.hpp>
#include <splitdsl/runtime/tiled_network.hpp>

#include <cmath>

namespace {
using namespace splitdsl;

constexpr auto layer(int channels, window w) { return named("conv", conv(channels, w)) | named("bn", batch_norm()) | relu(); }

/// A picture in floats of four a pixel, strides 2, an odd size, a residual, and layers that read everything at the end.
struct classifier {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 43, .width = 58}) | normalise(imagenet) | named("stem", conv(16, {.kernel = 3, .stride = 2, .pad = 1})) | relu()
             | named("a", residual(named("one", layer(16, {.kernel = 3})) | named("two", conv(16, {.kernel = 3})))) | relu() | max_pool({.kernel = 3, .stride = 2, .pad = 1})
             | named("b", layer(24, {.kernel = 3})) | global_pool() | named("fc", dense(10)) | softmax();
    }
};
/// Winograd's forms of stride 2 and 1, then windows with dilation, no padding, ceil, averages that count it or not.
struct windows {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 61, .width = 53, .layout = image_layout::hwc}) | normalise(imagenet) | named("stem", conv(64, {.kernel = 7, .stride = 2, .pad = 3})) | relu()
             | named("two", conv(64, {.kernel = 3, .pad = 1})) | relu() | avg_pool({.kernel = 3, .stride = 2, .pad = 1, .ceil = true})
             | named("far", conv(20, {.kernel = 3, .pad = 2, .dilation = 2})) | leaky_relu(0.1F) | avg_pool({.kernel = 2, .stride = 1, .pad = 1, .count_include_pad = false})
             | named("last", conv(5, {.kernel = {2, 3}, .pad = 0}));
    }
};
/// Expand, depthwise, project with a squeeze whose factors come from every pixel: tiles end in front of it.
struct inverted {
    static constexpr auto block(int i, int kernel, int stride, int wide, int out) {
        return named("block", named(i, named("expand", conv(wide, {})) | hard_swish()
                                           | named("deep", conv(wide, {.kernel = kernel, .stride = stride, .pad = kernel / 2, .groups = wide})) | named("bn", batch_norm()) | relu6()
                                           | named("project", conv(out, {}))));
    }
    static constexpr auto graph() {
        return input("x", f32, {.channels = 7, .height = 27, .width = 35}) | named("in", conv(12, {.kernel = 3, .pad = 1})) | residual(block(0, 3, 1, 33, 12)) | block(1, 5, 2, 40, 12)
             | residual(block(2, 5, 1, 24, 12)) | multiply(identity(), global_pool() | named("gate", conv(12, {})) | sigmoid()) | named("end", conv(6, {}));
    }
};
/// Borders of other values than zero, channels that come, go and are joined, upsampling, every second pixel, groups; odd paddings on each side.
struct shapes {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 6, .height = 21, .width = 17}) | pad({1, 2, 0, 3}, 0.5F) | named("grouped", conv(8, {.kernel = 3, .pad = {2, 0, 1, 1}, .groups = 2})) | tanh()
             | concat(named("left", conv(4, {.kernel = 1})), named("right", conv(12, {.kernel = {3, 1}, .pad = {1, 0}}))) | pad_channels(1, 2) | slice_channels(1, 16) | upsample()
             | named("mix", conv(16, {.kernel = 3, .pad = 1})) | subsample(2) | named("norm", batch_norm()) | sigmoid() | named("out", conv(3, {.kernel = 3, .pad = 1}));
    }
};
/// Winograd's lines and kernels of five, and direct convolutions to a handful of channels.
struct lines {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 24, .height = 29, .width = 25}) | named("a", conv(32, {.kernel = {7, 1}, .pad = {3, 0}})) | relu() | named("b", conv(40, {.kernel = {1, 7}, .pad = {0, 3}})) | relu()
             | named("c", conv(48, {.kernel = 5, .pad = 2})) | relu() | named("d", conv(3, {.kernel = 3, .pad = 1}));
    }
};
/// Three stages: a lossless cut within the tiles, a cut whose codec looks at the whole tensor, an exit.
struct staged {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 3, .height = 24, .width = 32}) | head("car", named("stem", conv(8, {.kernel = 3, .pad = 1})) | relu()) | cut("near")
             | head("car", named("more", conv(8, {.kernel = 3, .stride = 2, .pad = 1})) | relu()) | bottleneck("uplink", named("squeeze", conv(4, {.kernel = 3, .pad = 1})), affine_u8())
             | tail("cloud", named("end", conv(6, {.kernel = 3, .pad = 1})) | global_pool());
    }
};
/// The picture's last row and column are in no window, as in SqueezeNet at 224x224.
struct unread_border {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 22, .width = 24}) | normalise(imagenet) | named("a", conv(8, {.kernel = 3, .stride = 2, .pad = 0})) | relu()
             | named("b", conv(4, {.kernel = 3, .pad = 0}));
    }
};

std::vector<std::byte> frame_of(const pipeline& net, std::uint64_t seed) {
    detail::xoshiro256 random{seed};
    const tensor_info& t = net.inputs[0];
    std::vector<std::byte> bytes(t.bytes);
    const bool floats = t.bytes == 4 * static_cast<std::size_t>(t.channels) * static_cast<std::size_t>(t.height) * static_cast<std::size_t>(t.width);
    for (std::size_t i = 0; i < bytes.size(); i += floats ? 4 : 1) {
        const auto value = static_cast<float>(random.uniform(-2, 2));
        if (floats) std::memcpy(&bytes[i], &value, sizeof value);
        else bytes[i] = static_cast<std::byte>(static_cast<int>(64 * (value + 2)) & 255);
    }
    return bytes;
}

/// A network's whole run, and its tiles beside it.
template <class Network>
struct beside_whole {
    static constexpr const graph::tile_source& net = tile_source_of<Network>;
    static constexpr const auto& borders = tile_borders<Network>;
    std::vector<std::vector<float>> values = random_weights(parameters<Network>(), 3);
    network_weights<Network> weights{values};
    std::vector<std::byte> frame = frame_of(weights.net(), 5);
    std::vector<float> expected;
    const int lanes = tile_code_of<Network>().lanes;

    beside_whole() : expected(weights.net().output_floats) {
        const frame_arena arena{weights.net()};
        const void* inputs[]{frame.data()};
        weights.net().run({arena.data(), weights.bytes().data(), inputs, expected.data()}, 0, weights.net().stages, nullptr);
    }
    void same(const tile_plan& plan, int threads = 1) const {
        INFO("segments " << plan.count << ", first " << plan.parts[0].rows << "x" << plan.parts[0].columns << " up to step " << plan.parts[0].last.step << ", threads " << threads);
        tiled_network<Network> tiles{values, plan, threads};
        CHECK(tiles.work_bytes() == static_cast<std::size_t>(plan.work_bytes));
        CHECK(tiles.weight_bytes() <= static_cast<std::size_t>(plan.weight_bytes));
        CHECK(static_cast<double>(tiles.weight_bytes()) >= 0.7 * static_cast<double>(plan.weight_bytes));
        for (int frames = 0; frames < 2; ++frames) { // what is left of a frame in the memory does not matter to the next
            std::vector<float> out(expected.size(), NAN);
            const void* inputs[]{frame.data()};
            if (threads == 1) tiles.run(inputs, out.data());
            else with_threads(threads, [&] { tiles.run(inputs, out.data(), default_runner()); });
            REQUIRE(same_bits(out, expected));
        }
    }
    tile_plan of(graph::segment front, int threads = 1) const {
        tile_plan plan;
        plan.weight_bytes = graph::weights_between(net, 0, net.count, lanes);
        const tile_figures f = graph::figures_of(net, tile_lives<Network>, front, lanes);
        plan.why = f.why;
        if (f.why) return plan;
        graph::add_part(net, plan, f, threads);
        graph::add_part(net, plan, graph::figures_of(net, tile_lives<Network>, {front.last, borders.at[borders.count - 1]}, lanes), threads);
        return plan;
    }
    /// All grids up to 4 x 4 at every place where tiles can end, and some of rows alone; how many ran.
    int all_grids() const {
        int ran = 0;
        for (int k = 1; k + 1 < borders.count; ++k) {
            if (net.buffers[borders.at[k].tensor].is_bytes) continue;
            for (int rows = 1; rows <= 7; ++rows)
                for (int columns = 1; columns <= (rows > 4 ? 1 : 4); ++columns) {
                    const tile_plan plan = of({borders.at[0], borders.at[k], rows, columns});
                    if (plan.why) continue;
                    same(plan);
                    ++ran;
                }
        }
        return ran;
    }
};
} // namespace

TEST_CASE("a single tile reads its raw input where it lies, and several have room for their crops of it") {
    const beside_whole<unread_border> beside;
    using net = unread_border;
    const graph::segment whole{beside.borders.at[0], beside.borders.at[beside.borders.count - 1]};
    const auto alone = graph::lay_out<tile_capacity<net>>(tile_source_of<net>, tile_lives<net>, whole, 0, 0, beside.lanes);
    CHECK(alone.steps[0].made == graph::whole_of({3, 22, 24}));
    CHECK(beside.all_grids() > 0);
}

TEST_CASE("tiles of a network's first layers give the whole run's bits, for every grid and every place where they end") {
    CHECK(beside_whole<classifier>{}.all_grids() == 79);
    CHECK(beside_whole<windows>{}.all_grids() == 114);
    CHECK(beside_whole<inverted>{}.all_grids() == 135);
    CHECK(beside_whole<shapes>{}.all_grids() == 209);
    CHECK(beside_whole<lines>{}.all_grids() == 95);
    CHECK(beside_whole<staged>{}.all_grids() == 79);
}

TEST_CASE("tiles on several threads give the same bits, each with an arena of its own") {
    const beside_whole<classifier> net;
    for (const int threads : {2, 3, 5})
        for (const int rows : {1, 2, 3}) net.same(net.of({net.borders.at[0], net.borders.at[3], rows, 2}, threads), threads);
}

namespace {
/// The input's pixels that a region of the result depends on, op by op and pixel by pixel: their bounding box.
graph::region read_by_pixels(const graph::description& d, const graph::region& of) {
    std::vector<std::vector<char>> read(d.ops.size());
    const auto mark = [&](int op, int y, int x) {
        const shape s = d.out[static_cast<std::size_t>(op)];
        if (y < 0 || x < 0 || y >= s.height || x >= s.width) return;
        auto& pixels = read[static_cast<std::size_t>(op)];
        pixels.resize(static_cast<std::size_t>(s.height) * static_cast<std::size_t>(s.width));
        pixels[static_cast<std::size_t>(y) * static_cast<std::size_t>(s.width) + static_cast<std::size_t>(x)] = 1;
    };
    for (int y = of.top; y < of.bottom; ++y)
        for (int x = of.left; x < of.right; ++x) mark(d.result, y, x);
    graph::region box;
    for (std::size_t i = d.ops.size(); i-- > 0;) {
        const op& o = d.ops[i];
        for (std::size_t p = 0; p < read[i].size(); ++p) {
            if (!read[i][p]) continue;
            const int y = static_cast<int>(p) / d.out[i].width, x = static_cast<int>(p) % d.out[i].width;
            if (o.kind == op_kind::input) box = graph::hull(box, {y, x, y + 1, x + 1});
            else if (o.kind == op_kind::conv || o.kind == op_kind::max_pool || o.kind == op_kind::avg_pool) {
                for (int r = 0; r < o.kernel.height; ++r)
                    for (int c = 0; c < o.kernel.width; ++c) mark(d.a[i], y * o.stride.height - o.pad.top + r * o.dilation.height, x * o.stride.width - o.pad.left + c * o.dilation.width);
            } else if (o.kind == op_kind::pad) mark(d.a[i], y - o.pad.top, x - o.pad.left);
            else if (o.kind == op_kind::subsample) mark(d.a[i], y * o.stride.height, x * o.stride.width);
            else if (o.kind == op_kind::upsample) mark(d.a[i], y / o.stride.height, x / o.stride.width);
            else {
                mark(d.a[i], y, x);
                if (d.b[i] >= 0) mark(d.b[i], y, x);
            }
        }
    }
    return box;
}
struct direct_shapes : shapes {
    static constexpr bool winograd = false;
};
struct direct_windows : windows {
    static constexpr bool winograd = false;
};
template <class Network>
void regions_are_exact(int rows, int columns) {
    const auto& borders = tile_borders<Network>;
    const graph::segment all{borders.at[0], borders.at[borders.count - 2], rows, columns}; // all but the output's step
    const graph::description d = graph::description_of<Network>();
    for (int k = 0; k < all.tiles(); ++k) {
        const auto t = graph::lay_out<tile_capacity<Network>>(tile_source_of<Network>, tile_lives<Network>, all, k / columns, k % columns, 16);
        REQUIRE(t.steps[0].made == read_by_pixels(d, t.out));
    }
}
} // namespace

TEST_CASE("a tile of direct layers reads the pixels that its outputs depend on, and no others") {
    for (int rows = 1; rows <= 5; ++rows)
        for (int columns = 1; columns <= 5; ++columns) {
            regions_are_exact<direct_shapes>(rows, columns);
            regions_are_exact<direct_windows>(rows, columns);
        }
}

namespace {
/// The fewest multiply-accumulates within a working memory, over every cut into segments and every grid; -1: none fits.
template <class Network>
std::int64_t fewest_macs(int from, std::int64_t budget, const memory_terms& terms) {
    const auto& borders = tile_borders<Network>;
    if (from + 1 == borders.count) return 0;
    std::int64_t best = -1;
    for (int to = from + 1; to < borders.count; ++to) {
        const std::int64_t behind = fewest_macs<Network>(to, budget, terms);
        if (behind < 0) continue;
        for (int rows = 1; rows <= terms.most_tiles; ++rows)
            for (int columns = 1; rows * columns <= terms.most_tiles; ++columns) {
                if (rows * columns > 1 && borders.at[to].tensor < 0) continue;
                const tile_figures f = graph::figures_of(tile_source_of<Network>, tile_lives<Network>, {borders.at[from], borders.at[to], rows, columns}, terms.lanes);
                if (f.why || graph::work_of(tile_source_of<Network>, f, terms.threads) > budget) continue;
                if (best < 0 || f.macs + behind < best) best = f.macs + behind;
            }
    }
    return best;
}
} // namespace

TEST_CASE("a plan within a memory has the fewest multiply-accumulates there are, and runs within it") {
    const beside_whole<classifier> net;
    const memory_terms terms{.lanes = net.lanes, .most_tiles = 6};
    const std::int64_t weights = graph::weights_between(net.net, 0, net.net.count, net.lanes), whole = plan_within<classifier>(std::int64_t{1} << 40, terms).work_bytes;
    int fitting = 0, tiled = 0;
    for (std::int64_t budget = whole; budget > 0; budget -= whole / 12) {
        const tile_plan plan = plan_within<classifier>(weights + budget, terms);
        const std::int64_t fewest = fewest_macs<classifier>(0, budget, terms);
        CHECK((plan.why != nullptr) == (fewest < 0));
        CHECK(fits<classifier>(weights + budget, terms) == (fewest >= 0));
        if (plan.why) continue;
        ++fitting;
        CHECK(plan.macs == fewest);
        CHECK(plan.peak_bytes() <= weights + budget);
        for (int k = 0; k < plan.count; ++k) tiled += plan.parts[static_cast<std::size_t>(k)].tiles() > 1;
        net.same(plan);
    }
    CHECK(fitting >= 4);
    CHECK(tiled >= 2);
    CHECK(std::string(plan_within<classifier>(weights).why).starts_with("the weights alone take the memory"));
}

namespace {
/// The most devices that a network was shared out over, each within its memory.
template <class Network>
int run_on_devices() {
    const beside_whole<Network> net;
    const memory_terms terms{.lanes = net.lanes, .most_tiles = 4};
    const std::int64_t alone = plan_within<Network>(std::int64_t{1} << 40, terms).peak_bytes();
    int most = 0;
    for (int fortieths = 40; fortieths > 8; fortieths -= 2) {
        const std::int64_t budget = alone * fortieths / 40;
        const device_plan plan = devices_within<Network>(budget, terms);
        if (plan.why) continue;
        most = std::max(most, plan.count);
        std::vector<float> entering, leaving, out(net.expected.size(), NAN);
        const void* inputs[]{net.frame.data()};
        std::int64_t weights = 0;
        for (int d = 0; d < plan.count; ++d) {
            const std::size_t at = static_cast<std::size_t>(d);
            tiled_network<Network> device{net.values, plan.devices[at]};
            CHECK(device.peak_bytes() <= static_cast<std::size_t>(budget));
            CHECK(device.entering_floats() == entering.size());
            leaving.assign(device.leaving_floats(), NAN);
            device.run_part(inputs, entering.data(), out.data(), leaving.data());
            CHECK(graph::whole_lines(static_cast<std::int64_t>(4 * leaving.size())) == plan.sent_bytes[at]);
            entering = leaving;
            weights += plan.devices[at].weight_bytes;
        }
        CHECK(weights == graph::weights_between(net.net, 0, net.net.count, net.lanes));
        CHECK(same_bits(out, net.expected));
    }
    return most;
}
} // namespace

TEST_CASE("devices too small for a network hold it together, and what the last one gives is the whole run's") {
    CHECK(run_on_devices<lines>() >= 2);
    CHECK(run_on_devices<staged>() >= 1);
    CHECK(devices_within<lines>(1000).why != nullptr);
}

TEST_CASE("a schedule's times are those of computing, of one medium and of its latency") {
    tile_figures f;
    f.rows = 1, f.columns = 2, f.rest_macs = 100;
    f.tiles[0] = f.tiles[1] = {.macs = 1000, .in_bytes = 50, .out_bytes = 25};
    const std::array<tile_device, 2> equal{{{1000}, {1000}}};
    const tile_link link{.rate = {8 * 1000.0}, .latency = std::chrono::milliseconds{10}};
    // The second tile travels 50 ms and 10, is computed for a second, and is back 25 ms and 10 later; then 100 more.
    const tile_schedule two = schedule_tiles(f, equal, link);
    CHECK(two.device[0] == 0);
    CHECK(two.device[1] == 1);
    CHECK(two.tiles_seconds == Approx(0.06 + 1 + 0.035));
    CHECK(two.seconds == Approx(two.tiles_seconds + 0.1));
    // Over a link of a tenth of that rate it is as late as the first device's own second tile would be.
    CHECK(schedule_tiles(f, equal, {.rate = {8 * 10.0}}).tiles_seconds == Approx(2));
    CHECK(schedule_tiles(f, std::span{equal}.first(1), link).tiles_seconds == Approx(2));
    const std::array<tile_device, 2> faster{{{1000}, {10000}}};
    CHECK(schedule_tiles(f, faster, link).device[0] == 1);
}

TEST_CASE("the chosen grid is the fastest of all by the model, and no grid where the link is too slow") {
    const std::array<tile_device, 3> devices{{{1e8}, {1e8}, {5e7}}};
    const tile_link wired{.rate = megabits_per_second(100), .latency = std::chrono::microseconds{200}};
    const tile_choice best = choose_tiles<classifier>(devices, wired, 6);
    REQUIRE(best.figures.why == nullptr);
    CHECK(best.figures.count() > 1);
    const auto& borders = tile_borders<classifier>;
    for (int k = 1; k + 1 < borders.count; ++k)
        for (int rows = 1; rows <= 6; ++rows)
            for (int columns = 1; rows * columns <= 6; ++columns) {
                const tile_figures f = graph::figures_of(tile_source_of<classifier>, tile_lives<classifier>, {borders.at[0], borders.at[k], rows, columns}, 0);
                if (!f.why) CHECK(schedule_tiles(f, devices, wired).seconds >= best.schedule.seconds);
            }
    const tile_choice alone = choose_tiles<classifier>(devices, {.rate = kilobits_per_second(10)}, 6);
    CHECK(alone.schedule.seconds == Approx(static_cast<double>(alone.figures.whole_macs + alone.figures.rest_macs) / 1e8));
}

TEST_CASE("what cannot be cut into tiles is said in one sentence, and where") {
    const auto said = [](const tile_figures& f) { return std::string(f.why ? f.why : ""); };
    CHECK(said(tiles_of<classifier>({.rows = 2, .columns = 2, .until = "b"})).empty());
    CHECK(said(tiles_of<classifier>({.rows = 2, .columns = 2, .until = "fc"})) == "a global pooling reads every pixel");
    CHECK(said(tiles_of<classifier>({.rows = 2, .columns = 2, .until = "a.one"})).starts_with("more than one map crosses"));
    CHECK(said(tiles_of<classifier>({.rows = 2, .columns = 2, .until = "c"})).starts_with("no layer, group of layers or cut has the name"));
    CHECK(said(tiles_of<classifier>({.rows = 30, .columns = 2, .until = "b"})) == "the grid has more rows than the map");
    CHECK(said(tiles_of<classifier>({.rows = 2, .columns = 30, .until = "b"})) == "the grid has more columns than the map");
    CHECK(said(tiles_of<classifier>({.rows = 0, .columns = 1})) == "a grid has 1 to 64 tiles");
    CHECK(said(tiles_of<staged>({.rows = 2, .columns = 2, .until = "near"})).empty());
    CHECK(said(tiles_of<staged>({.rows = 2, .columns = 2, .until = "cloud"})).starts_with("no layer"));
    const auto values = random_weights(parameters<classifier>(), 1);
    CHECK_THROWS_AS(tiled_network<classifier>(values, plan_tiles<classifier>({.rows = 30, .columns = 1})), option_error);
    CHECK_THROWS_AS(tiled_network<classifier>(values, tile_plan{}), option_error);
    tile_plan too_small = plan_tiles<classifier>({.rows = 2}, {.lanes = tile_code_of<classifier>().lanes});
    CHECK_NOTHROW(tiled_network<classifier>(values, too_small));
    too_small.work_bytes -= 64;
    CHECK_THROWS_AS(tiled_network<classifier>(values, too_small), option_error);
    CHECK_THROWS_AS(tiled_network<classifier>(values, plan_tiles<classifier>({.rows = 4}, {.lanes = tile_code_of<classifier>().lanes}), 4), option_error);
    CHECK_NOTHROW(tiled_network<classifier>(values, plan_tiles<classifier>({.rows = 4}, {.threads = 4}), 4));
    CHECK_THROWS_AS(tiled_network<classifier>({}, plan_tiles<classifier>({})), weights_error);
}

// At compile time.
static_assert(tiles_of<classifier>({.rows = 2, .columns = 2, .until = "stem"}).why == nullptr);
static_assert(tiles_of<classifier>({}).redundant_share() == 0 && tiles_of<classifier>({.rows = 2}).redundant_share() > 0);
static_assert(tiles_of<classifier>({.rows = 2, .until = "stem"}).in_bytes < 3 * (43 + 3) * 58 + 8);
static_assert(fits<lines>(std::int64_t{1} << 30) && !fits<lines>(1000));

TEST_CASE("a tile travels as the bytes of its input region and comes back as those of its outputs, whoever runs it") {
    const beside_whole<windows> net;
    const tile_plan plan = plan_tiles<windows>({.rows = 3, .columns = 2, .until = "far"}, {.lanes = net.lanes});
    REQUIRE(plan.why == nullptr);
    tiled_network<windows> gatherer{net.values, plan}, worker{net.values, plan};
    const void* inputs[]{net.frame.data()};
    const tile_figures figures = tiles_of<windows>({.rows = 3, .columns = 2, .until = "far"}, net.lanes);
    for (int k = 5; k >= 0; --k) { // in any order
        const std::size_t at = static_cast<std::size_t>(k);
        REQUIRE(gatherer.question_bytes(k) == static_cast<std::size_t>(figures.tiles[at].in_bytes));
        REQUIRE(gatherer.answer_bytes(k) == static_cast<std::size_t>(figures.tiles[at].out_bytes));
        std::vector<std::byte> question(gatherer.question_bytes(k)), answer(gatherer.answer_bytes(k));
        gatherer.ask(k, inputs, question);
        if (k == 2) gatherer.answer(k, question, answer); // its device is gone: the gatherer runs that one itself
        else worker.answer(k, question, answer);
        gatherer.gather(k, answer);
        CHECK_THROWS_AS(worker.answer(k, std::span{question}.first(question.size() - 1), answer), option_error);
        CHECK_THROWS_AS(gatherer.gather(k, std::span{answer}.first(3)), option_error);
    }
    std::vector<float> out(net.expected.size(), NAN);
    gatherer.run_behind(inputs, out.data());
    CHECK(same_bits(out, net.expected));
    CHECK_THROWS_AS(worker.question_bytes(6), option_error);
}

namespace {
/// Everything in front of a layer, its shares of channels by as many devices, and everything behind it.
template <class Network>
void share_out(text layer, int shares) {
    INFO(std::string(layer) << " in " << shares);
    const beside_whole<Network> net;
    const channel_figures figures = channels_of<Network>(layer, shares, net.lanes);
    REQUIRE(figures.why == nullptr);
    const auto part = [&](const graph::border& from, const graph::border& to) {
        tile_plan plan;
        graph::add_part(net.net, plan, graph::figures_of(net.net, tile_lives<Network>, {from, to}, net.lanes), 1);
        return tiled_network<Network>{net.values, plan};
    };
    auto front = part(net.borders.at[0], figures.of.first), behind = part(figures.of.last, net.borders.at[net.borders.count - 1]);
    std::vector<float> in(front.leaving_floats()), map(behind.entering_floats(), NAN), out(net.expected.size(), NAN);
    const void* inputs[]{net.frame.data()};
    front.run_part(inputs, nullptr, nullptr, in.data());
    std::int64_t macs = 0;
    std::size_t floats = 0;
    for (int k = shares - 1; k >= 0; --k) {
        channel_device<Network> device{net.values, figures, k};
        const channel_share& share = figures.shares[k];
        REQUIRE(device.in_floats() == in.size());
        CHECK(device.weight_bytes() <= static_cast<std::size_t>(share.weight_bytes));
        CHECK(4 * device.out_floats() == static_cast<std::size_t>(share.out_bytes));
        device.run(in.data(), map.data() + device.first_float());
        macs += share.macs, floats += device.out_floats();
    }
    CHECK(macs == figures.whole_macs);
    CHECK(floats == map.size());
    behind.run_part(inputs, map.data(), out.data(), nullptr);
    CHECK(same_bits(out, net.expected));
}
/// Several blocks of channels, the last one not whole: a direct layer with a folded norm, a Winograd one, a dense one.
struct wide {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 5, .height = 14, .width = 11}) | named("strided", conv(70, {.kernel = 3, .stride = 2, .with_bias = bias::yes})) | named("bn", batch_norm()) | relu()
             | named("winograd", layer(100, {.kernel = 3})) | max_pool() | flatten() | named("fc", dense(200)) | relu() | named("end", dense(3));
    }
};
} // namespace

TEST_CASE("a layer's channels by several devices give the whole run's bits, with the weights of each one's own") {
    for (const int shares : {1, 2, 3, 4}) {
        share_out<wide>("strided", shares);
        share_out<wide>("winograd", shares);
        share_out<wide>("fc", shares);
    }
    const auto said = [](const channel_figures& f) { return std::string(f.why ? f.why : ""); };
    CHECK(said(channels_of<wide>("fc", 5)).starts_with("there are 1 to 16 shares"));
    CHECK(said(channels_of<wide>("nothing", 2)).starts_with("no convolution"));
    CHECK(said(channels_of<classifier>("a", 2)).starts_with("more than one layer"));
    CHECK(said(channels_of<classifier>("a.two", 1)).starts_with("a layer that ends a residual"));
    CHECK(said(channels_of<inverted>("block.1.deep", 2)).starts_with("a grouped"));
    const auto values = random_weights(parameters<wide>(), 1);
    CHECK_THROWS_AS(channel_device<wide>(values, channels_of<wide>("fc", 2), 2), option_error);
    CHECK_THROWS_AS(channel_device<wide>(values, channels_of<wide>("fc", 9), 0), option_error);
    CHECK_THROWS_AS(channel_device<wide>({}, channels_of<wide>("fc", 2), 0), weights_error);
}
