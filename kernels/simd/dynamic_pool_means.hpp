// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_means.hpp
/// Dynamic pooling's first pass, in whole vectors: means of patches, dealt to the quarters of their cells, and their range.
///
/// A map is read once: patch means go to four planes of a channel, one for each quarter of its cells, and their range is found on the way.
/// Rows are added first, then columns, in order. dynamic_pool.hpp has the second pass.
#pragma once

#include "affine_codec.hpp"
#include "transpose.hpp"

SPLITDSL_INT_BOUNDS
namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Cells side by side: one a lane of 16 bits.
inline constexpr int cell_lanes = 2 * lanes;

/// Floats from a plane of `cells` quarters to the next: a vector may run over its end.
constexpr std::ptrdiff_t quarter_plane(std::ptrdiff_t cells) {
    constexpr std::ptrdiff_t line = 16, least = line; // of floats; two lines are the widest vector of cells
    return ((cells > least ? cells : least) + 2 * line - 1) / line * line;
}

/// Where value n of a row of patches is: the patches 0, 2, 4 ... in the lower half of a vector, 1, 3, 5 ... in the upper one.
constexpr int patch_of_lane(int lane) { return lane < lanes / 2 ? 2 * lane : 2 * (lane - lanes / 2) + 1; }

template <int... I>
SPLITDSL_INLINE float_lanes every_second(const float_lanes& a, const float_lanes& b, places<I...>, int first) {
    if (first == 0) return __builtin_shufflevector(a, b, (I / 4 * 4 + I % 2 * 2 + I % 4 / 2 * lanes)...);
    return __builtin_shufflevector(a, b, (I / 4 * 4 + I % 2 * 2 + 1 + I % 4 / 2 * lanes)...);
}
/// Into the order of patch_of_lane: values side by side, pairs of them or single ones as shuffles within 4 lanes leave them.
template <int Side, int... I>
SPLITDSL_INLINE float_lanes dealt(const float_lanes& v, places<I...>) {
    constexpr int quads = lanes / 4;
    if constexpr (Side == 1) return __builtin_shufflevector(v, v, patch_of_lane(I)...);
    else if constexpr (Side == 2) return __builtin_shufflevector(v, v, (patch_of_lane(I) / 2 % quads * 4 + patch_of_lane(I) / 2 / quads * 2 + patch_of_lane(I) % 2)...);
    else return __builtin_shufflevector(v, v, (patch_of_lane(I) % quads * 4 + patch_of_lane(I) / quads)...);
}

/// Lines that are asked for before their use: as many as a busy memory takes to bring one.
inline constexpr int line_floats = 16, floats_ahead = 128 * line_floats;
/// Floats of a map that no second-level cache holds; and that, with its results, leave little of a third-level one to anything else.
inline constexpr std::ptrdiff_t past_near_caches = std::ptrdiff_t{1} << 18, past_caches = std::ptrdiff_t{1} << 21;

/// `lanes` means of patches of Side x Side, Side 1, 2 or 4, from the first patch's first value. Meanwhile as many floats are asked for from `ahead` on, some
/// between any two loads: asked for all at once they had memory wait while the means were made (1.2 times as long, AMD Zen 5).
template <int Side, bool Ahead>
SPLITDSL_INLINE float_lanes small_means(const float* from, std::ptrdiff_t row, const float* ahead) {
    constexpr places_below<lanes> all{};
    const float* at[Side]; // a register for each row, or g++ keeps the addresses of all loads somewhere
#pragma GCC unroll 4
    for (int y = 0; y < Side; ++y) {
        at[y] = from + y * row;
        pin_one(at[y]);
    }
    float_lanes sum[Side];
#pragma GCC unroll 4
    for (int k = 0; k < Side; ++k) {
        float_lanes next;
        __builtin_memcpy(&sum[k], at[0] + k * lanes, sizeof sum[k]);
#pragma GCC unroll 4
        for (int y = 1; y < Side; ++y) {
            __builtin_memcpy(&next, at[y] + k * lanes, sizeof next);
            sum[k] += next;
        }
        if constexpr (Ahead) {
#pragma GCC unroll 4
            for (int l = (k * Side * lanes + line_floats - 1) / line_floats; l * line_floats < (k + 1) * Side * lanes; ++l) __builtin_prefetch(ahead + l * line_floats);
        }
    }
    if constexpr (Side == 1) return dealt<1>(sum[0], all);
    else if constexpr (Side == 2) return dealt<2>((every_second(sum[0], sum[1], all, 0) + every_second(sum[0], sum[1], all, 1)) * 0.25F, all);
    else {
        turn_quads(sum[0], sum[1], sum[2], sum[3]);
        return dealt<4>((sum[0] + sum[1] + sum[2] + sum[3]) * 0.0625F, all);
    }
}

