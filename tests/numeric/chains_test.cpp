// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file chains_test.cpp
/// Steps that run band by band of rows: every bit as without, in less memory.
#include "../catch.hpp"
#include "case_runner.hpp"

#include <splitdsl/language.hpp>
#include <splitdsl/runtime/executor.hpp>

namespace {
using namespace numeric;

/// Maps of any size are split into bands of so many bytes; -1: none is.
constexpr graph::chain_costs bands_of(std::int64_t bytes) { return {.least_map = bytes < 0 ? std::int64_t{1} << 60 : 1, .band = bytes, .rows = 1, .weights = 1 << 20}; }

/// A picture's first layer and its pool, then what reads the pooled map: strides 2, odd sizes, a Winograd convolution of stride 2.
template <std::int64_t Bytes>
struct first_layers {
    static constexpr graph::chain_costs chains = bands_of(Bytes);
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 53, .width = 61}) | normalise(imagenet) | named("stem", conv(64, {.kernel = 7, .stride = 2, .pad = 3}))
             | named("bn", batch_norm()) | relu() | max_pool({.kernel = 3, .stride = 2, .pad = 1}) | named("next", conv(5, {.kernel = 3, .pad = 1}));
    }
};
/// Pixels next to each other, and a pool that leaves rows out.
template <std::int64_t Bytes>
struct interleaved_picture {
    static constexpr graph::chain_costs chains = bands_of(Bytes);
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 31, .width = 17, .layout = image_layout::hwc}) | normalise(imagenet)
             | named("stem", conv(9, {.kernel = 3, .pad = 2, .dilation = 2})) | relu()
             | max_pool({.kernel = 2, .stride = 3}) | avg_pool({.kernel = 3, .stride = 1, .pad = 1});
    }
};
/// A picture's direct first layer, whose zeros stand around it on all sides, then a depthwise convolution.
template <std::int64_t Bytes>
struct direct_first_layer {
    static constexpr graph::chain_costs chains = bands_of(Bytes);
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 45, .width = 38}) | normalise(imagenet) | named("stem", conv(24, {.kernel = 3, .stride = 2, .pad = 1})) | hard_swish()
             | named("deep", conv(24, {.kernel = 3, .pad = 1, .groups = 24})) | relu() | named("next", conv(17, {}));
    }
};
/// Expand, depthwise, project: 3 x 3 and 5 x 5, strides 1 and 2, with what is added at the end; with an activation that is no bound.
template <std::int64_t Bytes>
struct inverted_residuals {
    static constexpr graph::chain_costs chains = bands_of(Bytes);
    static constexpr auto block(int i, int kernel, int stride, int wide, int out) {
        return named("block", named(i, named("expand", conv(wide, {})) | hard_swish()
                                           | named("deep", conv(wide, {.kernel = kernel, .stride = stride, .pad = kernel / 2, .groups = wide})) | named("bn", batch_norm()) | relu6()
                                           | named("project", conv(out, {}))));
    }
    static constexpr auto graph() {
        return input("x", f32, {.channels = 7, .height = 27, .width = 19}) | named("in", conv(10, {.kernel = 3, .pad = 1})) | residual(block(0, 3, 1, 33, 10)) | block(1, 5, 2, 40, 12)
             | residual(block(2, 5, 1, 24, 12)) | block(3, 3, 2, 20, 6);
    }
};
/// Winograd's tiles, whose rows are not the bands'.
template <std::int64_t Bytes>
struct tiles {
    static constexpr graph::chain_costs chains = bands_of(Bytes);
    static constexpr auto graph() {
        return input("x", f32, {.channels = 64, .height = 29, .width = 23}) | named("a", conv(64, {.kernel = 3, .pad = 1})) | relu() | named("b", conv(64, {.kernel = 3, .pad = 1})) | relu()
             | named("c", conv(33, {.kernel = 1})) | max_pool({.kernel = 3, .stride = 2, .ceil = true});
    }
};

