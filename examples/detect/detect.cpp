// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file detect.cpp
/// Finds what is on pictures with any detector of the zoo, and draws boxes around it.
#include "../pictures/canvas.hpp"
#include "../pictures/files.hpp"
#include "../pictures/labels.hpp"
#include "detector.hpp"

#include <splitdsl/image/png.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

using namespace pictures;
using splitdsl::detect::detection;

namespace {

struct arguments {
    std::string model, weights, json, out, labels;
    std::vector<std::string> pictures;
    float threshold{0.5F};
    std::size_t most_pixels{splitdsl::imaging::decode_options{}.most_pixels};
    bool list{}, quiet{};
};

/// The surest on top; a label above its box, or inside where there is no room above.
void draw(splitdsl::imaging::picture& on, std::span<const detection> found, const label_list& labels) {
    const int scale = scale_for(on.size());
    for (std::size_t i = found.size(); i-- > 0;) {
        const detection& d = found[i];
        const colour c = colour_of(d.label);
        const area box{static_cast<int>(d.where.y1), static_cast<int>(d.where.x1), static_cast<int>(std::ceil(d.where.y2)), static_cast<int>(std::ceil(d.where.x2))};
        frame(on, box, scale + 1, c);
        char score[16];
        std::snprintf(score, sizeof score, " %.2f", static_cast<double>(d.score));
        const std::string text = labels[d.label].substr(0, longest_label - 5) + score;
        const area a = label_area(0, 0, text, scale);
        const int top = box.top >= a.height() ? box.top - a.height() : box.top;
        label(on, std::clamp(top, 0, std::max(on.height() - a.height(), 0)), std::clamp(box.left, 0, std::max(on.width() - a.width(), 0)), text, scale, c);
    }
}

int run(const arguments& a) {
    if (a.list) {
        std::printf("%s\n", names_present(detector_names).c_str());
        return 0;
    }
    require_present(a.model, detector_names, "detector");
    if (a.weights.empty()) throw splitdsl::option_error("--weights FILE is missing");
    if (a.pictures.empty()) throw splitdsl::option_error("a picture (JPEG, PNG) is missing");
    const label_list labels{coco_classes, a.labels};
    const drawings targets{"--out", a.out, a.pictures};
    detector network{a.model, a.weights};

    nlohmann::ordered_json results = nlohmann::ordered_json::array();
    const int failures = see_all("detect", a.pictures, a.most_pixels, results, [&](std::size_t i, splitdsl::imaging::picture& picture, nlohmann::ordered_json& entry) {
        const std::vector<detection> found = network.find(picture, a.threshold);
        nlohmann::ordered_json list = nlohmann::ordered_json::array();
        if (!a.quiet) std::printf("%s: %zu found\n", a.pictures[i].c_str(), found.size());
        for (const detection& d : found) {
            const auto& b = d.where;
            list.push_back({{"class", d.label}, {"label", labels[d.label]}, {"score", d.score}, {"box", {b.x1, b.y1, b.x2, b.y2}}});
            if (!a.quiet)
                std::printf("%8.3f  %-16s %8.1f %8.1f %8.1f %8.1f\n", static_cast<double>(d.score), labels[d.label].c_str(), static_cast<double>(b.x1), static_cast<double>(b.y1),
                            static_cast<double>(b.x2), static_cast<double>(b.y2));
        }
        entry["detections"] = std::move(list);
        if (targets.wanted()) {
            draw(picture, found, labels);
            splitdsl::imaging::write_png(targets[i], picture);
        }
    });
    if (!a.json.empty()) write_json(a.json, {{"model", a.model}, {"results", std::move(results)}});
    return failures > 0 ? 1 : 0;
}

} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Finds what is on pictures with a detector of the zoo; exit status 1: some pictures could not be read or written, 2: nothing was done"};
    app.add_option("--model", a.model, "the network (see --list)");
    app.add_option("--weights", a.weights, "its safetensors file");
    app.add_option("pictures", a.pictures, "JPEG or PNG files")->type_name("PICTURE");
    app.add_option("--threshold", a.threshold, "less sure detections are left out")->check(CLI::Range(0.0, 1.0))->capture_default_str();
    app.add_option("--out", a.out, "the picture with its boxes goes here; for several pictures a folder")->type_name("PNG");
    app.add_option("--json", a.json, "write the results here")->type_name("FILE");
    app.add_option("--labels", a.labels, "one label a line, the background's first; COCO's 91 are built in")->type_name("FILE");
    app.add_option("--most-pixels", a.most_pixels, "larger pictures are refused")->capture_default_str();
    app.add_flag("--list", a.list, "print the networks' names");
    app.add_flag("--quiet", a.quiet, "print errors only");
    CLI11_PARSE(app, argc, argv);
    try {
        return run(a);
    } catch (const splitdsl::error& e) {
        std::fprintf(stderr, "detect: %s\n", e.what());
        return 2;
    }
}