/// How a map's size has it read and its results written: as they are; its lines asked for ahead; and results written past the caches, which could not
/// keep them, so that no line is fetched to be overwritten. Those are seen by other threads once `results_settle`.
enum class traffic : char { near, far, past };

#if defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_AVX2_FMA)
inline constexpr bool writes_past_caches = true;
inline void results_settle() { _mm_sfence(); }
#else
inline constexpr bool writes_past_caches = false;
inline void results_settle() {}
#endif
/// Where every place written in whole vectors begins with one.
template <class Value>
SPLITDSL_INLINE bool begins_vector(const Value* at, std::ptrdiff_t vector) { return reinterpret_cast<std::uintptr_t>(at) % (static_cast<std::size_t>(vector) * sizeof(Value)) == 0; }

/// A vector, past the caches if asked to: then `to` begins with a multiple of its size.
template <bool Past, class Vector, class Value>
SPLITDSL_INLINE void put_vector(Value* to, const Vector& v) {
    if constexpr (!Past || !writes_past_caches) __builtin_memcpy(to, &v, sizeof v);
#if defined(SPLITDSL_ARCH_AVX512)
    else if constexpr (sizeof v == 64) _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(v));
#endif
#if defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_AVX2_FMA)
    else if constexpr (sizeof v == 32) _mm256_stream_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(v));
    else _mm_stream_si128(reinterpret_cast<__m128i*>(to), reinterpret_cast<__m128i>(v));
#endif
}

template <bool Past, int... I>
SPLITDSL_INLINE void store_halves(const float_lanes& v, float* low, float* high, places<I...>) {
    put_vector<Past>(low, __builtin_shufflevector(v, v, I...));
    put_vector<Past>(high, __builtin_shufflevector(v, v, (I + lanes / 2)...));
}
template <int... I>
SPLITDSL_INLINE int_lanes patches_below(int count, places<I...>) { return int_lanes{patch_of_lane(I)...} < int_lanes{} + count; }

/// Takes means that are dealt; `last` only those lanes where `real` is set.
struct no_range {
    explicit no_range(float) {}
    SPLITDSL_INLINE void take(const float_lanes&) {}
    SPLITDSL_INLINE void last(const float_lanes&, const int_lanes&) {}
};
struct running_range {
    vec low, high, odd = zero(); ///< odd: NaN from the first NaN or infinity on
    explicit running_range(float any) : low(broadcast(any)), high(low) {}
    SPLITDSL_INLINE void take(const vec& v) { low = minimum(low, v), high = maximum(high, v), odd = multiply_add(v, zero(), odd); }
    SPLITDSL_INLINE void take(const float_lanes& v) { take(as_vec(v)); }
    SPLITDSL_INLINE void last(const float_lanes& v, const int_lanes& real) {
        take(as_vec(reinterpret_cast<float_lanes>(chosen(real, reinterpret_cast<int_lanes>(v), reinterpret_cast<int_lanes>(as_lanes(low))))));
    }
};

/// Means of a channel's patches of Side x Side to its four planes: top left, top right, bottom left, bottom right quarters of its cells.
/// Nothing is read from `end` on.
template <int Side, traffic Size, class Range>
SPLITDSL_INLINE void deal_channel(const float* map, const float* end, int rows, int columns, float* planes, std::ptrdiff_t plane, Range& range) {
    constexpr places_below<lanes> all{};
    constexpr places_below<lanes / 2> half{};
    const int patches = 2 * columns;
    const std::ptrdiff_t width = std::ptrdiff_t{patches} * Side;
    const int_lanes real = patches_below((patches - 1) % lanes + 1, all);
    for (int r = 0; r < 2 * rows; ++r, map += width * Side) {
        float *const left = planes + r % 2 * 2 * plane + std::ptrdiff_t{r / 2} * columns, *const right = left + plane;
        for (int c = 0; c < patches; c += lanes) {
            const float* const from = map + c * Side;
            float_lanes m;
            if (from + width * (Side - 1) + Side * lanes <= end) m = small_means<Side, Size != traffic::near>(from, width, map + c * Side * Side + floats_ahead);
            else {
                float few[Side * Side * lanes] = {}; // the map's last patches
                const int count = smaller(lanes, patches - c);
                for (int y = 0; y < Side; ++y) __builtin_memcpy(few + y * Side * lanes, from + y * width, static_cast<std::size_t>(count * Side) * sizeof(float));
                m = small_means<Side, false>(few, Side * lanes, few);
            }
            if (c + lanes <= patches) range.take(m);
            else range.last(m, real);
            store_halves<Size == traffic::past>(m, left + c / 2, right + c / 2, half);
        }
    }
}

