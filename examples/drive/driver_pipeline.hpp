// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file driver_pipeline.hpp
/// The driving network, run by the best code for this processor.
#pragma once

#include "network.hpp"

#include <splitdsl/runtime/dispatch.hpp>

SPLITDSL_DISPATCHED(drive::driver)
