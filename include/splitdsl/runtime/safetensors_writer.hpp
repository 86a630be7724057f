// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file safetensors_writer.hpp
/// Writes weights files in the safetensors format: the same tensors always give the same bytes, whatever their order.
#pragma once

#include <splitdsl/detail/whole_file.hpp>
#include <splitdsl/runtime/safetensors_header.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace splitdsl {

namespace detail {

inline std::string json_string(std::string_view text) {
    std::string s = "\"";
    while (!text.empty()) {
        const std::size_t n = utf8_length(text);
        if (n == 0) throw weights_error("safetensors: names and metadata should be UTF-8, found " + shown(text));
        const char c = text.front();
        const auto code = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            s += '\\';
            s += c;
        } else if (code < 0x20) {
            s += "\\u00";
            s += "0123456789abcdef"[code >> 4];
            s += "0123456789abcdef"[code & 15];
        } else {
            s += text.substr(0, n);
        }
        text = text.substr(n);
    }
    return s + '"';
}

/// Wide types first, then by name: with the header padded to 8 bytes every tensor is aligned for its type.
inline std::vector<const tensor_view*> file_order(std::span<const tensor_view> tensors) {
    std::vector<const tensor_view*> order;
    for (const tensor_view& t : tensors) {
        const auto elements = elements_of(t.shape);
        if (t.name == "__metadata__") throw weights_error("safetensors: a tensor cannot be called \"__metadata__\"");
        if (t.shape.size() > largest_rank)
            throw weights_error("safetensors: tensor " + shown(t.name) + " should have at most " + std::to_string(largest_rank)
                                + " dimensions, found " + std::to_string(t.shape.size()));
        if (!elements || *elements > t.bytes.size() || *elements * bytes_of(t.type) != t.bytes.size())
            throw weights_error("safetensors: tensor " + shown(t.name) + " of type " + std::string(name_of(t.type)) + " and shape "
                                + shown(t.shape) + " does not have " + std::to_string(t.bytes.size()) + " bytes");
        order.push_back(&t);
    }
    std::sort(order.begin(), order.end(), [](const tensor_view* a, const tensor_view* b) {
        return bytes_of(a->type) != bytes_of(b->type) ? bytes_of(a->type) > bytes_of(b->type) : a->name < b->name;
    });
    std::vector<std::string_view> names;
    for (const tensor_view* t : order) names.push_back(t->name);
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
        throw weights_error("safetensors: tensor " + shown(*twice) + " should be given once, found twice");
    return order;
}

/// Length and header, padded with spaces to a multiple of 8.
inline std::string safetensors_prefix(std::span<const tensor_view* const> order,
                                      std::vector<std::pair<std::string, std::string>> metadata) {
    std::string h = "{";
    if (!metadata.empty()) {
        std::sort(metadata.begin(), metadata.end());
        h += "\"__metadata__\":{";
        for (std::size_t i = 0; i < metadata.size(); ++i) {
            if (i > 0 && metadata[i].first == metadata[i - 1].first)
                throw weights_error("safetensors: metadata " + shown(metadata[i].first) + " should be given once, found twice");
            h += (i ? "," : "") + json_string(metadata[i].first) + ":" + json_string(metadata[i].second);
        }
        h += "}";
    }
    std::uint64_t at = 0;
    for (const tensor_view* t : order) {
        h += (h.size() > 1 ? "," : "") + json_string(t->name) + ":{\"dtype\":\"" + std::string(name_of(t->type)) + "\",\"shape\":[";
        for (std::size_t i = 0; i < t->shape.size(); ++i) h += std::string(i ? "," : "") + std::to_string(t->shape[i]);
        h += "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + t->bytes.size()) + "]}";
        at += t->bytes.size();
    }
    h += "}";
    h.append((8 - h.size() % 8) % 8, ' ');
    if (h.size() > largest_safetensors_header)
        throw weights_error("safetensors: a header of at most 100000000 bytes was expected, found " + std::to_string(h.size()));
    std::byte length[8];
    store_u64(length, h.size());
    return std::string(static_cast<const char*>(static_cast<const void*>(length)), 8) + h;
}

} // namespace detail

/// The file as bytes. Throws `weights_error` for duplicate names, sizes that do not match a shape, text that is not UTF-8.
inline std::vector<std::byte> to_safetensors(std::span<const tensor_view> tensors,
                                             const std::vector<std::pair<std::string, std::string>>& metadata = {}) {
    const auto order = detail::file_order(tensors);
    const std::string prefix = detail::safetensors_prefix(order, metadata);
    std::vector<std::byte> all;
    for (const char c : prefix) all.push_back(static_cast<std::byte>(c));
    for (const tensor_view* t : order) all.insert(all.end(), t->bytes.begin(), t->bytes.end());
    return all;
}

/// Writes the file; it appears whole or not at all. What is there and no regular file (a link, a FIFO, /dev/full) is written as it is, not
/// replaced. Throws `weights_error` as `to_safetensors` does, and naming the path if it cannot be written.
/// ```cpp body
/// const std::vector<float> bias{0.5f, -0.5f};
/// const splitdsl::tensor_view t{"control.bias", splitdsl::tensor_type::float32, {2}, splitdsl::bytes_of_floats(bias)};
/// splitdsl::write_safetensors("net.safetensors", {&t, 1}, {{"made by", "me"}});
/// ```
inline void write_safetensors(const std::string& path, std::span<const tensor_view> tensors,
                              const std::vector<std::pair<std::string, std::string>>& metadata = {}) {
    const auto order = detail::file_order(tensors);
    const std::string prefix = detail::safetensors_prefix(order, metadata);
    detail::whole_file file{path};
    file.write(prefix);
    for (const tensor_view* t : order) file.write(t->bytes);
    file.finish();
    if (file.failure() != 0) throw weights_error(path + ": cannot be written: " + detail::write_trouble(file.failure()));
}

} // namespace splitdsl
