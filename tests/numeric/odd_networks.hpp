// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file odd_networks.hpp
/// Words inside each other that networks seldom put there: what a branch reads, fans in branches, taps that only travel, concats of very many.
#pragma once

#include <splitdsl/language.hpp>

#include <utility>

namespace odd {
using namespace splitdsl;

constexpr auto picture() { return input("picture", u8, {.channels = 3, .height = 16, .width = 16}) | normalise(imagenet); }
constexpr auto layer(text name, int channels) { return named(name, conv(channels, {.kernel = 3})); }

struct branches_read_values {
    static constexpr auto graph() { return input("x", f32, 4) | select("command", named("a", dense(3)), named("b", dense(3)), named("c", dense(3))); }
};
struct values_read_behind_branches {
    static constexpr auto graph() {
        return picture() | head("car", layer("s", 4)) | cut("up")
             | tail("cloud", select("command", multiply(identity(), input("y", f32, 4) | named("p", dense(4))), layer("q", 4)) | multiply(identity(), input("y", f32, 4)));
    }
};
struct fan_in_a_branch {
    static constexpr auto graph() {
        return picture() | layer("s", 4) | select("command", layer("x", 4), fan_in("parts", layer("a", 2), layer("b", 2)), layer("y", 4) | fan_in("others", layer("c", 1), layer("d", 3))) | global_pool();
    }
};
struct fan_that_ends_in_a_chain {
    static constexpr graph::chain_costs chains{.least_map = 1'000, .band = 20'000};
    static constexpr auto graph() { return picture() | layer("s", 8) | fan_in("parts", layer("a", 16) | layer("a2", 16), layer("b", 16) | layer("b2", 16)) | global_pool(); }
};
template <int Pairs>
struct joins_many {
    static constexpr auto graph() {
        return []<int... I>(std::integer_sequence<int, I...>) {
            return input("x", f32, 4) | named("a", dense(5)) | concat((I % 2 == 0 ? relu() : tanh())..., identity());
        }(std::make_integer_sequence<int, Pairs>{});
    }
};
/// The tap is made in front of the cut and read by one op behind it, which could melt into what makes it if nothing stood between them.
template <int Reader>
struct tap_that_travels {
    static constexpr auto made() {
        if constexpr (Reader == 0) return concat(relu(), tanh());
        else return layer("u", 4);
    }
    static constexpr auto read() {
        if constexpr (Reader == 0) return concat(identity(), from("t"));
        else if constexpr (Reader == 1) return add(identity(), from("t") | relu());
        else return concat(identity(), from("t") | named("n", batch_norm()));
    }
    static constexpr auto graph() {
        return picture() | head("car", tap("y", layer("s", 4)) | tap("t", made()) | from("y")) | cut("up", lossless_f32(), carry("t"))
             | stage("hub", layer("w", 4)) | cut("on", lossless_f32(), carry("t")) | tail("cloud", read() | global_pool());
    }
};
/// What crossed one cut and is carried across the next ones: nobody writes its bytes where the stages before run as one.
struct cut_that_travels {
    static constexpr auto graph() {
        return picture() | head("car", layer("s", 2)) | cut("up") | stage("hub", tap("t", identity()) | layer("w", 4)) | cut("on", lossless_f32(), carry("t"))
             | stage("site", layer("v", 2)) | cut("off", lossless_f32(), carry("up")) | tail("cloud", add(identity(), from("t")) | global_pool());
    }
};
struct cuts_of_a_fan_that_travel {
    static constexpr auto graph() {
        return fan_in("parts", picture() | head("car", layer("s", 2)) | cut("l"), input("depth", f32, {.channels = 1, .height = 16, .width = 16}) | head("car", layer("d", 3)) | cut("r"))
             | stage("hub", layer("w", 4)) | cut("on", lossless_f32(), carry("r", "l")) | tail("cloud", concat(identity(), from("l"), from("r")) | global_pool());
    }
};
/// The same of a cut whose bytes hold less than its tensor: they cross each cut as they are, and are read behind each.
template <codec_choice Codec>
struct rounded_cut_that_travels {
    static constexpr auto graph() {
        return picture() | head("car", layer("s", 2) | max_pool({.kernel = 2})) | cut("up", Codec) | stage("hub", layer("w", 4)) | cut("on", lossless_f32(), carry("up"))
             | stage("site", add(layer("v", 2), from("up"))) | cut("off", half_f16(), carry("up")) | tail("cloud", add(identity(), from("up")) | global_pool());
    }
};
/// An exit ends a stage between a cut and the next one, which carries it.
struct cut_that_travels_past_an_exit {
    static constexpr auto graph() {
        return picture() | head("car", layer("s", 2)) | cut("up") | stage("hub", early_exit("early", global_pool() | named("e", dense(6))) | layer("w", 4))
             | cut("on", lossless_f32(), carry("up")) | tail("cloud", concat(identity(), from("up")) | global_pool());
    }
};
/// The same between the two cuts of a fan.
struct cuts_of_a_fan_around_an_exit {
    static constexpr auto graph() {
        return fan_in("parts", picture() | head("car", layer("s", 2)) | cut("l"),
                      input("depth", f32, {.channels = 1, .height = 16, .width = 16}) | head("car", layer("d", 3) | early_exit("early", global_pool() | named("e", dense(6)))) | cut("r"))
             | stage("hub", layer("w", 4)) | cut("on", lossless_f32(), carry("l")) | tail("cloud", concat(identity(), from("l")) | global_pool());
    }
};
/// A vector that is read by a window: zeros lie around its one pixel, and its blocks of channels apart.
struct window_around_a_flattened_map {
    static constexpr auto graph() { return input("x", f32, {.channels = 7, .height = 3, .width = 5}) | flatten() | layer("w", 4) | global_pool(); }
};
struct window_around_sums {
    static constexpr auto graph() { return input("x", f32, 24) | named("a", dense(40)) | relu() | named("b", conv(40, {.kernel = 3, .dilation = 2, .groups = 40})) | named("c", dense(3)); }
};
struct input_that_is_carried {
    static constexpr auto graph() {
        return picture() | head("car", layer("s", 2) | max_pool({.kernel = 4})) | bottleneck("up", named("b", conv(1)), half_f16(), carry("picture"))
             | tail("cloud", concat(global_pool(), from("picture") | normalise(imagenet) | global_pool()));
    }
};

/// Parts that read each other's taps: threads have to wait for them.
struct parts_that_meet {
    static constexpr auto graph() {
        return picture() | layer("s", 4) | fan_in("parts", tap("t", layer("a", 4)) | relu(), layer("b", 4) | add(identity(), from("t")), from("t") | tanh())
             | fan_out(task("x", tap("u", layer("c", 4)) | relu()), task("y", layer("d", 4) | add(identity(), from("u"))));
    }
};
} // namespace odd
