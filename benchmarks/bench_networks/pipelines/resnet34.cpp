// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// ResNet-34's code, once per instruction set.
#include "../networks.hpp"

#include <splitdsl/runtime/define_pipeline.hpp>

SPLITDSL_DEFINE_PIPELINE(timed::resnet34)
