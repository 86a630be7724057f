// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file main.cpp
/// A consumer of everything: the whole header compiles and links from the installed package.
#include <splitdsl/splitdsl.hpp>

int main() { return splitdsl::to_seconds(splitdsl::from_milliseconds(100)) == 0.1 ? 0 : 1; }
