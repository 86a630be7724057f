// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exit_status.hpp
/// How every program ends: 0, or one sentence and 1 for a run that failed, 2 for an option or input with which nothing was done.
#pragma once

#include "output_file.hpp"

#include <splitdsl/error.hpp>

#include <CLI/CLI.hpp>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <system_error>

namespace options {

/// Reads the options, then gives `run()`'s status; for what is thrown, 2 for an `error` of the library (a file that does not fit, nobody on
/// the other side), 1 for results that cannot be kept and for everything else.
///
/// ```cpp
/// return options::exit_status("drive", app, argc, argv, [&] { return run(a); });
/// ```
template <class Run>
int exit_status(const char* program, CLI::App& app, int argc, char** argv, Run run) {
    const auto say = [program](const std::string& why, int status) {
        std::fprintf(stderr, "%s: %s\n", program, why.c_str());
        return status;
    };
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) { // CLI11 has a number of its own for each mistake
        return e.get_exit_code() == 0 ? app.exit(e) : say(std::string{e.what()} + " (--help tells the options)", 2);
    }
    try {
        const int status = run();
        errno = 0;
        if (const bool kept = std::fflush(stdout) == 0 && std::ferror(stdout) == 0; !kept && status == 0)
            return say("standard output cannot be written" + (errno != 0 ? ": " + std::generic_category().message(errno) : std::string{}), 1);
        return status;
    } catch (const not_written& e) {
        return say(e.what(), 1);
    } catch (const splitdsl::error& e) {
        return say(e.what(), 2);
    } catch (const std::bad_alloc&) {
        return say("this machine has not the memory for it", 1);
    } catch (const std::exception& e) {
        return say(e.what(), 1);
    }
}

} // namespace options
