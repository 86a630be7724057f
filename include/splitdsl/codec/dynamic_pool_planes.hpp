// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_planes.hpp
/// How levels are written, the most bytes they take, and the coefficients of all channels in the order in which levels send them.
#pragma once

#include <splitdsl/codec/dynamic_pool_cells.hpp>
#include <splitdsl/codec/dynamic_pool_coder.hpp>
#include <splitdsl/codec/dynamic_pool_kernels.hpp>
#include <splitdsl/detail/line_vector.hpp>
#include <splitdsl/error.hpp>

#include <string>
#include <vector>

namespace splitdsl {

enum class pool_coding : std::uint8_t {
    packed, ///< means: 8 bits a value; lifted: 8 bits for P, 9 for D, E, F
    rice    ///< adaptive Golomb-Rice codes; packed where that is no longer
};

/// How levels are written; both sides must agree.
struct pool_options {
    pool_form form{pool_form::lifted};
    pool_coding coding{pool_coding::rice};
};

inline constexpr std::size_t pool_preamble_bytes = 5; ///< of level 0: scale and zero point

/// Bits of one channel's new values at a level, packed.
constexpr std::int64_t packed_pool_bits(const pool_ladder& l, pool_form form, int level) noexcept {
    const std::int64_t values = l.new_values(level), plain = level == 0 || l.by_width() ? l.cell_rows() * l.cell_columns() : 0;
    return form == pool_form::means ? 8 * values : 8 * plain + 9 * (values - plain);
}
/// The most bytes a level takes, whatever the tensor holds; packed levels take exactly this.
constexpr std::size_t max_level_bytes(const pool_ladder& l, pool_form form, int level) noexcept {
    return 1 + (level == 0 ? pool_preamble_bytes : 0)
           + static_cast<std::size_t>((packed_pool_bits(l, form, level) * (l.channels(level) - l.first_channel(level)) + 7) / 8);
}
constexpr std::size_t max_pool_bytes(const pool_ladder& l, pool_form form) noexcept {
    std::size_t sum = 0;
    for (int i = 0; i < l.levels; ++i) sum += max_level_bytes(l, form, i);
    return sum;
}

namespace detail {

/// Planes of coefficients of every channel, in order of priority, and the tables that say which level sends which of them.
class pool_planes {
public:
    pool_planes(const pool_ladder& l, pool_options o, std::span<const std::uint16_t> order) : shape{l}, how{o} {
        if (l.levels < 1)
            throw option_error("dynamic pooling needs a ladder with at least one size; try_pool_ladder says why there is none");
        const auto n = static_cast<std::size_t>(l.shape.channels);
        if (!order.empty() && order.size() != n)
            throw option_error("the channel order has " + std::to_string(order.size()) + " entries; expected one for each of "
                               + std::to_string(n) + " channels");
        std::vector<bool> used(n);
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t c = order.empty() ? i : order[i];
            if (c >= n || used[c])
                throw option_error("the channel order names channel " + std::to_string(c)
                                   + (c < n ? " twice" : ", but there are " + std::to_string(n)));
            used[c] = true;
            channels.push_back(static_cast<std::uint16_t>(c));
        }
        for (int k = 0; k < std::max(l.octaves, 1); ++k) { // without octaves whole cells alone
            octave& t = octaves[static_cast<std::size_t>(k)];
            t.offset = per_channel;
            t.cells = static_cast<std::size_t>(l.cell_rows(k)) * static_cast<std::size_t>(l.cell_columns(k));
            per_channel += (l.octaves > 0 ? 4 : 1) * t.cells;
            for (int r = 0; r < l.cell_rows(k); ++r) {
                t.row_level.push_back(static_cast<std::uint8_t>(l.level_of_row(k, r)));
                t.row_wise_from.push_back(static_cast<std::int16_t>(l.first_row_wise(r)));
            }
            for (int c = 0; c < l.cell_columns(k); ++c) t.column_level.push_back(static_cast<std::uint8_t>(l.level_of_column(k, c)));
        }
        store.resize(per_channel * n + pool_kernels::overrun);
    }
    /// Of all channels, without the room behind them.
    std::size_t coefficients() const noexcept { return per_channel * channels.size(); }

    octave_view view(int octave_index, std::size_t priority) noexcept {
        octave& t = octaves[static_cast<std::size_t>(octave_index)];
        std::int16_t* const p = store.data() + priority * per_channel + t.offset;
        const std::size_t plane = shape.octaves > 0 ? t.cells : 0;
        return {shape.cell_rows(octave_index),
                shape.cell_columns(octave_index),
                p,
                p + plane,
                p + 2 * plane,
                p + 3 * plane,
                t.row_level.data(),
                t.column_level.data(),
                t.row_wise_from.data()};
    }

