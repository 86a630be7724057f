// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_cells.hpp
/// Arithmetic of dynamic pooling on one channel: patch means, cells to coefficients and back, in the paper's form and in the exact one.
///
/// A cell's quarters, in the order in which it is split: x0, x1 form its first half (top, or left), x2, x3 its second one. A cell gives
/// four numbers, whatever the ladder: P with the size that shows it whole, D with the one that halves it, E and F with the one that
/// quarters it.
///
/// | form   | P                         | D       | E       | F       |
/// |--------|---------------------------|---------|---------|---------|
/// | means  | its mean                  | u, mean of x0, x1 (x1 if halves are never shown) | x0 | x2 |
/// | lifted | floor((u + v) / 2)        | u - v   | x0 - x1 | x2 - x3 |
///
/// means (FLEET): all in 8 bits. Back: v = 2P - u, x1 = 2u - x0, x3 = 2v - x2, or x3 = 4P - x0 - x1 - x2 (Eq. 6); each doubles the error of
/// what it starts from, so that 1 half-step of the quantiser becomes up to 7, and 31 in a second octave.
/// lifted (ours): the quarters are quantised first; u = ceil((x0 + x1) / 2) and v alike, in integers. Both steps are invertible, so every
/// level comes back bit for bit, whatever was rounded. Rounding up first and down then leaves no bias.
#pragma once

#include <splitdsl/codec/affine.hpp>
#include <splitdsl/codec/dynamic_pool.hpp>

