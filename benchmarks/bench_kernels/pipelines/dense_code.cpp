// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dense_code.cpp
/// The kernels behind dense_code, compiled once per instruction set, and the choice among them.
#include "../dense_code.hpp"

#if defined(SPLITDSL_PIPELINE_ISA)

#include <kernels/simd/dense.hpp>

namespace timed {
inline namespace SPLITDSL_ARCH {
namespace {
namespace simd = splitdsl::kernels::simd;

std::size_t vector_floats(int values) { return static_cast<std::size_t>(simd::blocks_of(values) * simd::lanes); }
std::size_t packed_floats(int inputs, int outputs, int form) { return simd::dense_packed_floats({inputs, outputs}, static_cast<simd::weight_storage>(form)); }
void pack(int inputs, int outputs, int form, const float* weight, float* packed) {
    simd::pack_dense({inputs, outputs}, static_cast<simd::weight_storage>(form), weight, nullptr, nullptr, packed);
}
void run(int inputs, int outputs, const float* in, const float* packed, float* out) {
    const simd::dense_shape s{inputs, outputs};
    simd::dense(s, {in, simd::lanes, simd::lanes}, {out, simd::lanes, simd::lanes}, packed, {}, 0, simd::dense_tasks(s));
}
constexpr dense_code code{simd::arch_name, simd::has_narrow_weights ? 3 : 1, vector_floats, packed_floats, pack, run};
} // namespace
} // namespace SPLITDSL_ARCH

template <>
const dense_code& dense_code_for<splitdsl::instruction_set::SPLITDSL_PIPELINE_ISA>() {
    return code;
}
} // namespace timed

#elif defined(SPLITDSL_PIPELINE_DISPATCHER)

#include "../../chosen_set.hpp"

namespace timed {
const dense_code& chosen_dense_code() {
    return chosen_set([](auto set) -> const dense_code& { return dense_code_for<decltype(set)::value>(); });
}
} // namespace timed

#endif
