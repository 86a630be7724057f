// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file prelude.hpp
/// What device code stands on: for NVRTC and nvcc this text; for a host's compiler the same names in plain C++ (tests/gpu/on_host.hpp).
///
/// `exact_*` are single IEEE operations that no compiler contracts; `nearest_int` rounds ties to even; `dot_bytes` adds four products of unsigned by
/// signed bytes. `half_bits` and `bfloat_bits` are 16-bit values in memory.
#pragma once

namespace splitdsl::kernels::cudnn {

inline constexpr char device_prelude[] = R"cuda(
#define SPLITDSL_KERNEL extern "C" __global__ void
#define SPLITDSL_WIDE_KERNEL extern "C" __global__ void __launch_bounds__(1024)
#define SPLITDSL_DEVICE static __device__ __forceinline__
#define SPLITDSL_SHARED __shared__
#define SPLITDSL_KERNELS(name, job) \
    SPLITDSL_KERNEL name##_f32(job j) { name<float>(j); } \
    SPLITDSL_KERNEL name##_f16(job j) { name<half_bits>(j); } \
    SPLITDSL_KERNEL name##_bf16(job j) { name<bfloat_bits>(j); }
struct half_bits { unsigned short bits; };
SPLITDSL_DEVICE float float_of(half_bits h) { float f; asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits)); return f; }
SPLITDSL_DEVICE half_bits half_of(float f) { half_bits h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(f)); return h; }
struct bfloat_bits { unsigned short bits; };
SPLITDSL_DEVICE float float_of(bfloat_bits b) { return __int_as_float((int)((unsigned int)b.bits << 16)); }
#if __CUDA_ARCH__ >= 800
SPLITDSL_DEVICE bfloat_bits bfloat_of(float f) { bfloat_bits b; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(b.bits) : "f"(f)); return b; }
#else
SPLITDSL_DEVICE bfloat_bits bfloat_of(float f) {
    const unsigned int u = (unsigned int)__float_as_int(f);
    bfloat_bits b;
    b.bits = (unsigned short)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    return b;
}
#endif
SPLITDSL_DEVICE int bits_of(float f) { return __float_as_int(f); }
SPLITDSL_DEVICE float float_from_bits(int b) { return __int_as_float(b); }
SPLITDSL_DEVICE float exact_add(float a, float b) { return __fadd_rn(a, b); }
SPLITDSL_DEVICE float exact_multiply(float a, float b) { return __fmul_rn(a, b); }
SPLITDSL_DEVICE float exact_divide(float a, float b) { return __fdiv_rn(a, b); }
SPLITDSL_DEVICE int nearest_int(float f) { return __float2int_rn(f); }
#if __CUDA_ARCH__ >= 610
SPLITDSL_DEVICE int dot_bytes(unsigned int x, unsigned int w, int sum) {
    int more;
    asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(more) : "r"(x), "r"(w), "r"(sum));
    return more;
}
#else
SPLITDSL_DEVICE int dot_bytes(unsigned int x, unsigned int w, int sum) {
    for (int k = 0; k < 32; k += 8) sum += (int)(x >> k & 255u) * (int)(signed char)(w >> k & 255u);
    return sum;
}
#endif
SPLITDSL_DEVICE int thread_here() { return (int)threadIdx.x; }
SPLITDSL_DEVICE int threads_here() { return (int)blockDim.x; }
SPLITDSL_DEVICE int block_here() { return (int)blockIdx.x; }
SPLITDSL_DEVICE int blocks_here() { return (int)gridDim.x; }
SPLITDSL_DEVICE int image_here() { return (int)blockIdx.y; }
SPLITDSL_DEVICE void wait_for_block() { __syncthreads(); }
SPLITDSL_DEVICE void count_one(int* at) { atomicAdd(at, 1); }
)cuda";

} // namespace splitdsl::kernels::cudnn
