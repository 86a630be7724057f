// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file define_code.hpp
/// For bench_tiles' pipelines only: a network's code, once per instruction set, and the choice among them.
#pragma once

#include "networks.hpp"

#if defined(SPLITDSL_PIPELINE_ISA)

#include <splitdsl/runtime/tile_steps.hpp>

#define SPLITDSL_TIMED_DEFINE(Network)                                                                                                                  \
    template <>                                                                                                                                         \
    const timed::network_code& timed::code_for<timed::Network, splitdsl::instruction_set::SPLITDSL_PIPELINE_ISA>() {                                    \
        static const timed::network_code code{&splitdsl::execution::compiled<timed::Network>(),                                                         \
                                              &splitdsl::tiles_compiled_in(std::type_identity<timed::Network>{}, splitdsl::this_instruction_set{})};    \
        return code;                                                                                                                                    \
    }

#elif defined(SPLITDSL_PIPELINE_DISPATCHER)

#include "../chosen_set.hpp"

#define SPLITDSL_TIMED_DEFINE(Network)                                                                                           \
    template <>                                                                                                                  \
    const timed::network_code& timed::chosen_code<timed::Network>() {                                                            \
        return timed::chosen_set([](auto set) -> const timed::network_code& { return timed::code_for<timed::Network, set()>(); }); \
    }

#endif
