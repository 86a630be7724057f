// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_stream.hpp
/// A pooled tensor as one run of bytes a level, and back from whatever part of each run arrived.
///
/// A level's bytes: 0 (packed) or 1 (Rice coded); in level 0 then the quantiser's scale (f32) and zero point (u8); then the level's new
/// values of each channel, the most useful channel first. Within a channel, octave by octave and row of cells by row of cells: P (level 0
/// only), D, E, F. Any prefix of a level's bytes gives its first channels; a level needs those before it for the same channels.
#pragma once

#include <splitdsl/codec/dynamic_pool_cells.hpp>
#include <splitdsl/codec/dynamic_pool_coder.hpp>
#include <splitdsl/codec/dynamic_pool_kernels.hpp>
#include <splitdsl/detail/byte_order.hpp>
#include <splitdsl/error.hpp>

#include <cstdlib>
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

/// Bits of a channel's new values at a level, packed.
constexpr std::int64_t packed_pool_bits(const pool_ladder& l, pool_form form, int level) noexcept {
    const std::int64_t values = l.new_values(level), plain = level == 0 ? l.cell_rows() * l.cell_columns() : 0;
    return form == pool_form::means ? 8 * values : 8 * plain + 9 * (values - plain);
}
/// The most bytes a level takes, whatever the tensor holds; packed levels take exactly this.
constexpr std::size_t max_level_bytes(const pool_ladder& l, pool_form form, int level) noexcept {
    return 1 + (level == 0 ? pool_preamble_bytes : 0)
           + static_cast<std::size_t>((packed_pool_bits(l, form, level) * l.shape.channels + 7) / 8);
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
        for (int k = 0; k < l.octaves; ++k) {
            octave& t = octaves[static_cast<std::size_t>(k)];
            t.offset = per_channel;
            t.cells = static_cast<std::size_t>(l.cell_rows(k)) * static_cast<std::size_t>(l.cell_columns(k));
            per_channel += 4 * t.cells;
            for (int r = 0; r < l.cell_rows(k); ++r) {
                t.row_level.push_back(static_cast<std::uint8_t>(l.level_of_row(k, r)));
                t.row_wise_from.push_back(static_cast<std::int16_t>(l.first_row_wise(r)));
            }
            for (int c = 0; c < l.cell_columns(k); ++c) t.column_level.push_back(static_cast<std::uint8_t>(l.level_of_column(k, c)));
        }
        store.resize(per_channel * n + pool_kernels::overrun);
    }

    octave_view view(int octave_index, std::size_t priority) noexcept {
        octave& t = octaves[static_cast<std::size_t>(octave_index)];
        std::int16_t* const p = store.data() + priority * per_channel + t.offset;
        return {shape.cell_rows(octave_index),
                shape.cell_columns(octave_index),
                p,
                p + t.cells,
                p + 2 * t.cells,
                p + 3 * t.cells,
                t.row_level.data(),
                t.column_level.data(),
                t.row_wise_from.data()};
    }

    /// Calls `segment(octave, plane 0..3, row, first column, one past the last)` for all a level adds to a channel, in the order of the
    /// wire; `enter(octave)` before each octave that has some.
    template <class Enter, class Segment>
    void visit(int level, Enter enter, Segment segment) const noexcept {
        if (level == 0)
            for (int r = 0; r < shape.cell_rows(); ++r) segment(0, 0, r, 0, shape.cell_columns());
        for (int o = 0; o < shape.octaves; ++o) {
            const int before = level > 0 ? shape.steps(o, level - 1) : 0, after = shape.steps(o, level);
            if (before == after) continue;
            enter(o);
            const int from = shape.columns_split(before), to = shape.columns_split(after), all = shape.cell_columns(o);
            const int split_before = shape.rows_split(before), split_after = shape.rows_split(after);
            for (int r = 0; r < shape.cell_rows(o); ++r) {
                const bool old_row = r < split_before, new_row = !old_row && r < split_after;
                if (!old_row) segment(o, 1, r, from, new_row ? all : to);
                if (old_row || new_row) {
                    segment(o, 2, r, old_row ? from : 0, to);
                    segment(o, 3, r, old_row ? from : 0, to);
                }
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
        visit(
            level,
            [&](int o) {
                if constexpr (!Bits::writes)
                    if (!lifted && o > 0) open_into(o, priority, level); // the means' parents
            },
            [&](int o, int plane, int r, int first, int end) {
                const octave_view v = view(o, priority);
                const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(r) * v.columns;
                const std::int16_t *const p = v.p + row, *const d = v.d + row;
                std::int16_t* const x = v.plane(plane) + row;
                Model& model = models[plane == 3 ? 2 : plane];
                for (int c = first; c < end; ++c) {
                    int base = 0;
                    if (plane == 0) { // the median of west, north and west + north - north-west
                        const int w = c > 0 ? p[c - 1] : (r > 0 ? p[c - v.columns] : 0), n = r > 0 ? p[c - v.columns] : w;
                        const int nw = c > 0 && r > 0 ? p[c - v.columns - 1] : n;
                        base = std::max(std::min(w, n), std::min(std::max(w, n), w + n - nw));
                    } else if (!lifted)
                        base = plane == 2 ? d[c] : p[c];
                    if constexpr (Bits::writes)
                        model.write(bits, x[c] - base);
                    else {
                        const int value = base + model.read(bits);
                        x[c] = static_cast<std::int16_t>(plane == 0 || !lifted ? std::clamp(value, 0, 255) : value);
                    }
                }
            });
    }
    /// The same at fixed widths.
    template <class Bits>
    void code_packed(Bits& bits, int level, std::size_t priority) noexcept {
        const bool lifted = how.form == pool_form::lifted;
        visit(
            level, [](int) {},
            [&](int o, int plane, int r, int first, int end) {
                const octave_view v = view(o, priority);
                std::int16_t* const x = v.plane(plane) + static_cast<std::ptrdiff_t>(r) * v.columns;
                const int width = lifted && plane != 0 ? 9 : 8, zero = width == 9 ? 256 : 0;
                for (int c = first; c < end; ++c) {
                    if constexpr (Bits::writes)
                        bits.put(static_cast<std::uint32_t>(x[c] + zero), width);
                    else
                        x[c] = static_cast<std::int16_t>(static_cast<int>(bits.get(width)) - zero);
                }
            });
    }

    pool_ladder shape;
    pool_options how;
    std::vector<std::uint16_t> channels; ///< by priority
    std::vector<std::int16_t> store;

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

/// Pools a tensor once and writes any of its levels.
/// Shapes: `pool` reads channels x height x width floats, rows contiguous. Refused (option_error, at construction): a ladder without
/// levels, an order that is not a permutation of the channels. After construction nothing is allocated or thrown. Values that are not
/// finite do as in `affine.hpp`. Cost: see docs/dynamic_pooling.md.
/// ```cpp
/// splitdsl::dynamic_pool_encoder encoder{ladder, {}, order};    // order: channels, the most useful first; empty: as they come
/// encoder.pool(tensor);
/// for (int level = 0; level < ladder.levels; ++level) send(encoder.encode(level));
/// ```
/// Source: FLEET, section 3.2, Eq. 3 and 6 (`pool_form::means`).
class dynamic_pool_encoder {
public:
    explicit dynamic_pool_encoder(const pool_ladder& ladder, pool_options options = {}, std::span<const std::uint16_t> order = {})
        : planes{ladder, options, order} {
        const auto n = static_cast<std::size_t>(ladder.shape.channels);
        patch = static_cast<std::size_t>(ladder.half_rows()) * static_cast<std::size_t>(ladder.half_columns());
        if (ladder.half_stride() > 1) halves.resize(patch * n + pool_kernels::overrun);
        sums.resize(static_cast<std::size_t>(ladder.shape.width));
        levels.resize(patch);
        if (options.form == pool_form::lifted) bytes_of_patches.resize(patch * n + pool_kernels::overrun);
        means.resize(options.form == pool_form::means ? patch / 2 : 0);
        std::size_t at = 0;
        for (int l = 0; l < ladder.levels; ++l) {
            starts.push_back(at);
            at += max_level_bytes(ladder, options.form, l);
        }
        written.resize(static_cast<std::size_t>(ladder.levels));
        bytes.resize(at);
    }

    /// Half-stride means once, their range, and every level's coefficients. Forgets what was encoded before. `code`: an instruction set's
    /// (`pipeline::pooling`), with the same result; null: portable loops, as fast as this file's flags make them.
    void pool(const float* map, const pool_kernels* code = nullptr) noexcept {
        const pool_ladder& l = planes.shape;
        const auto n = static_cast<std::size_t>(l.shape.channels);
        const float* patches = map;
        if (l.half_stride() > 1) {
            const std::size_t channel = static_cast<std::size_t>(l.shape.height) * static_cast<std::size_t>(l.shape.width);
            if (code != nullptr)
                code->patch_means(map, l.shape.channels * l.half_rows(), l.half_columns(), l.half_stride(), halves.data(), sums.data());
            else
                for (std::size_t c = 0; c < n; ++c)
                    detail::patch_means(map + c * channel, l.half_rows(), l.half_columns(), l.half_stride(), halves.data() + c * patch,
                                        sums.data());
            patches = halves.data();
        }
        const bool lifted = planes.how.form == pool_form::lifted;
        quantiser = pool_parameters_of(code != nullptr ? code->range(patches, patch * n) : detail::range_in_blocks(patches, patch * n));
        if (lifted && code != nullptr) code->quantise(patches, patch * n, quantiser, bytes_of_patches.data());
        for (std::size_t i = 0; i < n; ++i) {
            if (!lifted)
                average(patches + planes.channels[i] * patch, i);
            else if (code != nullptr)
                lift(*code, bytes_of_patches.data() + planes.channels[i] * patch, i);
            else
                lift(patches + planes.channels[i] * patch, i);
        }
        std::fill(written.begin(), written.end(), 0);
    }

    /// In place of `pool`: coefficients made elsewhere, of each channel by priority as `pool` makes them (before a reader's parents take the place of
    /// true means). False, and nothing taken, if they are of another form or number.
    bool adopt(pool_form form, affine_parameters q, std::span<const std::int16_t> coefficients) noexcept {
        if (form != planes.how.form || coefficients.size() != planes.store.size()) return false;
        std::copy(coefficients.begin(), coefficients.end(), planes.store.begin());
        quantiser = q;
        for (std::size_t i = 0; form == pool_form::means && i < planes.channels.size(); ++i) open_parents(i);
        std::fill(written.begin(), written.end(), 0);
        return true;
    }

    /// A level's bytes, valid until the next `pool`. Written on first use.
    std::span<const std::byte> encode(int level) noexcept {
        const auto at = static_cast<std::size_t>(level);
        if (written[at] == 0) written[at] = write(level, bytes.data() + starts[at]);
        return {bytes.data() + starts[at], written[at]};
    }

    affine_parameters parameters() const noexcept { return quantiser; } ///< of the last tensor
    const pool_ladder& ladder() const noexcept { return planes.shape; }
    pool_options options() const noexcept { return planes.how; }

private:
    void lift(const float* quarters, std::size_t i) noexcept {
        detail::quantise_patches(quarters, patch, quantiser, levels.data());
        const std::int16_t* from = levels.data();
        for (int o = planes.shape.octaves - 1; o >= 0; --o) {
            const detail::octave_view v = planes.view(o, i);
            detail::lift_octave(from, v);
            from = v.p;
        }
    }
    void lift(const pool_kernels& code, const std::uint8_t* quarters, std::size_t i) noexcept {
        int o = planes.shape.octaves - 1;
        detail::octave_view v = planes.view(o, i);
        code.lift_levels(quarters, v.rows, v.columns, v.row_wise_from, v.p, v.d, v.e, v.f);
        while (--o >= 0) {
            const std::int16_t* const finer = v.p;
            v = planes.view(o, i);
            code.lift_plane(finer, v.rows, v.columns, v.row_wise_from, v.p, v.d, v.e, v.f);
        }
    }
    void average(const float* quarters, std::size_t i) noexcept {
        float* to = means.data(); // a quarter, a sixteenth, ... of the patches: together below a half
        for (int o = planes.shape.octaves - 1; o >= 0; --o) {
            const detail::octave_view v = planes.view(o, i);
            detail::average_octave(quarters, v, quantiser, to);
            quarters = to;
            to += v.rows * v.columns;
        }
        open_parents(i);
    }
    /// Parents are what the reader has, not the true means.
    void open_parents(std::size_t i) noexcept {
        for (int o = 1; o < planes.shape.octaves; ++o) planes.open_into(o, i, planes.shape.levels - 1);
    }
    std::size_t write(int level, std::byte* to) noexcept {
        const pool_ladder& l = planes.shape;
        const auto n = static_cast<std::size_t>(l.shape.channels);
        std::byte* const begin = to + 1 + (level == 0 ? pool_preamble_bytes : 0);
        std::byte* const end = to + max_level_bytes(l, planes.how.form, level);
        if (level == 0) {
            detail::store_f32(to + 1, quantiser.scale);
            to[5] = static_cast<std::byte>(quantiser.zero_point);
        }
        if (planes.how.coding == pool_coding::rice) {
            detail::rice_model models[3];
            detail::bit_packer bits{begin, end - 1}; // shorter than packed, or packed
            for (std::size_t i = 0; i < n; ++i) planes.code(bits, models, level, i);
            if (const std::byte* const last = bits.finish(); last != nullptr) {
                to[0] = std::byte{1};
                return static_cast<std::size_t>(last - to);
            }
        }
        to[0] = std::byte{0};
        detail::bit_packer bits{begin, end};
        for (std::size_t i = 0; i < n; ++i) planes.code_packed(bits, level, i);
        return static_cast<std::size_t>(bits.finish() - to);
    }

    detail::pool_planes planes;
    affine_parameters quantiser{};
    std::size_t patch{};
    std::vector<float> halves, sums, means;
    std::vector<std::int16_t> levels;
    std::vector<std::uint8_t> bytes_of_patches; ///< quantised, for an instruction set's code
    std::vector<std::size_t> starts, written;
    std::vector<std::byte> bytes;
};

/// What was wrong with a level's bytes.
enum class level_fault : std::uint8_t { none, unknown_level, too_long, unknown_mode, bad_quantiser };
inline constexpr int level_faults = 5;
constexpr const char* sentence(level_fault fault) noexcept {
    switch (fault) {
    case level_fault::none: return "the level's bytes are sound";
    case level_fault::unknown_level: return "the level does not exist in this ladder";
    case level_fault::too_long: return "a level has more bytes than its shape can need";
    case level_fault::unknown_mode: return "a level's first byte is neither 0 (packed) nor 1 (Rice coded)";
    case level_fault::bad_quantiser: return "the quantiser's scale is not a usable number";
    }
    return "unknown fault";
}

/// Reads levels, in order, from whatever prefix of each is there, and rebuilds the pooled tensor at any size.
/// Refused at construction: as the encoder. Then nothing is allocated or thrown; bytes that lie give a `level_fault` or, if they are
/// well-formed, wrong values within the quantiser's range, never anything else.
/// ```cpp
/// decoder.start();                                        // a new frame
/// decoder.take(0, bytes);                                 // all of the level's bytes, or its first ones
/// if (decoder.whole_levels() > 0) decoder.rebuild(decoder.whole_levels() - 1, pooled);
/// ```
class dynamic_pool_decoder {
public:
    explicit dynamic_pool_decoder(const pool_ladder& ladder, pool_options options = {}, std::span<const std::uint16_t> order = {})
        : planes{ladder, options, order} {
        done.resize(static_cast<std::size_t>(ladder.levels));
        seen.resize(static_cast<std::size_t>(ladder.levels));
        const auto most = static_cast<std::size_t>(ladder.values(ladder.levels - 1));
        scratch.resize(2 * most);
    }

    void start() noexcept {
        std::fill(done.begin(), done.end(), std::uint16_t{0});
        std::fill(seen.begin(), seen.end(), std::size_t{0});
    }

    /// Reads a level from its first bytes; may be called again with more of them. Cost: from the level's beginning each time.
    level_fault take(int level, std::span<const std::byte> from) noexcept {
        const pool_ladder& l = planes.shape;
        if (level < 0 || level >= l.levels) return level_fault::unknown_level;
        std::uint16_t& have = done[static_cast<std::size_t>(level)];
        const int possible = level == 0 ? l.shape.channels : done[static_cast<std::size_t>(level - 1)];
        if (have >= possible) return level_fault::none;
        if (from.size() > max_level_bytes(l, planes.how.form, level)) return level_fault::too_long;
        if (from.empty() || from.size() < seen[static_cast<std::size_t>(level)])
            return level_fault::none; // nothing that is not known already
        if (from[0] != std::byte{0} && from[0] != std::byte{1}) return level_fault::unknown_mode;
        std::size_t skip = 0;
        if (level == 0) {
            skip = pool_preamble_bytes;
            if (from.size() < 1 + skip) return level_fault::none;
            const affine_parameters q{detail::load_f32(from.data() + 1), static_cast<std::int32_t>(from[5])};
            if (!usable<std::uint8_t>(q)) return level_fault::bad_quantiser;
            quantiser = q;
        }
        seen[static_cast<std::size_t>(level)] = from.size();
        detail::rice_model models[3];
        detail::bit_unpacker bits{from.data() + 1 + skip, from.data() + from.size()};
        for (int i = 0; i < possible; ++i) {
            if (from[0] == std::byte{1})
                planes.code(bits, models, level, static_cast<std::size_t>(i));
            else
                planes.code_packed(bits, level, static_cast<std::size_t>(i));
            if (bits.starved()) break; // what was read of this channel is not used
            have = std::max(have, static_cast<std::uint16_t>(i + 1));
        }
        return level_fault::none;
    }

    /// Channels, in order of priority, that are known at a level; never more than at the level before.
    int channels_at(int level) const noexcept { return done[static_cast<std::size_t>(level)]; }
    /// Levels that are known for every channel.
    int whole_levels() const noexcept {
        int n = 0;
        while (n < planes.shape.levels && channels_at(n) == planes.shape.shape.channels) ++n;
        return n;
    }

    /// A channel (its index in the tensor) at a level's size, in steps of the quantiser 0..255. Where the channel is known only at a
    /// smaller size, values repeat; false, and the zero point, if it is not known at all.
    bool rebuild(int level, int channel, std::uint8_t* out) noexcept {
        const std::int16_t* const x = open(level, priority_of(channel));
        const auto n = static_cast<std::size_t>(planes.shape.values(level));
        for (std::size_t k = 0; k < n; ++k) out[k] = static_cast<std::uint8_t>(x == nullptr ? quantiser.zero_point : x[k]);
        return x != nullptr;
    }
    /// The whole tensor, channels x rows x columns floats; returns how many channels are exact at this level.
    int rebuild(int level, float* out) noexcept { return rebuild_from(level, level, out); }
    /// The same of nothing but the levels up to `known` (-1: none): `known`'s map, its values repeated to `level`'s size.
    int rebuild_from(int known, int level, float* out) noexcept {
        const auto n = static_cast<std::size_t>(planes.shape.values(level));
        for (std::size_t i = 0; i < planes.channels.size(); ++i) {
            float* const to = out + planes.channels[i] * n;
            const std::int16_t* const x = open(level, i, known);
            if (x == nullptr)
                std::fill_n(to, n, 0.0f);
            else
                for (std::size_t k = 0; k < n; ++k) to[k] = static_cast<float>(x[k] - quantiser.zero_point) * quantiser.scale;
        }
        return known < 0 ? 0 : channels_at(std::min(level, known));
    }

    affine_parameters parameters() const noexcept { return quantiser; }
    const pool_ladder& ladder() const noexcept { return planes.shape; }
    pool_options options() const noexcept { return planes.how; }

private:
    std::size_t priority_of(int channel) const noexcept {
        std::size_t i = 0;
        while (planes.channels[i] != channel) ++i;
        return i;
    }
    /// A channel's values at a level, or null. They stand in the scratch memory until the next call.
    const std::int16_t* open(int level, std::size_t i) noexcept { return open(level, i, level); }
    const std::int16_t* open(int level, std::size_t i, int known) noexcept {
        const pool_ladder& l = planes.shape;
        int have = -1;
        while (have < std::min(level, known) && static_cast<int>(i) < channels_at(have + 1)) ++have;
        if (have < 0) return nullptr;
        const int last = l.octave_of(level);
        std::int16_t *to = scratch.data(), *other = scratch.data() + scratch.size() / 2;
        const std::int16_t* whole = planes.view(0, i).p;
        for (int o = 0; o <= last; ++o) {
            const detail::octave_view v = planes.view(o, i);
            const int t = l.steps(o, level);
            detail::open_octave(planes.how.form, v, whole, have, l.rows_split(t), l.columns_split(t), to);
            whole = to;
            std::swap(to, other);
        }
        return whole;
    }

    detail::pool_planes planes;
    affine_parameters quantiser{};
    std::vector<std::uint16_t> done; ///< channels, by level
    std::vector<std::size_t> seen;   ///< bytes, by level
    std::vector<std::int16_t> scratch;
};

} // namespace splitdsl
