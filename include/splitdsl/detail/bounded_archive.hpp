// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file bounded_archive.hpp
/// cereal archives over memory that never trust a size: the only header that includes cereal.
///
/// A count read from the bytes may not exceed the bytes that remain: every element takes at least one byte, so nothing larger than
/// the message (times the size of an element in memory) is ever allocated. Numbers are little-endian whatever the host.
/// No pointers, no polymorphism, no floating point: handshakes and profiles need none of them.
#pragma once

#include <splitdsl/error.hpp>

#include <cereal/cereal.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace splitdsl::detail {

template <class T>
concept archived_number = std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>;

/// Appends to a vector. Throws `wire_error` beyond `largest` bytes.
class bounded_output : public cereal::OutputArchive<bounded_output, cereal::AllowEmptyClassElision> {
public:
    explicit bounded_output(std::size_t largest) : OutputArchive(this), limit{largest} {}

    void put(std::byte b) {
        if (written.size() >= limit)
            throw wire_error("a message of at most " + std::to_string(limit) + " bytes was expected, and it grows beyond that");
        written.push_back(b);
    }
    template <archived_number T>
    void put_number(T v) {
        auto u = static_cast<std::make_unsigned_t<T>>(v);
        for (std::size_t i = 0; i < sizeof(T); ++i) put(static_cast<std::byte>(static_cast<std::uint64_t>(u) >> (8 * i) & 0xffu));
    }
    std::vector<std::byte> take() { return std::move(written); }

private:
    std::vector<std::byte> written{};
    std::size_t limit;
};

/// Reads from a span. Throws `wire_error` at its end and for every size that cannot be.
class bounded_input : public cereal::InputArchive<bounded_input, cereal::AllowEmptyClassElision> {
public:
    explicit bounded_input(std::span<const std::byte> bytes) : InputArchive(this), rest{bytes}, total{bytes.size()} {}

    std::byte get() {
        if (rest.empty()) throw wire_error("the message ends after " + std::to_string(total) + " bytes, in the middle of a value");
        const std::byte b = rest.front();
        rest = rest.subspan(1);
        return b;
    }
    template <archived_number T>
    T get_number() {
        if (rest.size() < sizeof(T))
            throw wire_error("the message ends after " + std::to_string(total) + " bytes, in the middle of a number of "
                             + std::to_string(sizeof(T)));
        std::uint64_t u = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i) u |= static_cast<std::uint64_t>(rest[i]) << (8 * i);
        rest = rest.subspan(sizeof(T));
        return static_cast<T>(u);
    }
    std::uint32_t get_count() {
        const auto count = get_number<std::uint32_t>();
        if (count > rest.size())
            throw wire_error("a count of at most " + std::to_string(rest.size()) + " (the bytes that remain) was expected, found "
                             + std::to_string(count));
        return count;
    }
    std::size_t remaining() const { return rest.size(); }
    /// Throws `wire_error` if bytes are left over.
    void finish() const {
        if (!rest.empty()) throw wire_error("the message should end here, found " + std::to_string(rest.size()) + " more bytes");
    }

private:
    std::span<const std::byte> rest;
    std::size_t total;
};

// The functions cereal looks for by these names.
template <archived_number T>
void CEREAL_SAVE_FUNCTION_NAME(bounded_output& to, const T& v) {
    to.put_number(v);
}
template <archived_number T>
void CEREAL_LOAD_FUNCTION_NAME(bounded_input& from, T& v) {
    v = from.get_number<T>();
}

// Text and lists here and not by cereal/types, and no whole struct through an archive: with four types instead of a dozen in each
// archive, every file that knows a handshake compiles in noticeably less time.
inline void CEREAL_SAVE_FUNCTION_NAME(bounded_output& to, const std::string& text) {
    to.put_number(static_cast<std::uint32_t>(text.size()));
    for (const char c : text) to.put(static_cast<std::byte>(c));
}
inline void CEREAL_LOAD_FUNCTION_NAME(bounded_input& from, std::string& text) {
    text.resize(from.get_count());
    for (char& c : text) c = static_cast<char>(from.get());
}

/// What cereal does with a `serialize` that reads when saving and writes when loading.
template <class T>
void save_members(bounded_output& to, const T& value) {
    const_cast<T&>(value).serialize(to);
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(bounded_output& to, const std::vector<T>& list) {
    to.put_number(static_cast<std::uint32_t>(list.size()));
    for (const T& element : list) save_members(to, element);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(bounded_input& from, std::vector<T>& list) {
    list.resize(from.get_count());
    for (T& element : list) element.serialize(from);
}

/// One struct with a `serialize` as bytes, at most `largest`. Throws `wire_error`.
template <class T>
std::vector<std::byte> to_bytes(const T& value, std::size_t largest) {
    bounded_output out{largest};
    save_members(out, value);
    return out.take();
}

/// One struct from bytes, all of which it must use. Throws `wire_error`.
template <class T>
T from_bytes(std::span<const std::byte> bytes) {
    bounded_input in{bytes};
    T value{};
    value.serialize(in);
    in.finish();
    return value;
}

} // namespace splitdsl::detail