/// Winograd's tiles of six rows, of one, and of two for a kernel of five.
template <std::int64_t Bytes>
struct lines {
    static constexpr graph::chain_costs chains = bands_of(Bytes);
    static constexpr auto graph() {
        return input("x", f32, {.channels = 24, .height = 29, .width = 23}) | named("a", conv(32, {.kernel = {7, 1}})) | relu() | named("b", conv(40, {.kernel = {1, 7}})) | relu()
             | named("c", conv(33, {.kernel = 5})) | max_pool({.kernel = 3, .stride = 2, .ceil = true});
    }
};

/// Direct convolutions that leave the zeros around their input out, the last one to a handful of channels.
template <std::int64_t Bytes>
struct padded {
    static constexpr bool winograd = false;
    static constexpr graph::chain_costs chains = bands_of(Bytes);
    static constexpr auto graph() {
        return input("x", f32, {.channels = 16, .height = 27, .width = 14}) | named("a", conv(64, {.kernel = 3, .pad = 1})) | relu() | named("b", conv(70, {.kernel = 5, .stride = 2, .pad = 2}))
             | relu() | named("c", conv(32, {.kernel = 3, .pad = 1})) | named("d", conv(3, {.kernel = 3, .pad = 1})) | hard_swish();
    }
};

template <class Network>
constexpr int steps_in_chains() {
    int n = 0;
    for (const int length : chains_of<Network>.length) n += length;
    return n;
}
static_assert(steps_in_chains<first_layers<-1>>() == 0 && chains_of<first_layers<4000>>.length[0] == 4, "picture, stem, pool, next");
static_assert(steps_of<first_layers<0>>.steps[1].kind == graph::step_kind::winograd_3x3_strided);
static_assert(steps_in_chains<interleaved_picture<1>>() == 4);
static_assert(steps_in_chains<direct_first_layer<1>>() == 4 && steps_of<direct_first_layer<1>>.buffers[static_cast<std::size_t>(steps_of<direct_first_layer<1>>.steps[0].out)].in_quads);
static_assert(steps_in_chains<inverted_residuals<1>>() == 12, "what a residual adds is read twice, so it is no map of a chain");
static_assert(steps_in_chains<padded<1>>() == 4);
static_assert(steps_of<tiles<1>>.steps[1].kind == graph::step_kind::winograd_4x4 && steps_in_chains<tiles<1>>() == 4);
static_assert(steps_of<lines<1>>.steps[1].kind == graph::step_kind::winograd_line && steps_of<lines<1>>.steps[2].kind == graph::step_kind::winograd_line &&
              steps_of<lines<1>>.steps[3].kind == graph::step_kind::winograd_2x2_of_5x5 && steps_in_chains<lines<1>>() == 4);

/// Whether tensors that are alive at the same time lie apart, a chain's all while it runs.
template <class Network>
constexpr bool lie_apart() {
    const auto& l = steps_of<Network>;
    const auto& c = chains_of<Network>;
    const auto& m = memory_of<Network, 16>;
    const auto end_of = [&](std::size_t b) {
        const graph::buffer& t = l.buffers[b];
        return m.offset[b] + (t.is_bytes ? t.bytes : graph::blocked_bytes(t, c.window[b], 16));
    };
    for (std::size_t a = 0; a < static_cast<std::size_t>(l.buffer_count); ++a)
        for (std::size_t b = a + 1; b < static_cast<std::size_t>(l.buffer_count); ++b)
            if (c.lives[a].last >= c.lives[b].first && c.lives[b].last >= c.lives[a].first && m.offset[a] < end_of(b) && m.offset[b] < end_of(a)) return false;
    for (int i = 0; i < l.count; ++i)
        for (int k = i; k < i + c.length[i]; ++k)
            for (const int b : {l.steps[k].in, l.steps[k].addend, l.steps[k].out, l.steps[k].scratch})
                if (b >= 0 && (c.lives[b].first > i || c.lives[b].last < i + c.length[i] - 1)) return false;
    return true;
}
static_assert(lie_apart<first_layers<4000>>() && lie_apart<interleaved_picture<1>>() && lie_apart<direct_first_layer<1>>() && lie_apart<inverted_residuals<1>>() && lie_apart<tiles<20000>>());

