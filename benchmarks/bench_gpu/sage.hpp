// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file sage.hpp
/// The families that a SAGE network is made of.
#pragma once

#include <splitdsl/zoo/bottlefit.hpp>
#include <splitdsl/zoo/imitation.hpp>
