// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file clean.cpp
/// Weak symbols inside the architecture's namespace only.
namespace splitdsl::inline arch_avx2_fma {
template <class T>
T twice(T value) { return value + value; }
} // namespace splitdsl::inline arch_avx2_fma
int four() { return splitdsl::twice(2); }
