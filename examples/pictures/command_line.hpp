// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file command_line.hpp
/// The arguments of programs that look at pictures, and how they end.
#pragma once

#include "loaded_network.hpp"

#include <splitdsl/error.hpp>
#include <splitdsl/image/decode.hpp>

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace pictures {

struct picture_arguments {
    std::string model, weights, json, labels;
    std::vector<std::string> pictures;
    std::size_t most_pixels{splitdsl::imaging::decode_options{}.most_pixels};
    bool list{}, quiet{};
};

/// `built_in`: the end of a sentence, which labels need no file.
inline void add_options(CLI::App& app, picture_arguments& a, const std::string& built_in) {
    app.add_option("--model", a.model, "the network (see --list)");
    app.add_option("--weights", a.weights, "its safetensors file");
    app.add_option("--json", a.json, "write the results here")->type_name("FILE");
    app.add_option("--labels", a.labels, "one label a line" + built_in)->type_name("FILE");
    // CLI11 reads -1 as the largest number there is.
    const auto at_least_one = [](const std::string& text) {
        const bool fits = text.find_first_not_of("0123456789") == std::string::npos && text.find_first_not_of('0') != std::string::npos;
        return fits ? std::string{} : "a number of at least 1 was expected, found " + text;
    };
    app.add_option("--most-pixels", a.most_pixels, "larger pictures are refused")->check(at_least_one)->capture_default_str();
    app.add_flag("--list", a.list, "print the networks' names");
    app.add_flag("--quiet", a.quiet, "print errors only");
}

/// Throws `option_error` unless there are a model of this kind, weights and pictures.
inline void require_complete(const picture_arguments& a, std::span<const char* const> known, const char* kind) {
    require_present(a.model, known, kind);
    if (a.weights.empty()) throw splitdsl::option_error("--weights FILE is missing");
    if (a.pictures.empty()) throw splitdsl::option_error("a picture (JPEG, PNG) is missing");
}

/// `run()`'s exit status; 2 with a sentence if it throws an `error`.
template <class Run>
int exit_status(const char* program, Run run) {
    try {
        return run();
    } catch (const splitdsl::error& e) {
        std::fprintf(stderr, "%s: %s\n", program, e.what());
        return 2;
    }
}

} // namespace pictures
