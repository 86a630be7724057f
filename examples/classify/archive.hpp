// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file archive.hpp
/// ZIP archives of pictures, one entry at a time and within bounds; through libzip, where the build has it.
#pragma once

#include <splitdsl/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#if SPLITDSL_HAS_ZIP
#include <zip.h>
#endif

namespace classify {

/// Throws `image_error` for what is no archive, for entries that are damaged, encrypted, or unpack to more than they are allowed to,
/// and in a build without libzip. What an entry claims to unpack to is compared before anything is allocated.
class archive {
public:
    static constexpr std::uint64_t most_entries = 1'000'000;
#if SPLITDSL_HAS_ZIP
    archive(std::string file, std::uint64_t most_entry_bytes) : path(std::move(file)), most_bytes(most_entry_bytes) {
        int code = 0;
        opened.reset(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code));
        if (!opened) {
            zip_error_t e;
            zip_error_init_with_code(&e, code);
            const std::string why = zip_error_strerror(&e);
            zip_error_fini(&e);
            throw splitdsl::image_error(path + ": not a readable ZIP archive: " + why);
        }
        const zip_int64_t n = zip_get_num_entries(opened.get(), 0);
        if (n < 0 || static_cast<std::uint64_t>(n) > most_entries)
            throw splitdsl::image_error(path + ": at most " + std::to_string(most_entries) + " entries were expected, found " + std::to_string(n));
        entries = static_cast<std::uint64_t>(n);
    }
    std::uint64_t size() const { return entries; }
    std::string name(std::uint64_t i) const {
        const char* text = zip_get_name(opened.get(), i, 0);
        return text ? text : "entry " + std::to_string(i);
    }
    bool is_folder(std::uint64_t i) const { return name(i).ends_with('/'); }
    /// What errors call an entry: an archive's name, then its own.
    std::string place(std::uint64_t i) const { return path + ", " + name(i); }
    std::vector<std::byte> bytes(std::uint64_t i) const {
        zip_stat_t facts;
        zip_stat_init(&facts);
        if (zip_stat_index(opened.get(), i, 0, &facts) != 0 || !(facts.valid & ZIP_STAT_SIZE)) refuse(i, zip_strerror(opened.get()));
        if (facts.size > most_bytes)
            refuse(i, "unpacks to " + std::to_string(facts.size) + " bytes; at most " + std::to_string(most_bytes) + " are allowed");
        struct close { void operator()(zip_file_t* f) const { zip_fclose(f); } };
        const std::unique_ptr<zip_file_t, close> entry{zip_fopen_index(opened.get(), i, 0)};
        if (!entry) refuse(i, zip_strerror(opened.get()));
        std::vector<std::byte> all(static_cast<std::size_t>(facts.size));
        std::size_t got = 0;
        while (got < all.size()) {
            const zip_int64_t n = zip_fread(entry.get(), all.data() + got, all.size() - got);
            if (n <= 0) refuse(i, n < 0 ? zip_file_strerror(entry.get()) : "ends before its stated size");
            got += static_cast<std::size_t>(n);
        }
        std::byte beyond{};
        const zip_int64_t more = zip_fread(entry.get(), &beyond, 1); // also makes libzip compare the checksum
        if (more != 0) refuse(i, more < 0 ? zip_file_strerror(entry.get()) : "goes on beyond its stated size");
        return all;
    }

private:
    [[noreturn]] void refuse(std::uint64_t i, const std::string& why) const { throw splitdsl::image_error(place(i) + ": " + why); }
    struct discard { void operator()(zip_t* z) const { zip_discard(z); } };
    std::string path;
    std::uint64_t most_bytes{}, entries{};
    std::unique_ptr<zip_t, discard> opened;
#else
    archive(const std::string& file, std::uint64_t) { throw splitdsl::image_error(file + ": this build cannot read ZIP archives (it needs libzip)"); }
    std::uint64_t size() const { return 0; }
    std::string name(std::uint64_t) const { return {}; }
    bool is_folder(std::uint64_t) const { return true; }
    std::string place(std::uint64_t) const { return {}; }
    std::vector<std::byte> bytes(std::uint64_t) const { return {}; }
#endif
};

} // namespace classify
