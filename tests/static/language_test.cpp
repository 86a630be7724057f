// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file language_test.cpp
/// If it compiles, it passed: what the language says, and the numbers the compiler finds.
#include "networks.hpp"

using namespace splitdsl;
using namespace networks;

// SAGE-05 and the payload of the running example: 3 x 12 x 26 values, scale and zero point, speed and command.
static_assert(check<sage>);
static_assert(cut_shape<sage>("uplink") == shape{3, 12, 26});
static_assert(payload_bytes<sage>("uplink") == 3 * 12 * 26 + 8 + 4 + 1);
static_assert(has_cut<sage>("uplink") && !has_cut<sage>("downlink") && has_place<sage>("car") && !has_place<sage>("cra"));
static_assert(output_shape<sage>() == shape{3, 1, 1});
static_assert(macs<sage>("car") + macs<sage>("cloud") == macs<sage>());

// A question about a name that is not there has no answer, so no `<` can be true of it (the sentence: compile_fail/SD315).
template <class Network> concept knows_payload = requires { typename std::bool_constant<(payload_bytes<Network>("car"), true)>; };
template <class Network> concept knows_shape = requires { typename std::bool_constant<(cut_shape<Network>("downlink"), true)>; };
template <class Network> concept knows_arena = requires { typename std::bool_constant<(arena_bytes<Network>("uplink"), true)>; };
template <class Network> concept knows_macs = requires { typename std::bool_constant<(macs<Network>("cra"), true)>; };
template <class Network> concept knows_car = requires { typename std::bool_constant<(macs<Network>("car"), true)>; };
static_assert(!knows_payload<sage> && !knows_shape<sage> && !knows_arena<sage> && !knows_macs<sage> && knows_car<sage>);

// A buffer takes whole lines of 64 bytes, and a kernel that reads a vector past its end reads the arena.
constexpr std::int64_t room_of_bytes(std::int64_t bytes) { return graph::room_of({.is_bytes = true, .bytes = bytes}, 0, 8); }
static_assert(room_of_bytes(1) == 128 && room_of_bytes(64) == 128 && room_of_bytes(65) == 192);

// A vector input, in every spelling.
static_assert(input("speed", f32, 1).ops[0].size == shape{1, 1, 1});
static_assert(input("speed", f32, values{2}).ops[0].size == shape{2, 1, 1});
static_assert(input("speed", f32, {.count = 3}).ops[0].size == shape{3, 1, 1});
static_assert(input("camera", f32, {3, 8, 9}).ops[0].size == shape{3, 8, 9});

static_assert(check<fleet>);
static_assert(resolved_of<fleet>.place_count == 2);
static_assert(parameters_of<fleet>.count == 4 * 1 + 4 * 4 + 4 * 2 + 3 * 2 + 2, "stage convs, their norms, encoders, fusions, and ONE shared classifier");

// The same with streams that grow: the trunk's stages end at each stream, the exits' follow, one each.
static_assert(check<fleet_live>);
static_assert(steps_of<fleet_live>.trunk_stages == 4 && steps_of<fleet_live>.stages == 6 && steps_of<fleet_live>.stream_count == 3);
static_assert(steps_of<fleet_live>.exits[0].reads == 3 && steps_of<fleet_live>.exits[1].reads == 6);
static_assert(steps_of<fleet_live>.output_floats == 3 * 10);
static_assert(cuts_of<fleet_live>.count == 0);
static_assert(fingerprint<fleet_live> != fingerprint<fleet>);

static_assert(check<fleet_pairs>);
static_assert(steps_of<fleet_pairs>.exit_count == 1 && steps_of<fleet_pairs>.exits[0].before == 3 && steps_of<fleet_pairs>.exits[0].here == 2);
static_assert(parameters_of<fleet_pairs>.count == 2 * (1 + 4) + 2 * 2 + 6 * 2 + 2, "stage convs and norms, encoders, six fusions, one classifier");

static_assert(check<cut_once>);
static_assert(steps_of<cut_once>.stream_count == 1 && steps_of<cut_once>.exits[0].before == 1 && steps_of<cut_once>.exits[0].here == 3);
static_assert(shaped_of<cut_once>.out[static_cast<std::size_t>(steps_of<cut_once>.streams[0].op)] == shape{12, 16, 16}, "all channels in full size");

static_assert(check<three_tier>);
static_assert(payload_bytes<three_tier>("radio") == 4 * 24 * 20 + 8);
static_assert(payload_bytes<three_tier>("backhaul") == 2 * 6 * 12 * 10);
static_assert(check<three_cameras>);
static_assert(payload_bytes<three_cameras>("cameras") == 3 * (3 * 6 * 10 + 8));
static_assert(cuts_of<three_cameras>.count == 1);
static_assert(check<three_tasks>);
static_assert(steps_of<three_tasks>.output_floats == 10 + 8 * 8 * 8 + 4 * 16 * 16);
static_assert(check<unet>);
static_assert(payload_bytes<unet>("uplink") == 2 * 4 * 8 * 6 + 8 + (2 * 32 * 24 + 8) + 4 * 12 * 16 * 12);
static_assert(check<many_cuts>);
static_assert(cuts_of<many_cuts>.count == 3);

