// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file simd.hpp
/// Every SIMD kernel, for the instruction set this file is compiled for.
#pragma once

#include "activation.hpp"
#include "affine_codec.hpp"
#include "channels.hpp"
#include "conv.hpp"
#include "conv_depthwise.hpp"
#include "conv_few_outputs.hpp"
#include "conv_grouped.hpp"
#include "conv_picture.hpp"
#include "conv_transpose.hpp"
#include "conv_u8.hpp"
#include "conv_winograd.hpp"
#include "convert_u8.hpp"
#include "dense.hpp"
#include "depthwise_u8.hpp"
#include "divisive.hpp"
#include "dynamic_pool.hpp"
#include "elementwise.hpp"
#include "layout.hpp"
#include "pointwise_u8.hpp"
#include "pool.hpp"
#include "pool_u8.hpp"
#include "requantise_u8.hpp"
#include "resample.hpp"
#include "softmax.hpp"
#include "transpose.hpp"
#include "weight_storage.hpp"
