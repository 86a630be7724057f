// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file album.hpp
/// The pictures that are shown: from files, folders and ZIP archives, with labels where they have some, or made up.
#pragma once

#include "network.hpp"

#include <examples/classify/archive.hpp>
#include <examples/pictures/labels.hpp>
#include <splitdsl/detail/csv.hpp>
#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/detail/printable.hpp>
#include <splitdsl/detail/xoshiro.hpp>
#include <splitdsl/image/decode.hpp>
#include <splitdsl/image/preprocess.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace visual_wake {

struct still {
    std::string name{};
    int label{-1};                   ///< among CIFAR-10's classes; -1: not known
    std::vector<std::byte> pixels{}; ///< the network's input
};

struct album {
    std::string origin{};
    bool made_up{};
    std::size_t found{};         ///< pictures there were to choose from
    std::vector<still> stills{}; ///< those that were chosen

    std::size_t labelled() const {
        return static_cast<std::size_t>(std::count_if(stills.begin(), stills.end(), [](const still& s) { return s.label >= 0; }));
    }
};

/// A class's name or number; -1 for anything else.
inline int class_named(std::string_view text) {
    for (int c = 0; c < classes; ++c)
        if (text == pictures::cifar10_classes[static_cast<std::size_t>(c)]) return c;
    const int number = splitdsl::detail::read_number<int>(text).value_or(-1);
    return number >= 0 && number < classes ? number : -1;
}

/// Lines of FILE,CLASS; a first line "file,label" is a heading. Throws `option_error` that names the line.
inline std::map<std::string, int, std::less<>> read_labels(const std::string& path) {
    std::map<std::string, int, std::less<>> table;
    std::istringstream stream{splitdsl::detail::read_ordinary_file<std::string>(path, 64U << 20, [&](const std::string& found) {
        throw splitdsl::option_error("--labels " + path + ": a readable file of at most 64 MiB was expected, found " + found);
    })};
    int number = 0;
    for (std::string line; std::getline(stream, line);) {
        const std::string_view text = splitdsl::detail::trimmed(line);
        ++number;
        if (text.empty() || (number == 1 && text == "file,label")) continue;
        const std::size_t comma = text.rfind(',');
        const int label = comma == std::string_view::npos ? -1 : class_named(splitdsl::detail::bare_cell(text.substr(comma + 1)));
        if (label < 0)
            throw splitdsl::option_error("--labels " + path + ", line " + std::to_string(number)
                                         + ": expected FILE,CLASS with a class of 0 to 9, airplane, ... or truck, found " + splitdsl::detail::quoted(text, 80));
        table[std::string{splitdsl::detail::bare_cell(text.substr(0, comma))}] = label;
    }
    return table;
}

