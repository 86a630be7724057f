// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file xt.hpp
/// The only place that includes xtensor. From 0.26 its headers lie in folders.
///
/// Adaptors and views at the API's edge only; no xt::pad, no xt::tile, no immediate reducers within expressions
/// (xtensor 0.24 with g++ 12 miscompiles them), never XTENSOR_USE_XSIMD.
#pragma once

#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif
