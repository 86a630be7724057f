// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file heads.hpp
/// The heads of SAGE, BottleFit and Entropic Student with every way that their last tensor becomes a payload; and their bottlenecks alone, behind a tensor.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/zoo/bottlefit.hpp>
#include <splitdsl/zoo/entropic_student.hpp>
#include <splitdsl/zoo/imitation.hpp>

namespace timed {
using namespace splitdsl;

/// Range per frame; calibrated, by a step of its own; calibrated, in the convolution's epilogue.
enum class codec_way { per_frame, apart, fused };

template <codec_way How>
struct way {
    static constexpr codec_choice codec = How == codec_way::per_frame ? affine_u8() : affine_u8(splitdsl::calibrated);
    static constexpr bool fuses_codec = How == codec_way::fused;
};
/// Hardly anything stands behind the cut: only stage 0 is timed.
constexpr auto rest() { return tail("cloud", global_pool()); }
template <std::size_t N, std::size_t S>
constexpr auto behind(shape map, const body<N, S>& narrowing, codec_choice codec) {
    return input("map", f32, {.channels = map.channels, .height = map.height, .width = map.width}) | head("edge", identity()) | bottleneck("uplink", narrowing, codec) | rest();
}

template <codec_way How, int Height, int Width>
struct sage_head : way<How> {
    static constexpr auto graph() { return zoo::sage_carla_perception<Height, Width, 3, way<How>::codec>::near("image", "uplink") | rest(); }
};
template <codec_way How, int Height, int Width>
struct sage_last : way<How> {
    static constexpr auto graph() { return behind({32, Height / 4, Width / 4}, zoo::imitation_parts::sage_narrowing(3), way<How>::codec); }
};
template <codec_way How, int Channels, int SplitPoint>
struct bottlefit_head : way<How> {
    static constexpr auto graph() { return zoo::bottlefit_parts::encoder<zoo::bottleneck_choice{Channels, SplitPoint, way<How>::codec}, 224, 224>("image", "uplink") | rest(); }
};
template <codec_way How, int Channels, int SplitPoint>
struct bottlefit_last : way<How> {
    static constexpr auto graph() { return behind(SplitPoint == 1 ? shape{64, 56, 56} : shape{512, 29, 29}, zoo::bottlefit_parts::small_conv(6, Channels, 2, 1), way<How>::codec); }
};
template <codec_way How, int Channels>
struct entropic_head : way<How> {
    static constexpr auto graph() {
        return input("image", u8, {.channels = 3, .height = 224, .width = 224}) | normalise(imagenet) | head("edge", identity())
             | bottleneck("latent", zoo::entropic_student_parts::encoder(Channels), way<How>::codec) | rest();
    }
};
template <codec_way How, int Channels>
struct entropic_last : way<How> {
    static constexpr auto graph() { return behind({2 * Channels, 56, 56}, zoo::entropic_student_parts::plain(4, Channels, {.kernel = 2, .pad = 0}), way<How>::codec); }
};

} // namespace timed

/// X(struct's name, row's name, network, its arguments behind the way)
#define SPLITDSL_TIMED_PARTS(X)                                                     \
    X(sage_small, "sage 88x200, head", sage_head, 88, 200)                          \
    X(sage_small_last, "sage 88x200, last layer", sage_last, 88, 200)               \
    X(sage_large, "sage 720x1280, head", sage_head, 720, 1280)                      \
    X(sage_large_last, "sage 720x1280, last layer", sage_last, 720, 1280)           \
    X(three, "bottlefit 3, head", bottlefit_head, 3, 1)                             \
    X(three_last, "bottlefit 3, last layer", bottlefit_last, 3, 1)                  \
    X(twelve, "bottlefit 12, head", bottlefit_head, 12, 1)                          \
    X(twelve_last, "bottlefit 12, last layer", bottlefit_last, 12, 1)               \
    X(nine, "bottlefit 9 sp2, head", bottlefit_head, 9, 2)                          \
    X(nine_last, "bottlefit 9 sp2, last layer", bottlefit_last, 9, 2)               \
    X(entropic, "entropic student 24, head", entropic_head, 24)                     \
    X(entropic_narrow, "entropic student 24, last layer", entropic_last, 24)

namespace timed {
#define SPLITDSL_TIMED_STRUCTS(id, row, network, ...)                        \
    struct id##_per_frame : network<codec_way::per_frame, __VA_ARGS__> {};   \
    struct id##_apart : network<codec_way::apart, __VA_ARGS__> {};           \
    struct id##_fused : network<codec_way::fused, __VA_ARGS__> {};
SPLITDSL_TIMED_PARTS(SPLITDSL_TIMED_STRUCTS)
#undef SPLITDSL_TIMED_STRUCTS
} // namespace timed

#define SPLITDSL_TIMED_DISPATCH(id, ...)         \
    SPLITDSL_DISPATCHED(timed::id##_per_frame)   \
    SPLITDSL_DISPATCHED(timed::id##_apart)       \
    SPLITDSL_DISPATCHED(timed::id##_fused)
SPLITDSL_TIMED_PARTS(SPLITDSL_TIMED_DISPATCH)