// Batch norm, activation and residual add melt: a block of two convolutions is two steps.
struct one_block {
    static constexpr auto graph() { return input("x", f32, {.channels = 8, .height = 6, .width = 6}) | block(8); }
};
static_assert(check<one_block>);
static_assert(steps_of<one_block>.count == 1 + 2 + 1);
static_assert(steps_of<one_block>.steps[2].addend >= 0);

// The fingerprint tells networks apart and does not depend on the names of places.
struct renamed_places {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 4, .height = 8, .width = 8}) | head("robot", named("a", conv(4, {.kernel = 3}))) | cut("c") | tail("server", named("b", conv(2, {.kernel = 1})));
    }
};
struct original_places {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 4, .height = 8, .width = 8}) | head("car", named("a", conv(4, {.kernel = 3}))) | cut("c") | tail("cloud", named("b", conv(2, {.kernel = 1})));
    }
};
struct other_name {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 4, .height = 8, .width = 8}) | head("car", named("a2", conv(4, {.kernel = 3}))) | cut("c") | tail("cloud", named("b", conv(2, {.kernel = 1})));
    }
};
static_assert(fingerprint<renamed_places> == fingerprint<original_places>);
static_assert(fingerprint<other_name> != fingerprint<original_places>);
static_assert(fingerprint<sage> == 0x967dfa33eeb47504, "the fingerprint must not change between releases without a new protocol version");

// A convolution of kernel 3 and stride 1 runs in Winograd tiles where that is cheaper, by its shape alone.
constexpr int winograd_tile(int in, int out, int size, window o = {.kernel = 3}) {
    return graph::plan_winograd(conv(out, o).ops[0], {in, size, size}, {out, size, size}).tile;
}
static_assert(winograd_tile(64, 64, 56) == 4 && winograd_tile(128, 128, 28) == 4, "ResNet-34's first stages");
static_assert(winograd_tile(256, 256, 14) == 2 && winograd_tile(512, 512, 7) == 0, "where weights weigh more than products");
static_assert(winograd_tile(3, 64, 224) == 0 && winograd_tile(3, 64, 300) == 0 && winograd_tile(3, 16, 112) == 0, "pictures: too few channels to pay for the transforms");
static_assert(winograd_tile(64, 3, 56) == 0 && winograd_tile(64, 4, 56) == 0 && winograd_tile(64, 5, 56) == 4 && winograd_tile(60, 3, 56) == 4, "a handful of outputs has a kernel of its own");
static_assert(winograd_tile(24, 24, 28) == 4 && winograd_tile(8, 8, 112) == 0 && winograd_tile(16, 16, 14) == 0, "as measured");
static_assert(winograd_tile(48, 64, 35, {.kernel = 5}) == 2 && winograd_tile(3, 64, 56, {.kernel = 5}) == 0 && winograd_tile(64, 64, 56, {.kernel = 3, .stride = 2}) == 0);
static_assert(winograd_tile(64, 64, 56, {.kernel = 3, .dilation = 2}) == 0 && winograd_tile(64, 64, 56, {.kernel = 3, .groups = 2}) == 0);
constexpr graph::winograd_plan first_layer(int in, int out, int size, int kernel) {
    return graph::plan_winograd(conv(out, {.kernel = kernel, .stride = 2}).ops[0], {in, size, size}, {out, size / 2, size / 2});
}
static_assert(first_layer(3, 64, 224, 7).tile == 3 && first_layer(3, 64, 224, 7).strided && first_layer(3, 32, 128, 5).tile == 4 && first_layer(3, 32, 128, 5).strided);
static_assert(first_layer(3, 32, 224, 3).tile == 0 && first_layer(8, 64, 224, 7).tile == 0 && first_layer(3, 64, 224, 9).tile == 0, "measured for pictures only");
static_assert(winograd_tile(2048, 64, 56) == 2, "F(4x4) keeps its error budget up to 1,024 channels");
static_assert(winograd_tile(128, 192, 17, {.kernel = {1, 7}}) == 6 && winograd_tile(160, 160, 17, {.kernel = {7, 1}}) == 6, "Inception's rows and columns of seven taps");
static_assert(winograd_tile(384, 384, 8, {.kernel = {1, 3}}) == 0 && winograd_tile(64, 64, 56, {.kernel = {1, 5}}) == 0 && winograd_tile(192, 192, 17, {.kernel = {1, 7}, .stride = {1, 2}}) == 0);
static_assert(winograd_tile(3, 64, 224, {.kernel = {1, 7}}) == 0 && winograd_tile(2048, 64, 56, {.kernel = {7, 1}}) == 0, "too few channels to pay for the transforms, and so many that it would leave its error budget");

