// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file stand_in_libraries.cpp
/// The made-up device as one library that is found under the names of NVIDIA's: libcuda, libnvrtc, libcudnn and libnvidia-ml. What is written for a machine's own
/// device finds it as it would find a real one, and runs. Whatever a real device would refuse ends the program with status 13.
#include "fake_cudnn.hpp"

#include <cstdio>
#include <unistd.h>

namespace {
// By the names that libraries.hpp has for the tables.
const fake::cudnn::driver_api d = fake::driver();
const fake::cudnn::compiler_api c = fake::compiler();
const fake::cudnn::network_api n = fake::network();

const struct last_word {
    ~last_word() {
        if (fake::now.wrong.empty()) return;
        std::fprintf(stderr, "stand-in device: %s\n", fake::now.wrong.c_str());
        _exit(13);
    }
} at_the_end;
} // namespace

// A table's function under the library's name: a jump, whatever it takes and gives.
#define STAND_IN(name, function)                                                                                     \
    extern "C" {                                                                                                     \
    [[gnu::visibility("hidden"), gnu::used]] void* name##_here = reinterpret_cast<void*>(function);                  \
    }                                                                                                                \
    asm(".pushsection .text\n.globl " #name "\n.type " #name ", @function\n" #name ": jmp *" #name "_here(%rip)\n.popsection");

#include "stand_in_names.inc" // a line for each function that kernels/cudnn/libraries.hpp looks for

extern "C" {
[[gnu::visibility("default")]] int nvmlInit_v2() { return 0; }
[[gnu::visibility("default")]] int nvmlDeviceGetHandleByIndex_v2(unsigned, void** device) { return *device = &fake::now, 0; }
[[gnu::visibility("default")]] int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* millijoules) {
    static unsigned long long used = 1'000;
    return *millijoules = used += 100, 0;
}
[[gnu::visibility("default")]] const char* nvmlErrorString(int) { return "none"; }
}
