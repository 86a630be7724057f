// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stolen_time.hpp
/// What a hypervisor took from this machine: live runs count the frames apart during which it did.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace processes {

/// Ticks of a hundredth of a second that a hypervisor has given to others while this machine wanted to run; 0 where the system does not say.
inline std::uint64_t stolen_ticks() {
    std::ifstream stat{"/proc/stat"};
    std::string name;
    std::uint64_t value{};
    stat >> name;
    for (int i = 0; i < 8; ++i) stat >> value;
    return stat ? value : 0;
}

} // namespace processes
