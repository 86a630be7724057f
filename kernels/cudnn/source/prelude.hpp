// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file prelude.hpp
/// What device code stands on: for NVRTC and nvcc this text; for a host's compiler the same names in plain C++ (tests/gpu/on_host.hpp).
///
/// `exact_*` are single IEEE operations that no compiler contracts; `nearest_int` rounds ties to even; `dot_bytes` adds four products of unsigned by
/// signed bytes; `of_lane_across` is the value of the lane whose number differs by `mask`, for all of a warp at once. `half_bits` and `bfloat_bits` are 16-bit values in memory.
///
/// For tiles, by the PTX manual's layouts: `begin_copy_of_*` copies into shared memory; who calls it may wait until no more than some of its groups of
/// copies are under way. `load_matrices` (a warp's, each lane naming a row of 16 bytes) and `multiply_fragments` (unsigned times signed bytes, 16 x 8 sums over 32)
/// need compute capability 7.5, which has both in halves and no copies beside the program: there they are over at once. `multiply_halves` and
/// `multiply_bfloats` (16 x 8 sums over 16 values) need 8.0.
#pragma once

namespace splitdsl::kernels::cudnn {

inline constexpr char device_prelude[] = R"cuda(
#define SPLITDSL_KERNEL extern "C" __global__ void
#define SPLITDSL_WIDE_KERNEL extern "C" __global__ void __launch_bounds__(1024)
#define SPLITDSL_TILE_KERNEL extern "C" __global__ void __launch_bounds__(256, 2)
#define SPLITDSL_UNROLL _Pragma("unroll")
#define SPLITDSL_UNROLL_BY_FOUR _Pragma("unroll 4")
#define SPLITDSL_DEVICE static __device__ __forceinline__
#define SPLITDSL_DEVICE_MEMBER __device__ __forceinline__
#define SPLITDSL_DEVICE_CALL static __device__ __noinline__
#define SPLITDSL_SHARED __shared__
#define SPLITDSL_KERNELS(name, job) \
    SPLITDSL_KERNEL name##_f32(job j) { name<float>(j); } \
    SPLITDSL_KERNEL name##_f16(job j) { name<half_bits>(j); } \
    SPLITDSL_KERNEL name##_bf16(job j) { name<bfloat_bits>(j); }
#define SPLITDSL_SHORT_TILES(size, ...) \
    SPLITDSL_TILE_KERNEL convolve_half_tiles_##size(value_tile_job j) { convolve_value_tiles<half_bits, __VA_ARGS__>(j); } \
    SPLITDSL_TILE_KERNEL convolve_bfloat_tiles_##size(value_tile_job j) { convolve_value_tiles<bfloat_bits, __VA_ARGS__>(j); }
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
SPLITDSL_DEVICE float exact_multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
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
#if __CUDA_ARCH__ >= 800
SPLITDSL_DEVICE void begin_copy_of_16(void* to, const void* from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"((unsigned int)__cvta_generic_to_shared(to)), "l"(__cvta_generic_to_global(from)) : "memory");
}
SPLITDSL_DEVICE void begin_copy_of_4(void* to, const void* from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" : : "r"((unsigned int)__cvta_generic_to_shared(to)), "l"(__cvta_generic_to_global(from)) : "memory");
}
SPLITDSL_DEVICE void end_copy_group() { asm volatile("cp.async.commit_group;" : : : "memory"); }
template <int Left>
SPLITDSL_DEVICE void wait_for_copies() { asm volatile("cp.async.wait_group %0;" : : "n"(Left) : "memory"); }
SPLITDSL_DEVICE void multiply_fragments(int* sum, const unsigned int* a, const unsigned int* b) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
SPLITDSL_DEVICE void multiply_halves(float* sum, const unsigned int* a, const unsigned int* b) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
SPLITDSL_DEVICE void multiply_bfloats(float* sum, const unsigned int* a, const unsigned int* b) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#else
SPLITDSL_DEVICE void multiply_halves(float*, const unsigned int*, const unsigned int*) { asm volatile("trap;"); }
SPLITDSL_DEVICE void multiply_bfloats(float*, const unsigned int*, const unsigned int*) { asm volatile("trap;"); }
SPLITDSL_DEVICE void begin_copy_of_16(void* to, const void* from) { *(uint4*)to = *(const uint4*)from; }
SPLITDSL_DEVICE void begin_copy_of_4(void* to, const void* from) { *(unsigned int*)to = *(const unsigned int*)from; }
SPLITDSL_DEVICE void end_copy_group() {}
template <int Left>
SPLITDSL_DEVICE void wait_for_copies() {}
#if __CUDA_ARCH__ >= 750
SPLITDSL_DEVICE void multiply_quarter(int* sum, unsigned int a, unsigned int b) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};" : "+r"(sum[0]), "+r"(sum[1]) : "r"(a), "r"(b));
}
SPLITDSL_DEVICE void multiply_fragments(int* sum, const unsigned int* a, const unsigned int* b) {
    for (int k = 0; k < 4; ++k) multiply_quarter(sum + 2 * (k % 2), a[k], b[k / 2]);
}
#else
SPLITDSL_DEVICE void multiply_fragments(int*, const unsigned int*, const unsigned int*) { asm volatile("trap;"); }
#endif
#endif
#if __CUDA_ARCH__ >= 750
SPLITDSL_DEVICE void load_matrices(unsigned int* to, const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"((unsigned int)__cvta_generic_to_shared(row)) : "memory");
}
#else
SPLITDSL_DEVICE void load_matrices(unsigned int*, const void*) { asm volatile("trap;"); }
#endif
SPLITDSL_DEVICE int thread_here() { return (int)threadIdx.x; }
SPLITDSL_DEVICE int threads_here() { return (int)blockDim.x; }
SPLITDSL_DEVICE int block_here() { return (int)blockIdx.x; }
SPLITDSL_DEVICE int blocks_here() { return (int)gridDim.x; }
SPLITDSL_DEVICE int image_here() { return (int)blockIdx.y; }
SPLITDSL_DEVICE void wait_for_block() { __syncthreads(); }
SPLITDSL_DEVICE float of_lane_across(float mine, int mask) { return __shfl_xor_sync(0xffffffffu, mine, mask); }
SPLITDSL_DEVICE void count_one(int* at) { atomicAdd(at, 1); }
)cuda";

} // namespace splitdsl::kernels::cudnn
