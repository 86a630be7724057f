// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ble_runs.hpp
/// For the tests of radios: connections run until a time, and what was refused.
#pragma once

#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/radio/ble_connection.hpp>

#include <vector>

constexpr splitdsl::radio::ble_phy all_phys[]{splitdsl::radio::ble_phy::coded_125k, splitdsl::radio::ble_phy::coded_500k, splitdsl::radio::ble_phy::le_1m,
                                              splitdsl::radio::ble_phy::le_2m};

/// All reports of a connection run until `until`.
inline std::vector<splitdsl::radio::ble_report> run_to(splitdsl::radio::ble_connection& c, splitdsl::instant until) {
    std::vector<splitdsl::radio::ble_report> all;
    c.run(until, [&](const splitdsl::radio::ble_report& r) { all.push_back(r); });
    return all;
}
constexpr splitdsl::instant at(splitdsl::duration t) { return splitdsl::instant{t}; }
