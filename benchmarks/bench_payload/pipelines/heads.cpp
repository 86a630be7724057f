// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file heads.cpp
/// The heads' code, once per instruction set.
#include "../heads.hpp"

#include <splitdsl/runtime/define_pipeline.hpp>

#define SPLITDSL_TIMED_DEFINE(id, ...)               \
    SPLITDSL_DEFINE_PIPELINE(timed::id##_per_frame)  \
    SPLITDSL_DEFINE_PIPELINE(timed::id##_apart)      \
    SPLITDSL_DEFINE_PIPELINE(timed::id##_fused)
SPLITDSL_TIMED_PARTS(SPLITDSL_TIMED_DEFINE)
