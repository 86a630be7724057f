// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file machine_name.hpp
/// What a measurement has to say of where it was made.
#pragma once

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

namespace options {

/// The processor as the system names it, and how many of its threads there are.
inline std::string machine_name() {
    std::ifstream info{"/proc/cpuinfo"};
    std::string name = "unknown processor";
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name") && line.find(':') != std::string::npos) {
            name = line.substr(std::min(line.find(':') + 2, line.size()));
            break;
        }
    const unsigned n = std::thread::hardware_concurrency();
    return name + ", " + std::to_string(n) + (n == 1 ? " hardware thread" : " hardware threads");
}

} // namespace options
