// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file safetensors_header.hpp
/// The JSON header of a safetensors file, read by its schema and refused at the first thing that does not belong.
///
/// The parser knows three levels (file, tensor, list of numbers) and no recursion, so no nesting can exhaust the stack. It is stricter
/// than the format's own reader: unknown fields, duplicate keys, gaps and ranks above 8 are errors.
#pragma once

#include <splitdsl/runtime/tensor_view.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace splitdsl {

inline constexpr std::uint64_t largest_safetensors_header = 100'000'000;
inline constexpr std::size_t largest_rank = 8;

/// What can be wrong with a safetensors file.
enum class safetensors_fault : std::uint8_t {
    unreadable,       ///< the file cannot be opened or read, or is no ordinary file
    too_short,        ///< fewer than the 8 bytes of the header's length
    header_too_large, ///< more than 100 MB
    header_past_end,  ///< the header is longer than what is left of the file
    bad_json,         ///< not the JSON that is expected here
    bad_text,         ///< a string with a bad escape, a control character or broken UTF-8
    bad_number,       ///< not a plain non-negative 64-bit integer
    trailing_text,    ///< something behind the header's object
    unknown_field,
    duplicate_key,
    missing_field,
    bad_metadata, ///< a value that is not a string
    unknown_type,
    rank_too_large, ///< more than 8 dimensions
    shape_overflow, ///< more bytes than 64 bits can count
    bad_range,      ///< not two numbers, or the end before the begin
    out_of_bounds,  ///< a range beyond the end of the file
    size_mismatch,  ///< a range that is not as long as type and shape say
    overlap,        ///< two tensors share bytes
    gap,            ///< bytes between two tensors, or before the first, belong to none
    uncovered       ///< bytes behind the last tensor belong to none
};
inline constexpr int safetensors_faults = 21;

/// A malformed safetensors file. The text names file, tensor, what was expected and what was found.
struct safetensors_error : weights_error {
    safetensors_error(safetensors_fault what_kind, const std::string& sentence_text) : weights_error(sentence_text), fault{what_kind} {}
    safetensors_fault fault;
};

namespace detail {

/// Sorted by heap, never slower than n log n: half the templates of std::sort, in every file that reads weights.
template <class T>
void sort_by(std::vector<T>& list, bool (*before)(const T&, const T&)) {
    std::make_heap(list.begin(), list.end(), before);
    std::sort_heap(list.begin(), list.end(), before);
}

/// Length of the well-formed UTF-8 sequence that starts `text`, or 0. No surrogates, nothing overlong, nothing above U+10FFFF.
constexpr std::size_t utf8_length(std::string_view text) noexcept {
    const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) { return at(i) >= low && at(i) <= high; };
    const unsigned c = at(0);
    if (c < 0x80) return text.empty() ? 0 : 1;
    if (c >= 0xC2 && c <= 0xDF) return follows(1) ? 2 : 0;
    if (c >= 0xE0 && c <= 0xEF) return follows(1, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF) && follows(2) ? 3 : 0;
    if (c >= 0xF0 && c <= 0xF4) return follows(1, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF) && follows(2) && follows(3) ? 4 : 0;
    return 0;
}

constexpr void append_utf8(std::string& to, std::uint32_t code) {
    const auto put = [&](std::uint32_t b) { to += static_cast<char>(static_cast<unsigned char>(b)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | code >> 6);
        put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        put(0xE0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3F));
        put(0x80 | (code & 0x3F));
    } else {
        put(0xF0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3F));
        put(0x80 | (code >> 6 & 0x3F));
        put(0x80 | (code & 0x3F));
    }
}

/// One tensor as the header declares it, its range relative to the bytes behind the header.
struct declared_tensor {
    std::string name{};
    tensor_type type{};
    std::vector<std::uint64_t> shape{};
    std::uint64_t begin{}, end{};
};
struct declared_file {
    std::vector<declared_tensor> tensors{};                      ///< in the order of their bytes
    std::vector<std::pair<std::string, std::string>> metadata{}; ///< sorted
};

class safetensors_header_parser {
public:
    safetensors_header_parser(std::string_view header, std::uint64_t data_bytes, const std::string& file)
        : text{header},
          room{data_bytes},
          where{file} {}

