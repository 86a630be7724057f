// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file same_bits.hpp
/// Values that are to be equal to the last bit, NaN and signs of zero included.
#pragma once

#include <cstring>
#include <span>

inline bool same_bits(std::span<const float> a, std::span<const float> b) { return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0); }