    /// Calls `segment(octave, plane 0..3, row, first column, one past the last)` for all a level adds to a channel, in the order of the
    /// wire; `enter(octave)` before each octave that has some.
    template <class Enter, class Segment>
    [[gnu::always_inline]] void visit(int level, Enter enter, Segment segment) const noexcept {
        if (level == 0 || shape.by_width())
            for (int r = 0, rows = shape.cell_rows(), columns = shape.cell_columns(); r < rows; ++r) segment(0, 0, r, 0, columns);
        for (int o = 0; o < shape.octaves; ++o) {
            const int before = level > 0 ? shape.steps(o, level - 1) : 0, after = shape.steps(o, level);
            if (before == after) continue;
            enter(o);
            const int from = shape.columns_split(before), to = shape.columns_split(after), all = shape.cell_columns(o);
            const int split_before = shape.rows_split(before), split_after = shape.rows_split(after);
            for (int r = 0, rows = shape.cell_rows(o); r < rows; ++r) {
                const bool old_row = r < split_before, new_row = !old_row && r < split_after;
                const int last = old_row || new_row ? 3 : 1;
                for (int plane = old_row ? 2 : 1; plane <= last; ++plane) segment(o, plane, r, plane == 1 || old_row ? from : 0, plane == 1 && new_row ? all : to);
            }
        }
    }

    /// What the octave before leaves as this octave's whole cells, into plane P of this octave.
    void open_into(int octave_index, std::size_t priority, int have) noexcept {
        const octave_view o = view(octave_index - 1, priority);
        open_octave(how.form, o, o.p, have, o.rows, o.columns, view(octave_index, priority).p);
    }

    /// All that a level adds to a channel as Rice codes; `Bits` reads or writes. Models: of P, of D, of E and F.
    template <class Bits, class Model>
    void code(Bits& bits, Model* models, int level, std::size_t priority) noexcept {
        const bool lifted = how.form == pool_form::lifted;
        octave_view v = view(0, priority);
        Bits to = bits; // a copy, or each byte written could be a part of it
        visit(
            level,
            [&](int o) __attribute__((always_inline)) {
                v = view(o, priority);
                if constexpr (!Bits::writes)
                    if (!lifted && o > 0) open_into(o, priority, level); // the means' parents
            },
            [&](int, int plane, int r, int first, int end) __attribute__((always_inline)) {
                const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(r) * v.columns;
                const std::int16_t *const p = v.p + row, *const d = v.d + row;
                std::int16_t* const x = v.plane(plane) + row;
                Model model = models[plane == 3 ? 2 : plane];
                const auto each = [&](int c, int base) __attribute__((always_inline)) {
                    if constexpr (Bits::writes)
                        model.write(to, x[c] - base);
                    else {
                        const int value = base + model.read(to);
                        x[c] = static_cast<std::int16_t>(plane == 0 || !lifted ? std::clamp(value, 0, 255) : value);
                    }
                };
                if (plane == 0)
                    for (int c = first; c < end; ++c) { // from the median of west, north and west + north - north-west
                        const int w = c > 0 ? p[c - 1] : (r > 0 ? p[c - v.columns] : 0), n = r > 0 ? p[c - v.columns] : w;
                        const int nw = c > 0 && r > 0 ? p[c - v.columns - 1] : n;
                        each(c, std::max(std::min(w, n), std::min(std::max(w, n), w + n - nw)));
                    }
                else if (lifted)
                    for (int c = first; c < end; ++c) each(c, 0);
                else {
                    const std::int16_t* const base = plane == 2 ? d : p;
                    for (int c = first; c < end; ++c) each(c, base[c]);
                }
                models[plane == 3 ? 2 : plane] = model;
            });
        bits = to;
    }
    /// The same at fixed widths.
    template <class Bits>
    void code_packed(Bits& bits, int level, std::size_t priority) noexcept {
        const bool lifted = how.form == pool_form::lifted;
        octave_view v = view(0, priority);
        Bits to = bits; // as above
        visit(
            level, [&](int o) { v = view(o, priority); },
            [&](int, int plane, int r, int first, int end) __attribute__((always_inline)) {
                std::int16_t* const x = v.plane(plane) + static_cast<std::ptrdiff_t>(r) * v.columns;
                const int width = lifted && plane != 0 ? 9 : 8, zero = width == 9 ? 256 : 0;
                for (int c = first; c < end; ++c) {
                    if constexpr (Bits::writes)
                        to.put(static_cast<std::uint32_t>(x[c] + zero), width);
                    else
                        x[c] = static_cast<std::int16_t>(static_cast<int>(to.get(width)) - zero);
                }
            });
        bits = to;
    }

    pool_ladder shape;
    pool_options how;
    std::vector<std::uint16_t> channels; ///< by priority
    line_vector<std::int16_t> store;

private:
    struct octave {
        std::size_t offset{}, cells{};
        std::vector<std::uint8_t> row_level, column_level;
        std::vector<std::int16_t> row_wise_from;
    };
    std::array<octave, max_pool_octaves> octaves;
    std::size_t per_channel{};
};

} // namespace detail

} // namespace splitdsl
