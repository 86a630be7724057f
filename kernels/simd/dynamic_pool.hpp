// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool.hpp
/// Dynamic pooling for whole vectors of cells: the coefficients of both forms, bit for bit as splitdsl/codec/dynamic_pool_cells.hpp.
///
/// The first pass (dynamic_pool_means.hpp) leaves means in four planes of a channel, one for each quarter of its cells. This one takes cells one behind
/// the other whatever a row's length, quantises their quarters in registers and writes the coefficients.
#pragma once

#include "affine_codec.hpp"
#include "dynamic_pool_means.hpp"

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// An octave of one channel: which cells are split how, and where its coefficients go, one plane behind the other.
struct cell_planes {
    int rows, columns;
    /// Of each cell, -1 or 0. Its halves are left and right (else top and bottom); and for the paper's form alone: the first level does not split
    /// it, or not into quarters; some level shows it in halves.
    const std::int16_t *column_wise, *shown_whole, *shown_in_halves, *halves_first;
    std::int16_t *p, *d, *e, *f;
    bool past_caches; ///< the coefficients are more than caches hold
};

/// Two vectors of each of four quarters to levels.
struct exact_levels {
    vec scale, zero_point;
    exact_levels(float s, float z) : scale(broadcast(s)), zero_point(broadcast(z)) {}
    SPLITDSL_INLINE bool operator()(const vec (&x)[8], words (&q)[4]) const {
        std::int16_t whole[8 * lanes];
        for (int k = 0; k < 8; ++k) {
            const int_lanes level = __builtin_convertvector(as_lanes(whole_level(quotient(x[k], scale), zero_point, broadcast(255))), int_lanes);
            const auto few = __builtin_convertvector(level, narrow_lanes<std::int16_t>);
            __builtin_memcpy(whole + k * lanes, &few, sizeof few);
        }
        for (int k = 0; k < 4; ++k) __builtin_memcpy(&q[k], whole + k * cell_lanes, sizeof q[k]);
        return true;
    }
};
#if defined(SPLITDSL_FIXED_POINT)
/// The same sooner, or false where a value is too near a tie to tell.
struct likely_levels {
    fixed_point fixed;
    likely_levels(float s, float z) : fixed(s, z) {}
    SPLITDSL_INLINE bool operator()(const vec (&x)[8], words (&q)[4]) const {
        const fixed_point::whole a[4]{fixed.at(x[0]), fixed.at(x[1]), fixed.at(x[2]), fixed.at(x[3])}, b[4]{fixed.at(x[4]), fixed.at(x[5]), fixed.at(x[6]), fixed.at(x[7])};
        if (fixed_point::near_tie(fixed_point::seen(fixed_point::seen(fixed_point::nothing_seen(), a), b))) return false;
        q[0] = fixed_point::levels(a[0], a[1]), q[1] = fixed_point::levels(a[2], a[3]);
        q[2] = fixed_point::levels(b[0], b[1]), q[3] = fixed_point::levels(b[2], b[3]);
        return true;
    }
};
#endif

/// The first `count` lanes, at most all; all, if past the caches.
template <bool Past>
SPLITDSL_INLINE void store_words(std::int16_t* to, const words& v, std::ptrdiff_t count) {
    if (Past || count >= cell_lanes) put_vector<Past>(to, v);
#if defined(SPLITDSL_ARCH_AVX512)
    else _mm512_mask_storeu_epi16(to, static_cast<__mmask32>((std::uint32_t{1} << count) - 1), reinterpret_cast<__m512i>(v));
#else
    else __builtin_memcpy(to, &v, static_cast<std::size_t>(count) * sizeof(std::int16_t));
#endif
}

