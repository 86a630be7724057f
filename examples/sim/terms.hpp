// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file terms.hpp
/// One table of a TOML file, read key by key: what is missing, out of range or unknown is refused with its place in the file.
#pragma once

#include <splitdsl/error.hpp>

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace simulate {

/// A table and the keys asked for so far; `end` refuses the others. The table must outlive it.
class terms {
public:
    terms(const toml::table& t, std::string where_it_is, std::string file_name)
        : table{&t},
          where{std::move(where_it_is)},
          file{std::move(file_name)} {}

    bool has(std::string_view key) const { return table->contains(key); }
    bool is_text(std::string_view key) const { return table->contains(key) && table->get(key)->is_string(); }

    double number(std::string_view key, double least, double most, std::optional<double> otherwise = {}) {
        const toml::node* const n = node(key);
        if (n == nullptr && otherwise) return *otherwise;
        const auto v = n != nullptr ? n->value<double>() : std::nullopt;
        if (!v || !n->is_number() || !(*v >= least && *v <= most))
            refuse(key, "a number from " + text_of(least) + " to " + text_of(most), n);
        return *v;
    }
    std::int64_t whole(std::string_view key, std::int64_t least, std::int64_t most, std::optional<std::int64_t> otherwise = {}) {
        const toml::node* const n = node(key);
        if (n == nullptr && otherwise) return *otherwise;
        const auto v = n != nullptr && n->is_integer() ? n->value<std::int64_t>() : std::nullopt;
        if (!v || *v < least || *v > most) refuse(key, "a whole number from " + std::to_string(least) + " to " + std::to_string(most), n);
        return *v;
    }
    bool truth(std::string_view key, bool otherwise) {
        const toml::node* const n = node(key);
        if (n == nullptr) return otherwise;
        if (!n->is_boolean()) refuse(key, "true or false", n);
        return *n->value<bool>();
    }
    std::string text(std::string_view key, std::optional<std::string> otherwise = {}) {
        const toml::node* const n = node(key);
        if (n == nullptr && otherwise) return *otherwise;
        if (n == nullptr || !n->is_string()) refuse(key, "a text", n);
        return *n->value<std::string>();
    }
    /// A text that a table can show: not empty, in one line.
    std::string name(std::string_view key, std::optional<std::string> otherwise = {}) {
        const std::string found = text(key, std::move(otherwise));
        if (found.empty() || std::any_of(found.begin(), found.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }))
            refuse(key, "a name of one line");
        return found;
    }
    /// What `make` gives; what it refuses, with file and line before. `i`: of a list.
    template <class Make>
    auto made(std::string_view key, Make make, std::size_t i = 0) const {
        try {
            return make();
        } catch (const splitdsl::option_error& e) {
            const toml::node* n = table->get(key);
            if (n != nullptr && n->is_array()) n = n->as_array()->get(i);
            throw splitdsl::trace_error("scenario " + file + line(n) + ": " + e.what());
        }
    }
    std::string choice(std::string_view key, std::initializer_list<std::string_view> all, std::optional<std::string> otherwise = {}) {
        const std::string found = text(key, std::move(otherwise));
        std::string names;
        for (const std::string_view one : all) {
            if (found == one) return found;
            names += (names.empty() ? "" : ", ") + std::string{one};
        }
        refuse(key, "one of " + names, node(key));
    }
    std::vector<double> numbers(std::string_view key, double least, double most) {
        std::vector<double> all;
        const toml::node* const n = node(key);
        if (n == nullptr) return all;
        if (!n->is_array() || n->as_array()->size() > 1000) refuse(key, "a list of at most 1000 numbers", n);
        for (const toml::node& one : *n->as_array()) {
            const auto v = one.value<double>();
            if (!v || !one.is_number() || !(*v >= least && *v <= most))
                refuse(key, "numbers from " + text_of(least) + " to " + text_of(most), &one);
            all.push_back(*v);
        }
        return all;
    }
    std::vector<std::int64_t> wholes(std::string_view key, std::int64_t least, std::int64_t most) {
        std::vector<std::int64_t> all;
        for (const double v : numbers(key, static_cast<double>(least), static_cast<double>(most))) {
            if (v != std::floor(v)) refuse(key, "whole numbers", node(key)->as_array()->get(all.size()));
            all.push_back(static_cast<std::int64_t>(v));
        }
        return all;
    }
    std::vector<std::string> texts(std::string_view key) {
        std::vector<std::string> all;
        const toml::node* const n = node(key);
        if (n == nullptr) return all;
        if (!n->is_array() || n->as_array()->size() > 1000) refuse(key, "a list of at most 1000 texts", n);
        for (const toml::node& one : *n->as_array()) {
            if (!one.is_string()) refuse(key, "texts", &one);
            all.push_back(*one.value<std::string>());
        }
        return all;
    }
    /// The table of that name; an empty one if there is none and `required` is false.
    terms inside(std::string_view key, bool required = true) {
        static const toml::table nothing{};
        const toml::node* const n = node(key);
        if (n == nullptr && !required) return {nothing, place(key), file};
        if (n == nullptr || !n->is_table()) refuse(key, "a table", n);
        return {*n->as_table(), place(key), file};
    }
    /// The tables `[[key]]`, at most 1000.
    std::vector<terms> list(std::string_view key) {
        std::vector<terms> all;
        const toml::node* const n = node(key);
        if (n == nullptr) return all;
        if (!n->is_array_of_tables() || n->as_array()->size() > 1000) refuse(key, "1 to 1000 tables [[" + std::string{key} + "]]", n);
        for (const toml::node& one : *n->as_array()) all.emplace_back(*one.as_table(), place(key) + " " + std::to_string(all.size()), file);
        return all;
    }
    /// Refuses keys that nobody asked for.
    void end() const {
        for (const auto& [key, value] : *table)
            if (asked.find(std::string{key.str()}) == asked.end())
                throw splitdsl::trace_error("scenario " + file + line(&value) + ": expected no \"" + std::string{key.str()} + "\""
                                            + (where.empty() ? "" : " in " + where) + ", found it");
    }
    [[noreturn]] void refuse(std::string_view key, const std::string& expected, const toml::node* found) const {
        throw splitdsl::trace_error("scenario " + file + line(found) + ": " + place(key) + ": expected " + expected + ", found "
                                    + shown(found));
    }
    [[noreturn]] void refuse(std::string_view key, const std::string& expected) const { refuse(key, expected, table->get(key)); }

private:
    const toml::node* node(std::string_view key) {
        asked.insert(std::string{key});
        return table->get(key);
    }
    std::string place(std::string_view key) const { return where.empty() ? std::string{key} : where + "." + std::string{key}; }
    static std::string line(const toml::node* n) {
        return n != nullptr && n->source().begin.line > 0 ? ":" + std::to_string(n->source().begin.line) : "";
    }
    static std::string text_of(double v) {
        char text[32]{};
        std::snprintf(text, sizeof text, "%.12g", v);
        return text;
    }
    static std::string shown(const toml::node* n) {
        if (n == nullptr) return "nothing";
        if (n->is_string()) {
            std::string found = n->value<std::string>()->substr(0, 40);
            std::replace_if(found.begin(), found.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
            return "\"" + found + "\"";
        }
        if (n->is_integer()) return std::to_string(*n->value<std::int64_t>());
        if (n->is_number()) return text_of(*n->value<double>());
        if (n->is_boolean()) return *n->value<bool>() ? "true" : "false";
        return n->is_table() ? "a table" : n->is_array() ? "a list of " + std::to_string(n->as_array()->size()) : "a date or time";
    }

    const toml::table* table;
    std::string where, file;
    std::set<std::string> asked{};
};

} // namespace simulate
