// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_process.hpp
/// The cloud as a process of its own: serving it, and starting, killing and restarting it from the drive.
#pragma once

#include "driver_pipeline.hpp"
#include "jpeg.hpp"
#include "scenario.hpp"

#include <splitdsl/error.hpp>
#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/cloud.hpp>
#include <splitdsl/runtime/parallel.hpp>

#include <csignal>
#include <cstdio>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace drive {

/// Serves the driver's tails until the parent or a signal ends the process. Prints "port N" when ready.
inline int serve(const scenario& s, std::uint16_t port, const std::string& bind) {
    using namespace splitdsl;
    const auto weights = load_weights<driver>(s.weights);
    auto codec = std::make_shared<picture_codec>(s.jpeg_quality);
    cloud_options options;
    options.decode_input = [codec](std::span<const std::byte> from, std::span<const std::span<std::byte>> to) { return decode_whole_input(*codec, from, to); };
    options.encoded_input_max = picture_codec::largest() + 16;
    options.workers = default_runner();
    const cloud<driver> cloud{weights, std::move(options), std::make_unique<link::tcp_listener>(port, bind)};
    std::printf("port %u\n", static_cast<unsigned>(cloud.port()));
    std::fflush(stdout);
    for (;;) std::this_thread::sleep_for(std::chrono::hours{1});
}

/// A running cloud process.
class cloud_process {
public:
    cloud_process(std::string program_, std::string scenario_file) : program(std::move(program_)), file(std::move(scenario_file)) { start(); }
    cloud_process(const cloud_process&) = delete;
    cloud_process& operator=(const cloud_process&) = delete;
    ~cloud_process() { kill(); }

    std::uint16_t port() const { return bound; }
    /// kill -9.
    void kill() {
        if (pid <= 0) return;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        pid = -1;
    }
    /// Starts it (again), on the port it had. Waits until it is ready.
    void start() {
        int pipe_ends[2];
        if (::pipe(pipe_ends) != 0) throw splitdsl::link_error("cloud process: a pipe was expected");
        const std::string port_text = std::to_string(bound);
        pid = ::fork();
        if (pid < 0) throw splitdsl::link_error("cloud process: a new process was expected");
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);     // a cloud must not outlive the drive that started it
            ::dup2(pipe_ends[1], 1);
            ::close(pipe_ends[0]);
            ::close(pipe_ends[1]);
            ::execl(program.c_str(), program.c_str(), "--serve", port_text.c_str(), "--scenario", file.c_str(), static_cast<char*>(nullptr));
            ::_exit(127);
        }
        ::close(pipe_ends[1]);
        std::FILE* from = ::fdopen(pipe_ends[0], "r");
        unsigned number = 0;
        const bool told = from && std::fscanf(from, "port %u", &number) == 1;
        if (from) std::fclose(from);
        if (!told || number == 0 || number > 65535) {
            kill();
            throw splitdsl::link_error("cloud process: " + program + " --serve was expected to print its port");
        }
        bound = static_cast<std::uint16_t>(number);
    }

private:
    std::string program, file;
    pid_t pid{-1};
    std::uint16_t bound{};
};

} // namespace drive