// Its tasks cover every tile, and its scratch is as large as they need with any number of lanes.
struct wide_conv {
    static constexpr auto graph() { return input("x", f32, {.channels = 64, .height = 56, .width = 56}) | named("w", conv(64, {.kernel = 3})) | relu(); }
};
struct wide_conv_direct : wide_conv {
    static constexpr bool winograd = false;
};
static_assert(steps_of<wide_conv>.steps[1].kind == graph::step_kind::winograd_4x4);
static_assert(steps_of<wide_conv>.buffers[static_cast<std::size_t>(steps_of<wide_conv>.steps[1].scratch)].bytes >=
              4LL * steps_of<wide_conv>.steps[1].tasks * steps_of<wide_conv>.steps[1].chunk * 36 * (64 + 64));
static_assert(steps_of<wide_conv_direct>.steps[1].kind == graph::step_kind::conv);
static_assert(fingerprint<wide_conv> != fingerprint<wide_conv_direct>, "they compute other bits");
static_assert(memory_of<wide_conv, 8>.arena > memory_of<wide_conv_direct, 8>.arena);
struct inception_layers {
    static constexpr auto graph() {
        return input("x", f32, {.channels = 48, .height = 35, .width = 35}) | named("a", conv(64, {.kernel = 5})) | named("b", conv(64, {.kernel = {1, 7}})) | named("c", conv(64, {.kernel = {7, 1}}));
    }
};
struct inception_layers_direct : inception_layers {
    static constexpr bool winograd = false;
};
template <class Network>
constexpr bool has_kinds(graph::step_kind a, graph::step_kind b, graph::step_kind c) {
    const auto& steps = steps_of<Network>.steps;
    return steps[1].kind == a && steps[2].kind == b && steps[3].kind == c;
}
static_assert(has_kinds<inception_layers>(graph::step_kind::winograd_2x2_of_5x5, graph::step_kind::winograd_line, graph::step_kind::winograd_line));
static_assert(has_kinds<inception_layers_direct>(graph::step_kind::conv, graph::step_kind::conv, graph::step_kind::conv));
static_assert(steps_of<inception_layers>.buffers[static_cast<std::size_t>(steps_of<inception_layers>.steps[3].scratch)].bytes >=
              4LL * steps_of<inception_layers>.steps[3].tasks * steps_of<inception_layers>.steps[3].chunk * 12 * (64 + 64));

// A picture of bytes that one convolution reads, of stride 1 or 2 and without dilation or as Winograd's of its phases, takes four floats a pixel.
template <element_type Element>
struct picture_stem {
    static constexpr auto graph() { return input("x", Element, {.channels = 3, .height = 64, .width = 64}) | normalise(imagenet) | named("w", conv(64, {.kernel = 7, .stride = 2})); }
};
struct picture_stem_direct : picture_stem<u8> {
    static constexpr bool winograd = false;
};
struct picture_of_dilated {
    static constexpr auto graph() { return input("x", u8, {.channels = 3, .height = 64, .width = 64}) | normalise(imagenet) | named("w", conv(64, {.kernel = 3, .dilation = 2})); }
};
struct picture_read_twice {
    static constexpr auto graph() {
        return input("x", u8, {.channels = 3, .height = 64, .width = 64}) | normalise(imagenet)
             | concat(named("a", conv(64, {.kernel = 7, .stride = 2})), named("b", conv(64, {.kernel = 3, .stride = 2})));
    }
};
template <class Network>
constexpr bool has_picture_in_quads() {
    for (const graph::buffer& b : steps_of<Network>.buffers)
        if (b.in_quads) return true;
    return false;
}
static_assert(has_picture_in_quads<picture_stem<u8>>() && steps_of<picture_stem<u8>>.steps[1].kind == graph::step_kind::winograd_3x3_strided);
static_assert(has_picture_in_quads<picture_stem_direct>() && steps_of<picture_stem_direct>.steps[1].kind == graph::step_kind::conv);
static_assert(!has_picture_in_quads<picture_stem<f32>>() && !has_picture_in_quads<picture_of_dilated>() && !has_picture_in_quads<picture_read_twice>());
static_assert(memory_of<picture_stem<u8>, 16>.arena < memory_of<picture_stem<f32>, 16>.arena && memory_of<picture_stem<u8>, 4>.arena == memory_of<picture_stem<f32>, 4>.arena);

/// The second cut sends more than the input has, but no more than the first one sends; or more than either.
template <int Channels>
struct encoded_behind_a_lossless_cut {
    static constexpr auto graph() {
        return input("x", u8, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet) | head("car", named("a", conv(16, {.kernel = 3}))) | cut("first")
             | stage("road", named("b", conv(Channels, {.kernel = 3}))) | bottleneck("second", identity(), half_f16()) | tail("cloud", global_pool());
    }
};
static_assert(diagnosis_of<encoded_behind_a_lossless_cut<32>>.what == code::fine);
static_assert(diagnosis_of<encoded_behind_a_lossless_cut<33>>.what == code::SD309);
