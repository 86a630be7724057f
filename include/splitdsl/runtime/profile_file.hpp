// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file profile_file.hpp
/// Measured stage times in a file, so that a device need not be profiled at every start.
#pragma once

#include <splitdsl/codec/crc32c.hpp>
#include <splitdsl/detail/bounded_archive.hpp>
#include <splitdsl/detail/byte_order.hpp>
#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/detail/whole_file.hpp>
#include <splitdsl/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace splitdsl {

inline constexpr std::size_t largest_profile = 1024 * 1024;

/// One stage as measured.
struct saved_stage {
    std::string name{};
    std::int64_t median_ns{};
    std::int64_t p99_ns{};
    friend bool operator==(const saved_stage&, const saved_stage&) = default;
    template <class Archive>
    void serialize(Archive& archive) { // one by one: a single call for all instantiates one more function for each
        archive(name);
        archive(median_ns);
        archive(p99_ns);
    }
};

/// All stages of a network on one device. It belongs to the graph with that fingerprint and the kernels of that instruction set.
struct saved_profile {
    std::string network{};
    std::string device{};
    std::string instruction_set{};
    std::uint64_t fingerprint{};
    std::vector<saved_stage> stages{};
    friend bool operator==(const saved_profile&, const saved_profile&) = default;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(network);
        archive(device);
        archive(instruction_set);
        archive(fingerprint);
        archive(stages);
    }
};

namespace detail {
inline constexpr char profile_magic[8] = {'s', 'p', 'l', 'i', 't', 'p', 'r', '1'};
} // namespace detail

/// The bytes of a profile file: 8 of magic with the version, CRC-32C of what follows, the profile. Throws `wire_error` beyond 1 MiB.
inline std::vector<std::byte> encode_profile(const saved_profile& profile) {
    const std::vector<std::byte> body = detail::to_bytes(profile, largest_profile - 12);
    std::vector<std::byte> all(12);
    for (std::size_t i = 0; i < 8; ++i) all[i] = static_cast<std::byte>(detail::profile_magic[i]);
    detail::store_u32(all.data() + 8, crc32c(body));
    all.insert(all.end(), body.begin(), body.end());
    return all;
}

/// Throws `wire_error` for anything else than a whole profile, or for a time below 0.
inline saved_profile decode_profile(std::span<const std::byte> content) {
    if (content.size() < 12 || content.size() > largest_profile)
        throw wire_error("profile: 12 to " + std::to_string(largest_profile) + " bytes were expected, found "
                         + std::to_string(content.size()));
    for (std::size_t i = 0; i < 8; ++i)
        if (content[i] != static_cast<std::byte>(detail::profile_magic[i]))
            throw wire_error("profile: the file should start with 'splitpr1'; it is no profile of this version");
    if (detail::load_u32(content.data() + 8) != crc32c(content.subspan(12)))
        throw wire_error("profile: the checksum does not match: the file is damaged");
    auto profile = detail::from_bytes<saved_profile>(content.subspan(12));
    for (const saved_stage& s : profile.stages)
        if (s.median_ns < 0 || s.p99_ns < 0)
            throw wire_error("profile: stage " + s.name + " should take 0 ns or more, found " + std::to_string(s.median_ns)
                             + " (median) and " + std::to_string(s.p99_ns) + " (p99)");
    return profile;
}

/// Writes a profile; the file appears whole or not at all. Throws `option_error` naming the path.
inline void save_profile(const std::string& path, const saved_profile& profile) {
    const std::vector<std::byte> content = encode_profile(profile);
    detail::whole_file file{path};
    file.write(content);
    file.finish();
    if (file.failure() != 0) throw option_error("profile " + path + ": cannot be written: " + detail::write_trouble(file.failure()));
}

/// Reads a profile. Throws `option_error` if the file cannot be read, `wire_error` if it is not a profile; both name the path.
/// ```cpp
/// const auto profile = splitdsl::load_profile("nano.profile");
/// if (profile.fingerprint != net.fingerprint) measure_again();
/// ```
inline saved_profile load_profile(const std::string& path) {
    const auto content = detail::read_ordinary_file<std::vector<std::byte>>(path, largest_profile, [&](const std::string& found) {
        throw option_error("profile " + path + ": a file of at most " + std::to_string(largest_profile) + " bytes was expected, found " + found);
    });
    try {
        return decode_profile(content);
    } catch (const wire_error& e) { throw wire_error(path + ": " + e.what()); }
}

} // namespace splitdsl
