// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// The network's code, once per instruction set.
#include "../network.hpp"

#include <splitdsl/runtime/define_pipeline.hpp>

SPLITDSL_DEFINE_PIPELINE(three_tiers::inspector)
