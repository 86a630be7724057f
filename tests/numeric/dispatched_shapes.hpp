// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dispatched_shapes.hpp
/// Says that tests/pipelines/shapes.cpp compiles the networks of tests/static/networks.hpp.
#pragma once

#include "../static/networks.hpp"

#include <splitdsl/runtime/dispatch.hpp>

#include <tuple>

SPLITDSL_DISPATCHED(networks::sage)
SPLITDSL_DISPATCHED(networks::fleet)
SPLITDSL_DISPATCHED(networks::three_tier)
SPLITDSL_DISPATCHED(networks::three_cameras)
SPLITDSL_DISPATCHED(networks::three_tasks)
SPLITDSL_DISPATCHED(networks::unet)
SPLITDSL_DISPATCHED(networks::many_cuts)
SPLITDSL_DISPATCHED(networks::fleet_pairs)
SPLITDSL_DISPATCHED(networks::cut_once)

namespace numeric {
using shapes = std::tuple<networks::sage, networks::fleet, networks::three_tier, networks::three_cameras, networks::three_tasks, networks::unet, networks::many_cuts,
                         networks::fleet_pairs, networks::cut_once>;
} // namespace numeric
