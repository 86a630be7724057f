// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exit_status.hpp
/// How every program ends: 0, or one sentence and 1 for a run that failed, 2 for an option or input with which nothing was done.
#pragma once

#include "output_file.hpp"

#include <splitdsl/error.hpp>

#include <CLI/CLI.hpp>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <new>
#include <string>
#include <system_error>
#include <vector>

namespace options {

namespace detail {
/// An option with nothing behind it (an unset variable of a shell); empty: there is none.
inline std::string option_without_value(const CLI::App& app) {
    for (const CLI::Option* o : app.get_options())
        for (const std::string& value : o->results())
            if (value.empty()) return o->get_name();
    return {};
}
/// A standard stream that is closed would give its number to the next file or socket, and what is printed would go there. In its place stands what fails as it does.
inline void keep_standard_streams() {
    for (const int stream : {0, 1, 2})
        if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY); // the lowest number that is free
}
} // namespace detail

/// Reads the options, `--version` among them, then gives `run()`'s status; for what is thrown, 2 for an `error` of the library (a file that does not fit, nobody on
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
    const std::string more = " (--help tells the options)";
    detail::keep_standard_streams();
    std::signal(SIGXFSZ, SIG_IGN); // a file that may not grow is a failed write, in words
    app.set_version_flag("--version", std::string{program} + " of splitdsl " SPLITDSL_VERSION, "print the version and stop");
    try {
        app.parse(argc, argv);
    } catch (const CLI::RequiredError& e) { // a mistyped option is often the very one that is missing
        const std::vector<std::string> unknown = app.remaining();
        return say((unknown.empty() ? e.what() : std::string{CLI::ExtrasError{unknown}.what()}) + more, 2);
    } catch (const CLI::ParseError& e) { // CLI11 has a number of its own for each mistake
        return e.get_exit_code() == 0 ? app.exit(e) : say(e.what() + more, 2);
    }
    if (const std::string option = detail::option_without_value(app); !option.empty()) return say(option + ": a value was expected, found none" + more, 2);
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