/// Coefficients of cells side by side: from quarters top left, top right, bottom left, bottom right.
SPLITDSL_INLINE void lift(const words (&quarter)[4], const words& column_wise, words (&out)[4]) {
    const words swapped = (quarter[1] ^ quarter[2]) & column_wise; // the halves: top left with bottom left, or with top right
    const words a = quarter[0], b = quarter[1] ^ swapped, g = quarter[2] ^ swapped, h = quarter[3];
    const words u = (a + b + 1) >> 1, v = (g + h + 1) >> 1;
    out[0] = (u + v) >> 1, out[1] = u - v, out[2] = a - b, out[3] = g - h;
}

template <bool Past>
SPLITDSL_INLINE void lift_and_store(const words (&quarter)[4], const cell_planes& o, std::ptrdiff_t at, std::ptrdiff_t count) {
    words out[4], column_wise;
    __builtin_memcpy(&column_wise, o.column_wise + at, sizeof column_wise);
    lift(quarter, column_wise, out);
    std::int16_t* const to[4]{o.p, o.d, o.e, o.f};
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) store_words<Past>(to[k] + at, out[k], count);
}

/// Some cells of an octave: four planes of quarters, whose first values are those of cell `first`. `next`: planes of the channel that comes next, to be
/// asked for ahead; null: they are near.
struct dealt_quarters {
    const float* planes;
    std::ptrdiff_t plane, first, cells;
    const float* next;
};

/// The quarters of the channel that comes next, as far as those at `i` are.
SPLITDSL_INLINE void ask_for_next(const dealt_quarters& from, std::ptrdiff_t i) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k)
#pragma GCC unroll 2
        for (int l = 0; l < cell_lanes; l += line_floats) __builtin_prefetch(from.next + k * from.plane + i + l);
}

/// The exact form's coefficients of the vector of cells at `i`; false, and nothing written, if `levels` cannot tell.
template <bool Past, class Levels>
SPLITDSL_INLINE bool lift_vector(const dealt_quarters& from, const cell_planes& o, const Levels& levels, std::ptrdiff_t i, std::ptrdiff_t count) {
    if (from.next != nullptr) ask_for_next(from, i);
    vec x[8];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) x[2 * k] = load(from.planes + k * from.plane + i), x[2 * k + 1] = load(from.planes + k * from.plane + i + lanes);
    words quarter[4];
    if (!levels(x, quarter)) return false;
    lift_and_store<Past>(quarter, o, from.first + i, count);
    return true;
}

/// The paper's form, and the cells' means to `whole`, over whose end it may write a vector.
template <bool Past, class Levels>
SPLITDSL_INLINE bool average_vector(const dealt_quarters& from, const cell_planes& o, float* whole, const Levels& levels, std::ptrdiff_t i, std::ptrdiff_t count) {
    const auto either = [](const std::int16_t* mask, const vec& a, const vec& b) __attribute__((always_inline)) {
        narrow_lanes<std::int16_t> few;
        __builtin_memcpy(&few, mask, sizeof few);
        return as_vec(reinterpret_cast<float_lanes>(
            chosen(__builtin_convertvector(few, int_lanes), reinterpret_cast<int_lanes>(as_lanes(a)), reinterpret_cast<int_lanes>(as_lanes(b)))));
    };
    if (from.next != nullptr) ask_for_next(from, i);
    const vec half = broadcast(0.5F);
    vec x[8];
#pragma GCC unroll 2
    for (int k = 0; k < 2; ++k) {
        const std::ptrdiff_t cell = from.first + i + k * lanes;
        const float* const at = from.planes + i + k * lanes;
        const vec x0 = load(at), right = load(at + from.plane), below = load(at + 2 * from.plane), x3 = load(at + 3 * from.plane);
        const vec x1 = either(o.column_wise + cell, below, right), x2 = either(o.column_wise + cell, right, below);
        const vec u = (x0 + x1) * half, v = (x2 + x3) * half, mean = (u + v) * half;
        store(whole + cell, mean);
        x[k] = either(o.shown_in_halves + cell, either(o.shown_whole + cell, mean, v), x3); // what the first level shows travels as it is
        x[2 + k] = either(o.halves_first + cell, u, x1);
        x[4 + k] = x0, x[6 + k] = x2;
    }
    words out[4];
    if (!levels(x, out)) return false;
    std::int16_t* const to[4]{o.p, o.d, o.e, o.f};
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) store_words<Past>(to[k] + from.first + i, out[k], count);
    return true;
}
[[gnu::noinline, gnu::cold]] inline void lift_exactly(dealt_quarters from, cell_planes o, float scale, float zero_point, std::ptrdiff_t i, std::ptrdiff_t count) {
    lift_vector<false>(from, o, exact_levels{scale, zero_point}, i, count);
}
[[gnu::noinline, gnu::cold]] inline void average_exactly(dealt_quarters from, cell_planes o, float scale, float zero_point, float* whole, std::ptrdiff_t i,
                                                         std::ptrdiff_t count) {
    average_vector<false>(from, o, whole, exact_levels{scale, zero_point}, i, count);
}

