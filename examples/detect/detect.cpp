// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file detect.cpp
/// Finds what is on pictures with any detector of the zoo, and draws boxes around it.
#include "../pictures/canvas.hpp"
#include "../pictures/command_line.hpp"
#include "../pictures/files.hpp"
#include "../pictures/labels.hpp"
#include "detector.hpp"

#include <examples/options/exit_status.hpp>

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

struct arguments : drawing_arguments {
    float threshold{0.5F};
    options::gpu_choice backend;
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
    if (a.list) return print_list(detector_names);
    require_complete(a, detector_names, "detector");
    const label_list labels{coco_classes, coco_classes.size(), a.labels};
    const drawings targets{"--out", a.out, a.pictures};
    targets.require_apart_from("--json", a.json);
    detector network{a.model, a.weights, a.backend};

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
            targets.write(i, picture);
        }
    });
    network.report();
    return finish(a, std::move(results), failures);
}

} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Finds what is on pictures with a detector of the zoo; exit status 1: some pictures could not be read or written, 2: nothing was done"};
    add_options(app, a, ", the background's first; COCO's 91 are built in");
    add_drawing_options(app, a, "boxes");
    app.add_option("--threshold", a.threshold, "less sure detections are left out")->check(options::between(0.0, 1.0))->capture_default_str();
    options::add_gpu_options(app, a.backend);
    return options::exit_status("detect", app, argc, argv, [&] {
        options::require_gpu_options(app, a.backend);
        return run(a);
    });
}
