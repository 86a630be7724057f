// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file mobilenet_v2.cpp
/// The network's code, whole and in tiles, once per instruction set.
#include "../define_code.hpp"

SPLITDSL_TIMED_DEFINE(mobilenet_v2)