namespace splitdsl {

/// How a pooled level is expressed; both sides must agree.
enum class pool_form : std::uint8_t {
    means, ///< the paper's: 8-bit means, reconstructed with up to 7 half-steps of error an octave
    lifted ///< integer lifting: every level exact
};

/// Scale and zero point such that no value of the range, and not 0, is beyond the ends. The codec's own quantiser (`affine.hpp`) cuts up to
/// a step off a range below 0, and most of one without 0 (means of patches after a ReLU): where values are differences of others, that
/// would multiply like any other error.
constexpr affine_parameters pool_parameters_of(finite_range range) noexcept {
    if (!range.any) return {};
    const float low = std::min(range.low, 0.0f), high = std::max(range.high, 0.0f);
    const float scale = (high - low) / 254;
    if (!(low < 0) || !(scale >= std::numeric_limits<float>::min()) || high - low > std::numeric_limits<float>::max() / 2)
        return affine_parameters_of<std::uint8_t>({low, high, true});
    const float zero = -low / scale; // at most 254, give or take a rounding
    const auto whole = static_cast<std::int32_t>(zero);
    return {scale, std::min(static_cast<float>(whole) < zero ? whole + 1 : whole, std::int32_t{255})};
}

namespace detail {

struct lifted_pair {
    int low, high;
};
/// (a, b) to (ceil of their mean, difference); of values in 0..255 the first is again in 0..255.
constexpr lifted_pair lift_up(int a, int b) noexcept { return {(a + b + 1) >> 1, a - b}; }
constexpr lifted_pair lift_down(int a, int b) noexcept { return {(a + b) >> 1, a - b}; }
/// Inverses: (mean, difference) to (a, b). The parity that the rounding dropped is that of the difference.
constexpr lifted_pair unlift_up(int mean, int difference) noexcept {
    const int a = mean + (difference >> 1);
    return {a, a - difference};
}
constexpr lifted_pair unlift_down(int mean, int difference) noexcept {
    const int a = mean + ((difference + 1) >> 1);
    return {a, a - difference};
}

/// Runs `work(at)` for at = 0 .. n - 1, in blocks of a length that the compiler knows: g++ -O2 vectorises only those.
template <std::size_t Block = 8, class Work>
[[gnu::always_inline]] inline void in_blocks(std::size_t n, Work work) noexcept {
    const std::size_t whole = n - n % Block;
    for (std::size_t at = 0; at < whole; at += Block)
        for (std::size_t i = 0; i < Block; ++i) work(at + i);
    for (std::size_t at = whole; at < n; ++at) work(at);
}

/// Means over patches of `side` x `side` of `rows` x `columns` patches. Rows are added first, then columns: one order on every machine.
/// `Side` is `side` where the compiler may know it, or 0.
template <std::size_t Side>
inline void patch_means_of(const float* __restrict map, int rows, int columns, std::size_t side, float* __restrict means,
                           float* __restrict sums) noexcept {
    const std::size_t n = Side > 0 ? Side : side, across = static_cast<std::size_t>(columns), width = across * n;
    const float area = static_cast<float>(n * n);
    for (int r = 0; r < rows; ++r, map += n * width, means += across) {
        in_blocks(width, [&](std::size_t x) { sums[x] = map[x] + map[width + x]; });
        for (std::size_t y = 2; y < n; ++y) {
            const float* const row = map + y * width;
            in_blocks(width, [&](std::size_t x) { sums[x] += row[x]; });
        }
        in_blocks<4>(across, [&](std::size_t c) {
            float sum = sums[n * c] + sums[n * c + 1];
            for (std::size_t x = 2; x < n; ++x) sum += sums[n * c + x];
            means[c] = sum / area;
        });
    }
}
inline void patch_means(const float* map, int rows, int columns, int side, float* means, float* sums) noexcept {
    const auto n = static_cast<std::size_t>(side);
    if (side == 1)
        std::copy_n(map, static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns), means);
    else if (side == 2)
        patch_means_of<2>(map, rows, columns, n, means, sums);
    else if (side == 4)
        patch_means_of<4>(map, rows, columns, n, means, sums);
    else
        patch_means_of<0>(map, rows, columns, n, means, sums);
}

/// `range_of`, a known number of values at a time.
inline finite_range range_in_blocks(const float* values, std::size_t n) noexcept {
    constexpr std::size_t block = 256;
    finite_range all;
    const auto join = [&all](finite_range r) {
        if (r.any) all = all.any ? finite_range{std::min(all.low, r.low), std::max(all.high, r.high), true} : r;
    };
    std::size_t at = 0;
    for (; at + block <= n; at += block) join(range_of({values + at, block}));
    join(range_of({values + at, n - at}));
    return all;
}

inline void quantise_patches(const float* __restrict values, std::size_t n, affine_parameters q, std::int16_t* __restrict to) noexcept {
    in_blocks<16>(n, [&](std::size_t i) { to[i] = static_cast<std::int16_t>(quantise<std::uint8_t>(values[i], q)); });
}

/// Where an octave's four planes of one channel stand, and which level splits which row and column.
struct octave_view {
    int rows{}, columns{}; ///< of cells
    std::int16_t* p{};     ///< also the octave before's quarters
    std::int16_t *d{}, *e{}, *f{};
    const std::uint8_t* row_level{}; ///< level that splits the row; number of levels = never
    const std::uint8_t* column_level{};
    const std::int16_t* row_wise_from{}; ///< `pool_ladder::first_row_wise`
    std::int16_t* plane(int which) const noexcept { return which == 0 ? p : which == 1 ? d : which == 2 ? e : f; }
};

/// One row of cells into coefficients; top and bottom are its two rows of quarters.
template <bool RowWise>
inline void lift_cells(const std::int16_t* __restrict top, const std::int16_t* __restrict bottom, std::int16_t* __restrict p,
                       std::int16_t* __restrict d, std::int16_t* __restrict e, std::int16_t* __restrict f, int cells) noexcept {
    in_blocks(static_cast<std::size_t>(cells), [&](std::size_t c) {
        const int a = top[2 * c], b = RowWise ? top[2 * c + 1] : bottom[2 * c];
        const int g = RowWise ? bottom[2 * c] : top[2 * c + 1], h = bottom[2 * c + 1];
        const lifted_pair first = lift_up(a, b), second = lift_up(g, h), whole = lift_down(first.low, second.low);
        p[c] = static_cast<std::int16_t>(whole.low);
        d[c] = static_cast<std::int16_t>(whole.high);
        e[c] = static_cast<std::int16_t>(first.high);
        f[c] = static_cast<std::int16_t>(second.high);
    });
}
inline void lift_octave(const std::int16_t* quarters, const octave_view& o) noexcept {
    for (int r = 0; r < o.rows; ++r) {
        const std::int16_t *const top = quarters + static_cast<std::ptrdiff_t>(4) * r * o.columns, *const bottom = top + 2 * o.columns;
        const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(r) * o.columns;
        const int k = o.row_wise_from[r];
        lift_cells<false>(top, bottom, o.p + at, o.d + at, o.e + at, o.f + at, k);
        lift_cells<true>(top + 2 * k, bottom + 2 * k, o.p + at + k, o.d + at + k, o.e + at + k, o.f + at + k, o.columns - k);
    }
}

/// The paper's form of an octave: means of cells to `whole` (the next coarser octave's quarters), quantised values to the planes.
inline void average_octave(const float* quarters, const octave_view& o, affine_parameters q, float* whole) noexcept {
    const auto level_of = [&](float x) { return static_cast<std::int16_t>(quantise<std::uint8_t>(x, q)); };
    for (int r = 0; r < o.rows; ++r) {
        const float *const top = quarters + static_cast<std::ptrdiff_t>(4) * r * o.columns, *const bottom = top + 2 * o.columns;
        for (int c = 0; c < o.columns; ++c) {
            const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(r) * o.columns + c;
            const bool row_wise = c >= o.row_wise_from[r];
            const float x0 = top[2 * c], x1 = row_wise ? top[2 * c + 1] : bottom[2 * c], x2 = row_wise ? bottom[2 * c] : top[2 * c + 1],
                        x3 = bottom[2 * c + 1];
            const float u = (x0 + x1) / 2, v = (x2 + x3) / 2, mean = (u + v) / 2;
            const int first = std::min(o.row_level[r], o.column_level[c]), second = std::max(o.row_level[r], o.column_level[c]);
            whole[at] = mean;
            o.p[at] = level_of(first > 0 ? mean : (second > 0 ? v : x3)); // what the first level shows travels as it is
            o.d[at] = level_of(first == second ? x1 : u);
            o.e[at] = level_of(x0);
            o.f[at] = level_of(x2);
        }
    }
}

struct quarters_of_a_cell {
    int x0, x1, x2, x3, u, v;
};

/// What is known of a cell once level `have` is; what is not yet split repeats its parent.
inline quarters_of_a_cell open_cell(pool_form form, int p, int d, int e, int f, int first, int second, int have) noexcept {
    if (first > have) return {p, p, p, p, p, p};
    if (form == pool_form::lifted) {
        const lifted_pair halves = unlift_down(p, d);
        if (second > have) return {halves.low, halves.low, halves.high, halves.high, halves.low, halves.high};
        const lifted_pair one = unlift_up(halves.low, e), two = unlift_up(halves.high, f);
        return {one.low, one.high, two.low, two.high, halves.low, halves.high};
    }
    if (first == second) return {e, d, f, first == 0 ? p : 4 * p - e - d - f, d, f};
    const int u = d, v = first == 0 ? p : 2 * p - u;
    if (second > have) return {u, u, v, v, u, v};
    return {e, 2 * u - e, f, 2 * v - f, u, v};
}

/// Writes an octave's cells with their first `rows_split` rows and `columns_split` columns split; `out` has rows + rows_split rows.
/// `whole` are the cells as the octave before gives them. Results are 0..255 whatever arrived.
inline void open_octave(pool_form form, const octave_view& o, const std::int16_t* whole, int have, int rows_split, int columns_split,
                        std::int16_t* out) noexcept {
    const auto put = [](std::int16_t* to, int x) { *to = static_cast<std::int16_t>(std::clamp(x, 0, 255)); };
    const int out_columns = o.columns + columns_split;
    for (int r = 0; r < o.rows; ++r) {
        std::int16_t* const top = out + static_cast<std::ptrdiff_t>(r + std::min(r, rows_split)) * out_columns;
        std::int16_t* const bottom = top + out_columns;
        const bool tall = r < rows_split;
        for (int c = 0; c < o.columns; ++c) {
            const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(r) * o.columns + c;
            const int first = std::min(o.row_level[r], o.column_level[c]), second = std::max(o.row_level[r], o.column_level[c]);
            const int x = c + std::min(c, columns_split);
            const bool wide = c < columns_split;
            if (!tall && !wide) {
                put(top + x, whole[at]);
                continue;
            }
            const quarters_of_a_cell k = open_cell(form, whole[at], o.d[at], o.e[at], o.f[at], first, second, have);
            const bool row_wise = c >= o.row_wise_from[r];
            if (tall && wide) {
                put(top + x, k.x0);
                put(top + x + 1, row_wise ? k.x1 : k.x2);
                put(bottom + x, row_wise ? k.x2 : k.x1);
                put(bottom + x + 1, k.x3);
            } else {
                put(top + x, k.u);
                put((tall ? bottom + x : top + x + 1), k.v);
            }
        }
    }
}

} // namespace detail
} // namespace splitdsl
