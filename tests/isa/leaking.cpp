// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file leaking.cpp
/// What the weak symbol check is there to find: a standard container's method in an object of one instruction set.
#include <vector>
void append(std::vector<int>& list) { list.push_back(1); }
