// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file ordinary_file_test.cpp
/// What stands where a file is to be read is named; nothing is waited for, and nothing larger than allowed is read. What is written appears whole or not at all.
#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/detail/ordinary_file.hpp>
#include <splitdsl/detail/whole_file.hpp>
#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/image/decode.hpp>
#include <splitdsl/link/trace.hpp>
#include <splitdsl/runtime/safetensors.hpp>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

using namespace splitdsl;

namespace {

/// A folder of what is no ordinary file, and one that is.
struct oddities {
    std::filesystem::path folder = std::filesystem::temp_directory_path() / ("splitdsl_oddities_" + std::to_string(::getpid()));
    oddities() {
        std::filesystem::create_directories(folder);
        std::filesystem::create_symlink("loop", folder / "loop");
        std::filesystem::create_symlink("nowhere", folder / "dangling");
        if (::mkfifo((folder / "fifo").c_str(), 0600) != 0) throw std::runtime_error("mkfifo");
        std::ofstream{folder / "empty"};
        std::ofstream{folder / "three"} << "abc";
        std::filesystem::create_symlink("three", folder / "link");
    }
    ~oddities() { std::filesystem::remove_all(folder); }
    std::string operator()(const char* name) const { return (folder / name).string(); }
};

} // namespace

TEST_CASE("what stands in a file's place is named") {
    const oddities made;
    const auto found = [](const std::string& path, std::uint64_t most = 100) {
        std::string text;
        (void)refusal<error>([&] { (void)detail::read_ordinary_file<std::string>(path, most, [&](const std::string& f) { text = f; throw trace_error(f); }); });
        return text;
    };
    CHECK(found(made("missing")) == "no such file");
    CHECK(found(made("dangling")) == "no such file");
    CHECK(found(made("three/below")) == "no such file");
    CHECK(found(made("loop")) == "symbolic links that lead in a circle");
    CHECK(found(made("loop/below")) == "symbolic links that lead in a circle");
    CHECK(found(made.folder.string()) == "a folder");
    CHECK(found(made("fifo")) == "no ordinary file");
    CHECK(found("/dev/zero") == "no ordinary file");
    CHECK(found(made("three"), 2) == "3 bytes");
    CHECK(found(made("three"), 3).empty());
    CHECK(found("").find("no such file") == 0);
    CHECK(found(std::string(5000, 'a')) == "File name too long");
}

TEST_CASE("an ordinary file is read whole, through a link as well") {
    const oddities made;
    const auto never = [](const std::string& f) { throw trace_error(f); };
    CHECK(detail::read_ordinary_file<std::string>(made("three"), 3, never) == "abc");
    CHECK(detail::read_ordinary_file<std::vector<std::byte>>(made("link"), 1000, never) == std::vector{std::byte{'a'}, std::byte{'b'}, std::byte{'c'}});
    CHECK(detail::read_ordinary_file<std::string>(made("empty"), 0, never).empty());
}

TEST_CASE("each reader says what it expected and what it found") {
    const oddities made;
    const std::string loop = made("loop"), fifo = made("fifo"), empty = made("empty");
    CHECK(refusal<error>([&] { (void)link::link_trace::load(empty); }) == empty + ": expected a header line with time_s and up_kbps, and rows of numbers, found an empty file");
    CHECK(refusal<error>([&] { (void)link::link_trace::load(fifo); }) == fifo + ": expected a csv file of at most 67108864 bytes, found no ordinary file");
    CHECK(refusal<error>([&] { (void)link::link_trace::load(loop); }) == loop + ": expected a csv file of at most 67108864 bytes, found symbolic links that lead in a circle");
    CHECK(refusal<error>([&] { (void)read_device_profiles(fifo); }).find(fifo + ": expected a csv file of at most ") == 0);
    CHECK(refusal<error>([&] { (void)read_safetensors(fifo); }) == fifo + ": an ordinary file was expected, found no ordinary file");
    CHECK(refusal<error>([&] { (void)read_safetensors(loop); }) == loop + ": an ordinary file was expected, found symbolic links that lead in a circle");
    CHECK(refusal<error>([&] { (void)imaging::read_file(made("missing")); }) == made("missing") + ": no such file");
    CHECK(refusal<error>([&] { (void)imaging::read_file(loop); }).find("found symbolic links that lead in a circle") != std::string::npos);
    CHECK(imaging::kind_of_file(fifo) == imaging::file_kind::unknown);
}

TEST_CASE("of a program that is killed while it writes a file nothing is left, and what was there stays") {
    const oddities made;
    const int nameless = ::open(made.folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
    if (nameless < 0) {
        WARN("SKIPPED: this file system knows no files without a name");
        return;
    }
    ::close(nameless);
    for (const char* name : {"three", "new"}) {
        const pid_t writer = ::fork();
        REQUIRE(writer >= 0);
        if (writer == 0) {
            detail::whole_file file{made(name)};
            file.write("half of it");
            std::raise(SIGKILL);
        }
        int status = 0;
        REQUIRE(::waitpid(writer, &status, 0) == writer);
        REQUIRE(WIFSIGNALED(status));
        CHECK_FALSE(std::filesystem::exists(made(name) + ".part"));
    }
    CHECK_FALSE(std::filesystem::exists(made("new")));
    CHECK(std::filesystem::file_size(made("three")) == 3);
    // What a killed program left elsewhere does not stand in the way.
    std::ofstream{made("new.part")} << "older";
    detail::whole_file file{made("new")};
    file.write("whole");
    file.finish();
    CHECK(file.failure() == 0);
    CHECK(std::filesystem::file_size(made("new")) == 5);
    CHECK_FALSE(std::filesystem::exists(made("new.part")));
    detail::whole_file longest{made(std::string(255, 'n').c_str())};
    longest.write("x");
    longest.finish();
    CHECK(longest.failure() == 0);
}

TEST_CASE("a file that is written appears whole or not at all") {
    const oddities made;
    const auto never = [](const std::string& f) { throw trace_error(f); };
    const auto content = [&](const char* name) { return detail::read_ordinary_file<std::string>(made(name), 100, never); };
    const auto files = [&] { return std::distance(std::filesystem::directory_iterator{made.folder}, std::filesystem::directory_iterator{}); };
    const auto before = files();
    {
        detail::whole_file given_up{made("three")};
        given_up.write("half of it");
        CHECK(content("three") == "abc");
    }
    CHECK(content("three") == "abc");
    CHECK(files() == before);
    {
        detail::whole_file file{made("three")};
        file.write("de");
        file.write(std::string_view{"f\0g", 3});
        file.finish();
        CHECK(file.failure() == 0);
    }
    CHECK(content("three") == std::string{"def\0g", 5});
    {
        detail::whole_file through{made("link")};
        through.write("hij");
        through.finish();
        CHECK(through.failure() == 0);
    }
    CHECK(content("three") == "hij");
    CHECK(std::filesystem::is_symlink(made("link")));
    for (const auto& [path, why] : {std::pair{made("loop"), ELOOP}, std::pair{made.folder.string(), EISDIR}, std::pair{made("nowhere/x"), ENOENT}}) {
        detail::whole_file none{path};
        none.write("x");
        none.finish();
        CHECK(none.failure() == why);
    }
    CHECK(detail::write_trouble(ELOOP) == "its symbolic links lead in a circle");
    CHECK(files() == before);
}
