// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file resnet18.cpp
/// The network's code, whole and in tiles, once per instruction set.
#include "../define_code.hpp"

SPLITDSL_TIMED_DEFINE(resnet18)