/// The same for any side, without a range. `sums`: a row of the map.
inline void deal_channel_of_side(const float* map, int rows, int columns, int side, float* planes, std::ptrdiff_t plane, float* sums) {
    const std::ptrdiff_t width = std::ptrdiff_t{2} * columns * side;
    const float area = static_cast<float>(side) * static_cast<float>(side); // exact
    for (int r = 0; r < 2 * rows; ++r, map += width * side) {
        std::ptrdiff_t x = 0;
        for (; x + lanes <= width; x += lanes) {
            vec sum = load(map + x);
            for (int y = 1; y < side; ++y) sum = sum + load(map + y * width + x);
            store(sums + x, sum);
        }
        for (; x < width; ++x) {
            sums[x] = map[x];
            for (int y = 1; y < side; ++y) sums[x] += map[y * width + x];
        }
        const float* from = sums;
        for (int c = 0; c < 2 * columns; ++c, from += side) {
            float sum = from[0];
            for (int k = 1; k < side; ++k) sum += from[k];
            planes[(r % 2 * 2 + c % 2) * plane + std::ptrdiff_t{r / 2} * columns + c / 2] = sum / area;
        }
    }
}

/// Of the finite ones among `channels` times four planes of `cells` values; which zero an end of 0 is, is not said.
inline value_range range_of_planes(const float* planes, int channels, std::ptrdiff_t cells, std::ptrdiff_t plane) {
    value_range all;
    for (int k = 0; k < 4 * channels; ++k) join(all, range_of_any_zero(planes + k * plane, static_cast<std::size_t>(cells)));
    return all;
}

template <int Side, traffic Size>
inline value_range deal_and_range(const float* map, int channels, int rows, int columns, float* planes) {
    const std::ptrdiff_t cells = std::ptrdiff_t{rows} * columns, plane = quarter_plane(cells);
    float any = 0;
    {
        float few[Side * Side * lanes] = {};
        for (int y = 0; y < Side; ++y) __builtin_memcpy(few + y * Side * lanes, map + std::ptrdiff_t{y} * 2 * columns * Side, Side * sizeof(float));
        any = small_means<Side, false>(few, Side * lanes, few)[0];
    }
    running_range range{any};
    const std::ptrdiff_t channel = 4 * cells * Side * Side;
    const float* const end = map + channel * channels;
    for (int c = 0; c < channels; ++c) deal_channel<Side, Size>(map + channel * c, end, rows, columns, planes + 4 * plane * c, plane, range);
    if (const float sum = lane_sum(range.odd); sum != sum) return range_of_planes(planes, channels, cells, plane);
    return ends_of(range.low, range.high);
}

template <int Side>
inline value_range deal_and_range(const float* map, int channels, int rows, int columns, float* planes) {
    const std::ptrdiff_t floats = std::ptrdiff_t{4} * rows * columns * Side * Side * channels;
    if (writes_past_caches && floats >= past_caches && columns % (lanes / 2) == 0 && begins_vector(planes, lanes / 2)) {
        const value_range all = deal_and_range<Side, traffic::past>(map, channels, rows, columns, planes);
        results_settle();
        return all;
    }
    const std::ptrdiff_t near = lanes == 16 ? past_near_caches / 8 : past_near_caches; // 64 bytes at a time outrun the second-level cache, too
    if (floats >= near) return deal_and_range<Side, traffic::far>(map, channels, rows, columns, planes);
    return deal_and_range<Side, traffic::near>(map, channels, rows, columns, planes);
}

/// Means over patches of `side` x `side` of all channels, into four planes of rows x columns quarters a channel (`quarter_plane` apart), and
/// their range. `sums`: a row of the map.
inline value_range pool_quarters(const float* map, int channels, int rows, int columns, int side, float* planes, float* sums) {
    const std::ptrdiff_t cells = std::ptrdiff_t{rows} * columns, plane = quarter_plane(cells);
    if (side == 2) return deal_and_range<2>(map, channels, rows, columns, planes);
    if (side == 4) return deal_and_range<4>(map, channels, rows, columns, planes);
    for (int c = 0; c < channels; ++c) deal_channel_of_side(map + 4 * cells * side * side * c, rows, columns, side, planes + 4 * plane * c, plane, sums);
    return range_of_planes(planes, channels, cells, plane);
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
SPLITDSL_INT_BOUNDS_END
