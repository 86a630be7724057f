// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file extreme_sizes.cpp
/// Sizes at the ends of their ranges are accepted, or refused with the number that was asked for; none wraps around or stops the evaluation of a pass.
#include <splitdsl/language.hpp>

#include <climits>
#include <limits>

using namespace splitdsl;

namespace {

constexpr int most_side = INT_MAX, most_step = 32766;

/// A network of one word behind an input.
template <auto Graph>
struct network {
    static constexpr auto graph() { return Graph(); }
};
template <auto Graph>
constexpr bool is_accepted = check<network<Graph>> && fingerprint<network<Graph>> != 0 && memory_of<network<Graph>, 16>.arena > 0;
/// The code, and the number that is shown.
template <auto Graph>
constexpr bool is_refused(code what, std::int64_t found) {
    return diagnosis_of<network<Graph>>.what == what && diagnosis_of<network<Graph>>.found == found;
}
constexpr auto vector(int n) { return input("x", f32, values{n}); }
constexpr auto image(int channels, int height, int width) { return input("x", f32, {.channels = channels, .height = height, .width = width}); }

// As large as they may be.
static_assert(is_accepted<[] { return vector(most_side) | relu(); }>);
static_assert(is_accepted<[] { return image(1, most_side, 1) | relu(); }>);
static_assert(is_accepted<[] { return image(1, 1, most_side - 2 * most_step) | named("a", conv(1, {.kernel = {1, 3}, .dilation = {1, most_step}})); }>);
static_assert(is_accepted<[] { return image(1, 1, 300'000) | named("a", conv(1, {.kernel = {1, most_step}, .stride = {1, most_step}})); }>);
static_assert(is_accepted<[] { return image(1, 1, 1) | named("a", conv(1, {.kernel = 45'000 / 2, .pad = 45'000 / 4})); }>);
static_assert(is_accepted<[] { return image(1, 8, 8) | upsample({.size = {1, 40'000}}); }>);
static_assert(is_accepted<[] { return image(1, 1, 65'535) | upsample({.factor = {1, most_step}}); }>);
static_assert(output_shape<network<[] { return image(1, 8, 8) | upsample({.size = {1, 40'000}}); }>>() == shape{1, 1, 40'000});
static_assert(output_shape<network<[] { return image(1, 1, 100'000) | named("a", conv(1, {.kernel = 1, .stride = most_step})); }>>() == shape{1, 1, 4});

constexpr float infinity = std::numeric_limits<float>::infinity();
static_assert(is_accepted<[] { return image(1, 8, 8) | pad(1, -infinity); }> && is_accepted<[] { return image(1, 8, 8) | pad(1, 1e30F); }>);
static_assert(fingerprint<network<[] { return image(1, 8, 8) | pad(1, -infinity); }>> != fingerprint<network<[] { return image(1, 8, 8) | pad(1, infinity); }>>);

// As many, and names as long, as tables hold.
constexpr text letters = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl";
template <int Count>
constexpr auto vectors() {
    return []<int... I>(std::integer_sequence<int, I...>) { return concat(input(letters.substr(0, std::size_t{I} + 1), f32, 1)...); }(std::make_integer_sequence<int, Count>{});
}
template <int Count>
constexpr auto tasks() {
    return []<int... I>(std::integer_sequence<int, I...>) { return vector(1) | fan_out(task(letters.substr(0, std::size_t{I} + 1), relu())...); }(std::make_integer_sequence<int, Count>{});
}
static_assert(is_accepted<[] { return vectors<63>(); }> && is_accepted<[] { return tasks<63>(); }>);
static_assert(is_accepted<[] { return concat(vectors<63>(), input("x", f32, 1)); }>);
static_assert(is_refused<[] { return concat(vectors<63>(), concat(input("x", f32, 1), input("y", f32, 1))); }>(code::SD313, 65));
static_assert(is_accepted<[] { return tasks<62>() | early_exit("first", relu()) | early_exit("second", relu()); }>);
static_assert(is_refused<[] { return tasks<63>() | early_exit("first", relu()) | early_exit("second", relu()); }>(code::SD313, 65));
static_assert(is_refused<[] { return input(letters, f32, 1) | relu(); }>(code::SD104, 0) && is_accepted<[] { return vector(1) | named(letters, dense(1)); }>);

// One more.
static_assert(is_refused<[] { return image(1, 1, 100'000) | named("a", conv(1, {.kernel = 1, .stride = most_step + 1})); }>(code::SD218, most_step + 1));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv(1, {.kernel = 1, .stride = INT_MAX})); }>(code::SD218, INT_MAX));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv(1, {.kernel = 3, .pad = 65'536 + 1})); }>(code::SD218, 65'537));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv(1, {.kernel = 65'536 + 3})); }>(code::SD201, 65'539));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv(1, {.kernel = 3, .dilation = INT_MAX})); }>(code::SD201, INT_MAX));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv(1, {.kernel = INT_MAX, .dilation = INT_MAX})); }>(code::SD201, INT_MAX));
static_assert(is_refused<[] { return image(1, 8, 8) | normalise({.mean = {infinity}}); }>(code::SD211, 1));
static_assert(is_refused<[] { return image(1, 8, 8) | normalise({.deviation = {std::numeric_limits<float>::quiet_NaN()}}); }>(code::SD211, 1));
static_assert(is_refused<[] { return image(3, 8, 8) | named("a", batch_norm(-1e-5F)); }>(code::SD211, 3));
static_assert(is_refused<[] { return image(3, 8, 8) | named("a", l2_normalise(std::numeric_limits<float>::quiet_NaN())); }>(code::SD211, 3));
static_assert(is_refused<[] { return image(3, 8, 8) | named("a", l2_normalise(infinity)); }>(code::SD211, 3));
static_assert(is_accepted<[] { return image(3, 8, 8) | named("a", batch_norm(0)) | named("b", l2_normalise(0)); }>);
static_assert(is_refused<[] { return image(1, 8, 8) | upsample({.factor = 3, .size = {24, 16}}); }>(code::SD220, 16));
static_assert(is_refused<[] { return image(1, 8, 8) | upsample({.factor = {4, 2}, .size = 16}); }>(code::SD220, 16));
static_assert(is_accepted<[] { return image(1, 8, 8) | upsample({.factor = 3, .size = 24}) | upsample({.size = 31}); }>);
static_assert(is_refused<[] { return image(1, 8, 8) | max_pool({.kernel = 2, .stride = 65'538}); }>(code::SD218, 65'538));
// Three steps each, and weights that all share; a name for each has room enough.
static_assert(is_accepted<[] { return vector(2) | named("a", repeat<16>([](int) { return gdn(); })); }>);
static_assert(is_refused<[] { return vector(2) | named("a", repeat<17>([](int) { return gdn(); })); }>(code::SD313, 17));
static_assert(is_accepted<[] { return vector(2) | repeat<200>([](int i) { return named(i, gdn()); }); }>);
static_assert(is_refused<[] { return image(1, 8, 8) | subsample(65'538); }>(code::SD218, 65'538));
static_assert(is_refused<[] { return image(1, 8, 8) | pad({0, 0, 0, 65'540}); }>(code::SD218, 65'540));
static_assert(is_refused<[] { return image(1, 8, 8) | upsample({.factor = 65'538}); }>(code::SD218, 65'538));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv_transpose(1, {.stride = 65'538})); }>(code::SD218, 65'538));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv_transpose(1, {.output_pad = 65'538})); }>(code::SD218, 65'538));
static_assert(is_refused<[] { return image(8, 20, 20) | head("device", stream("s", identity(), dynamic_pool(65'540)) | global_pool()) | beside("cloud", early_exit("e", from("s") | global_pool())); }>(code::SD316, 20));

// Below zero.
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv(1, {.kernel = 3, .pad = -2})); }>(code::SD214, -2));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv(1, {.kernel = 3, .pad = {0, 0, 0, -65'536}})); }>(code::SD214, -65'536));
static_assert(is_refused<[] { return image(1, 8, 8) | max_pool({.kernel = 3, .pad = -1}); }>(code::SD214, -1));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv(1, {.kernel = 3, .stride = {1, INT_MIN}})); }>(code::SD208, INT_MIN));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv(1, {.kernel = INT_MIN})); }>(code::SD208, INT_MIN));
static_assert(is_refused<[] { return image(1, 8, 8) | upsample({.size = {-3, -3}}); }>(code::SD208, -3));
static_assert(is_refused<[] { return image(1, 8, 8) | named("a", conv_transpose(1, {.output_pad = {1, -1}})); }>(code::SD214, -1));
static_assert(is_refused<[] { return image(1, 2, 2) | named("a", conv_transpose(INT_MAX, {.kernel = 1, .pad = most_step})); }>(code::SD201, -65'529));

// Results beyond 31 bits, some of them beyond 63.
constexpr std::int64_t beyond = std::int64_t{1} << 62;
static_assert(is_refused<[] { return image(1, 46'000, 46'000) | upsample(); }>(code::SD210, std::int64_t{92'000} * 92'000));
static_assert(is_refused<[] { return vector(most_side) | pad(1); }>(code::SD210, std::int64_t{most_side} * 9));
static_assert(is_refused<[] { return vector(most_side) | pad_channels(INT_MAX, INT_MAX); }>(code::SD210, std::int64_t{most_side} * 3));
static_assert(is_refused<[] { return vector(most_side) | concat(identity(), identity()); }>(code::SD210, std::int64_t{most_side} * 2));
static_assert(is_refused<[] { return image(1, 1, most_side) | named("a", conv(1, {.kernel = 3})); }>(code::SD210, 3 * (std::int64_t{most_side} + 2)));
static_assert(is_refused<[] { return image(1, 1, 1) | named("a", conv(1, {.kernel = most_step, .pad = most_step})); }>(code::SD210, std::int64_t{65'533} * 65'533));
static_assert(is_refused<[] { return image(1, 46'000, 46'000) | named("a", conv_transpose(INT_MAX, {.kernel = most_step, .stride = most_step})); }>(code::SD210, beyond));
static_assert(is_refused<[] { return vector(most_side) | named("a", gdn()); }>(code::SD210, std::int64_t{most_side} * (std::int64_t{most_side} + 1)));
static_assert(is_refused<[] { return vector(most_side) | named("a", dense(INT_MAX)); }>(code::SD210, std::int64_t{most_side} * most_side + most_side));
static_assert(is_refused<[] { return image(1, 40'000, 40'000) | named("a", conv(1, {.kernel = 501})); }>(code::SD219, std::int64_t{40'000} * 40'000 * 501 * 501));

// Stages: the words say the order, the places are free.
constexpr auto layer(const char* name) { return named(name, conv(1, {.kernel = 1})); }
static_assert(is_refused<[] { return image(1, 8, 8) | tail("cloud", layer("a")) | cut("up") | head("car", layer("b")); }>(code::SD321, 3));
static_assert(is_refused<[] { return image(1, 8, 8) | stage("hub", layer("a")) | cut("up") | head("car", layer("b")); }>(code::SD321, 3));
static_assert(is_refused<[] { return image(1, 8, 8) | head("car", layer("a")) | cut("up") | tail("cloud", layer("b")) | cut("on") | stage("hub", layer("c")); }>(code::SD321, 5));
static_assert(is_refused<[] { return image(1, 8, 8) | tail("car", layer("a")) | head("car", layer("b")); }>(code::SD321, 2));
static_assert(is_refused<[] { return image(1, 8, 8) | tail("cloud", layer("a")) | head("car", layer("b")); }>(code::SD321, 2));
static_assert(is_refused<[] { // along one of two branches
    return image(1, 8, 8) | cut("up") | tail("cloud", layer("a")) | cut("on") | head("car", add(identity(), layer("b")));
}>(code::SD321, 4));
static_assert(is_accepted<[] { return image(1, 8, 8) | head("cloud", layer("a")) | cut("up") | tail("car", layer("b")); }>);
static_assert(is_accepted<[] { return image(1, 8, 8) | tail("car", layer("a")) | cut("up") | tail("cloud", layer("b")); }>);
static_assert(is_accepted<[] { return image(1, 8, 8) | head("car", layer("a")) | cut("on") | head("car", layer("b")) | cut("up") | tail("cloud", layer("c")); }>);
static_assert(is_accepted<[] { // the second part's head stands behind the first one's stage, but does not read it
    constexpr auto part = [](text name, const char* weights) {
        return input(name, f32, {.channels = 1, .height = 8, .width = 8}) | head("car", layer(weights));
    };
    return fan_in("both", part("left", "a") | cut("left_up"), part("right", "b") | cut("right_up")) | stage("hub", layer("c")) | cut("on") | tail("cloud", layer("d"));
}>);
static_assert(is_refused<[] { return image(1, 8, 8) | head("car", layer("a") | cut("up") | tail("cloud", layer("b"))); }>(code::SD322, 0));
static_assert(is_accepted<[] { return image(1, 8, 8) | head("car", layer("a") | head("car", layer("b"))); }>);

} // namespace
