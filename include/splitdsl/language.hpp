// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file language.hpp
/// Everything needed to declare and check a pipeline. Standard library only: no threads, no exceptions, no SIMD.
#pragma once

#if __cplusplus < 202002L
#error "splitdsl is C++20: compile with -std=c++20 (CMake: link splitdsl::splitdsl, or target_compile_features(app PRIVATE cxx_std_20))"
#else

#include <splitdsl/check/check.hpp>
#include <splitdsl/lang/add.hpp>
#include <splitdsl/lang/avg_pool.hpp>
#include <splitdsl/lang/batch_norm.hpp>
#include <splitdsl/lang/bottleneck.hpp>
#include <splitdsl/lang/by_sizes.hpp>
#include <splitdsl/lang/concat.hpp>
#include <splitdsl/lang/conv.hpp>
#include <splitdsl/lang/conv_transpose.hpp>
#include <splitdsl/lang/cut.hpp>
#include <splitdsl/lang/dense.hpp>
#include <splitdsl/lang/dynamic_pool.hpp>
#include <splitdsl/lang/early_exit.hpp>
#include <splitdsl/lang/fan_in.hpp>
#include <splitdsl/lang/fan_out.hpp>
#include <splitdsl/lang/flatten.hpp>
#include <splitdsl/lang/from.hpp>
#include <splitdsl/lang/fuse.hpp>
#include <splitdsl/lang/gdn.hpp>
#include <splitdsl/lang/global_pool.hpp>
#include <splitdsl/lang/hard_sigmoid.hpp>
#include <splitdsl/lang/hard_swish.hpp>
#include <splitdsl/lang/head.hpp>
#include <splitdsl/lang/identity.hpp>
#include <splitdsl/lang/igdn.hpp>
#include <splitdsl/lang/input.hpp>
#include <splitdsl/lang/l2_normalise.hpp>
#include <splitdsl/lang/leaky_relu.hpp>
#include <splitdsl/lang/max_pool.hpp>
#include <splitdsl/lang/multiply.hpp>
#include <splitdsl/lang/named.hpp>
#include <splitdsl/lang/normalise.hpp>
#include <splitdsl/lang/pad.hpp>
#include <splitdsl/lang/pad_channels.hpp>
#include <splitdsl/lang/projection.hpp>
#include <splitdsl/lang/radix_softmax.hpp>
#include <splitdsl/lang/relu.hpp>
#include <splitdsl/lang/relu6.hpp>
#include <splitdsl/lang/repeat.hpp>
#include <splitdsl/lang/residual.hpp>
#include <splitdsl/lang/select.hpp>
#include <splitdsl/lang/sigmoid.hpp>
#include <splitdsl/lang/slice_channels.hpp>
#include <splitdsl/lang/softmax.hpp>
#include <splitdsl/lang/stream.hpp>
#include <splitdsl/lang/subsample.hpp>
#include <splitdsl/lang/tail.hpp>
#include <splitdsl/lang/tanh.hpp>
#include <splitdsl/lang/tap.hpp>
#include <splitdsl/lang/upsample.hpp>
#include <splitdsl/lang/widths.hpp>

#endif
