// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file serving_process.hpp
/// The other side as a process of its own: a program that serves, started and ended from here; and what waits in it for its end.
#pragma once

#include <splitdsl/error.hpp>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace processes {

/// A program that prints "port N" once it serves. It never outlives the thread that started it.
class serving_process {
public:
    /// `words`: the program and its arguments. Waits until it serves; throws `link_error` if it ends instead.
    explicit serving_process(std::vector<std::string> words) {
        std::vector<char*> arguments;
        for (std::string& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        int pipe_ends[2];
        if (::pipe2(pipe_ends, O_CLOEXEC) != 0) throw splitdsl::link_error("serving process: a pipe was expected");
        const pid_t parent = ::getpid();
        pid = ::fork();
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() != parent) ::_exit(127); // it died before that was said
            ::dup2(pipe_ends[1], 1);
            ::execv(arguments[0], arguments.data());
            ::_exit(127);
        }
        ::close(pipe_ends[1]);
        said.reset(::fdopen(pipe_ends[0], "r"));
        if (pid < 0) throw splitdsl::link_error("serving process: a new process was expected");
        unsigned number = 0;
        if (!said || std::fscanf(said.get(), "port %u", &number) != 1 || number == 0 || number > 65535) {
            end(SIGKILL);
            throw splitdsl::link_error("serving process: " + words[0] + " was expected to serve and to print its port");
        }
        bound = static_cast<std::uint16_t>(number);
    }
    serving_process(const serving_process&) = delete;
    serving_process& operator=(const serving_process&) = delete;
    ~serving_process() { end(SIGKILL); }

    std::uint16_t port() const { return bound; }
    /// What it prints behind its port.
    std::FILE* output() const { return said.get(); }
    /// Sends the signal and waits for the end.
    void end(int signal) {
        if (pid <= 0) return;
        ::kill(pid, signal);
        ::waitpid(pid, nullptr, 0);
        pid = -1;
    }

private:
    struct closing { void operator()(std::FILE* f) const { std::fclose(f); } };
    std::unique_ptr<std::FILE, closing> said;
    pid_t pid{-1};
    std::uint16_t bound{};
};

/// SIGTERM, SIGINT and SIGHUP, to be waited for. Made before there are threads: all inherit that the signals are blocked. What the program was started to ignore it goes on
/// ignoring: under nohup a hang-up, in the background of a script the terminal's Ctrl-C.
class interruption {
public:
    interruption() {
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        for (const int one : {SIGINT, SIGHUP}) {
            struct ::sigaction before {};
            if (::sigaction(one, nullptr, &before) != 0 || before.sa_handler != SIG_IGN) sigaddset(&signals, one);
        }
        std::signal(SIGPIPE, SIG_IGN); // who read the port may have gone before the counts are printed
        pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    }
    void wait() const {
        int signal = 0;
        sigwait(&signals, &signal);
    }

private:
    sigset_t signals{};
};

} // namespace processes
