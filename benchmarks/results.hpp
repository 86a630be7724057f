// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file results.hpp
/// Where a benchmark's numbers were made, said above them and in the file that `--json` names.
#pragma once

#include <examples/options/machine_name.hpp>
#include <examples/options/output_file.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <string>

namespace timed {

/// The program that measures: its kernels' instruction set stands with each row.
inline std::string compiled_by() {
#if defined(__clang__)
    const std::string compiler = "clang " __clang_version__;
#else
    const std::string compiler = "g++ " __VERSION__;
#endif
#if defined(__OPTIMIZE__)
    return compiler + ", optimised";
#else
    return compiler + ", not optimised";
#endif
}

/// Before the first run: a result that could not be kept is refused now, not after minutes.
inline void begin_results(const std::string& json_file) {
    options::require_writable("--json", json_file);
    std::printf("measured on %s; %s\n", options::machine_name().c_str(), compiled_by().c_str());
}

/// `report` and where it was measured; no file without a name.
inline void write_results(const std::string& json_file, nlohmann::json report) {
    if (json_file.empty()) return;
    report["machine"] = options::machine_name();
    report["compiler"] = compiled_by();
    options::write("--json", json_file, report.dump(2) + "\n");
}

} // namespace timed