static_assert(chains_of<first_layers<1>>.window[static_cast<std::size_t>(steps_of<first_layers<1>>.steps[0].out)] == 27, "next's tile of 4 rows reads 5 of the pool, these 9 of the stem, 27 of 53");
static_assert(memory_of<inverted_residuals<1>, 16>.arena < memory_of<inverted_residuals<-1>, 16>.arena);

/// A camera's picture under the costs that networks have: its floats take 15 MB and the first map 59 MB in blocks of 16 channels, of which neither exists.
struct large_picture {
    static constexpr auto graph() {
        return input("picture", u8, {.channels = 3, .height = 720, .width = 1280}) | normalise(imagenet) | named("stem", conv(64, {.kernel = 7, .stride = 2, .pad = 3})) | relu()
             | max_pool({.kernel = 3, .stride = 2, .pad = 1}) | named("squeeze", conv(3, {.kernel = 2, .stride = 2}));
    }
};
struct heavy_weights {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 128, .height = 90, .width = 160}) | named("a", conv(128, {.kernel = 3})) | named("b", conv(128, {.kernel = 3}));
    }
};
static_assert(chains_of<large_picture>.length[0] >= 3 && lie_apart<large_picture>());
static_assert(steps_in_chains<heavy_weights>() == 0, "2.4 MB of them would be read for every band");
static_assert(memory_of<large_picture, 16>.arena < 25'000'000, "the pooled map's 15 MB, windows and scratch");

template <template <std::int64_t> class Network, std::int64_t... Bytes>
void same_bits_in_bands() {
    const graph::description d = graph::description_of<Network<-1>>();
    const loaded whole{d, pipeline_of<Network<-1>>()};
    const frame f{d, whole.p, 1};
    const std::vector<float> expected = whole.whole(f);
    CHECK(error_of(whole.p, whole.reference(f), expected) <= 10 * tolerance); // Winograd's share
    const auto compare = [&]<std::int64_t One>(std::integral_constant<std::int64_t, One>) {
        INFO(One << " bytes");
        const loaded n{d, pipeline_of<Network<One>>()};
        CHECK(same_bits(n.whole(f, nullptr, 0), expected));
        CHECK(same_bits(n.whole(f, nullptr, 1), expected)); // whatever the memory held
        for (const int threads : {2, 3, 8}) with_threads(threads, [&] { CHECK(runner_fault(n, f, expected) == ""); });
        CHECK(batch_fault(n) == "");
    };
    (compare(std::integral_constant<std::int64_t, Bytes>{}), ...);
}
} // namespace

TEST_CASE("a first layer and its pool give the same bits in bands of any height") { same_bits_in_bands<first_layers, 1, 30'000, 100'000, 1'000'000>(); }
TEST_CASE("bands of a picture whose pixels lie together, of a dilated layer and of a pool that leaves rows out give the same bits") {
    same_bits_in_bands<interleaved_picture, 1, 10'000, 1'000'000>();
    same_bits_in_bands<direct_first_layer, 1, 10'000, 1'000'000>();
}
TEST_CASE("expand, depthwise and project give the same bits in bands") { same_bits_in_bands<inverted_residuals, 1, 20'000, 60'000, 1'000'000>(); }
TEST_CASE("Winograd's tiles give the same bits in bands") { same_bits_in_bands<tiles, 1, 60'000, 1'000'000>(); }
TEST_CASE("Winograd's tiles of one column, one row and a kernel of five give the same bits in bands") { same_bits_in_bands<lines, 1, 60'000, 1'000'000>(); }
TEST_CASE("direct convolutions give the same bits in bands, whose first and last rows alone have padding") { same_bits_in_bands<padded, 1, 30'000, 60'000, 1'000'000>(); }
