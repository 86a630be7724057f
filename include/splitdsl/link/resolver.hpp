// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file resolver.hpp
/// Host names to addresses, within a time: nobody waits longer for the system's resolver than he wants to.
#pragma once

#include <splitdsl/link/descriptor.hpp>

#include <netdb.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

namespace splitdsl::link {

/// getaddrinfo, or what stands in for it; what it finds goes to freeaddrinfo.
using name_resolver = int (*)(const char* host, const char* service, const addrinfo* wanted, addrinfo** found);

namespace detail {

/// The addresses of a host and port, as the system lists them: at least one.
class address_list {
public:
    /// Numeric addresses take no time, names the resolver's. A resolver that throws has found nothing.
    address_list(const std::string& host, std::uint16_t port, name_resolver resolve, int flags = 0) noexcept {
        addrinfo wanted{};
        wanted.ai_socktype = SOCK_STREAM;
        wanted.ai_flags = flags;
        try {
            failure = resolve(host.c_str(), std::to_string(port).c_str(), &wanted, &list);
        } catch (const std::bad_alloc&) {
            failure = EAI_MEMORY;
        } catch (...) {
            failure = EAI_FAIL;
        }
        number = errno;
    }
    address_list(const address_list&) = delete;
    address_list& operator=(const address_list&) = delete;
    ~address_list() {
        if (list != nullptr) ::freeaddrinfo(list);
    }
    bool found() const noexcept { return failure == 0 && list != nullptr; }
    /// `link_error` if there are none.
    void require(const std::string& host, const std::string& who) const {
        if (!found())
            throw link_error(who + ": expected a host name or address that resolves, found \"" + host + "\" ("
                             + (failure == EAI_SYSTEM ? error_text(number) : failure != 0 ? std::string{::gai_strerror(failure)} : std::string{"no address"}) + ")");
    }
    const addrinfo* first() const noexcept { return list; }   ///< then `ai_next`, to null

private:
    addrinfo* list{};
    int failure{}, number{};
};

/// One name that is looked up on a thread of its own, for the resolver cannot be stopped and takes as long as it likes. The thread shares the ownership of all it uses: who
/// gives up lets go, and the thread ends when the resolver does.
class name_lookup {
public:
    static std::shared_ptr<name_lookup> begin(const std::string& host, std::uint16_t port, name_resolver resolve) {
        const std::shared_ptr<name_lookup> asked{new name_lookup{host, port, resolve}};
        auto held = std::make_unique<std::shared_ptr<name_lookup>>(asked);
        void (*const body)(void*) = [](void* own) {
            const std::unique_ptr<std::shared_ptr<name_lookup>> self{static_cast<std::shared_ptr<name_lookup>*>(own)};
            (*self)->look_up();
        };
        try {
            std::thread{body, static_cast<void*>(held.get())}.detach();
        } catch (const std::system_error& e) {
            throw link_error("looking up \"" + host + "\": expected a free thread, found none (" + e.what() + ")");
        }
        held.release();
        return asked;
    }

    /// The addresses, whether found or not; null if the resolver takes longer than until `deadline`.
    const address_list* wait_until(instant deadline) noexcept {
        pollfd told{over.descriptor(), POLLIN, 0};
        while (!finished.load(std::memory_order_acquire))
            if (!poll_until(&told, 1, deadline)) return finished.load(std::memory_order_acquire) ? &*answer : nullptr;
        return &*answer;
    }

private:
    name_lookup(std::string host_name, std::uint16_t port_number, name_resolver asked) : host{std::move(host_name)}, port{port_number}, resolve{asked} {}
    void look_up() noexcept {
        answer.emplace(host, port, resolve);
        finished.store(true, std::memory_order_release);
        over.set();
    }

    const std::string host;
    const std::uint16_t port;
    const name_resolver resolve;
    std::optional<address_list> answer; // the looking thread's until `finished`
    std::atomic<bool> finished{};
    wake_event over;
};

/// What to throw when `name_lookup::wait_until` gives null.
inline link_error still_resolving(const std::string& who, duration time) {
    return link_error(who + ": expected a name that resolves within " + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count())
                      + " ms, found no answer of the resolver yet");
}

/// Calls `use` with the addresses of a host and port. A name is looked up anew, within `time`: `link_error` if it does not resolve or takes longer.
template <class Use>
void with_addresses(const std::string& host, std::uint16_t port, name_resolver resolve, duration time, const std::string& who, Use&& use) {
    const address_list numeric{host, port, &::getaddrinfo, AI_NUMERICHOST};
    if (numeric.found()) return use(numeric);
    const auto asked = name_lookup::begin(host, port, resolve);
    const address_list* const named = asked->wait_until(after(time));
    if (named == nullptr) throw still_resolving(who, time);
    named->require(host, who);
    use(*named);
}

} // namespace detail
} // namespace splitdsl::link
