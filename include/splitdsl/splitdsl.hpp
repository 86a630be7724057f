// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file splitdsl.hpp
/// Language, runtime, policies and links in one include, for convenience. Faster to compile: include what you use.
#pragma once

#include <splitdsl/language.hpp>

#if __cplusplus >= 202002L // otherwise language.hpp has said what is missing

#include <splitdsl/link/in_process.hpp>
#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/policy/all_cloud.hpp>
#include <splitdsl/policy/all_edge.hpp>
#include <splitdsl/policy/cascade.hpp>
#include <splitdsl/policy/fleet.hpp>
#include <splitdsl/policy/fleet_by_benefit.hpp>
#include <splitdsl/policy/layer_scan.hpp>
#include <splitdsl/policy/local_early_exit.hpp>
#include <splitdsl/policy/one_of.hpp>
#include <splitdsl/policy/partition.hpp>
#include <splitdsl/policy/sage.hpp>
#include <splitdsl/policy/weighted.hpp>
#include <splitdsl/radio/cellular.hpp>
#include <splitdsl/runtime/cloud.hpp>
#include <splitdsl/runtime/describe.hpp>
#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/runtime/edge.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/plan.hpp>
#include <splitdsl/runtime/weights.hpp>

#endif
