// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file provenance.hpp
/// Where a number comes from. Every time and energy this library reports carries one of four words.
#pragma once

#include <cstdint>
#include <string_view>

namespace splitdsl {

/// measured: read from an instrument or a clock on the machine it speaks of. published: as a paper or a data sheet prints it, measured by
/// others. modelled: computed from constants and measured times. simulated: computed in virtual time. A sum is labelled with the weakest of its
/// parts (`weaker`).
enum class provenance : std::uint8_t { measured, published, modelled, simulated };

constexpr std::string_view to_text(provenance p) {
    switch (p) {
    case provenance::measured: return "measured";
    case provenance::published: return "published";
    case provenance::modelled: return "modelled";
    case provenance::simulated: return "simulated";
    }
    return "unknown";
}
/// The label of a number made of two others.
constexpr provenance weaker(provenance a, provenance b) { return a < b ? b : a; }

} // namespace splitdsl
