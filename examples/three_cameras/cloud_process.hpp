// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file cloud_process.hpp
/// The cloud as a process of its own: serving it, starting it, and what it says when it is asked to end.
#pragma once

#include "network.hpp"

#include <splitdsl/error.hpp>
#include <splitdsl/link/tcp_listener.hpp>
#include <splitdsl/runtime/cloud.hpp>
#include <splitdsl/runtime/parallel.hpp>
#include <splitdsl/runtime/random_weights.hpp>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace three_cameras {

/// Serves the tail until SIGINT or SIGTERM. Prints "port N" when ready, and what it counted at the end.
inline int serve(std::uint64_t seed, std::uint16_t port, const std::string& bind) {
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGINT);
    sigaddset(&end, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &end, nullptr); // before there are threads: all inherit it
    const auto weights = splitdsl::seeded_weights<driver>(seed);
    splitdsl::cloud_options options;
    options.workers = splitdsl::default_runner();
    const splitdsl::cloud<driver> cloud{weights, options, std::make_unique<splitdsl::link::tcp_listener>(port, bind)};
    std::printf("port %u\n", static_cast<unsigned>(cloud.port()));
    std::fflush(stdout);
    int signal = 0;
    sigwait(&end, &signal);
    const splitdsl::cloud_counters c = cloud.counters();
    std::printf("requests %llu answered %llu shed %llu\n", static_cast<unsigned long long>(c.requests), static_cast<unsigned long long>(c.answered),
                static_cast<unsigned long long>(c.shed_late + c.shed_full + c.damaged));
    return 0;
}

/// What a cloud counted until its end.
struct cloud_tally {
    unsigned long long requests{}, answered{}, shed{};
};

/// A running `--serve`, ended with its owner at the latest.
class cloud_process {
public:
    cloud_process(const std::string& program, std::uint64_t seed) {
        int pipe_ends[2];
        if (::pipe(pipe_ends) != 0) throw splitdsl::link_error("cloud process: a pipe was expected");
        const std::string seed_text = std::to_string(seed);
        pid = ::fork();
        if (pid < 0) throw splitdsl::link_error("cloud process: a new process was expected");
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL); // a cloud must not outlive the edge that started it
            ::dup2(pipe_ends[1], 1);
            ::close(pipe_ends[0]);
            ::close(pipe_ends[1]);
            ::execl(program.c_str(), program.c_str(), "--serve", "0", "--seed", seed_text.c_str(), static_cast<char*>(nullptr));
            ::_exit(127);
        }
        ::close(pipe_ends[1]);
        from.reset(::fdopen(pipe_ends[0], "r"));
        unsigned number = 0;
        if (!from || std::fscanf(from.get(), "port %u", &number) != 1 || number == 0 || number > 65535) {
            stop();
            throw splitdsl::link_error("cloud process: " + program + " --serve was expected to print its port");
        }
        bound = static_cast<std::uint16_t>(number);
    }
    cloud_process(const cloud_process&) = delete;
    cloud_process& operator=(const cloud_process&) = delete;
    ~cloud_process() { stop(); }

    std::uint16_t port() const { return bound; }
    /// Asks it to end and waits.
    cloud_tally stop() {
        cloud_tally t;
        if (pid <= 0) return t;
        ::kill(pid, SIGTERM);
        if (!from || std::fscanf(from.get(), " requests %llu answered %llu shed %llu", &t.requests, &t.answered, &t.shed) != 3) t = {};
        ::waitpid(pid, nullptr, 0);
        pid = -1;
        return t;
    }

private:
    struct closing { void operator()(std::FILE* f) const { std::fclose(f); } };
    std::unique_ptr<std::FILE, closing> from;
    pid_t pid{-1};
    std::uint16_t bound{};
};

} // namespace three_cameras