    declared_file parse() {
        declared_file file;
        bool has_metadata = false;
        // The format wants the brace as the very first byte; white space may only follow later.
        if (text.empty() || text.front() != '{') wrong(safetensors_fault::bad_json, "'{' was expected as the header's first byte");
        members(safetensors_fault::bad_json, [&](std::string key) {
            if (key == "__metadata__") {
                if (std::exchange(has_metadata, true))
                    wrong(safetensors_fault::duplicate_key, "\"__metadata__\" should appear once, found twice");
                metadata(file.metadata);
            } else {
                file.tensors.push_back(tensor(std::move(key)));
            }
        });
        blanks();
        if (at != text.size()) wrong(safetensors_fault::trailing_text, "nothing but spaces was expected behind the header's object");
        check(file);
        return file;
    }

private:
    [[noreturn]] void wrong(safetensors_fault fault, const std::string& what) const {
        throw safetensors_error(fault, where + ": " + what + (tensor_name.empty() ? "" : ", in tensor " + shown(tensor_name)) + ", at byte "
                                           + std::to_string(at) + " of the header");
    }
    [[noreturn]] void wrong(safetensors_fault fault, const declared_tensor& t, const std::string& what) const {
        throw safetensors_error(fault, where + ": tensor " + shown(t.name) + " " + what);
    }
    std::string next_word() const {
        if (at >= text.size()) return "the end of the header";
        return shown(text.substr(at, 12));
    }

    void blanks() {
        while (at < text.size() && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) ++at;
    }
    bool take(char c) {
        blanks();
        if (at >= text.size() || text[at] != c) return false;
        ++at;
        return true;
    }
    void want(char c, safetensors_fault fault = safetensors_fault::bad_json) {
        if (take(c)) return;
        std::string what{'\'', c, '\''}; // appended to: g++ 12 warns of a move that it takes for a copy beyond a short string's end
        wrong(fault, what.append(" was expected, found ").append(next_word()));
    }
    template <class Member>
    void members(safetensors_fault fault, Member member) {
        want('{', fault);
        if (take('}')) return;
        do {
            std::string key = string(safetensors_fault::bad_json);
            want(':');
            member(std::move(key));
        } while (take(','));
        want('}');
    }

