// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file networks.hpp
/// The networks that bench_networks times, run by the best code for this processor.
#pragma once

#include <examples/drive/network.hpp>
#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/zoo/resnet.hpp>

namespace timed {
struct resnet34 : splitdsl::zoo::resnet34<> {};
struct driver : drive::driver {};           // a type of its own: the demo's program may be linked into the same build
} // namespace timed

SPLITDSL_DISPATCHED(timed::resnet34)
SPLITDSL_DISPATCHED(timed::driver)