namespace detail {

inline bool is_picture_name(std::string_view name) {
    const std::size_t dot = name.rfind('.');
    std::string ending{dot == std::string_view::npos ? std::string_view{} : name.substr(dot)};
    for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

/// A picture that can be read: a file, or an entry of an archive.
struct place {
    std::string name{}; ///< in an archive its own, else the path
    const classify::archive* inside{};
    std::uint64_t entry{};
};

inline bool is_archive(const std::string& path) {
    return splitdsl::imaging::kind_of_file(path) == splitdsl::imaging::file_kind::zip;
}

inline std::vector<place> places_in(const std::vector<std::string>& from, std::vector<std::unique_ptr<classify::archive>>& archives) {
    namespace fs = std::filesystem;
    constexpr std::size_t most = 1'000'000;
    std::vector<place> all;
    for (const std::string& path : from) {
        const std::size_t before = all.size();
        std::error_code trouble, broken_link;
        if (fs::is_directory(path, trouble)) {
            for (fs::recursive_directory_iterator i{path, fs::directory_options::skip_permission_denied, trouble}, end;
                 !trouble && i != end; i.increment(trouble))
                if (is_picture_name(i->path().native()) && i->is_regular_file(broken_link)) {
                    all.push_back({.name = i->path().string()});
                    if (all.size() > most)
                        throw splitdsl::image_error(path + ": at most " + std::to_string(most) + " pictures were expected, found more");
                }
            if (trouble) throw splitdsl::image_error(path + ": " + trouble.message());
            std::sort(all.begin() + static_cast<std::ptrdiff_t>(before), all.end(),
                      [](const place& a, const place& b) { return a.name < b.name; });
        } else if (is_archive(path)) {
            const auto& zip =
                *archives.emplace_back(std::make_unique<classify::archive>(path, splitdsl::imaging::decode_options{}.most_file_bytes));
            for (std::uint64_t i = 0; i < zip.size(); ++i)
                if (is_picture_name(zip.name(i))) all.push_back({zip.name(i), &zip, i});
        } else {
            all.push_back({.name = path});
        }
        if (all.size() == before) throw splitdsl::image_error(path + ": JPEG or PNG pictures were expected in it, found none");
    }
    return all;
}

inline still read(const place& from) {
    using namespace splitdsl::imaging;
    picture shot = from.inside ? decode(from.inside->bytes(from.entry), {.name = from.inside->place(from.entry)}) : decode_file(from.name);
    shared_input prepared{std::move(shot)};
    const auto bytes = prepared.planes_for({.shorter_side = side, .crop = {side, side}}).bytes();
    return {.name = from.name, .pixels = {bytes.begin(), bytes.end()}};
}

} // namespace detail

/// `count` pictures of all that are there, drawn by `seed` in an order of its own; or all in the order of their names if they are no more
/// than that. The label is the class in `labels`' row of that name (with or without folders), without `labels` the name of the picture's
/// folder. Throws `image_error` for what cannot be read, `option_error` for labels of none of the pictures.
inline album read_album(const std::vector<std::string>& from, std::size_t count, std::uint64_t seed, const std::string& labels) {
    const auto table = labels.empty() ? std::map<std::string, int, std::less<>>{} : read_labels(labels);
    std::vector<std::unique_ptr<classify::archive>> archives;
    std::vector<detail::place> places = detail::places_in(from, archives);
    album a{.origin = from.front() + (from.size() > 1 ? " and " + std::to_string(from.size() - 1) + " more" : ""), .found = places.size()};
    if (count < places.size()) {
        splitdsl::detail::xoshiro256 random{seed};
        for (std::size_t i = 0; i < count; ++i)
            std::swap(places[i], places[i + random.below(static_cast<std::uint32_t>(places.size() - i))]);
        places.resize(count);
    }
    for (const detail::place& p : places) {
        still s = detail::read(p);
        const std::filesystem::path path{p.name};
        if (labels.empty()) {
            s.label = class_named(path.parent_path().filename().string());
        } else {
            auto row = table.find(p.name);
            if (row == table.end()) row = table.find(path.filename().string());
            if (row != table.end()) s.label = row->second;
        }
        a.stills.push_back(std::move(s));
    }
    if (!labels.empty() && a.labelled() == 0)
        throw splitdsl::option_error("--labels " + labels + ": none of the pictures is in it, as " + places.front().name + " is not");
    return a;
}

/// Without files: a ground, a sky and a few bright shapes, out of the seed alone. What the network calls them means nothing.
inline album made_up(std::size_t count, std::uint64_t seed) {
    splitdsl::detail::xoshiro256 random{seed};
    album a{.origin = "made up", .made_up = true, .found = count};
    for (std::size_t n = 0; n < count; ++n) {
        still s{.name = "made-up " + std::to_string(n + 1), .pixels = std::vector<std::byte>(picture_bytes)};
        const auto colour = [&] { return std::array<double, 3>{random.uniform(0, 255), random.uniform(0, 255), random.uniform(0, 255)}; };
        struct shape {
            double x, y, wide, high;
            bool round;
            std::array<double, 3> paint;
        };
        const auto sky = colour(), ground = colour();
        const double horizon = random.uniform(10, 26);
        std::vector<shape> shapes(2 + random.below(4));
        for (shape& o : shapes)
            o = {random.uniform(4, 28), random.uniform(4, 28), random.uniform(2, 11), random.uniform(2, 9), random.chance(0.5), colour()};
        for (int y = 0; y < side; ++y)
            for (int x = 0; x < side; ++x) {
                auto paint = y < horizon ? sky : ground;
                for (const shape& o : shapes) {
                    const double dx = std::abs(x - o.x) / o.wide, dy = std::abs(y - o.y) / o.high;
                    if (o.round ? dx * dx + dy * dy < 1 : dx < 1 && dy < 1) paint = o.paint;
                }
                for (std::size_t c = 0; c < 3; ++c)
                    s.pixels[(c * side + static_cast<std::size_t>(y)) * side + static_cast<std::size_t>(x)] =
                        static_cast<std::byte>(std::clamp(paint[c] + random.uniform(-14, 14), 0.0, 255.0));
            }
        a.stills.push_back(std::move(s));
    }
    return a;
}

} // namespace visual_wake
