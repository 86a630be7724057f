// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fake_device.cpp
/// Device code and the libraries around it, as code for the host: compiled once and optimised, for tests that are not.
#include "fake_cudnn.hpp"

void fake::run_kernel(const char* name, const void* job, int blocks) {
    for (const cudnn::emulated_kernel& k : cudnn::emulated_kernels())
        if (k.name == name) return cudnn::emulate(k.body, job, k.has_barriers, blocks, 256);
    complain(std::string("there is no kernel ") + name);
}
