// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file command_line.hpp
/// The arguments of programs that look at pictures.
#pragma once

#include "files.hpp"
#include "loaded_network.hpp"

#include <examples/options/numbers.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/image/decode.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
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
    app.add_option("--most-pixels", a.most_pixels, "larger pictures are refused")->check(options::at_least(std::size_t{1}))->capture_default_str();
    app.add_flag("--list", a.list, "print the networks' names");
    app.add_flag("--quiet", a.quiet, "print errors only");
}

/// Of the programs that draw upon their pictures.
struct drawing_arguments : picture_arguments {
    std::string out;
};
/// `drawn`: what the picture is drawn with.
inline void add_drawing_options(CLI::App& app, drawing_arguments& a, const std::string& drawn) {
    app.add_option("pictures", a.pictures, "JPEG or PNG files")->type_name("PICTURE");
    app.add_option("--out", a.out, "the picture with its " + drawn + " goes here; for several pictures a folder")->type_name("PNG");
}

/// Throws `option_error` unless there are a model of this kind, weights, pictures, and a place for the results.
inline void require_complete(const picture_arguments& a, std::span<const char* const> known, const char* kind) {
    require_present(a.model, known, kind);
    if (a.weights.empty()) throw splitdsl::option_error("--weights FILE is missing");
    if (a.pictures.empty()) throw splitdsl::option_error("a picture (JPEG, PNG) is missing");
    options::require_writable("--json", a.json);
    options::require_not_read("--json", a.json, a.pictures);
    options::require_not_read("--json", a.json, {a.weights});
}

/// What --list prints; the exit status.
inline int print_list(std::span<const char* const> known) {
    std::printf("%s\n", names_present(known).c_str());
    return 0;
}
/// Writes the results where `a` wants them; the exit status.
inline int finish(const picture_arguments& a, nlohmann::ordered_json results, int failures) {
    if (!a.json.empty()) write_json(a.json, {{"model", a.model}, {"results", std::move(results)}});
    return failures > 0 ? 1 : 0;
}

} // namespace pictures
