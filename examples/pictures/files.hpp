// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file files.hpp
/// What programs that look at pictures do with files: one after another, a result or an error each, drawings beside them.
#pragma once

#include <examples/options/output_file.hpp>
#include <splitdsl/error.hpp>
#include <splitdsl/image/decode.hpp>
#include <splitdsl/image/png.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <map>
#include <new>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace pictures {

/// Where the drawing of each picture goes: to `target` itself for one picture; into the folder `target`, under the picture's name, for several, and where it is one or ends in '/'.
class drawings {
public:
    /// Throws `option_error` for one file whose name does not end in .png, for a folder that cannot be made, and if two drawings would go to one file, or one over its picture.
    drawings(const std::string& option_, const std::string& target, const std::vector<std::string>& pictures) : option{option_} {
        namespace fs = std::filesystem;
        if (target.empty()) return;
        const auto refuse = [&](const std::string& why) { throw splitdsl::option_error(option + " " + target + ": " + why); };
        std::error_code trouble;
        const bool into_folder = pictures.size() > 1 || target.ends_with('/') || fs::is_directory(target, trouble);
        if (into_folder) options::require_folder(option, folder = target);
        else options::outlive_reader();
        const std::string ending = fs::path{target}.extension().string();
        const bool is_png = ending.size() == 4 && ending[0] == '.' && (ending[1] | 32) == 'p' && (ending[2] | 32) == 'n' && (ending[3] | 32) == 'g';
        const bool is_device = fs::exists(target, trouble) && !fs::is_regular_file(target, trouble);
        if (!into_folder && !is_png && !is_device) refuse("a name that ends in .png was expected, for that is what is written");
        std::map<fs::path, std::string> taken;
        for (const std::string& picture : pictures) {
            files.push_back(into_folder ? fs::path{target} / (fs::path{picture}.stem().string() + ".png") : fs::path{target});
            const auto [other, fresh] = taken.emplace(files.back(), picture);
            if (!fresh) refuse("the drawings of " + other->second + " and " + picture + " would both be " + files.back().string());
        }
        std::set<fs::path> seen;
        for (const std::string& picture : pictures) seen.insert(fs::weakly_canonical(picture, trouble));
        for (const fs::path& file : files)
            if (seen.contains(fs::weakly_canonical(file, trouble))) refuse("would write over the picture " + file.string());
    }
    /// Throws `option_error` if a drawing would go to the file of another option.
    void require_apart_from(const std::string& other, const std::string& path) const {
        for (const std::filesystem::path& file : files) options::require_different(other, path, option, file.string());
    }
    bool wanted() const { return !files.empty(); }
    const std::filesystem::path& operator[](std::size_t i) const { return files[i]; }
    /// Into a folder that is made for the first of them. Throws `image_error` or `not_written`, which open with the option.
    void write(std::size_t i, splitdsl::imaging::picture_view drawing) const {
        if (!folder.empty()) options::make_folder(option, folder);
        try {
            splitdsl::imaging::write_png(files[i], drawing);
        } catch (const splitdsl::image_error& e) { throw splitdsl::image_error(option + " " + e.what()); }
    }

private:
    std::string option, folder{};
    std::vector<std::filesystem::path> files;
};

/// `see(number, picture, entry)` for each file; `entry` is its row in the results, which gets an "error" instead of what `see` adds if the file cannot be
/// read or `see` throws an `error`. Gives the number of failures.
template <class See>
int see_all(const char* program, const std::vector<std::string>& files, std::size_t most_pixels, nlohmann::ordered_json& results, See see) {
    int failures = 0;
    const auto failed = [&](const std::string& file, const std::string& why) {
        std::fprintf(stderr, "%s: %s\n", program, why.find(file) != std::string::npos ? why.c_str() : (file + ": " + why).c_str());
        results.push_back({{"file", file}, {"error", why}});
        ++failures;
    };
    for (std::size_t i = 0; i < files.size(); ++i) {
        try {
            splitdsl::imaging::picture picture = splitdsl::imaging::decode_file(files[i], {.most_pixels = most_pixels, .most_pixels_name = "--most-pixels"});
            nlohmann::ordered_json entry{{"file", files[i]}, {"width", picture.width()}, {"height", picture.height()}};
            see(i, picture, entry);
            results.push_back(std::move(entry));
        } catch (const splitdsl::error& e) {
            failed(files[i], e.what());
        } catch (const std::bad_alloc&) { // the next picture may be smaller
            failed(files[i], "this machine has not the memory for it");
        }
    }
    return failures;
}

/// As `options::write`.
inline void write_json(const std::string& file, const nlohmann::ordered_json& document) {
    // A file's name may hold any bytes; JSON is UTF-8.
    options::write("--json", file, document.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

} // namespace pictures
