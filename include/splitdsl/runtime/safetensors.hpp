// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file safetensors.hpp
/// Reads weights files in the safetensors format, bounded: nothing in the file can make it read or allocate beyond the file's own size.
///
/// 8 bytes length of the header, little-endian; the header, a JSON object; the tensors' bytes. The header may have 100 MB and not more than
/// the file; every range must be as long as type and shape say; all ranges together cover the bytes exactly once.
#pragma once

#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/runtime/safetensors_header.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace splitdsl {

/// A file's tensors, sorted by name. Copies share the bytes.
class safetensors {
public:
    using pairs = std::vector<std::pair<std::string, std::string>>;

    safetensors() = default;
    safetensors(std::vector<tensor_view> all, pairs notes, std::shared_ptr<const std::byte[]> owned)
        : views{std::move(all)},
          strings{std::move(notes)},
          storage{std::move(owned)} {
        detail::sort_by<tensor_view>(views, [](const tensor_view& a, const tensor_view& b) { return a.name < b.name; });
    }

    /// Null if there is none of that name.
    const tensor_view* find(std::string_view name) const noexcept {
        const auto i =
            std::lower_bound(views.begin(), views.end(), name, [](const tensor_view& t, std::string_view n) { return t.name < n; });
        return i != views.end() && i->name == name ? &*i : nullptr;
    }
    /// All tensors, sorted by name.
    std::span<const tensor_view> tensors() const noexcept { return views; }
    /// The `__metadata__`, sorted by key.
    std::span<const std::pair<std::string, std::string>> metadata() const noexcept { return strings; }
    /// One value of the metadata; null if there is none of that key.
    const std::string* metadata(std::string_view key) const noexcept {
        for (const auto& [k, value] : strings)
            if (k == key) return &value;
        return nullptr;
    }

private:
    std::vector<tensor_view> views{};
    pairs strings{};
    std::shared_ptr<const std::byte[]> storage{};
};

/// Calls `visit(tensor_view)` for every tensor, by name.
template <class Visit>
void for_each_tensor(const safetensors& file, Visit visit) {
    for (const tensor_view& t : file.tensors()) visit(t);
}

/// Digest of a file's tensors; metadata does not count.
inline std::uint64_t content_digest(const safetensors& file) noexcept { return content_digest(file.tensors()); }

namespace detail {

/// What a file is that begins with no header's length; empty if there is no telling.
inline std::string_view seems_to_be(std::span<const std::byte, 8> prefix) {
    const auto at = [&](std::size_t i) { return static_cast<char>(prefix[i]); };
    if (at(0) == 'P' && at(1) == 'K') return ": it looks like a zip archive, as torch.save writes it, not like safetensors";
    for (std::size_t i = 0; i < 8; ++i)
        if ((at(i) < ' ' || at(i) > '~') && at(i) != '\n' && at(i) != '\r' && at(i) != '\t') return "";
    return ": it looks like a text, not like safetensors";
}
/// Checks the header's length against the whole size.
inline std::uint64_t header_size(std::span<const std::byte, 8> prefix, std::uint64_t whole, const std::string& where) {
    const std::uint64_t size = load_u64(prefix.data());
    if (size > largest_safetensors_header)
        throw safetensors_error(safetensors_fault::header_too_large,
                                where + ": a header of at most 100000000 bytes was expected, found "
                                    + std::to_string(size) + std::string(seems_to_be(prefix)));
    if (size > whole - 8)
        throw safetensors_error(safetensors_fault::header_past_end, where + ": a header of at most " + std::to_string(whole - 8)
                                                                        + " bytes (the rest of the file) was expected, found "
                                                                        + std::to_string(size));
    return size;
}
inline safetensors_error too_short(std::uint64_t size, const std::string& where) {
    return {safetensors_fault::too_short, where + ": at least 8 bytes were expected, found " + std::to_string(size)};
}
inline std::string_view text_of(const std::byte* from, std::uint64_t size) {
    return {static_cast<const char*>(static_cast<const void*>(from)), static_cast<std::size_t>(size)};
}
inline safetensors views_of(declared_file&& file, const std::byte* data, std::shared_ptr<const std::byte[]> owned) {
    std::vector<tensor_view> views;
    views.reserve(file.tensors.size());
    for (declared_tensor& t : file.tensors)
        views.push_back({std::move(t.name), t.type, std::move(t.shape), {data + t.begin, static_cast<std::size_t>(t.end - t.begin)}});
    return {std::move(views), std::move(file.metadata), std::move(owned)};
}

} // namespace detail

/// Takes a file that lies in memory; the views point into `content`, which must outlive them. Throws `safetensors_error`.
inline safetensors parse_safetensors(std::span<const std::byte> content, const std::string& where = "safetensors") {
    if (content.size() < 8) throw detail::too_short(content.size(), where);
    const std::uint64_t size = detail::header_size(content.first<8>(), content.size(), where);
    const std::byte* const data = content.data() + 8 + size;
    auto declared = detail::safetensors_header_parser{detail::text_of(content.data() + 8, size), content.size() - 8 - size, where}.parse();
    return detail::views_of(std::move(declared), data, nullptr);
}

/// Reads a file. Throws `safetensors_error` (a `weights_error`), its text beginning with the path.
/// Memory: the file's size and up to four times the header's; the header is checked before room for the tensors is taken.
/// ```cpp
/// const auto file = splitdsl::read_safetensors("lane_keeper.safetensors");
/// if (const auto* t = file.find("stem.conv.weight")) use(t->shape, splitdsl::to_floats(*t));
/// ```
inline safetensors read_safetensors(const std::string& path) {
    const auto unreadable = [&](const std::string& why) { return safetensors_error(safetensors_fault::unreadable, path + ": " + why); };
    detail::ordinary_file file{path};
    if (!file.found().empty()) throw unreadable("an ordinary file was expected, found " + file.found());
    const std::uint64_t whole = file.size();
    if (whole < 8) throw detail::too_short(whole, path);
    const auto fill = [&](std::byte* to, std::uint64_t count) {
        if (file.read(to, static_cast<std::size_t>(count)) != count) throw unreadable("the file ended while it was read");
    };
    std::byte prefix[8];
    fill(prefix, 8);
    const std::uint64_t size = detail::header_size(prefix, whole, path);
    std::vector<std::byte> header(static_cast<std::size_t>(size));
    fill(header.data(), size);
    const std::uint64_t rest = whole - 8 - size;
    auto declared = detail::safetensors_header_parser{detail::text_of(header.data(), size), rest, path}.parse();
    std::shared_ptr<std::byte[]> data{new std::byte[static_cast<std::size_t>(rest)]};
    fill(data.get(), rest);
    return detail::views_of(std::move(declared), data.get(), data);
}

} // namespace splitdsl