/// Calls `some(i, count)` for vectors of cells that together are all of them; the last ones may come twice.
template <class Some>
SPLITDSL_INLINE void vectors_of_cells(std::ptrdiff_t cells, Some some) {
    if (cells < cell_lanes) return some(0, cells);
    for (std::ptrdiff_t i = 0; i < cells; i += cell_lanes) some(i + cell_lanes <= cells ? i : cells - cell_lanes, cell_lanes);
}
/// Whether a channel's coefficients from cell `first` on are written past the caches, in `step`s of whole vectors.
SPLITDSL_INLINE bool written_past_caches(const cell_planes& o, std::ptrdiff_t first, std::ptrdiff_t step) {
    return writes_past_caches && o.past_caches && step % cell_lanes == 0 && begins_vector(o.p + first, cell_lanes) && begins_vector(o.d + first, cell_lanes)
           && begins_vector(o.e + first, cell_lanes) && begins_vector(o.f + first, cell_lanes);
}
template <bool Past>
SPLITDSL_INLINE void lift_quarters(const dealt_quarters& from, const cell_planes& o, float scale, float zero_point) {
#if defined(SPLITDSL_FIXED_POINT)
    if (fixed_point::serves(scale)) {
        const likely_levels levels{scale, zero_point};
        return vectors_of_cells(from.cells, [&](std::ptrdiff_t i, std::ptrdiff_t count) __attribute__((always_inline)) {
            if (__builtin_expect(!lift_vector<Past>(from, o, levels, i, count), 0)) lift_exactly(from, o, scale, zero_point, i, count);
        });
    }
#endif
    vectors_of_cells(from.cells, [&](std::ptrdiff_t i, std::ptrdiff_t count) { lift_exactly(from, o, scale, zero_point, i, count); });
}
inline void lift_quarters(const dealt_quarters& from, const cell_planes& o, float scale, float zero_point) {
    if (written_past_caches(o, from.first, from.cells)) return lift_quarters<true>(from, o, scale, zero_point);
    lift_quarters<false>(from, o, scale, zero_point);
}
template <bool Past>
SPLITDSL_INLINE void average_quarters(const dealt_quarters& from, const cell_planes& o, float scale, float zero_point, float* whole) {
#if defined(SPLITDSL_FIXED_POINT)
    if (fixed_point::serves(scale)) {
        const likely_levels levels{scale, zero_point};
        return vectors_of_cells(from.cells, [&](std::ptrdiff_t i, std::ptrdiff_t count) __attribute__((always_inline)) {
            if (__builtin_expect(!average_vector<Past>(from, o, whole, levels, i, count), 0)) average_exactly(from, o, scale, zero_point, whole, i, count);
        });
    }
#endif
    vectors_of_cells(from.cells, [&](std::ptrdiff_t i, std::ptrdiff_t count) { average_exactly(from, o, scale, zero_point, whole, i, count); });
}
inline void average_quarters(const dealt_quarters& from, const cell_planes& o, float scale, float zero_point, float* whole) {
    if (written_past_caches(o, from.first, from.cells)) return average_quarters<true>(from, o, scale, zero_point, whole);
    average_quarters<false>(from, o, scale, zero_point, whole);
}

