// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file limits.hpp
/// What a compiled network may have at most, known to the passes and to the runtime.
#pragma once

namespace splitdsl {

inline constexpr int max_stages = 64; ///< of one network

} // namespace splitdsl
