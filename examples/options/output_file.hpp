// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file output_file.hpp
/// Files that programs write because an option says so: whole or not at all, and a failure names the option.
#pragma once

#include <splitdsl/detail/whole_file.hpp>
#include <splitdsl/error.hpp>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace options {

/// The run has come to something, but it cannot be kept: exit status 1, where other `option_error`s give 2.
struct not_written : splitdsl::option_error {
    using option_error::option_error;
};

/// "--json out.json: cannot be written: No space left on device"; `why` is an errno, 0 if unknown.
inline std::string unwritable(const std::string& option, const std::string& path, int why) {
    return option + " " + path + ": cannot be written" + (why != 0 ? ": " + splitdsl::detail::write_trouble(why) : std::string{});
}

/// A `whole_file` whose failures are `not_written`.
///
/// ```cpp
/// options::output_file file{"--out", "frames.bin"};
/// for (const auto& frame : frames) file.write(frame);
/// file.finish();
/// ```
class output_file {
public:
    output_file(std::string option_, std::string path_) : option{std::move(option_)}, path{std::move(path_)}, file{path} { require_success(); }
    void write(std::string_view bytes) {
        file.write(bytes);
        require_success();
    }
    /// Nothing is there before this.
    void finish() {
        file.finish();
        require_success();
    }

private:
    void require_success() const {
        if (file.failure() != 0) throw not_written(unwritable(option, path, file.failure()));
    }

    std::string option, path;
    splitdsl::detail::whole_file file;
};

/// The whole file at once. Throws `not_written`, which names option, path and reason.
///
/// ```cpp
/// options::write("--json", path, document.dump(2) + "\n");
/// ```
inline void write(const std::string& option, const std::string& path, std::string_view content) {
    output_file file{option, path};
    file.write(content);
    file.finish();
}

/// Throws `option_error` if two options name the same file, of which one would replace the other. An empty path is none.
inline void require_different(const std::string& a, const std::string& path_a, const std::string& b, const std::string& path_b) {
    if (path_a.empty() || path_b.empty()) return;
    std::error_code trouble;
    const auto place_a = std::filesystem::weakly_canonical(path_a, trouble), place_b = std::filesystem::weakly_canonical(path_b, trouble);
    if (!place_a.empty() && place_a == place_b) throw splitdsl::option_error(a + " " + path_a + ": another file than that of " + b + " was expected");
}

/// Throws `option_error` if a result would replace a file that is read, whatever name or link leads there. Empty paths are none; what is no regular file cannot be replaced.
inline void require_not_read(const std::string& option, const std::string& path, const std::vector<std::string>& read) {
    std::error_code trouble;
    if (!std::filesystem::is_regular_file(path, trouble)) return;
    for (const std::string& one : read)
        if (!one.empty() && std::filesystem::equivalent(path, one, trouble))
            throw splitdsl::option_error(option + " " + path + ": another file than " + one + " was expected, which is read");
}

/// Of a run with results in files: it goes on when nobody reads any more what it prints (`| head`), and that is said at its end.
inline void outlive_reader() { std::signal(SIGPIPE, SIG_IGN); }

/// Asks before the work whether its result has a place, for which the run then outlives its reader. An empty path is none. Throws `option_error`; changes no file and leaves none.
inline void require_writable(const std::string& option, const std::string& path) {
    namespace fs = std::filesystem;
    if (path.empty()) return;
    outlive_reader();
    std::error_code trouble;
    const fs::file_status there = fs::status(path, trouble);
    int file = -1;
    errno = 0;
    if (fs::exists(there) && !fs::is_regular_file(there)) { // opening a FIFO would wait for its reader
        if (fs::is_directory(there)) throw splitdsl::option_error(unwritable(option, path, EISDIR));
        if (::access(path.c_str(), W_OK) == 0) return;
    } else {
        file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }
    if (file < 0) throw splitdsl::option_error(unwritable(option, path, errno));
    ::close(file);
    if (!fs::exists(there)) ::unlink(path.c_str());
}

/// As `require_writable`, of a folder for results: it is there and takes files, or the nearest folder above takes it. Makes none, so that a run with which nothing is done
/// leaves none.
inline void require_folder(const std::string& option, const std::string& path) {
    namespace fs = std::filesystem;
    if (path.empty()) throw splitdsl::option_error(option + ": a folder was expected, found an empty name");
    outlive_reader();
    std::error_code trouble;
    fs::path at = fs::absolute(path, trouble).lexically_normal();
    for (; fs::status(at, trouble).type() == fs::file_type::not_found && trouble.value() != ENOTDIR && at.has_relative_path(); at = at.parent_path()) {}
    const fs::file_type there = fs::status(at, trouble).type();
    if (trouble || there != fs::file_type::directory) throw splitdsl::option_error(unwritable(option, path, trouble ? trouble.value() : ENOTDIR));
    if (::access(at.c_str(), W_OK | X_OK) != 0) throw splitdsl::option_error(unwritable(option, path, errno));
}
/// With those above it. Throws `not_written`.
inline void make_folder(const std::string& option, const std::string& path) {
    std::error_code failed;
    std::filesystem::create_directories(path, failed);
    if (failed) throw not_written(unwritable(option, path, failed.value()));
}

} // namespace options
