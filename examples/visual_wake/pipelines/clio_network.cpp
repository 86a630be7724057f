// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// The code of the network that is cut once, once per instruction set.
#include "../network.hpp"

#include <splitdsl/runtime/define_pipeline.hpp>

SPLITDSL_DEFINE_PIPELINE(visual_wake::clio_network)
