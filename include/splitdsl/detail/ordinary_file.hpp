// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ordinary_file.hpp
/// Files that are read: what is none is refused in words instead of being waited for, and nothing larger than its reader allows takes memory.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

namespace splitdsl::detail {

/// Why a path leads nowhere, as it reads behind "found" or a colon.
inline std::string path_trouble(int why) {
    switch (why) {
    case ENOENT:
    case ENOTDIR: return "no such file";
    case ELOOP: return "symbolic links that lead in a circle";
    case EACCES: return "a file that may not be read";
    case EISDIR: return "a folder";
    default: return std::generic_category().message(why);
    }
}

/// A file that is open for reading and has a size; or what was found in its place.
class ordinary_file {
public:
    /// Does not wait for who writes into a FIFO.
    explicit ordinary_file(const std::string& path) {
        struct ::stat about {};
        if (::stat(path.c_str(), &about) != 0) {
            instead = path_trouble(errno);
        } else if (!S_ISREG(about.st_mode)) {
            instead = S_ISDIR(about.st_mode) ? "a folder" : "no ordinary file";
        } else if (file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); file < 0 || ::fstat(file, &about) != 0) {
            instead = path_trouble(errno);
        } else {
            bytes = static_cast<std::uint64_t>(about.st_size);
        }
    }
    ordinary_file(const ordinary_file&) = delete;
    ordinary_file& operator=(const ordinary_file&) = delete;
    ~ordinary_file() {
        if (file >= 0) ::close(file);
    }

    /// Empty if the file is open.
    const std::string& found() const noexcept { return instead; }
    std::uint64_t size() const noexcept { return bytes; }
    /// The next `count` bytes, or fewer at the file's end and where it cannot be read on.
    std::size_t read(void* to, std::size_t count) {
        std::size_t got = 0;
        while (got < count) {
            const ssize_t n = ::read(file, static_cast<char*>(to) + got, count - got);
            if (n < 0 && errno == EINTR) continue;
            if (n <= 0) break;
            got += static_cast<std::size_t>(n);
        }
        return got;
    }

private:
    std::string instead{};
    std::uint64_t bytes{};
    int file{-1};
};

/// A file's bytes, as chars or std::bytes. `refuse` throws: it gets what was found in place of an ordinary file of `most` bytes at most.
///
/// ```cpp
/// const auto text = read_ordinary_file<std::string>(path, 1 << 20, [&](const std::string& found) { throw trace_error(path + ": expected a file of at most 1 MiB, found " + found); });
/// ```
template <class Bytes, class Refuse>
Bytes read_ordinary_file(const std::string& path, std::uint64_t most, Refuse refuse) {
    ordinary_file file{path};
    if (!file.found().empty()) refuse(file.found());
    if (file.size() > most) refuse(std::to_string(file.size()) + " bytes");
    Bytes content(static_cast<std::size_t>(file.size()), typename Bytes::value_type{});
    if (const std::size_t got = file.read(content.data(), content.size()); got != content.size())
        refuse("only " + std::to_string(got) + " readable bytes of " + std::to_string(content.size()));
    return content;
}

} // namespace splitdsl::detail
