// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file grpc_call.hpp
/// A gRPC unary call over loopback TCP as a contestant of bench_roundtrip; no gRPC header leaves its source file.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace roundtrip {

/// gRPC's synchronous server and stub in this process, one warm channel over 127.0.0.1 without TLS and without compression.
class grpc_call {
public:
    /// Throws `std::runtime_error` if the server cannot listen or the channel does not come up within 10 s.
    grpc_call(std::size_t request_bytes, std::size_t reply_bytes);
    grpc_call(const grpc_call&) = delete;
    grpc_call& operator=(const grpc_call&) = delete;
    ~grpc_call();
    /// One unary call. The request message was filled at construction. Throws `std::runtime_error` if it fails.
    void operator()();
    static std::string version();

private:
    struct parts;
    std::unique_ptr<parts> own;
};

} // namespace roundtrip
