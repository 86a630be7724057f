// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file networks.hpp
/// The networks that bench_tiles cuts into tiles, and what each instruction set's object offers to run them: whole, and tile by tile.
#pragma once

#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/runtime/tile_code.hpp>
#include <splitdsl/zoo/mobilenet_v2.hpp>
#include <splitdsl/zoo/resnet.hpp>

namespace timed {

struct mobilenet_v2 : splitdsl::zoo::mobilenet_v2<100, 224, 224, 1000, splitdsl::zoo::no_cuts> {};
struct resnet18 : splitdsl::zoo::resnet18<224, 224, 1000, splitdsl::zoo::no_cuts> {};

struct network_code {
    const splitdsl::pipeline* whole{};
    const splitdsl::tile_code* tiles{};
};
template <class Network, splitdsl::instruction_set Set>
const network_code& code_for();
/// The widest that runs here, or the one SPLITDSL_ISA names.
template <class Network>
const network_code& chosen_code();

} // namespace timed
