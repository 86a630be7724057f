// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dynamic_pool_stream.hpp
/// A pooled tensor as one run of bytes a level, and back from whatever part of each run arrived.
///
/// A level's bytes: 0 (packed) or 1 (Rice coded); in level 0 then the quantiser's scale (f32) and zero point (u8); then the level's new
/// values of each channel, the most useful channel first. Within a channel, octave by octave and row of cells by row of cells: P (level 0
/// only), D, E, F. Any prefix of a level's bytes gives its first channels; a level needs those before it for the same channels.
/// A width's are P of the channels that it adds; it needs all widths before it.
#pragma once

#include <splitdsl/codec/dynamic_pool_planes.hpp>
#include <splitdsl/detail/byte_order.hpp>

#include <cstdint>
#include <vector>

namespace splitdsl {

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
        past_caches = static_cast<std::size_t>(ladder.shape.height) * static_cast<std::size_t>(ladder.shape.width) * n >= far_map;
        if (ladder.half_stride() > 1) quarters.resize(4 * pool_kernels::plane(patch / 4) * n);
        room.resize(4 * pool_kernels::plane(patch / 4));
        sums.resize(static_cast<std::size_t>(ladder.shape.width));
        levels.resize(patch);
        means.resize(options.form == pool_form::means ? patch / 2 + pool_kernels::overrun : 0);
        for (int o = 0; o < ladder.octaves; ++o) masks[static_cast<std::size_t>(o)] = {planes.view(o, 0), options.form};
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
        const std::size_t channel = static_cast<std::size_t>(l.shape.height) * static_cast<std::size_t>(l.shape.width);
        std::fill(written.begin(), written.end(), 0);
        if (code != nullptr && l.octaves > 0) return pool(map, channel, *code);
        const float* patches = map;
        if (l.half_stride() > 1) {
            for (std::size_t c = 0; c < n; ++c)
                detail::patch_means(map + c * channel, l.half_rows(), l.half_columns(), l.half_stride(), quarters.data() + c * patch, sums.data());
            patches = quarters.data();
        }
        quantiser = pool_parameters_of(detail::range_in_blocks(patches, patch * n));
        for (std::size_t i = 0; i < n; ++i)
            if (l.octaves == 0)
                detail::quantise_patches(patches + planes.channels[i] * patch, patch, quantiser, planes.view(0, i).p);
            else if (planes.how.form == pool_form::lifted)
                lift(patches + planes.channels[i] * patch, i);
            else
                average(patches + planes.channels[i] * patch, i);
    }

    /// In place of `pool`: coefficients made elsewhere, of each channel by priority as `pool` makes them (before a reader's parents take the place of
    /// true means). False, and nothing taken, if they are of another form or number.
    bool adopt(pool_form form, affine_parameters q, std::span<const std::int16_t> coefficients) noexcept {
        if (form != planes.how.form || coefficients.size() != planes.coefficients()) return false;
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
    void lift(const float* patches, std::size_t i) noexcept {
        detail::quantise_patches(patches, patch, quantiser, levels.data());
        const std::int16_t* from = levels.data();
        for (int o = planes.shape.octaves - 1; o >= 0; --o) {
            const detail::octave_view v = planes.view(o, i);
            detail::lift_octave(from, v);
            from = v.p;
        }
    }
    void average(const float* patches, std::size_t i) noexcept {
        float* to = means.data(); // a quarter, a sixteenth, ... of the patches: together below a half
        for (int o = planes.shape.octaves - 1; o >= 0; --o) {
            const detail::octave_view v = planes.view(o, i);
            detail::average_octave(patches, v, quantiser, to);
            patches = to;
            to += v.rows * v.columns;
        }
        open_parents(i);
    }

    /// All of `pool` by an instruction set's code. A map that is itself the quarters is read twice, every other one once.
    void pool(const float* map, std::size_t channel, const pool_kernels& code) noexcept {
        const pool_ladder& l = planes.shape;
        const auto n = static_cast<std::size_t>(l.shape.channels);
        const int finest = l.octaves - 1;
        const bool same = l.half_stride() == 1;
        quantiser = pool_parameters_of(same ? code.range(map, channel * n)
                                            : code.quarters(map, l.shape.channels, l.cell_rows(finest), l.cell_columns(finest), l.half_stride(),
                                                            quarters.data(), sums.data()));
        const float* const end = same ? map + n * channel : nullptr;
        const auto planes_of = [&](std::size_t i) { return quarters.data() + 4 * pool_kernels::plane(patch / 4) * planes.channels[i]; };
        for (std::size_t i = 0; i < n; ++i) {
            const float* const from = same ? map + planes.channels[i] * channel : planes_of(i);
            const float* const next = same || i + 1 == n || quarters.size() < near_quarters ? nullptr : planes_of(i + 1);
            if (planes.how.form == pool_form::lifted)
                lift(from, next, end, i, code);
            else
                average(from, next, end, i, code);
        }
        code.settle();
    }
    pool_cells cells(int octave, std::size_t i) noexcept { return masks[static_cast<std::size_t>(octave)].cells(planes.view(octave, i)); }
    /// A single octave's coefficients are not read again before all of them are made.
    pool_cells finest_cells(std::size_t i) noexcept {
        pool_cells to = cells(planes.shape.octaves - 1, i);
        to.past_caches = planes.shape.octaves == 1 && past_caches;
        return to;
    }
    // `end`: the quarters stand row by row, and nothing is read from there on; null: they are a channel's planes.
    void lift(const float* from, const float* next, const float* end, std::size_t i, const pool_kernels& code) noexcept {
        int o = planes.shape.octaves - 1;
        pool_cells to = finest_cells(i);
        if (end != nullptr)
            code.lift_rows(from, end, to, quantiser, room.data());
        else
            code.lift(from, next, to, quantiser);
        while (--o >= 0) {
            const std::int16_t* const finer = to.p;
            to = cells(o, i);
            code.lift_plane(finer, to);
        }
    }
    void average(const float* from, const float* next, const float* end, std::size_t i, const pool_kernels& code) noexcept {
        float* whole = means.data();
        const int finest = planes.shape.octaves - 1;
        for (int o = finest; o >= 0; --o) {
            const pool_cells to = o == finest ? finest_cells(i) : cells(o, i);
            if (end != nullptr)
                code.average_rows(from, end, to, quantiser, room.data(), whole);
            else
                code.average(from, next, to, quantiser, whole);
            from = whole;
            whole += to.rows * to.columns;
            end = whole;
        }
        open_parents(i);
    }
    /// Parents are what the reader has, not the true means.
    void open_parents(std::size_t i) noexcept {
        for (int o = 1; o < planes.shape.octaves; ++o) planes.open_into(o, i, planes.shape.levels - 1);
    }
    std::size_t write(int level, std::byte* to) noexcept {
        const pool_ladder& l = planes.shape;
        const auto first = static_cast<std::size_t>(l.first_channel(level)), n = static_cast<std::size_t>(l.channels(level));
        std::byte* const begin = to + 1 + (level == 0 ? pool_preamble_bytes : 0);
        std::byte* const end = to + max_level_bytes(l, planes.how.form, level);
        if (level == 0) {
            detail::store_f32(to + 1, quantiser.scale);
            to[5] = static_cast<std::byte>(quantiser.zero_point);
        }
        if (planes.how.coding == pool_coding::rice) {
            detail::rice_model models[3];
            detail::bit_packer bits{begin, end - 1}; // shorter than packed, or packed
            for (std::size_t i = first; i < n; ++i) planes.code(bits, models, level, i);
            if (const std::byte* const last = bits.finish(); last != nullptr) {
                to[0] = std::byte{1};
                return static_cast<std::size_t>(last - to);
            }
        }
        to[0] = std::byte{0};
        detail::bit_packer bits{begin, end};
        for (std::size_t i = first; i < n; ++i) planes.code_packed(bits, level, i);
        return static_cast<std::size_t>(bits.finish() - to);
    }

    static constexpr std::size_t near_quarters = std::size_t{1} << 18; ///< floats that no second-level cache holds
    static constexpr std::size_t far_map = std::size_t{1} << 21;       ///< floats that, with what is made of them, leave little of a third-level one to anything else

    detail::pool_planes planes;
    affine_parameters quantiser{};
    std::size_t patch{};
    bool past_caches{}; ///< a map of `far_map` or more
    detail::line_vector<float> quarters, room;    ///< room: planes of one channel's quarters
    std::vector<float> sums, means;
    std::vector<std::int16_t> levels;
    std::array<detail::pool_masks, max_pool_octaves> masks; ///< for an instruction set's code
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
        const int first = l.first_channel(level), before = level == 0 ? l.channels(0) : done[static_cast<std::size_t>(level - 1)];
        const int possible = !l.by_width() || level == 0 ? before : before == first ? l.channels(level) : 0;
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
        for (int i = first; i < possible; ++i) {
            if (from[0] == std::byte{1})
                planes.code(bits, models, level, static_cast<std::size_t>(i));
            else
                planes.code_packed(bits, level, static_cast<std::size_t>(i));
            if (bits.starved()) break; // what was read of this channel is not used
            have = std::max(have, static_cast<std::uint16_t>(i + 1));
        }
        return level_fault::none;
    }

    /// Channels, in order of priority, that are known at a level; never more than at the level before. Of widths, which add channels: with
    /// those before it, and 0 as long as none of its own is there.
    int channels_at(int level) const noexcept { return done[static_cast<std::size_t>(level)]; }
    /// Levels that are known for every channel of theirs.
    int whole_levels() const noexcept {
        int n = 0;
        while (n < planes.shape.levels && channels_at(n) == planes.shape.channels(n)) ++n;
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
    /// The same of nothing but the levels up to `known` (-1: none): `known`'s map, its values repeated to `level`'s size; of a width its
    /// channels, all others 0.
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
        if (l.by_width()) {
            int own = 0; // the level that adds the channel
            while (l.channels(own) <= static_cast<int>(i)) ++own;
            return own <= std::min(level, known) && static_cast<int>(i) < channels_at(own) ? planes.view(0, i).p : nullptr;
        }
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
