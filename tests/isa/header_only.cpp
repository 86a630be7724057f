// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file header_only.cpp
/// The other network, for whatever flags this file is compiled with.
#include "dispatched.hpp"

#include <splitdsl/runtime/executor.hpp>

const splitdsl::pipeline& header_only() { return splitdsl::pipeline_of<isa::header_only>(); }
