// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stream_pooling.hpp
/// Dynamic pooling of a stream's map on the device, up to its coefficients: the same as `dynamic_pool_encoder` makes of the same map.
#pragma once

#include <kernels/cudnn/device.hpp>
#include <splitdsl/codec/dynamic_pool_cells.hpp>
#include <splitdsl/runtime/stream_pooler.hpp>

#include <algorithm>
#include <cstring>
#include <vector>

namespace splitdsl::gpu {

namespace cudnn = kernels::cudnn;

/// One stream's. Memory is taken at construction; `start` may be captured. Throws `device_error`.
class stream_pooling {
public:
    stream_pooling(const cudnn::device& on, const pool_ladder& shape, pool_form how) : gpu{on}, l{shape}, form{how} {
        const std::size_t channels = static_cast<std::size_t>(l.shape.channels);
        patches = static_cast<std::size_t>(l.half_rows()) * static_cast<std::size_t>(l.half_columns());
        std::vector<std::byte> tables;
        const auto put = [&](const void* from, std::size_t bytes) {
            const std::size_t at = (tables.size() + 3) / 4 * 4;
            tables.resize(at + bytes);
            std::memcpy(tables.data() + at, from, bytes);
            return at;
        };
        std::size_t cells_of_all = 0;
        for (int o = 0; o < l.octaves; ++o) {
            std::vector<std::int16_t> row_wise;
            std::vector<std::uint8_t> rows, columns;
            for (int r = 0; r < l.cell_rows(o); ++r) row_wise.push_back(static_cast<std::int16_t>(l.first_row_wise(r))), rows.push_back(static_cast<std::uint8_t>(l.level_of_row(o, r)));
            for (int c = 0; c < l.cell_columns(o); ++c) columns.push_back(static_cast<std::uint8_t>(l.level_of_column(o, c)));
            octave& t = octaves.emplace_back();
            t.row_wise = put(row_wise.data(), 2 * row_wise.size());
            t.rows = put(rows.data(), rows.size());
            t.columns = put(columns.data(), columns.size());
            t.plane = per_channel;
            t.cells = rows.size() * columns.size();
            t.whole = channels * cells_of_all;
            per_channel += 4 * t.cells;
            cells_of_all += t.cells;
        }
        means = {gpu, 4 * channels * patches};
        levels = {gpu, 2 * channels * patches};
        whole = {gpu, 4 * channels * cells_of_all};
        partials = {gpu, std::size_t{8} * parts};
        made = {gpu, made_bytes()};
        here = {gpu, made_bytes()};
        table = {gpu, tables.size()};
        table.fill_from(tables.data(), tables.size());
    }

    /// Of an interleaved map of the ladder's shape, whose values are of type `type`.
    void start(const cudnn::device_tensor& map, cudnn::element type, const cudnn::device_stream& stream) const {
        const auto launch = [&](cudnn::kernel k, cudnn::element of, auto job, std::size_t items) {
            void* parameters[]{&job};
            const auto blocks = static_cast<unsigned>(std::clamp<std::size_t>((items + threads - 1) / threads, 1, 32 * static_cast<std::size_t>(std::max(gpu.multiprocessors(), 1))));
            gpu.expect(gpu.driver().launch(gpu.function(k, of), k == cudnn::kernel::find_range ? parts : blocks, 1, 1, threads, 1, 1, 0, stream.get(), parameters, nullptr), "starting dynamic pooling");
        };
        const auto at = [](const cudnn::device_memory& m, std::size_t bytes) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(m.at() + bytes)); };
        const std::size_t channels = static_cast<std::size_t>(l.shape.channels), values = channels * patches;
        auto* const parameters = static_cast<int*>(at(made, 0));
        launch(cudnn::kernel::pool_patches, type, cudnn::patch_job{map, static_cast<float*>(at(means, 0)), l.shape.channels, l.half_rows(), l.half_columns(), l.half_stride()},
               map.pixel % 8 == 0 && channels % 8 == 0 ? values / 8 : values);       // eight channels are a thread's
        launch(cudnn::kernel::find_range, cudnn::element::f32, cudnn::affine_job{{at(means, 0), 0, 1}, nullptr, 0, static_cast<int*>(at(partials, 0)), parts, 1, static_cast<long long>(values), 0}, 0);
        launch(cudnn::kernel::level_patches, cudnn::element::f32,
               cudnn::patch_levels_job{static_cast<const float*>(at(means, 0)), form == pool_form::lifted ? static_cast<short*>(at(levels, 0)) : nullptr, static_cast<long long>(values),
                                       static_cast<const int*>(at(partials, 0)), parts, parameters},
               form == pool_form::lifted ? values : 1);
        const auto plane = [&](const octave& t, std::size_t which) { return static_cast<short*>(at(made, header + 2 * (t.plane + which * t.cells))); };
        for (int o = l.octaves - 1; o >= 0; --o) {
            const octave& t = octaves[static_cast<std::size_t>(o)];
            const octave* const finer = o + 1 < l.octaves ? &octaves[static_cast<std::size_t>(o) + 1] : nullptr;
            cudnn::octave_job j{};
            j.whole = static_cast<float*>(at(whole, 4 * t.whole));
            j.p = plane(t, 0), j.d = plane(t, 1), j.e = plane(t, 2), j.f = plane(t, 3);
            j.row_wise_from = static_cast<const short*>(at(table, t.row_wise));
            j.row_level = static_cast<const unsigned char*>(at(table, t.rows));
            j.column_level = static_cast<const unsigned char*>(at(table, t.columns));
            j.parameters = parameters;
            j.channels = l.shape.channels, j.rows = l.cell_rows(o), j.columns = l.cell_columns(o);
            j.whole_step = static_cast<long long>(t.cells), j.plane_step = static_cast<long long>(per_channel);
            if (form == pool_form::lifted) {
                j.quarters = finer ? plane(*finer, 0) : static_cast<const short*>(at(levels, 0));
                j.quarters_step = static_cast<long long>(finer ? per_channel : patches);
            } else {
                j.means = static_cast<const float*>(finer ? at(whole, 4 * finer->whole) : at(means, 0));
                j.quarters_step = static_cast<long long>(finer ? finer->cells : patches);
            }
            launch(form == pool_form::lifted ? cudnn::kernel::lift_cells : cudnn::kernel::average_cells, cudnn::element::f32, j, channels * t.cells);
        }
        gpu.expect(gpu.driver().copy_out_async(here.data(), made.at(), made_bytes(), stream.get()), "copying coefficients from the device");
    }

    /// What the last run left in pinned memory.
    pooled_map result() const noexcept {
        pooled_map m{form, {}, {reinterpret_cast<const std::int16_t*>(here.data() + header), per_channel * static_cast<std::size_t>(l.shape.channels)}};
        std::memcpy(&m.quantiser.scale, here.data(), 4);
        std::memcpy(&m.quantiser.zero_point, here.data() + 4, 4);
        return m;
    }

private:
    struct octave {
        std::size_t row_wise{}, rows{}, columns{};      ///< in the table
        std::size_t plane{}, cells{}, whole{};
    };
    static constexpr int threads = 256, parts = 64;
    static constexpr std::size_t header = 16;           ///< scale and zero point before the coefficients
    std::size_t made_bytes() const { return header + 2 * per_channel * static_cast<std::size_t>(l.shape.channels); }

    const cudnn::device& gpu;
    pool_ladder l;
    pool_form form;
    std::size_t patches{}, per_channel{};
    std::vector<octave> octaves;
    cudnn::device_memory means, levels, whole, partials, made, table;
    cudnn::pinned_memory here;
};

} // namespace splitdsl::gpu