/// Calls `some` for pieces of a channel whose quarters stand row by row; `room` holds a piece's planes.
template <class Some>
SPLITDSL_INLINE void deal_rows(const float* quarters, const float* end, const cell_planes& o, float* room, Some some) {
    const int fit = larger(1, 16 * cell_lanes / o.columns), pieces = (o.rows - 1) / fit + 1, piece = (o.rows - 1) / pieces + 1; // planes that stay in the nearest cache
    no_range none{0};
    for (int r = 0; r < o.rows; r += piece) {
        const int from = smaller(r, o.rows - piece); // some rows twice rather than a small piece
        const std::ptrdiff_t cells = std::ptrdiff_t{piece} * o.columns, plane = quarter_plane(cells);
        deal_channel<1, traffic::far>(quarters + 4 * std::ptrdiff_t{from} * o.columns, end, piece, o.columns, room, plane, none);
        some(dealt_quarters{room, plane, std::ptrdiff_t{from} * o.columns, cells, nullptr});
    }
}
SPLITDSL_INLINE void average_rows(const float* quarters, const float* end, const cell_planes& o, float scale, float zero_point, float* room, float* whole) {
    cell_planes to = o;
    to.past_caches = o.past_caches && cell_lanes == 32; // in half lines, with so much else between them, it took longer
    deal_rows(quarters, end, o, room, [&](const dealt_quarters& from) { average_quarters(from, to, scale, zero_point, whole); });
}

/// Calls `some(row, column, count)` for vectors of cells of all rows; `count` of them may be stored: a row may run over its end into what the next
/// one overwrites.
template <class Some>
SPLITDSL_INLINE void vectors_of_rows(int rows, int columns, Some some) {
    for (int r = 0; r < rows; ++r)
        if (columns < cell_lanes) some(r, 0, (rows - r) * columns < cell_lanes ? columns : cell_lanes);
        else
            for (int c = 0; c < columns; c += cell_lanes) some(r, smaller(c, columns - cell_lanes), cell_lanes);
}

/// Levels of two rows of quarters, as bytes, to cells side by side.
template <bool Past>
SPLITDSL_INLINE void lift_bytes(const words& top, const words& bottom, const cell_planes& o, std::ptrdiff_t at, int count) {
    using unsigned_words [[gnu::vector_size(lanes * 4)]] = std::uint16_t;
    const unsigned_words t = reinterpret_cast<unsigned_words>(top), b = reinterpret_cast<unsigned_words>(bottom); // least significant byte first on all we know
    const words quarter[4]{reinterpret_cast<words>(t & 0xff), reinterpret_cast<words>(t >> 8), reinterpret_cast<words>(b & 0xff), reinterpret_cast<words>(b >> 8)};
    lift_and_store<Past>(quarter, o, at, count);
}
[[gnu::noinline, gnu::cold]] inline void lift_rows_exactly(const float* top, const float* bottom, cell_planes o, float scale, float zero_point, std::ptrdiff_t at, int count) {
    std::uint8_t levels[2][2 * cell_lanes];
    quantise_by_division(top, sizeof levels[0], scale, zero_point, levels[0]);
    quantise_by_division(bottom, sizeof levels[1], scale, zero_point, levels[1]);
    words rows[2];
    __builtin_memcpy(rows, levels, sizeof rows);
    lift_bytes<false>(rows[0], rows[1], o, at, count);
}

