// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file arch.hpp
/// Names the instruction set this file is compiled for, as the inline namespace that every kernel and the executor live in.
///
/// Two files compiled with different flags then define different symbols, and the linker can never pick the wider code for a
/// machine that lacks it. The name follows the compiler's own macros, so it cannot disagree with the code that is emitted.
#pragma once

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__FMA__)
#define SPLITDSL_ARCH_SET avx512
#define SPLITDSL_ARCH_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__)
#define SPLITDSL_ARCH_SET avx2_fma
#define SPLITDSL_ARCH_AVX2_FMA 1
#elif defined(__AVX__)
#define SPLITDSL_ARCH_SET avx
#define SPLITDSL_ARCH_AVX 1
#elif defined(__SSE4_2__)
#define SPLITDSL_ARCH_SET sse4_2
#define SPLITDSL_ARCH_SSE4_2 1
#elif defined(__SSE4_1__)
#define SPLITDSL_ARCH_SET sse41
#define SPLITDSL_ARCH_SSE2 1
#elif defined(__SSE2__)
#define SPLITDSL_ARCH_SET sse2
#define SPLITDSL_ARCH_SSE2 1
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define SPLITDSL_ARCH_SET neon
#define SPLITDSL_ARCH_NEON 1
#else
#error "splitdsl: kernels/simd knows SSE2, SSE4.2, AVX, AVX2 with FMA, AVX-512 (F, BW, DQ, VL) and AArch64 NEON; use kernels/reference here"
#endif

#define SPLITDSL_JOIN_NAMES(a, b, c, d) a##b##c##d
#define SPLITDSL_ARCH_NAMESPACE(set, use, build) SPLITDSL_JOIN_NAMES(arch_, set, use, build)
#define SPLITDSL_TEXT_OF(name) #name
#define SPLITDSL_ARCH_TEXT(set) SPLITDSL_TEXT_OF(set)
#define SPLITDSL_ARCH_NAME SPLITDSL_ARCH_TEXT(SPLITDSL_ARCH_SET)

// A debug build's kernels are others, too: the linker keeps one of two equal symbols, and must not keep the slow one for optimised files.
#if defined(__OPTIMIZE__)
#define SPLITDSL_ARCH_END_BUILD
#else
#define SPLITDSL_ARCH_END_BUILD _debug
#endif

// And so are those behind a dispatcher: a file of the user's own with -march=native has the same macros, but may hold instructions that the
// dispatcher does not ask the processor for, and rounds a * b + c as its own flags say.
#if defined(SPLITDSL_PIPELINE_ISA)
#define SPLITDSL_ARCH_END_USE _dispatched
#else
#define SPLITDSL_ARCH_END_USE
#endif

#define SPLITDSL_ARCH SPLITDSL_ARCH_NAMESPACE(SPLITDSL_ARCH_SET, SPLITDSL_ARCH_END_USE, SPLITDSL_ARCH_END_BUILD)

/// Every kernel body is inlined into its caller: a call between files compiled with different flags must not exist.
#define SPLITDSL_INLINE [[gnu::always_inline]] inline

// g++ 12 takes an array's bound that is a template's int for a change of sign, whatever its value. Headers with such arrays stand between these two, so that
// programs compiled with -Wsign-conversion hear nothing of it; clang, which looks at the value, checks the same lines.
#if defined(__GNUC__) && !defined(__clang__)
#define SPLITDSL_INT_BOUNDS _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wsign-conversion\"")
#define SPLITDSL_INT_BOUNDS_END _Pragma("GCC diagnostic pop")
#else
#define SPLITDSL_INT_BOUNDS
#define SPLITDSL_INT_BOUNDS_END
#endif

namespace splitdsl::kernels::inline SPLITDSL_ARCH {
namespace simd {

/// Floats in one vector, and channels in one block of a blocked tensor.
#if defined(SPLITDSL_ARCH_AVX512)
inline constexpr int lanes = 16;
#elif defined(SPLITDSL_ARCH_AVX2_FMA) || defined(SPLITDSL_ARCH_AVX)
inline constexpr int lanes = 8;
#else
inline constexpr int lanes = 4;
#endif

/// Vector registers the compiler may use; decides how large a tile of a convolution is kept in registers.
#if defined(SPLITDSL_ARCH_AVX512) || defined(SPLITDSL_ARCH_NEON)
inline constexpr int vector_registers = 32;
#else
inline constexpr int vector_registers = 16;
#endif

inline constexpr const char* arch_name = SPLITDSL_ARCH_NAME;

} // namespace simd
} // namespace splitdsl::kernels::inline SPLITDSL_ARCH
