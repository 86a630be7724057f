// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file grpc_call.cpp
#include "grpc_call.hpp"

#include "echo.grpc.pb.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <stdexcept>

namespace roundtrip {

namespace {
struct answering final : Tail::Service {
    std::string reply;
    grpc::Status Answer(grpc::ServerContext*, const Request* asked, Reply* answer) override {
        if (asked->payload().empty()) return {grpc::StatusCode::INVALID_ARGUMENT, "an empty payload"};
        answer->set_values(reply);
        return grpc::Status::OK;
    }
};
} // namespace

struct grpc_call::parts {
    answering service;
    std::unique_ptr<grpc::Server> server;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<Tail::Stub> stub;
    Request request;
    Reply reply;
};

grpc_call::grpc_call(std::size_t request_bytes, std::size_t reply_bytes) : own{std::make_unique<parts>()} {
    own->service.reply.assign(reply_bytes, 'r');
    own->request.set_payload(std::string(request_bytes, 'p'));
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&own->service);
    own->server = builder.BuildAndStart();
    if (!own->server || port == 0) throw std::runtime_error("gRPC: the server does not listen");
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    own->channel = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), arguments);
    if (!own->channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds{10}))
        throw std::runtime_error("gRPC: no connection within 10 s");
    own->stub = Tail::NewStub(own->channel);
}

grpc_call::~grpc_call() {
    own->stub.reset();
    own->channel.reset();
    own->server->Shutdown(std::chrono::system_clock::now());
}

void grpc_call::operator()() {
    grpc::ClientContext context;
    const grpc::Status done = own->stub->Answer(&context, own->request, &own->reply);
    if (!done.ok() || own->reply.values().size() != own->service.reply.size()) throw std::runtime_error("gRPC: " + done.error_message());
}

std::string grpc_call::version() { return grpc::Version(); }

} // namespace roundtrip