template <bool Past>
SPLITDSL_INLINE void lift_wide_rows(const float* quarters, const float* end, const cell_planes& o, float scale, float zero_point) {
#if defined(SPLITDSL_FIXED_POINT)
    const fixed_point fixed(scale, zero_point);
    const bool serves = fixed_point::serves(scale);
#endif
    vectors_of_rows(o.rows, o.columns, [&](int r, int c, int count) __attribute__((always_inline)) {
        const std::ptrdiff_t at = std::ptrdiff_t{r} * o.columns + c;
        const float *top = quarters + 4 * std::ptrdiff_t{r} * o.columns + 2 * c, *bottom = top + 2 * o.columns;
#pragma GCC unroll 8
        for (int k = 0; k < 4 * cell_lanes; k += line_floats) __builtin_prefetch(top + 2 * c + k + floats_ahead); // in the order of memory
        float few[2][2 * cell_lanes];
        if (__builtin_expect(end - bottom < 2 * cell_lanes, 0)) { // the last row of the last channel
            for (int x = 0; x < 2 * cell_lanes; ++x) few[0][x] = few[1][x] = 0;
            const auto left = static_cast<std::size_t>(2 * (o.columns - c)) * sizeof(float);
            __builtin_memcpy(few[0], top, left), __builtin_memcpy(few[1], bottom, left);
            top = few[0], bottom = few[1];
        }
#if defined(SPLITDSL_FIXED_POINT)
        const fixed_point::whole t[4]{fixed.at(load(top)), fixed.at(load(top + lanes)), fixed.at(load(top + 2 * lanes)), fixed.at(load(top + 3 * lanes))};
        const fixed_point::whole b[4]{fixed.at(load(bottom)), fixed.at(load(bottom + lanes)), fixed.at(load(bottom + 2 * lanes)), fixed.at(load(bottom + 3 * lanes))};
        if (__builtin_expect(serves && !fixed_point::near_tie(fixed_point::seen(fixed_point::seen(fixed_point::nothing_seen(), t), b)), 1))
            return lift_bytes<Past>(reinterpret_cast<words>(fixed_point::bytes(t)), reinterpret_cast<words>(fixed_point::bytes(b)), o, at, count);
#endif
        lift_rows_exactly(top, bottom, o, scale, zero_point, at, count);
    });
}
/// The exact form's coefficients from quarters that stand row by row. Nothing is read from `end` on. `room`: for the planes of all quarters.
inline void lift_rows(const float* quarters, const float* end, const cell_planes& o, float scale, float zero_point, float* room) {
    if (o.columns < lanes) return deal_rows(quarters, end, o, room, [&](const dealt_quarters& from) { lift_quarters(from, o, scale, zero_point); });
    if (written_past_caches(o, 0, o.columns)) return lift_wide_rows<true>(quarters, end, o, scale, zero_point);
    lift_wide_rows<false>(quarters, end, o, scale, zero_point);
}

template <int... I>
SPLITDSL_INLINE void pairs_of_words(const std::int16_t* from, words& first, words& second, places<I...>) {
    words a, b;
    __builtin_memcpy(&a, from, sizeof a);
    __builtin_memcpy(&b, from + cell_lanes, sizeof b);
    first = __builtin_shufflevector(a, b, (2 * I)...), second = __builtin_shufflevector(a, b, (2 * I + 1)...);
}

/// The exact form's coefficients from the finer octave's plane P, which stands row by row. Reads up to 4 vectors behind its last value.
SPLITDSL_INLINE void lift_plane(const std::int16_t* quarters, const cell_planes& o) {
    constexpr places_below<cell_lanes> all{};
    vectors_of_rows(o.rows, o.columns, [&](int r, int c, int count) __attribute__((always_inline)) {
        const std::int16_t *const top = quarters + 4 * std::ptrdiff_t{r} * o.columns + 2 * c, *const bottom = top + 2 * o.columns;
        words quarter[4];
        pairs_of_words(top, quarter[0], quarter[1], all);
        pairs_of_words(bottom, quarter[2], quarter[3], all);
        lift_and_store<false>(quarter, o, std::ptrdiff_t{r} * o.columns + c, count);
    });
}

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
