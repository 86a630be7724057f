// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// The driving network's code, once per instruction set.
#include "../networks.hpp"

#include <splitdsl/runtime/define_pipeline.hpp>

SPLITDSL_DEFINE_PIPELINE(timed::driver)
