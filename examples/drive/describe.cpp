// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file describe.cpp
/// Program drive_describe: prints the drive's networks; the training tools read its JSON.
#include "network.hpp"

#include <examples/options/exit_status.hpp>
#include <splitdsl/runtime/describe.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
    std::string network = "driver", format = "table";
    CLI::App app{"Prints a network of the drive to standard output"};
    app.add_option("network", network, "driver or driver_teacher")->check(CLI::IsMember({"driver", "driver_teacher"}))->capture_default_str();
    app.add_option("--format", format, "table, json or dot")->check(CLI::IsMember({"table", "json", "dot"}))->capture_default_str();
    return options::exit_status("drive_describe", app, argc, argv, [&] {
        const splitdsl::format as = format == "json" ? splitdsl::format::json : format == "dot" ? splitdsl::format::dot : splitdsl::format::table;
        const std::string text = network == "driver" ? splitdsl::describe<drive::driver>(as) : splitdsl::describe<drive::driver_teacher>(as);
        std::fputs(text.c_str(), stdout);
        return 0;
    });
}
