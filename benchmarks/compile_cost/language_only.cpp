// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
// title: language.hpp alone, above an empty file
// flags: -O0
// limit: 0.5 s above empty
/// @file language_only.cpp
/// What including the language costs a file that does not use it yet.
#include <splitdsl/language.hpp>