    std::uint32_t hex4() {
        std::uint32_t v = 0;
        for (int i = 0; i < 4; ++i, ++at) {
            const char c = at < text.size() ? text[at] : '\0';
            const bool digit = c >= '0' && c <= '9', low = c >= 'a' && c <= 'f', high = c >= 'A' && c <= 'F';
            if (!digit && !low && !high) wrong(safetensors_fault::bad_text, "four hexadecimal digits were expected behind \\u");
            v = v * 16 + static_cast<std::uint32_t>(digit ? c - '0' : (low ? c - 'a' : c - 'A') + 10);
        }
        return v;
    }
    void escape(std::string& to) {
        const char c = at < text.size() ? text[at++] : '\0';
        constexpr std::string_view plain = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
        if (const auto i = plain.find(c); i != std::string_view::npos) {
            to += meant[i];
            return;
        }
        if (c != 'u') wrong(safetensors_fault::bad_text, "a known escape was expected");
        std::uint32_t code = hex4();
        if (code >= 0xDC00 && code <= 0xDFFF) wrong(safetensors_fault::bad_text, "a second half of a surrogate pair stands alone");
        if (code >= 0xD800 && code <= 0xDBFF) {
            if (text.substr(at, 2) != "\\u") wrong(safetensors_fault::bad_text, "the second half of a surrogate pair is missing");
            at += 2;
            const std::uint32_t second = hex4();
            if (second < 0xDC00 || second > 0xDFFF) wrong(safetensors_fault::bad_text, "the second half of a surrogate pair is missing");
            code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
        }
        append_utf8(to, code);
    }
    std::string string(safetensors_fault fault) {
        if (!take('"')) wrong(fault, "a string was expected, found " + next_word());
        std::string s;
        while (true) {
            if (at >= text.size()) wrong(safetensors_fault::bad_text, "a string does not end");
            const char c = text[at];
            if (c == '"') {
                ++at;
                return s;
            }
            if (c == '\\') {
                ++at;
                escape(s);
                continue;
            }
            if (static_cast<unsigned char>(c) < 0x20) wrong(safetensors_fault::bad_text, "a control character stands in a string");
            const std::size_t n = utf8_length(text.substr(at));
            if (n == 0) wrong(safetensors_fault::bad_text, "a string is not UTF-8");
            s += text.substr(at, n);
            at += n;
        }
    }
    std::uint64_t number() {
        blanks();
        const auto digit = [&] { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
        if (!digit()) wrong(safetensors_fault::bad_number, "a non-negative integer was expected, found " + next_word());
        const bool zero = text[at] == '0';
        const std::size_t begin = at;
        std::uint64_t v = 0;
        for (; digit(); ++at) {
            const auto d = static_cast<std::uint64_t>(text[at] - '0');
            if (v > (UINT64_MAX - d) / 10) wrong(safetensors_fault::bad_number, "an integer below 2^64 was expected");
            v = v * 10 + d;
        }
        if (zero && at - begin > 1) wrong(safetensors_fault::bad_number, "a number without leading zeros was expected");
        if (at < text.size() && (text[at] == '.' || text[at] == 'e' || text[at] == 'E'))
            wrong(safetensors_fault::bad_number, "an integer was expected, found a fraction or an exponent");
        return v;
    }
    std::vector<std::uint64_t> numbers(std::size_t most, safetensors_fault if_more) {
        std::vector<std::uint64_t> list;
        want('[');
        if (take(']')) return list;
        do {
            if (list.size() == most) wrong(if_more, "at most " + std::to_string(most) + " numbers were expected, found more");
            list.push_back(number());
        } while (take(','));
        want(']');
        return list;
    }

    void metadata(std::vector<std::pair<std::string, std::string>>& to) {
        members(safetensors_fault::bad_metadata,
                [&](std::string key) { to.emplace_back(std::move(key), string(safetensors_fault::bad_metadata)); });
        using pair = std::pair<std::string, std::string>;
        sort_by<pair>(to, [](const pair& a, const pair& b) { return a.first < b.first; });
        for (std::size_t i = 1; i < to.size(); ++i)
            if (to[i].first == to[i - 1].first)
                wrong(safetensors_fault::duplicate_key, "metadata " + shown(to[i].first) + " should appear once, found twice");
    }

    declared_tensor tensor(std::string name) {
        tensor_name = std::move(name);
        declared_tensor t;
        bool has_type = false, has_shape = false, has_range = false;
        members(safetensors_fault::bad_json, [&](const std::string& key) {
            const auto once = [&](bool& has) {
                if (std::exchange(has, true)) wrong(safetensors_fault::duplicate_key, shown(key) + " should appear once, found twice");
            };
            if (key == "dtype") {
                once(has_type);
                const std::string word = string(safetensors_fault::bad_json);
                const auto known = tensor_type_named(word);
                if (!known) wrong(safetensors_fault::unknown_type, "a known dtype was expected, found " + shown(word));
                t.type = *known;
            } else if (key == "shape") {
                once(has_shape);
                t.shape = numbers(largest_rank, safetensors_fault::rank_too_large);
            } else if (key == "data_offsets") {
                once(has_range);
                const auto range = numbers(2, safetensors_fault::bad_range);
                if (range.size() != 2)
                    wrong(safetensors_fault::bad_range, "two data_offsets were expected, found " + std::to_string(range.size()));
                t.begin = range[0];
                t.end = range[1];
            } else {
                wrong(safetensors_fault::unknown_field, "dtype, shape or data_offsets was expected, found " + shown(key));
            }
        });
        if (!has_type || !has_shape || !has_range)
            wrong(safetensors_fault::missing_field,
                  std::string(!has_type ? "dtype" : (!has_shape ? "shape" : "data_offsets")) + " is missing");
        t.name = std::exchange(tensor_name, {});
        return t;
    }

    /// Every tensor is as long as its shape says, and together they cover the data without gap or overlap.
    void check(declared_file& file) const {
        auto& all = file.tensors;
        sort_by<declared_tensor>(all, [](const declared_tensor& a, const declared_tensor& b) { return a.name < b.name; });
        for (std::size_t i = 1; i < all.size(); ++i)
            if (all[i].name == all[i - 1].name) wrong(safetensors_fault::duplicate_key, all[i], "should appear once, found twice");
        for (const declared_tensor& t : all) {
            const auto range = std::string("[") + std::to_string(t.begin) + ", " + std::to_string(t.end) + ")";
            if (t.end < t.begin) wrong(safetensors_fault::bad_range, t, "has the range " + range + ", which ends before it begins");
            if (t.end > room)
                wrong(safetensors_fault::out_of_bounds, t,
                      "has the range " + range + ", but only " + std::to_string(room) + " bytes follow the header");
            const auto elements = elements_of(t.shape);
            if (!elements || *elements > UINT64_MAX / bytes_of(t.type))
                wrong(safetensors_fault::shape_overflow, t, "of shape " + shown(t.shape) + " has more bytes than 64 bits can count");
            const std::uint64_t needed = *elements * bytes_of(t.type);
            if (needed != t.end - t.begin)
                wrong(safetensors_fault::size_mismatch, t,
                      "of type " + std::string(name_of(t.type)) + " and shape " + shown(t.shape) + " should have " + std::to_string(needed)
                          + " bytes, found " + std::to_string(t.end - t.begin));
        }
        sort_by<declared_tensor>(all, [](const declared_tensor& a, const declared_tensor& b) {
            return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
        });
        std::uint64_t covered = 0;
        for (const declared_tensor& t : all) {
            const auto both = "should begin at byte " + std::to_string(covered) + ", found " + std::to_string(t.begin);
            if (t.begin < covered) wrong(safetensors_fault::overlap, t, both + ": it overlaps another tensor");
            if (t.begin > covered) wrong(safetensors_fault::gap, t, both + ": the bytes between belong to no tensor");
            covered = t.end;
        }
        if (covered != room)
            throw safetensors_error(safetensors_fault::uncovered, where + ": the tensors should cover " + std::to_string(room)
                                                                      + " bytes, found " + std::to_string(covered));
    }

    std::string_view text;
    std::uint64_t room;
    const std::string& where;
    std::string tensor_name{}; // while one is being read, for messages
    std::size_t at{};
};

} // namespace detail
} // namespace splitdsl
