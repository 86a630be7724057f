// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fake_device.cpp
/// Device code and the libraries around it, as code for the host: compiled once and optimised, for tests that are not; and once more with each access checked (shadow.hpp).
#include "fake_cudnn.hpp"

void fake::run_kernel(const char* name, const void* job, int blocks) {
    cudnn::here.last_warp_first = now.last_warp_first, cudnn::here.copies_are_late = now.copies_are_late;
    for (const cudnn::emulated_kernel& k : cudnn::emulated_kernels())
        if (k.name == name) return run_launch(k, job, blocks, 256, 1);
    complain(std::string("there is no kernel ") + name);
}

void fake::multiply_in_warp(warp_product& p) {
    const auto body = [](const void* job) {
        warp_product& of = **static_cast<warp_product* const*>(job);
        const int lane = cudnn::thread_here(), group = lane >> 2, in_group = lane % 4;
        unsigned a[4]{}, b[2]{};
        int c[4]{};
        for (int i = 0; i < 16; ++i) {
            const int row = group + ((0 <= i && i < 4) || (8 <= i && i < 12) ? 0 : 8), column = in_group * 4 + (i & 3) + (i < 8 ? 0 : 16);
            a[i / 4] |= static_cast<unsigned>(of.a[row][column]) << (8 * (i % 4));
        }
        for (int i = 0; i < 8; ++i) {
            const int row = in_group * 4 + (i & 3) + (i < 4 ? 0 : 16);
            b[i / 4] |= static_cast<unsigned>(static_cast<unsigned char>(of.b[row][group])) << (8 * (i % 4));
        }
        for (int i = 0; i < 4; ++i) c[i] = of.c[group + (i < 2 ? 0 : 8)][in_group * 2 + (i & 1)];
        cudnn::multiply_fragments(c, a, b);
        for (int i = 0; i < 4; ++i) of.c[group + (i < 2 ? 0 : 8)][in_group * 2 + (i & 1)] = c[i];
    };
    warp_product* const job = &p;
    cudnn::emulate(body, &job, cudnn::emulation::in_warps, 1, 32);
}
