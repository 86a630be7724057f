// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file pool_code.hpp
/// The dynamic pooling of the instruction set this file is compiled for, behind plain function pointers.
#pragma once

#include <kernels/simd/dynamic_pool.hpp>
#include <splitdsl/codec/dynamic_pool_kernels.hpp>

namespace splitdsl::inline SPLITDSL_ARCH {
namespace execution {

namespace pooling {
namespace simd = kernels::simd;

inline finite_range known(const simd::value_range& r) { return {r.low, r.high, r.any}; }
inline simd::cell_planes planes_of(const pool_cells& c) {
    return {c.rows, c.columns, c.column_wise, c.shown_whole, c.shown_in_halves, c.halves_first, c.p, c.d, c.e, c.f, c.past_caches};
}
inline simd::dealt_quarters dealt(const float* planes, const float* next, const pool_cells& c) {
    const std::ptrdiff_t cells = std::ptrdiff_t{c.rows} * c.columns;
    return {planes, simd::quarter_plane(cells), 0, cells, next};
}

inline finite_range quarters(const float* map, int channels, int rows, int columns, int side, float* planes, float* sums) {
    return known(simd::pool_quarters(map, channels, rows, columns, side, planes, sums));
}
inline finite_range range(const float* values, std::size_t count) { return known(simd::range_of_any_zero(values, count)); }
inline void lift(const float* planes, const float* next, const pool_cells& to, affine_parameters with) {
    simd::lift_quarters(dealt(planes, next, to), planes_of(to), with.scale, static_cast<float>(with.zero_point));
}
inline void lift_rows(const float* quarters, const float* end, const pool_cells& to, affine_parameters with, float* room) {
    simd::lift_rows(quarters, end, planes_of(to), with.scale, static_cast<float>(with.zero_point), room);
}
inline void lift_plane(const std::int16_t* quarters, const pool_cells& to) { simd::lift_plane(quarters, planes_of(to)); }
inline void average(const float* planes, const float* next, const pool_cells& to, affine_parameters with, float* whole) {
    simd::average_quarters(dealt(planes, next, to), planes_of(to), with.scale, static_cast<float>(with.zero_point), whole);
}
inline void average_rows(const float* quarters, const float* end, const pool_cells& to, affine_parameters with, float* room, float* whole) {
    simd::average_rows(quarters, end, planes_of(to), with.scale, static_cast<float>(with.zero_point), room, whole);
}
inline void settle() { simd::results_settle(); }
} // namespace pooling

static_assert(pool_kernels::overrun >= static_cast<std::size_t>(4 * kernels::simd::cell_lanes));
static_assert(pool_kernels::plane(1) == static_cast<std::size_t>(kernels::simd::quarter_plane(1)) && pool_kernels::plane(49) == static_cast<std::size_t>(kernels::simd::quarter_plane(49)));
inline constexpr pool_kernels pool_code{&pooling::quarters,   &pooling::range,   &pooling::lift,        &pooling::lift_rows,
                                        &pooling::lift_plane, &pooling::average, &pooling::average_rows, &pooling::settle};

} // namespace execution
} // namespace splitdsl::inline SPLITDSL_ARCH
