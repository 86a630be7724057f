// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file segment.cpp
/// Tells which pixels of pictures belong to which class with any segmentation network of the zoo, and colours them.
#include "../pictures/canvas.hpp"
#include "../pictures/command_line.hpp"
#include "../pictures/files.hpp"
#include "../pictures/labels.hpp"
#include "segmenter.hpp"

#include <examples/options/exit_status.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace pictures;
using splitdsl::imaging::picture;

namespace {

struct arguments : drawing_arguments {
    std::string mask;
};

struct share { int label; std::size_t pixels; };

/// Classes that occur, the largest first.
std::vector<share> shares_of(const picture& mask) {
    std::array<std::size_t, 256> counts{};
    for (const std::uint8_t label : mask.bytes()) ++counts[label];
    std::vector<share> all;
    for (std::size_t k = 0; k < counts.size(); ++k)
        if (counts[k] > 0) all.push_back({static_cast<int>(k), counts[k]});
    std::stable_sort(all.begin(), all.end(), [](const share& a, const share& b) { return a.pixels > b.pixels; });
    return all;
}

/// Classes in their colours with a line around them, the background as it is, and a legend of what covers a thousandth at least, as far as there is room.
void draw(picture& on, const picture& mask, std::span<const share> shares, const label_list& labels) {
    std::array<colour, 256> colours;
    for (std::size_t k = 0; k < colours.size(); ++k) colours[k] = colour_of(static_cast<int>(k));
    const int scale = scale_for(on.size()), height = on.height(), width = on.width();
    for (int y = 0; y < height; ++y) {
        const auto row = mask.row(y), above = mask.row(std::max(y - scale, 0)), below = mask.row(std::min(y + scale, height - 1));
        for (int x = 0; x < width; ++x) {
            const auto at = static_cast<std::size_t>(x), left = static_cast<std::size_t>(std::max(x - scale, 0)), right = static_cast<std::size_t>(std::min(x + scale, width - 1));
            const std::uint8_t label = row[at];
            if (label == 0) continue;
            const bool edge = row[left] != label || row[right] != label || above[at] != label || below[at] != label;
            fill(on, {y, x, y + 1, x + 1}, colours[label], edge ? 256 : 128);
        }
    }
    int top = 2 * scale;
    for (const share& s : shares) {
        if (s.label == 0 || s.pixels * 1000 < on.size().pixels()) continue;
        const std::string text = labels[s.label];
        const area a = label_area(top, 2 * scale, text, scale);
        if (a.bottom > height || a.right > width) break;
        label(on, a.top, a.left, text, scale, colours[static_cast<std::size_t>(s.label)]);
        top = a.bottom + scale;
    }
}

int run(const arguments& a) {
    if (a.list) return print_list(segmenter_names);
    require_complete(a, segmenter_names, "segmentation network");
    const label_list labels{voc_classes, voc_classes.size(), a.labels};
    const drawings targets{"--out", a.out, a.pictures}, masks{"--mask", a.mask, a.pictures};
    for (std::size_t i = 0; targets.wanted() && masks.wanted() && i < a.pictures.size(); ++i)
        if (targets[i] == masks[i]) throw splitdsl::option_error("--mask " + a.mask + ": --out writes to " + masks[i].string() + " as well");
    for (const drawings* d : {&targets, &masks}) d->require_apart_from("--json", a.json);
    segmenter network{a.model, a.weights};

    nlohmann::ordered_json results = nlohmann::ordered_json::array();
    const int failures = see_all("segment", a.pictures, a.most_pixels, results, [&](std::size_t i, picture& shot, nlohmann::ordered_json& entry) {
        const picture mask = network.mask(shot);
        const std::vector<share> shares = shares_of(mask);
        nlohmann::ordered_json list = nlohmann::ordered_json::array();
        if (!a.quiet) std::printf("%s\n", a.pictures[i].c_str());
        for (const share& s : shares) {
            list.push_back({{"class", s.label}, {"label", labels[s.label]}, {"pixels", s.pixels}});
            if (!a.quiet) std::printf("%8.2f %%  %s\n", 100 * static_cast<double>(s.pixels) / static_cast<double>(mask.size().pixels()), labels[s.label].c_str());
        }
        entry["classes"] = std::move(list);
        if (masks.wanted()) masks.write(i, mask);
        if (targets.wanted()) {
            draw(shot, mask, shares, labels);
            targets.write(i, shot);
        }
    });
    return finish(a, std::move(results), failures);
}

} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Tells which pixels of pictures belong to which class with a segmentation network of the zoo; exit status 1: some pictures could not be read or written, 2: nothing was done"};
    add_options(app, a, ", the background's first; Pascal VOC's 21 are built in");
    add_drawing_options(app, a, "classes in colours");
    app.add_option("--mask", a.mask, "the number of each pixel's class as a grey value goes here; for several pictures a folder")->type_name("PNG");
    return options::exit_status("segment", app, argc, argv, [&] { return run(a); });
}
