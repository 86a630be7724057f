// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file from.hpp
/// Reads a tap or a stream.
#pragma once

#include <splitdsl/lang/op.hpp>

namespace splitdsl {

/// Begins a branch with the tensor of that name, which must stand earlier (SD304). If it stands at another place, its cut must
/// carry it (SD303).
constexpr body<1> from(text name) {
    const op o = detail::beginning(op_kind::from, name);
    return detail::single(o);
}

} // namespace splitdsl
