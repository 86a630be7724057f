// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file prelude.hpp
/// What device code stands on: for NVRTC and nvcc this text; for a host's compiler the same names in plain C++ (tests/gpu/on_host.hpp).
///
/// `exact_*` are single IEEE operations that no compiler contracts. `half_bits` is a binary16 value in memory.
#pragma once

namespace splitdsl::kernels::cudnn {

inline constexpr char device_prelude[] = R"cuda(
#define SPLITDSL_KERNEL extern "C" __global__ void
#define SPLITDSL_DEVICE static __device__ __forceinline__
#define SPLITDSL_SHARED __shared__
#define SPLITDSL_UNROLL _Pragma("unroll")
struct half_bits { unsigned short bits; };
SPLITDSL_DEVICE float float_of(half_bits h) { float f; asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits)); return f; }
SPLITDSL_DEVICE half_bits half_of(float f) { half_bits h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(f)); return h; }
SPLITDSL_DEVICE int bits_of(float f) { return __float_as_int(f); }
SPLITDSL_DEVICE float float_from_bits(int b) { return __int_as_float(b); }
SPLITDSL_DEVICE float exact_add(float a, float b) { return __fadd_rn(a, b); }
SPLITDSL_DEVICE float exact_multiply(float a, float b) { return __fmul_rn(a, b); }
SPLITDSL_DEVICE float exact_divide(float a, float b) { return __fdiv_rn(a, b); }
SPLITDSL_DEVICE int thread_here() { return (int)threadIdx.x; }
SPLITDSL_DEVICE int threads_here() { return (int)blockDim.x; }
SPLITDSL_DEVICE int block_here() { return (int)blockIdx.x; }
SPLITDSL_DEVICE int blocks_here() { return (int)gridDim.x; }
SPLITDSL_DEVICE void wait_for_block() { __syncthreads(); }
)cuda";

} // namespace splitdsl::kernels::cudnn
