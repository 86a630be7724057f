// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file whole_file.hpp
/// Files that are written: whole or not at all.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace splitdsl::detail {

/// Why a file cannot be written, as it reads behind a colon.
inline std::string write_trouble(int why) { return why == ELOOP ? "its symbolic links lead in a circle" : std::generic_category().message(why); }

/// A file that is being written. A regular file appears whole or not at all: it has no name until it is finished, so that nothing is left of it however the
/// program ends, and what was there before stays. Where the file system knows no files without a name, it is written beside (PATH.part) and renamed, and a program
/// that is killed leaves that. What is no regular file (a FIFO, /dev/stdout) is written as it is, and a link is written through. Throws nothing: behind the first failure it does nothing more, and `failure` says what it was.
class whole_file {
public:
    explicit whole_file(std::string name) : path{std::move(name)} {
        namespace fs = std::filesystem;
        std::error_code trouble;
        const fs::file_type there = fs::symlink_status(path, trouble).type();
        if (there == fs::file_type::not_found || there == fs::file_type::regular) {
            open_nameless();
            if (file < 0) {
                open(path + ".part");
                if (file >= 0) partial = path + ".part";
            }
        }
        if (file < 0) open(path); // perhaps the folder takes no new files, but this one can be written
        if (file < 0) give_up(errno);
    }
    whole_file(const whole_file&) = delete;
    whole_file& operator=(const whole_file&) = delete;
    ~whole_file() { abandon(); }

    void write(std::string_view bytes) {
        while (!bytes.empty() && file >= 0) {
            const ssize_t done = ::write(file, bytes.data(), bytes.size());
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) return give_up(done < 0 ? errno : ENOSPC);
            bytes.remove_prefix(static_cast<std::size_t>(done));
        }
    }
    void write(std::span<const std::byte> bytes) { write(std::string_view{static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()}); }
    /// Nothing is there before this. Some file systems tell of a full disk only when a file is closed.
    void finish() {
        if (file < 0) return;
        if (nameless && !name_it()) return give_up(errno);
        if (::close(std::exchange(file, -1)) != 0 || (!partial.empty() && std::rename(partial.c_str(), path.c_str()) != 0)) return give_up(errno);
        partial.clear();
    }
    /// An errno, 0: none so far.
    int failure() const noexcept { return failed; }

private:
    static constexpr std::size_t longest_name = 250; // of 255
    void open(const std::string& name) { file = ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); }
    void open_nameless() {
        const std::filesystem::path whole{path};
        if (whole.filename().native().size() > longest_name) return; // no room for PATH.part
        const std::string folder = whole.parent_path().string();
        file = ::open(folder.empty() ? "." : folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
        nameless = file >= 0 && ::access(own_link().c_str(), F_OK) == 0; // /proc may be missing
        if (file >= 0 && !nameless) ::close(std::exchange(file, -1));
    }
    bool name_it() {
        const std::string beside = path + ".part", link = own_link();
        const auto named = [&] { return ::linkat(AT_FDCWD, link.c_str(), AT_FDCWD, beside.c_str(), AT_SYMLINK_FOLLOW) == 0; };
        if (!named() && (errno != EEXIST || ::unlink(beside.c_str()) != 0 || !named())) return false;
        partial = beside;
        return true;
    }
    std::string own_link() const { return "/proc/self/fd/" + std::to_string(file); }
    void abandon() {
        if (file >= 0) ::close(std::exchange(file, -1));
        if (!partial.empty()) ::unlink(partial.c_str());
        partial.clear();
    }
    void give_up(int why) {
        abandon();
        failed = why;
    }

    std::string path, partial{}; // partial: what there is to rename or remove
    bool nameless{};
    int file{-1}, failed{};
};

} // namespace splitdsl::detail
