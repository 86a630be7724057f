// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file full_disk.hpp
/// A disk that takes nothing more, without one.
#pragma once

#include <csignal>
#include <string>
#include <sys/resource.h>

/// While it lives every write to a regular file of this process fails (EFBIG); pipes and devices work on. Nothing may be reported meanwhile:
/// the report may go to a file.
class full_disk {
public:
    full_disk() : signal_before{std::signal(SIGXFSZ, SIG_IGN)} {
        ::getrlimit(RLIMIT_FSIZE, &before);
        rlimit none = before;
        none.rlim_cur = 0;
        ::setrlimit(RLIMIT_FSIZE, &none);
    }
    full_disk(const full_disk&) = delete;
    full_disk& operator=(const full_disk&) = delete;
    ~full_disk() {
        ::setrlimit(RLIMIT_FSIZE, &before);
        std::signal(SIGXFSZ, signal_before);
    }

private:
    void (*signal_before)(int);
    rlimit before{};
};

/// What `call` throws on a full disk; "" if nothing.
template <class Error, class Call>
std::string refusal_on_a_full_disk(Call call) {
    const full_disk full;
    try {
        call();
    } catch (const Error& e) { return e.what(); }
    return {};
}
